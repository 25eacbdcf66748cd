/** `docs/connectors/README.md`: what each connector states of itself, action by action. */
import { describeCredential, describeToken } from '../connectors/openbao/describe-issued.ts';
import { describe as describeOpenBao } from '../connectors/openbao/describe.ts';
import { describe as describePostgres } from '../connectors/postgres/describe.ts';
import type { Described } from '../executor/connector.ts';
import { STEP_ACTIONS, type StepAction } from '../protocol/plan.ts';

const CONNECTORS: readonly { readonly kind: string; readonly system: string; readonly page: string; readonly describe: (action: StepAction) => Described | null }[] = [
  { kind: 'postgres', system: 'PostgreSQL 14 and later', page: 'postgres.md', describe: describePostgres },
  { kind: 'openbao', system: 'OpenBao 2, HashiCorp Vault: AppRoles', page: 'openbao.md', describe: describeOpenBao },
  { kind: 'openbao-token', system: 'tokens', page: 'openbao-issued.md', describe: describeToken },
  { kind: 'openbao-database', system: 'dynamic database credentials', page: 'openbao-issued.md', describe: describeCredential },
];

/** The page, as Markdown. */
export function connectorsPage(): string {
  return `# Connectors

<!-- Made by \`npm run docs:build\` from what the connectors state in \`describe()\`. -->

A connector is the only code that touches a target. What each does is stated by itself, and the conformance kit holds it to that on a real server: an action that is not
stated is refused, and one that is stated is tried.

- **ends by itself**: the target ends the access at the end of its lease, with nothing else running. Otherwise only the revoke does, which the executor carries out on time with nobody’s help.
- **sessions end**: whether taking it back, or doing it, ends sessions that are open.
- **honoured for**: how long a target may honour a credential that was taken back.
- **found again**: whether what was made can be found by its client token alone, without the lease book.

${CONNECTORS.map(section).join('\n')}
## \`webhook\`: home-made systems

Signed requests to a receiver of one’s own, which states all of this itself: the connector asks it, and refuses what it does not state. See [the protocol](webhook.md).

## \`module\`: a connector of one’s own

\`countersign connector new NAME\` makes the beginning of one, with the kit as its test; \`kind: module\` in executor.yaml loads it. See [writing a connector](writing.md).
`;
}

function section({ kind, system, page, describe }: (typeof CONNECTORS)[number]): string {
  const does = (action: StepAction): boolean => describe(action) !== null;
  const rotation = [...(does('stage') ? ['with an overlap: old and new work side by side until the old one is retired'] : []), ...(does('replace') ? ['in place: the new secret ends the old one'] : [])];
  const rows = STEP_ACTIONS.flatMap((action) => {
    const described = describe(action);
    return described === null ? [] : [`| \`${action}\` | ${expiryOf(action, described)} | ${yes(described.endsSessions)} | ${described.residualMs === 0 ? '' : `${described.residualMs} ms`} | ${yes(described.findable)} |`];
  });
  return `## \`${kind}\`: [${system}](${page})

${rotation.length === 0 ? 'Does not rotate' : `Rotates ${rotation.join('; or ')}`}.${does('provision') && describe('provision')?.choosesSecret === true ? ' The target chooses the secret.' : ''}

| action | ends by itself | sessions end | honoured for | found again |
|---|---|---|---|---|
${rows.join('\n')}
`;
}

/** Only what is lent ends. */
function expiryOf(action: StepAction, { expiry }: Described): string {
  return action === 'provision' || action === 'grant' ? yes(expiry === 'native') : '';
}

function yes(is: boolean): string {
  return is ? 'yes' : 'no';
}
