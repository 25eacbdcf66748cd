/** `docs/policy-contract.md`: of each entrypoint every member of its question and of its answer. */
import { CONTRACTS, INPUTS, membersOf, type InputName, type Member } from '../pdp/contract.ts';
import { ENTRYPOINTS } from '../pdp/bundle.ts';

/** The whole page; equal schemas give equal text. */
export function policyContractPage(): string {
  const lines = [
    '# What policy is asked, and what it owes',
    '',
    'Made from the schemas that the sidecar itself checks by (`npm run docs:build`). No member is missing: what is not there is `null`, unless it says that it may be left out. Times (`…Ms`) are epoch',
    'milliseconds, durations (`…Seconds`) seconds; `[]` is each of a list, `*` each of a map. `opa check --schema policy/schemas` holds every rule to the questions: `countersign policy lint` and `policy test` run it',
    '([policy.md](policy.md#writing-and-testing)). An answer in any other form than the one here is no decision ([faults](policy.md#when-the-engine-has-no-answer)).',
    '',
    '| entrypoint | `input` | result |',
    '|---|---|---|',
    ...ENTRYPOINTS.map((name) => {
      const { input, resultName } = CONTRACTS[name];
      return `| \`${name}\` | [\`${input}\`](#input-${input}) | [\`${resultName}\`](#result-${resultName}) |`;
    }),
    '',
  ];
  for (const input of Object.keys(INPUTS) as InputName[]) {
    lines.push(`## Input: ${input}`, '', `[\`policy/schemas/${input}.json\`](../policy/schemas/${input}.json), in METADATA \`schemas: [{input: schema.${input}}]\`.`, '', ...table(membersOf(INPUTS[input])), '');
  }
  for (const name of ENTRYPOINTS) {
    const { result, resultName } = CONTRACTS[name];
    lines.push(`## Result: ${resultName}`, '', `[\`schemas/${resultName}.json\`](schemas/${resultName}.json), of \`${name}\`.`, '', ...table(membersOf(result)), '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function table(members: readonly Member[]): string[] {
  return ['| member | form |', '|---|---|', ...members.map(({ path, form }) => `| \`${path}\` | ${form} |`)];
}
