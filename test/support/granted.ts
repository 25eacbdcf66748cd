/** Entries of the facts file `exceptions` that people have signed. */
import { canonicalBytes } from '../../ledger/index.ts';
import { EXCEPTION_NAMESPACE, grantStatementOf, type GrantedEntry, type GrantKind } from '../../src/facts/granted.ts';
import type { TestSshKey } from './ssh.ts';

/** The entry as it is, signed by each of these. */
export function signedBy<T extends GrantedEntry>(kind: GrantKind, entry: T, people: Readonly<Record<string, TestSshKey>>, namespace = EXCEPTION_NAMESPACE): T {
  const signatures = Object.entries(people).map(([approver, key]) => ({
    approver, from: entry.from, until: entry.until, signature: key.sign(canonicalBytes(grantStatementOf(kind, entry, approver)), { namespace }).toString('base64'),
  }));
  return { ...entry, signatures: [...(entry.signatures ?? []), ...signatures] };
}
