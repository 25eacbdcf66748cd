/** A caller that makes the change itself is known by the key of its one run: its id is in the ticket, its key in the plan that was approved. */
import { digestOf, formatVerifier, parseVerifier, type Verifier } from '../../ledger/index.ts';

/** `caller:` and the first 32 hex characters of SHA-256(raw key): whom its ticket is for, and who reports. @param key raw Ed25519 public key, base64 */
export function callerIdOf(key: string): string {
  return `caller:${digestOf(Buffer.from(key, 'base64')).slice('sha256:'.length, 'sha256:'.length + 32)}`;
}

/** What the run's reports are verified with; its name is the caller's id. @throws LedgerError `malformed` for bytes that are no Ed25519 key */
export function callerVerifier(key: string): Verifier {
  return parseVerifier(formatVerifier(callerIdOf(key), Buffer.from(key, 'base64')));
}
