/** `countersign policy diff A B`: recorded questions put to two policies, and what would have come out otherwise. */
import type { Command } from 'commander';
import { differenceOf, type Difference, type DifferenceExample } from '../workbench/difference.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { plain, table, type Output } from './output.ts';
import { ASKED_AT_ONCE, policyPlace, withPolicy } from './policy-place.ts';
import { openRecorded, questionsIn } from './recorded-ledger.ts';
import { spanOf, type SpanFlags } from './span.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface DiffFlags extends SpanFlags {
  readonly ledger: string;
}

export function addDiff(policy: Command, run: Runner): void {
  policy
    .command('diff')
    .argument('<a>', 'a compiled policy, or a folder that holds policy/ with one')
    .argument('<b>', 'the one to compare it with')
    .description('decide recorded questions again by both: which outcomes change, how many, and of which changes')
    .requiredOption('--ledger <folder>', 'a ledger folder, or its parent')
    .option('--from <time>', 'decisions from then on, such as 2026-10-01')
    .option('--to <time>', 'decisions before then')
    .action(run(diff));
}

async function diff(session: Session, a: string, b: string, flags: DiffFlags): Promise<ExitCode> {
  const { out } = session;
  const span = spanOf(flags);
  const [placeA, placeB] = [policyPlace(session, a), policyPlace(session, b)];
  const reading = await openRecorded(session, flags.ledger);
  const found = await withPolicy(placeA, (first) => withPolicy(placeB, async (second) => ({
    a: first.bundle, b: second.bundle, ...(await differenceOf(first, second, questionsIn(session, reading, span), ASKED_AT_ONCE)),
  })));
  out.document({ log: reading.origin, size: reading.head.size, from: flags.from ?? null, to: flags.to ?? null, ...found });
  for (const line of linesOf(found, out)) out.line(line);
  if (found.asked === 0) return EXIT.notEstablished;
  return found.changed + found.otherwise > 0 ? EXIT.failed : EXIT.ok;
}

const WHY = { engine: 'are denials of the engine’s own', erased: 'have questions that were erased', notKept: 'have questions that are not in the ledger', malformed: 'are in no form that can be asked', stopped: 'got no answer in time' } as const;

function linesOf({ asked, changed, codes, decisions, notAsked, otherwise, otherwiseExamples, outcomes, same }: Difference, out: Output): string[] {
  return [
    `${decisions} decisions, ${asked} asked of both`,
    ...(Object.entries(notAsked) as [keyof typeof WHY, number][]).map(([why, count]) => `  ${count} not asked: they ${WHY[why]}`),
    `${same} come out the same, ${changed === 0 ? '0' : out.bold(String(changed))} otherwise, ${otherwise} with the same outcome and other reasons or obligations`,
    ...(outcomes.length === 0 ? [] : ['', 'outcomes', ...table(outcomes.map(({ count, entrypoint, examples, from, to }) => [`  ${String(count).padStart(6)}`, `${from} → ${to}`, entrypoint === 'access/decide' ? '' : `(${entrypoint})`, named(examples)]))]),
    ...(otherwiseExamples.length === 0 ? [] : ['', `same outcome, otherwise: ${named(otherwiseExamples)}`]),
    ...(codes.length === 0 ? [] : ['', 'reasons', ...table(codes.map(({ code, examples, gained, lost }) => [`  ${`+${gained}`.padStart(6)} ${`-${lost}`.padStart(6)}`, plain(code), named(examples)]))]),
  ];
}

function named(examples: readonly DifferenceExample[]): string {
  return examples.map(({ changeId, seq }) => (changeId === null ? `record ${seq}` : `${plain(changeId)} (record ${seq})`)).join(', ');
}
