/** The bytes that a bundle's listing names. */
import { digestOf } from '../../ledger/index.ts';
import type { Pdp } from './engine.ts';

/** In the order of the listing. A file that is two of them is one object. */
export function filesOf(evidence: Pdp['evidence']): Uint8Array[] {
  const files = evidence === undefined ? [] : evidence.listing.files.map(({ path }) => (path === 'policy.wasm' ? evidence.wasm : evidence.data));
  return [...new Map(files.map((bytes) => [digestOf(bytes), bytes])).values()];
}
