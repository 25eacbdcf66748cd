/** `/v1/evidence`: evidence packs, and proofs of single records. */
import { formatProof, type Log } from '../../ledger/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { Clock } from '../engine/ports.ts';
import type { PackAsked } from '../evidence/pack-format.ts';
import { PackRefused, planPack, type PackPlan, type PackSource } from '../evidence/pack-plan.ts';
import { writePack } from '../evidence/pack-write.ts';
import type { Handlers } from './call.ts';
import type { SidecarContext } from './context.ts';
import { Problem } from './errors.ts';

/**
 * How old the newest statement of heads gets while there is something newer. It bounds for how long a copy of the ledger's files cannot show that a
 * change has moved no further; at one an hour it is 24 records a day, which is less than one change makes.
 */
export const HEADS_EVERY_MS = 3_600_000;
/** Statements of heads for one pack, where what it is of moves on meanwhile. */
const STATEMENTS_MAX = 3;

/** States the heads each hour. Returns how to end that. */
export function keepHeads(engine: Pick<Engine, 'recordHeads'>, clock: Pick<Clock, 'after'>): () => void {
  let cancel: () => void = () => undefined;
  const wait = (): void => {
    cancel = clock.after(HEADS_EVERY_MS, () => {
      engine.recordHeads();
      wait();
    });
  };
  wait();
  return () => cancel();
}

export function packHandlers(context: SidecarContext): Handlers<'makePack' | 'proveRecord'> {
  const { engine, log, draining } = context;
  /** The plan under the newest checkpoint, by which every change in it is shown to its last record, where the ledger can be written. */
  const plan = async (asked: PackAsked): Promise<{ readonly source: PackSource; readonly plan: PackPlan }> => {
    const isByChange = !('from' in asked);
    if ('change' in asked && (engine.index.recordsOf(asked.change).at(-1) ?? -1) >= engine.headsSize()) engine.recordHeads();
    for (let stated = 1; ; stated++) {
      if (log.failed === null) await log.sync();
      const source = sourceOf(log);
      const found = await planPack(source, asked, { signal: draining });
      const isCovered = !isByChange || (found.heads.length === found.changes.length && found.movedOn === 0);
      if (isCovered || log.failed !== null || stated === STATEMENTS_MAX) return { source, plan: found };
      engine.recordHeads();
    }
  };

  return {
    async makePack({ body }) {
      const made = await plan(body).catch((error: unknown) => {
        throw problemOf(error, body);
      });
      const pieces = writePack(made.source, made.plan, draining);
      // The first piece comes once all is known to fit.
      const first = await pieces.next().catch((error: unknown) => {
        throw problemOf(error, body);
      });
      return { status: 200, body: streamOf(first, pieces), headers: { 'content-type': 'application/x-tar' } };
    },
    async proveRecord({ params }) {
      const seq = /^(0|[1-9][0-9]{0,15})$/.test(params['seq']!) ? Number(params['seq']) : NaN;
      if (!(seq < log.durableSize)) throw new Problem('not-found', 'the ledger has no such record');
      if (seq >= log.checkpoint().size) await log.sync();
      const { text, size } = log.checkpoint();
      const proof = formatProof({ index: seq, hashes: log.prove(seq, size).hashes, checkpoint: text });
      return { status: 200, body: Buffer.from(proof), headers: { 'content-type': 'text/plain; charset=utf-8' } };
    },
  };
}

/** The log as it is under its newest checkpoint. */
function sourceOf(log: Log): PackSource {
  const head = log.checkpoint();
  return {
    origin: log.origin, head,
    entries: (from, to) => log.entries(from, to),
    prove: (index) => log.prove(index, head.size).hashes,
    object: (digest) => log.object(digest),
  };
}

function streamOf(first: IteratorResult<Uint8Array>, rest: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  let next: IteratorResult<Uint8Array> | null = first;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = next ?? (await rest.next());
      next = null;
      if (piece.done === true) controller.close();
      else controller.enqueue(piece.value);
    },
    async cancel() {
      await rest.return(undefined);
    },
  });
}

function problemOf(error: unknown, asked: PackAsked): unknown {
  if (!(error instanceof PackRefused)) return error;
  if (error.code === 'too-large') return new Problem('pack-too-large', error.message);
  return new Problem('nhi' in asked ? 'no-such-nhi' : 'no-such-change', error.message);
}
