/**
 * Policy that is fetched: the last good bundle is kept on disk, verified again at every start, and replaced only by a good one of a later
 * revision. What is bad, late, missing or behind changes nothing, and is told.
 */
import type { Disk } from '../../ledger/index.ts';
import { NotApproved } from '../engine/bundles.ts';
import type { Clock, Logger, RandomBytes } from '../engine/ports.ts';
import { absentPdp, EngineFault, type Pdp } from '../pdp/engine.ts';
import { livePdp, type LivePdp } from '../pdp/live.ts';
import { ARCHIVE_BYTES_MAX } from '../pdp/opa-archive.ts';
import type { OpaBundle } from '../pdp/opa-bundle.ts';
import type { Fetched } from './fetch-bundle.ts';

const KEPT = 'policy/bundle.tar.gz';
const RETRY_FIRST_MS = 1_000;

export interface PolicySourceOptions {
  /** The bundle of these bytes, verified, and not run. @throws EngineFault */
  readonly read: (archive: Uint8Array) => Promise<OpaBundle>;
  /** It runs, in threads of its own. @throws EngineFault */
  readonly run: (bundle: OpaBundle) => Promise<Pdp>;
  readonly fetch: (etag: string | null, signal: AbortSignal) => Promise<Fetched>;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly logger: Logger;
  readonly everyMs: number;
}

/** What decides whether a bundle may come into force, and puts it there: the engine. */
export interface Activation {
  mayNotActivate(next: Pick<Pdp, 'bundle' | 'revision'>): string | null;
  /** Why it waits for people, on record; null where it may come into force. */
  proposeBundle(next: Pick<Pdp, 'bundle' | 'revision' | 'evidence'>): Promise<string | null>;
  activateBundle(next: Pdp): Promise<void>;
}

export interface PolicySource {
  /** The last good bundle, or a PDP that answers nothing; what is activated later answers in its place. */
  readonly pdp: LivePdp;
  /** Looks now, and from here on by itself. */
  follow(activation: Activation): void;
  /** Resolves after a look that begins now, or after what is under way, whatever came of it. */
  look(): Promise<void>;
  /** Resolves once a bundle that waited for people is in force, where they have let it. */
  settle(): Promise<void>;
  state(): { readonly ok: boolean; readonly message: string };
  /** Looks no more; what is being activated is, or is not. Its PDP is closed by itself. */
  stop(): Promise<void>;
}

export async function openPolicySource({ read, run, fetch, disk, clock, random, logger, everyMs }: PolicySourceOptions): Promise<PolicySource> {
  const stopping = new AbortController();
  let trouble: string | null = 'no bundle was fetched yet';
  let etag: string | null = null;
  let failures = 0;
  let activation: Activation | null = null;
  let cancel: () => void = () => undefined;
  let last: Promise<void> = Promise.resolve();
  /** It is good, and not in force: people must let it (`why`), or they have and it came to nothing so far (null). */
  let waiting: { readonly archive: Uint8Array; readonly why: string | null } | null = null;
  /** What was kept before one that is not in force took its place, or may have; `archive` null where there was none. */
  let displaced: { readonly archive: Uint8Array | null } | null = null;

  const pdp = livePdp(await kept(), (error) => logger.warn({ error: String(error) }, 'a policy that was replaced was not closed in order'));

  async function kept(): Promise<Pdp> {
    const archive = await disk.read(KEPT, ARCHIVE_BYTES_MAX);
    if (archive === null) return absentPdp('no policy bundle was fetched yet');
    try {
      return await run(await read(archive));
    } catch (error) {
      if (!(error instanceof EngineFault)) throw error;
      trouble = `the bundle that was kept is not taken (${error.code})`;
      logger.error({ code: error.code }, `the policy bundle that was kept is not taken: ${error.message}`);
      return absentPdp(trouble);
    }
  }

  /** null where it is in force, was already, or waits for people; else why not. */
  async function take(archive: Uint8Array, { mayNotActivate, proposeBundle, activateBundle }: Activation): Promise<string | null> {
    const bundle = await read(archive);
    if (bundle.digest === pdp.bundle && bundle.revision === pdp.revision) {
      waiting = null;
      return null;
    }
    const why = mayNotActivate({ revision: bundle.revision, bundle: bundle.digest });
    if (why !== null) return why;
    const next = await run(bundle);
    try {
      const waits = await proposeBundle(next);
      waiting = { archive, why: waits };
      if (waits !== null) {
        await next.close();
        return null;
      }
      // Kept first: what is on record as in force is there after a crash. A write that fails may have taken effect.
      displaced ??= { archive: await disk.read(KEPT, ARCHIVE_BYTES_MAX) };
      await disk.writeDurable(KEPT, archive);
      // Nothing that policy has answered waits to be recorded at the beginning of a turn.
      await new Promise(setImmediate);
      if (stopping.signal.aborted) throw new Error('the sidecar is being stopped');
      await activateBundle(next);
    } catch (error) {
      if (pdp.bundle !== next.bundle || pdp.revision !== next.revision) {
        await next.close();
        await putBack();
      } else displaced = null; // It answers: its record may be there, whatever the disk said of it.
      throw error;
    }
    displaced = null;
    waiting = null;
    logger.info({ bundle: next.bundle, revision: next.revision }, 'another policy bundle is in force');
    return null;
  }

  /** What was kept before is there again, or is tried again before the next look. Never rejects. */
  async function putBack(): Promise<void> {
    if (displaced === null) return;
    try {
      if (displaced.archive === null) await disk.remove(KEPT);
      else await disk.writeDurable(KEPT, displaced.archive);
      displaced = null;
    } catch (error) {
      logger.error({ error: String(error) }, 'the policy bundle that was kept before could not be put back: one that is not in force may be in its place');
    }
  }

  async function tryToTake(archive: Uint8Array, by: Activation): Promise<void> {
    try {
      trouble = await take(archive, by);
    } catch (error) {
      // All of it is wanted again, also where it waited and was not to be fetched twice.
      etag = null;
      trouble = error instanceof EngineFault ? error.code : error instanceof NotApproved ? 'people no longer let it come into force' : 'it could not be kept or recorded';
      logger.error({ error: error instanceof Error ? error.message : String(error) }, 'a policy bundle that was fetched is not taken');
    }
  }

  async function fetchAndTake(): Promise<void> {
    await putBack();
    const fetched = await fetch(etag, stopping.signal);
    if (stopping.signal.aborted || activation === null) return;
    if (fetched.is === 'failed') trouble = fetched.reason;
    else if (fetched.is === 'same') trouble = null;
    else {
      await tryToTake(fetched.bytes, activation);
      // Only of what is in force or waits for people: what is bad is fetched again, until it is good.
      if (trouble === null) etag = fetched.etag;
    }
    if (trouble !== null) logger.warn({ trouble, revision: pdp.revision }, 'the policy source gave nothing that is taken');
    failures = trouble === null ? 0 : failures + 1;
  }

  /** What people decided on is taken again; what it came to then is told as of a look. */
  async function takeWaiting(): Promise<void> {
    if (waiting === null || activation === null) return;
    await tryToTake(waiting.archive, activation);
  }

  /** One at a time, each begun after it was asked for: what is under way may have read what was replaced since. */
  const inTurn = (work: () => Promise<void>): Promise<void> => (last = last.then(() => (stopping.signal.aborted ? undefined : work())));
  const look = (): Promise<void> => inTurn(fetchAndTake);

  function later(): void {
    if (stopping.signal.aborted) return;
    const dueMs = failures === 0 ? everyMs : Math.min(everyMs, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 16));
    // Between half of it and all: many sidecars are not to come at once.
    const share = 0.5 + Buffer.from(random(4)).readUInt32BE(0) / 2 ** 33;
    cancel = clock.after(dueMs * share, () => void look().then(later));
  }

  return {
    pdp, look,
    settle: () => inTurn(takeWaiting),
    follow(by) {
      activation = by;
      void look().then(later);
    },
    state() {
      const inForce = pdp.bundle === null ? 'no bundle is in force' : `revision ${pdp.revision ?? ''} is in force`;
      return { ok: trouble === null, message: [inForce, ...(waiting?.why == null ? [] : [waiting.why]), ...(trouble === null ? [] : [trouble])].join('; ') };
    },
    async stop() {
      stopping.abort();
      cancel();
      await last;
    },
  };
}
