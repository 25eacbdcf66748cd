/** What keeps a ledger from being restored, as a person is told it: nothing was changed. */
import { LedgerError, type LogSigner, type Signer } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import { PrivateFileError } from '../identity/private-file.ts';
import { openLogKey, openOwnKey } from '../identity/signing-key.ts';
import { SigningKeyError } from '../identity/signing-key-error.ts';
import { CliError, EXIT } from './exit.ts';

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

/** The log's key and the ticket key. @throws CliError for a file that holds no such key, without a word of what it holds */
export async function keysOf({ keys }: Config): Promise<{ readonly log: LogSigner; readonly ticket: Signer }> {
  try {
    return { log: await openLogKey(keys.log, keys.unlock), ticket: await openOwnKey(keys.ticket, keys.unlock) };
  } catch (cause) {
    if (cause instanceof PrivateFileError || cause instanceof SigningKeyError) throw new CliError(EXIT.io, 'bad-key', { cause: cause.message, effect: UNTOUCHED }, { cause });
    throw cause;
  }
}
