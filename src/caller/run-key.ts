/** The key of one run of a caller that makes a change itself: its public half goes into the request, the ticket is for it, and it signs what the run reports. */
import { generateSignerKey, parseSigner, parseVerifier, type Signer } from '../../ledger/index.ts';
import type { RandomBytes } from '../engine/ports.ts';
import { callerIdOf } from '../protocol/caller.ts';

export interface RunKey {
  /** Raw Ed25519 public key, standard base64: what a request names. */
  readonly publicKey: string;
  /** `caller:…`: whom the ticket is for, and who reports. */
  readonly id: string;
  /** Signs in the name of {@link id}. The private half is nowhere else, and ends with the process. */
  readonly signer: Signer;
}

/** A key that nobody has had before. @param random cryptographically strong */
export function newRunKey(random: RandomBytes): RunKey {
  const seed = random(32);
  const publicKey = Buffer.from(parseVerifier(generateSignerKey('run', seed).vkey).publicKey).toString('base64');
  const id = callerIdOf(publicKey);
  return { publicKey, id, signer: parseSigner(generateSignerKey(id, seed).skey) };
}
