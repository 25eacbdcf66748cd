/** Every vector of the ledger, as the files that they are. */
import { checkpointVectors, cosignedVectors, policyVectors } from './checkpoints.ts';
import { ledgerVectors } from './ledgers.ts';
import { keyVectors, noteVectors } from './notes.ts';
import { proofVectors } from './proofs.ts';
import { objectVectors, recordVectors } from './records.ts';
import { bundleVectors, tilePathVectors, tileVectors } from './tiles.ts';
import { consistencyVectors, inclusionVectors } from './trees.ts';

/** Text by path below `test/vectors/ledger`. The same every time. */
export async function ledgerVectorFiles(): Promise<ReadonlyMap<string, string>> {
  const vectors = [
    ...noteVectors(), ...keyVectors(), ...checkpointVectors(), ...cosignedVectors(), ...policyVectors(), ...proofVectors(), ...inclusionVectors(), ...consistencyVectors(), ...tilePathVectors(),
    ...tileVectors(), ...bundleVectors(), ...recordVectors(), ...objectVectors(), ...(await ledgerVectors()),
  ];
  const texts = new Map(vectors.map(({ path, content }) => [`${path}.json`, `${JSON.stringify(content, null, 1)}\n`]));
  if (texts.size !== vectors.length) throw new Error('two vectors have one path');
  return texts;
}
