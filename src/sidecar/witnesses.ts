/**
 * The witnesses of a sidecar's ledger: which they are its own trust folder says, and those with a URL there are asked.
 *
 * What they have cosigned is compared before anything is recorded or given. A ledger that turns out to be behind, or another, gives nothing until it
 * is restored; orders to take back go out all the same.
 */
import { readCheckpoint, type Disk, type Log, type SignedHead, type TrustPolicy, type Verifier } from '../../ledger/index.ts';
import type { Clock, Logger } from '../engine/ports.ts';
import type { SeenHead } from '../witnessing/heads.ts';
import { addressFault, fileNameOf, witnessHttp } from '../witnessing/http.ts';
import { startWitnessing, type Witnessing } from '../witnessing/witnessing.ts';

/** How long the start waits to hear what the witnesses have. */
const ASKED_MS = 3_000;

export interface KeptWitnesses extends Witnessing {
  /** Whether what gives access waits for them. */
  readonly demanded: boolean;
  /** Calls back with each head that is cosigned as it should be, now and later. */
  onCosigned(callback: (head: SignedHead) => void): void;
}

export interface WitnessOptions {
  readonly log: Log;
  readonly verifier: Verifier;
  readonly policy: TrustPolicy;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Why the witnesses of a policy cannot be had: an address that may not be asked, or a quorum with nobody to ask for it. Null where they can. */
export function witnessFault(policy: TrustPolicy): string | null {
  const withUrl = policy.witnesses.filter(({ url }) => url !== null);
  const fault = withUrl.map(addressFault).find((found) => found !== null);
  if (fault !== undefined) return fault;
  return policy.quorum !== 'none' && withUrl.length === 0 ? `the quorum ${policy.quorum} is demanded, and no witness has a URL to be asked at` : null;
}

/** Null where the policy names nobody to ask. Resolves once all have been asked, or have had their time. */
export async function openWitnesses({ log, verifier, policy, disk, clock, logger }: WitnessOptions): Promise<KeptWitnesses | null> {
  if (!policy.witnesses.some(({ url }) => url !== null)) return null;
  const ending = new AbortController();
  let newest: SignedHead | null = null;
  let keeping: Promise<void> = Promise.resolve();
  let tell = (head: SignedHead): void => void (newest = head);
  const witnessing = startWitnessing({
    log, verifier, policy, clock, logger, http: witnessHttp(clock, ending.signal), cosigned: (head) => tell(head),
    conflict(error, witness, theirs) {
      log.refuse(error);
      keeping = keepHeads(disk, error.code, witness, log.checkpoint(), theirs).catch((cause: unknown) => logger.error({ error: String(cause) }, 'the contradicting heads could not be kept'));
    },
  });
  await witnessing.asked(ASKED_MS);
  return {
    ...witnessing,
    demanded: policy.quorum !== 'none',
    onCosigned(callback) {
      tell = callback;
      if (newest !== null) callback(newest);
    },
    async close() {
      await witnessing.close();
      await keeping;
      ending.abort(new Error('the sidecar stops'));
    },
  };
}

/** Both heads, each signed by the log: together they show what neither shows alone. They are kept beside the ledger, and never overwritten by later ones. */
async function keepHeads(disk: Disk, code: string, witness: string, ours: SignedHead, theirs: SeenHead | null): Promise<void> {
  const to = `contradictions/${code}-${fileNameOf(witness)}-${theirs === null ? 'unseen' : readCheckpoint(theirs.note).size}-${ours.size}`;
  if ((await disk.size(`${to}.ours`)) === null) await disk.writeDurable(`${to}.ours`, Buffer.from(ours.text));
  if (theirs !== null && (await disk.size(`${to}.theirs`)) === null) await disk.writeDurable(`${to}.theirs`, Buffer.from(theirs.note));
}
