/**
 * What a witness has ever cosigned, so that a head that is lost is missed:
 *
 *     countersign witness state, version 1
 *     witness.example/north+2b4f…+BC…
 *     log.example/a
 *     log.example/b
 *
 *     <hex SHA-256 of what stands before the empty line>
 */
import { LedgerError } from './errors.ts';
import { sha256Hex } from './hash.ts';
import { isKeyName } from './note.ts';

export interface WitnessIndex {
  /** Its own key: another key has another state. */
  readonly vkey: string;
  readonly origins: readonly string[];
}

const HEADER = 'countersign witness state, version 1';

export function formatWitnessIndex({ vkey, origins }: WitnessIndex): Uint8Array {
  const text = `${[HEADER, vkey, ...[...origins].sort()].join('\n')}\n`;
  return Buffer.from(`${text}\n${sha256Hex(Buffer.from(text))}\n`);
}

/** @throws LedgerError `corrupt` unless {@link formatWitnessIndex} could have written exactly these bytes. */
export function parseWitnessIndex(bytes: Uint8Array): WitnessIndex {
  const text = Buffer.from(bytes).toString('utf8');
  const [header, vkey, ...rest] = text.split('\n');
  const origins = rest.slice(0, -3);
  const index = { vkey: vkey ?? '', origins };
  if (header !== HEADER || !origins.every(isKeyName) || !Buffer.from(formatWitnessIndex(index)).equals(bytes)) {
    throw new LedgerError('corrupt', 'the list of what this witness has cosigned is torn, or not one that this version writes');
  }
  return index;
}
