/** Who somebody is to the bus: an nkey user, whose server knows its public half only. */
import { nkeys } from '@nats-io/transport-node';

export interface BusUser {
  /** `SU…`: a secret. */
  readonly seed: string;
  /** `U…`, for the server's configuration. */
  readonly publicKey: string;
}

export function newBusUser(): BusUser {
  const pair = nkeys.createUser();
  return { seed: Buffer.from(pair.getSeed()).toString('latin1'), publicKey: pair.getPublicKey() };
}

/** The public half of a seed. @throws Error, which does not quote it, for what is no seed of a user */
export function publicKeyOf(seed: string): string {
  try {
    const key = nkeys.fromSeed(new Uint8Array(Buffer.from(seed))).getPublicKey();
    if (key.startsWith('U')) return key;
  } catch {
    // What went wrong may quote what was given.
  }
  throw new Error('it holds no seed of an nkey user (SU…)');
}
