/** Who must grant exceptions where this configuration and its trust folder are. */
import { logIdOf } from '../../ledger/index.ts';
import type { Asking } from '../facts/granted.ts';
import { isAskedAt } from '../protocol/activation.ts';
import { loadTrustFolder, TrustError } from '../protocol/trust-folder.ts';
import type { Config } from './schema.ts';

/** By now; null where the trust folder cannot be read. */
export async function exceptionAsking({ exceptionGrants, origin, trust }: Pick<Config, 'exceptionGrants' | 'origin' | 'trust'>, nowMs: number): Promise<Omit<Asking, 'atMs'> | null> {
  try {
    const { requirements, signers, passkeys } = await loadTrustFolder(trust);
    return { floors: [exceptionGrants, requirements.exceptionGrants].filter((floor) => floor !== undefined).filter((floor) => isAskedAt(floor, nowMs)), signers, passkeys, logId: logIdOf(origin) };
  } catch (cause) {
    if (cause instanceof TrustError) return null;
    throw cause;
  }
}
