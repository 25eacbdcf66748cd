/** Who must grant exceptions where this configuration and its trust folder are. */
import type { Asking } from '../facts/granted.ts';
import { isAskedAt } from '../protocol/activation.ts';
import { loadTrustFolder, TrustError } from '../protocol/trust-folder.ts';
import type { Config } from './schema.ts';

/** By now; null where the trust folder cannot be read. */
export async function exceptionAsking({ exceptionGrants, trust }: Pick<Config, 'exceptionGrants' | 'trust'>, nowMs: number): Promise<Pick<Asking, 'floors' | 'signers'> | null> {
  try {
    const { requirements, signers } = await loadTrustFolder(trust);
    return { floors: [exceptionGrants, requirements.exceptionGrants].filter((floor) => floor !== undefined).filter((floor) => isAskedAt(floor, nowMs)), signers };
  } catch (cause) {
    if (cause instanceof TrustError) return null;
    throw cause;
  }
}
