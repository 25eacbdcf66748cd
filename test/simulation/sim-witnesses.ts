/** Three witnesses of the simulated log, two of which are demanded: requests and answers are late or lost, and a witness may be away for some seconds. */
import {
  EMPTY_ROOT, formatCosignatures, formatWitnessSize, generateSignerKey, openNote, openCheckpoint, parseAddCheckpoint, parseCheckpoint, parseCosigner, parseTrustPolicy, sha256, TLOG_SIZE_TYPE,
  verifyConsistency, type Cosigner, type HttpAnswer, type TrustPolicy, type Verifier,
} from '../../ledger/index.ts';
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import type { WitnessHttp } from '../../src/witnessing/http.ts';
import type { Rng } from './rng.ts';
import type { Process, Scheduler } from './scheduler.ts';

export interface SimWitnesses {
  readonly policy: TrustPolicy;
  /** Requests of one run of the sidecar. */
  http(process: Process): WitnessHttp;
  /** Whether what the envelope shows was cosigned by two of them. */
  haveCosigned(envelope: StepEnvelope): boolean;
}

interface SimWitness {
  readonly name: string;
  readonly cosigner: Cosigner;
  readonly vkey: string;
  head: { readonly size: number; readonly root: Uint8Array; readonly note: string };
  awayUntilMs: number;
}

/** @param logs the lines of the policy that they are added to */
export function createWitnesses(scheduler: Scheduler, rng: Rng, logs: string, logKey: Verifier): SimWitnesses {
  const witnesses = ['north', 'south', 'west'].map((name): SimWitness => {
    const { skey, vkey } = generateSignerKey(`${name}.example`, sha256(Buffer.from(name)), 4);
    return { name, cosigner: parseCosigner(skey), vkey, head: { size: 0, root: EMPTY_ROOT, note: '' }, awayUntilMs: 0 };
  });
  const policy = parseTrustPolicy(`${logs}${witnesses.map(({ name, vkey }) => `witness ${name} ${vkey} https://${name}.example\n`).join('')}group most 2 north south west\nquorum most\n`);
  const text = (status: number, body: string, contentType = 'text/plain'): HttpAnswer => ({ status, contentType, body: Buffer.from(body) });

  const answer = (witness: SimWitness, body: string): HttpAnswer => {
    const { oldSize, proof, checkpoint } = parseAddCheckpoint(Buffer.from(body));
    const opened = openNote(checkpoint, [logKey]);
    const { size, root } = parseCheckpoint(opened.text);
    const { head } = witness;
    if (oldSize !== head.size) return text(409, formatWitnessSize(head.size), TLOG_SIZE_TYPE);
    try {
      verifyConsistency(head.size, size, proof, head.root, root);
    } catch {
      return text(422, 'it does not grow from what was cosigned');
    }
    const cosignature = { keyName: witness.cosigner.keyName, signature: witness.cosigner.cosign(opened.text, Math.floor(scheduler.nowMs() / 1000)) };
    witness.head = { size, root, note: checkpoint };
    return text(200, formatCosignatures([cosignature]));
  };
  const called = (url: string): SimWitness => witnesses.find(({ name }) => new URL(url).hostname === `${name}.example`)!;
  const reach = (process: Process, witness: SimWitness, act: () => HttpAnswer): Promise<HttpAnswer> => {
    if (rng.chance(0.01)) witness.awayUntilMs = scheduler.nowMs() + rng.between(500, 6_000);
    const lost = rng.chance(0.05) ? rng.pick(['question', 'answer'] as const) : null;
    return scheduler.call(process, `witness ${witness.name}`, lost === null ? rng.between(0, 60) : rng.between(100, 2_000), () => {
      if (lost === 'question' || scheduler.nowMs() < witness.awayUntilMs) throw new Error('not reached');
      const answered = act();
      if (lost === 'answer') throw new Error('the answer was lost');
      return answered;
    });
  };
  return {
    policy,
    http: (process) => ({
      post: (url, body) => reach(process, called(url), () => answer(called(url), body)),
      get: (url) => reach(process, called(url), () => (called(url).head.note === '' ? text(404, 'nothing') : text(200, called(url).head.note))),
    }),
    haveCosigned: ({ receipt }) => {
      try {
        return openCheckpoint(receipt.checkpoint, policy).witness.met;
      } catch {
        return false;
      }
    },
  };
}
