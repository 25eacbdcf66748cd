/** A ledger whose questions are read by the workbench, and of which time. */
import { basename, dirname, resolve } from 'node:path';
import { LedgerError, NotEvidence, nodeEvidence, readDirectory, type DirectoryReading } from '../../ledger/index.ts';
import { parseTime, timeSchema } from '../protocol/values.ts';
import { withReadAhead } from '../workbench/read-ahead.ts';
import { recordedQuestions, type Recorded, type Span } from '../workbench/recorded.ts';
import { CliError, EXIT } from './exit.ts';
import { plain } from './output.ts';
import { progressOf } from './verify-progress.ts';
import { ledgerFolder } from './verify.ts';
import type { Session } from './world.ts';

/** The ledger in that folder, its tiles those of its checkpoint. @throws CliError */
export function openRecorded(session: Session, given: string): Promise<DirectoryReading> {
  const directory = ledgerFolder(resolve(session.cwd, given));
  return orDamaged(() => readDirectory(withReadAhead(nodeEvidence(dirname(directory))), basename(directory)));
}

/** Its questions, with what is wrong with the ledger told as an error of the command. */
export async function* questionsIn(session: Session, reading: DirectoryReading, span: Span): AsyncGenerator<Recorded> {
  const questions = recordedQuestions(reading, span, progressOf(session, 'records'));
  for (;;) {
    session.signal.throwIfAborted();
    const next = await orDamaged(() => questions.next());
    if (next.done === true) return session.out.progress('');
    yield next.value;
  }
}

/** What is wrong with the ledger is a check that failed; that there is none could not be established. */
async function orDamaged<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof NotEvidence) throw new CliError(EXIT.failed, 'no-evidence', { cause: `the ledger cannot be read: ${plain(cause.message)}`, effect: 'What was asked until then is not told.' }, { cause });
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(cause.code === 'not-found' ? EXIT.notEstablished : EXIT.failed, cause.code, { cause: `the ledger cannot be read: ${plain(cause.message)}`, effect: 'What was asked until then is not told.', next: 'countersign verify   says all that is wrong with it' }, { cause });
  }
}

export interface SpanFlags {
  readonly from?: string;
  readonly to?: string;
}

/** @throws CliError `usage` */
export function spanOf({ from, to }: SpanFlags): Span {
  const span = { fromMs: timeOf('--from', from), toMs: timeOf('--to', to) };
  if (span.fromMs !== null && span.toMs !== null && span.fromMs >= span.toMs) throw new CliError(EXIT.usage, 'usage', { cause: '--from is not before --to', effect: 'Nothing was asked.' });
  return span;
}

function timeOf(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const whole = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00.000Z` : text;
  if (!timeSchema.safeParse(whole).success) throw new CliError(EXIT.usage, 'usage', { cause: `${flag} takes a day such as 2026-10-01 or a time such as 2026-10-01T00:00:00.000Z, UTC`, effect: 'Nothing was asked.' });
  return parseTime(whole);
}
