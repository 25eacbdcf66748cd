/** Every vector of the protocol, as the files that they are. */
import { claimVectors } from './claims.ts';
import { discoveryVectors } from './discoveries.ts';
import { encodingVectors } from './encodings.ts';
import { extensionVectors } from './extensions.ts';
import { lockVectors } from './locks.ts';
import { orderVectors } from './orders.ts';
import { glassVectors } from './glass.ts';
import { passkeyVectors } from './passkeys.ts';
import { reportVectors } from './reports.ts';
import { smallVectors } from './small.ts';
import { lockedVectors } from './locked.ts';
import { sshVectors } from './ssh.ts';
import { standingVectors } from './standing.ts';
import { stepVectors } from './steps.ts';
import { trustVectors } from './trust.ts';

/** Text by path below `test/vectors/protocol`. The same every time. */
export async function protocolVectors(): Promise<ReadonlyMap<string, string>> {
  const vectors = [...stepVectors(), ...extensionVectors(), ...discoveryVectors(), ...lockedVectors(), ...sshVectors(), ...passkeyVectors(), ...glassVectors(), ...standingVectors(), ...encodingVectors(), ...orderVectors(), ...lockVectors(), ...reportVectors(), ...smallVectors(), ...(await claimVectors()), ...trustVectors()];
  const texts = new Map(vectors.map(({ path, content }) => [`${path}.json`, `${JSON.stringify(content, null, 1)}\n`]));
  if (texts.size !== vectors.length) throw new Error('two vectors have one path');
  return texts;
}
