/** Entries of the facts file `exceptions` that people have signed. */
import { canonicalBytes, formatBase64 } from '../../ledger/index.ts';
import { EXCEPTION_NAMESPACE, grantStatementOf, type GrantedEntry, type GrantKind } from '../../src/facts/granted.ts';
import type { AssertionEdit, TestPasskey } from './passkey.ts';
import type { TestSshKey } from './ssh.ts';

/** The entry as it is, signed by each of these. */
export function signedBy<T extends GrantedEntry>(kind: GrantKind, entry: T, people: Readonly<Record<string, TestSshKey>>, { namespace = EXCEPTION_NAMESPACE, log }: { readonly namespace?: string; readonly log?: string } = {}): T {
  const signatures = Object.entries(people).map(([approver, key]) => ({
    approver, from: entry.from, until: entry.until, ...(log === undefined ? {} : { log }), signature: key.sign(canonicalBytes(grantStatementOf(kind, entry, approver, log)), { namespace }).toString('base64'),
  }));
  return { ...entry, signatures: [...(entry.signatures ?? []), ...signatures] };
}

/** The entry as it is, with her passkey's answer. */
export function grantedByPasskey<T extends GrantedEntry>(kind: GrantKind, entry: T, approver: string, passkey: TestPasskey, edit: AssertionEdit = {}): T {
  const { authenticatorData, clientDataJSON, signature } = passkey.assert(canonicalBytes(grantStatementOf(kind, entry, approver)), edit);
  const answer = { credentialId: passkey.credentialId, authenticatorData: formatBase64(authenticatorData), clientDataJSON: formatBase64(clientDataJSON), signature: formatBase64(signature) };
  return { ...entry, signatures: [...(entry.signatures ?? []), { approver, from: entry.from, until: entry.until, passkey: answer }] };
}
