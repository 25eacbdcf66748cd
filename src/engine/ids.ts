/** New ids, from a clock and a source of randomness that are passed in. */
import type { RandomBytes } from './ports.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** `chg_<log>_<ulid>`: sorts by the time it was asked. @see https://github.com/ulid/spec */
export function newChangeId(logId: string, nowMs: number, random: RandomBytes): string {
  return `chg_${logId}_${newUlid(nowMs, random)}`;
}

/** `lck_<ulid>`. */
export function newLockId(nowMs: number, random: RandomBytes): string {
  return `lck_${newUlid(nowMs, random)}`;
}

/** `prp_<ulid>`. */
export function newProposalId(nowMs: number, random: RandomBytes): string {
  return `prp_${newUlid(nowMs, random)}`;
}

/** `dsc_<log>_<ulid>`. */
export function newDiscoveryId(logId: string, nowMs: number, random: RandomBytes): string {
  return `dsc_${logId}_${newUlid(nowMs, random)}`;
}

function newUlid(nowMs: number, random: RandomBytes): string {
  let time = '';
  for (let rest = nowMs, digits = 0; digits < 10; digits += 1, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32]! + time;
  let tail = '';
  for (const byte of random(16)) tail += ALPHABET[byte % 32]!;
  return time + tail;
}

/** 16 random bytes as a plan or an object carries them. */
export function newSalt(random: RandomBytes): string {
  return Buffer.from(random(16)).toString('base64url');
}
