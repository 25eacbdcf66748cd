/** `countersign policy replay`: recorded decisions asked again. Under a trust folder by the recorded bundle, as REPLAY of `verify` does; else by the same bundle of one's own. */
import type { Command } from 'commander';
import { basename, dirname, resolve } from 'node:path';
import { statSync } from 'node:fs';
import { nodeEvidence } from '../../ledger/index.ts';
import { exitOf } from '../evidence/verification-document.ts';
import { verifyEvidence } from '../evidence/verify.ts';
import { createReplayer } from '../pdp/replayer.ts';
import { loadTrustFolder, TrustError } from '../protocol/trust-folder.ts';
import { askAgain, type NotAgain } from '../workbench/again.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain, type Output } from './output.ts';
import { ASKED_AT_ONCE, policyPlace, withPolicy } from './policy-place.ts';
import { openRecorded, questionsIn } from './recorded-ledger.ts';
import type { Runner } from './runner.ts';
import { progressOf } from './verify-progress.ts';
import { ledgerFolder } from './verify-path.ts';
import type { Session } from './world.ts';

interface ReplayFlags {
  readonly trust?: string;
  readonly policy?: string;
}

export function addReplay(policy: Command, run: Runner, policyHelp: string): void {
  policy
    .command('replay')
    .argument('<ledger>', 'a ledger folder, or its parent')
    .description('ask recorded decisions again: all the same, bit for bit, or which differ')
    .option('--trust <folder>', 'your trust folder: the recorded bundles that its policy signers have signed are run, and each question is held to its records')
    .option('--policy <folder>', `without --trust, only what was decided by this bundle is asked again: ${policyHelp}`)
    .action(run(replay));
}

/** What both ways come to. */
interface Told {
  readonly decisions: number;
  readonly same: number;
  readonly differing: number;
  readonly engineDenied: number;
  readonly kept: readonly { readonly seq: number; readonly changeId: string | null; readonly message: string }[];
  readonly unreplayed: readonly { readonly why: string; readonly count: number; readonly message: string }[];
}

async function replay(session: Session, given: string, flags: ReplayFlags): Promise<ExitCode> {
  if (flags.trust !== undefined && flags.policy !== undefined) throw new CliError(EXIT.usage, 'usage', { cause: 'give --trust or --policy, not both: under a trust folder the recorded bundles are run', effect: 'Nothing was asked.' });
  return flags.trust === undefined ? replayByOwn(session, given, flags) : replayRecorded(session, given, flags.trust);
}

const WHY: Readonly<Record<NotAgain, string>> = {
  otherBundle: 'by another bundle than this one', erased: 'their questions were erased', notKept: 'their questions are not in the ledger', malformed: 'not in a form that can be asked', stopped: 'policy did not answer in time',
};

async function replayByOwn(session: Session, given: string, flags: ReplayFlags): Promise<ExitCode> {
  const reading = await openRecorded(session, given);
  const place = policyPlace(session, flags.policy);
  const { bundle, told } = await withPolicy(place, async (pdp) => ({ bundle: pdp.bundle, told: await askAgain(pdp, questionsIn(session, reading, { fromMs: null, toMs: null }), ASKED_AT_ONCE) }));
  const unreplayed = (Object.entries(told.unreplayed) as [NotAgain, number][]).map(([why, count]) => ({ why, count, message: WHY[why] }));
  const found = { ...told, unreplayed };
  const exit = found.differing > 0 ? EXIT.failed : found.same === 0 || unreplayed.length > 0 ? EXIT.notEstablished : EXIT.ok;
  return tell(session.out, found, exit, { by: 'ownBundle', bundle, log: reading.origin, size: reading.head.size }, 'By your own bundle of that digest. Whether the ledger is whole, and the questions those of its changes, is asked of:  countersign policy replay --trust');
}

async function replayRecorded(session: Session, given: string, trustPath: string): Promise<ExitCode> {
  const directory = ledgerFolder(resolve(session.cwd, given));
  const trust = await trustIn(resolve(session.cwd, trustPath));
  const verification = await verifyEvidence({
    disk: nodeEvidence(dirname(directory)), directory: basename(directory), trust, wholeFolder: true, replayer: createReplayer(), progress: progressOf(session, 'records'), signal: session.signal,
  });
  session.out.progress('');
  const exit = exitOf(verification, ['INTEGRITY', 'SIGNATURE', 'REPLAY']) as ExitCode;
  const said = verification.verdicts.filter(({ name, status }) => ['INTEGRITY', 'SIGNATURE', 'REPLAY'].includes(name) && status !== 'holds').map(({ message, name }) => `${name}: ${message}`);
  const found: Told = verification.replay ?? { decisions: 0, same: 0, differing: 0, engineDenied: 0, kept: [], unreplayed: [] };
  return tell(session.out, found, exit, { by: 'recordedBundles', log: verification.head?.origin ?? null, size: verification.head?.size ?? null }, said.length === 0 ? 'By the recorded bundles, each signed by a policy signer of the trust folder, to the questions that the records lead to.' : said.map(plain).join('\n'));
}

async function trustIn(path: string): Promise<Awaited<ReturnType<typeof loadTrustFolder>>> {
  const refused = (message: string, cause?: unknown): CliError => new CliError(EXIT.notEstablished, 'no-trust', { cause: `the trust cannot be used: ${message}`, effect: 'Nothing was asked.' }, { cause });
  try {
    const trust = await loadTrustFolder(path);
    if (!statSync(path).isDirectory()) throw refused('whose policy may be run is in a trust folder, and this is a lone file');
    return trust;
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause;
    throw refused(cause.message, cause);
  }
}

const SHOWN = 20;

function tell(out: Output, { decisions, differing, engineDenied, kept, same, unreplayed }: Told, exit: ExitCode, about: object, how: string): ExitCode {
  out.document({ ...about, decisions, same, differing, engineDenied, kept, unreplayed, exit });
  out.line(`${same} of ${decisions} decisions came out the same, bit for bit`);
  if (engineDenied > 0) out.line(`${engineDenied} were denials of the engine’s own, where policy gave no answer: nothing was given by them`);
  for (const { count, message } of unreplayed) out.line(`${count} could not be asked again: ${plain(message)}`);
  if (differing > 0) out.line(out.bad(`${differing} differ`));
  for (const { changeId, message, seq } of kept.slice(0, SHOWN)) out.line(`    record ${seq}${changeId === null ? '' : `, ${plain(changeId)}`}: ${plain(message)}`);
  if (differing > SHOWN) out.line(`    and ${differing - SHOWN} more`);
  for (const line of how.split('\n')) out.line(line);
  return exit;
}
