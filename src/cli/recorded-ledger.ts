/** A ledger whose questions are read by the workbench, and of which time. */
import { basename, dirname, resolve } from 'node:path';
import { LedgerError, NotEvidence, nodeEvidence, readDirectory, type DirectoryReading } from '../../ledger/index.ts';
import { withReadAhead } from '../workbench/read-ahead.ts';
import { recordedQuestions, type Recorded, type Span } from '../workbench/recorded.ts';
import { CliError, EXIT } from './exit.ts';
import { plain } from './output.ts';
import { progressOf } from './verify-progress.ts';
import { ledgerFolder } from './verify-path.ts';
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
