/** The page that verifies offline, handed out as it was built. */
import { readFile } from 'node:fs/promises';
import { sha256 } from '../../ledger/index.ts';

export interface VerifierPage {
  readonly bytes: Uint8Array;
  /** Hex, as `sha256sum` says it. */
  readonly sha256: string;
}

/** null where this installation has none. */
export async function readVerifierPage(path: string): Promise<VerifierPage | null> {
  const bytes = await readFile(path).catch(() => null);
  return bytes === null ? null : { bytes, sha256: Buffer.from(sha256(bytes)).toString('hex') };
}
