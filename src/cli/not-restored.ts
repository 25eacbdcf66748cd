/** What keeps a ledger from being restored, as a person is told it: nothing was changed. */
import { LedgerError, parseSigner, type Signer } from '../../ledger/index.ts';
import { CliError, EXIT } from './exit.ts';
import { readSecret } from './files.ts';

export const UNTOUCHED = 'Nothing was changed.';

const NEXT: Partial<Record<LedgerError['code'], string>> = {
  locked: 'stop the sidecar first',
  'rolled-back': 'find a copy that has more, and give it with --from; where there is none, go on with a new log:  countersign restore --new-log OLD-VKEY',
  copied: 'see to it that no sidecar goes on where it came from, then:  countersign restore --moved',
  forked: 'look at both: one of them is not this log as it was signed first; nothing here chooses between them',
  corrupt: 'find another copy, and give it with --from',
  untrusted: 'a copy must be signed with the key of this log',
};

export function notRestored(cause: unknown): CliError {
  if (!(cause instanceof LedgerError)) return new CliError(EXIT.io, 'not-restored', { cause: cause instanceof Error ? cause.message : String(cause), effect: UNTOUCHED }, { cause });
  const hint = NEXT[cause.code];
  return new CliError(cause.code === 'forked' ? EXIT.failed : EXIT.io, cause.code, { cause: cause.message, effect: UNTOUCHED, ...(hint === undefined ? {} : { next: hint }) }, { cause });
}

/** @throws CliError for a file that holds no such key, without a word of what it holds */
export function signerAt(path: string, what: string): Signer {
  try {
    return parseSigner(readSecret(path, what));
  } catch (error) {
    if (error instanceof CliError) throw error;
    // A parser's message may quote what it was given.
    throw new CliError(EXIT.io, 'bad-key', { cause: `${path} holds no signed-note key`, effect: UNTOUCHED });
  }
}
