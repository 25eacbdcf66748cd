/** `countersign who`: who had which access at a moment, by whose approval and until when; offline, from a ledger or a pack that is verified first. */
import type { Command } from 'commander';
import { REQUIRED_BY_DEFAULT } from '../../ledger/index.ts';
import { conclusionOf } from '../evidence/verification-document.ts';
import { formatTime, nhiIdSchema } from '../protocol/values.ts';
import { timeWords } from '../reports/words.ts';
import { whoHad } from '../reports/who.ts';
import { archives } from './archived.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain } from './output.ts';
import type { Runner } from './runner.ts';
import { timeOf } from './span.ts';
import { verifiedFacts } from './verified-facts.ts';
import { threadCount } from './verify-path.ts';
import type { Session } from './world.ts';

interface WhoFlags {
  readonly trust: string;
  readonly target?: string;
  readonly nhi?: string;
  readonly at?: string;
  readonly archive?: readonly string[];
  readonly threads?: number;
}

export function addWho(program: Command, run: Runner): void {
  program
    .command('who')
    .argument('<path>', 'a ledger folder, or its parent; or an evidence pack')
    .description('say who had which access at a moment, by whose approval and until when, each with its records; offline')
    .requiredOption('--trust <folder>', 'your trust folder')
    .option('--target <connector/target>', 'at this target …')
    .option('--nhi <id>', '… or of this machine identity, or both')
    .option('--at <time>', 'then, a day or a time in UTC (default: at the last record)')
    .option('--archive <dir>', 'where bundles and object files of it were moved to; may be given again', archives)
    .option('--threads <n>', 'threads beside the one that has the last word (default: one for each other core, at most 8)', threadCount)
    .action(run(who));
}

async function who(session: Session, path: string, flags: WhoFlags): Promise<ExitCode> {
  const { out } = session;
  const { target = null, nhi = null } = flags;
  const usage = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was verified.' });
  if (target === null && nhi === null) throw usage('give --target CONNECTOR/TARGET, --nhi ID, or both');
  if (target !== null && !/^[^/]+\/./.test(target)) throw usage('--target is a connector and a target of it, such as pg-main/app');
  if (nhi !== null && !nhiIdSchema.safeParse(nhi).success) throw usage('--nhi is the id of a machine identity, such as nhi:prod/ci-deployer');
  const at = timeOf('--at', flags.at);
  // Nothing that policy said is told here: whether it would say so again is for `verify`.
  const { facts, verification, trust, exit, asOfMs } = await verifiedFacts(session, path, { ...flags, replay: false }, { controls: [], isWanted: () => false, isCounted: () => true });
  const atMs = at ?? asOfMs;
  const { sentences, notCovered } = whoHad({ facts, trust, verification }, { target, nhi, atMs });
  out.document({ v: 1, target, nhi, at: formatTime(atMs), exit, sentences, notCovered: [...notCovered] });
  out.line(out.bold(plain(`At ${timeWords(atMs)}${target === null ? '' : `, at ${target}`}${nhi === null ? '' : `, ${nhi}`}:`)));
  for (const { text } of sentences) out.line(text);
  if (sentences.length === 0) out.line('Nobody, by what is recorded.');
  out.line();
  out.line('NOT COVERED');
  for (const item of notCovered) out.line(`  - ${plain(item)}`);
  const conclusion = conclusionOf(verification, REQUIRED_BY_DEFAULT, exit);
  out.line();
  out.line(exit === EXIT.ok ? out.good(conclusion) : out.bad(conclusion));
  return exit;
}
