/** Big ledgers quickly: whole lives of changes, told once and then lived again under other ids, written through the log's own writer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalText, digestOf, nodeDisk, openLog, parseSigner, parseStrict, type JsonObject, type RecordDraft } from '../../ledger/index.ts';
import { newChangeId } from '../../src/engine/ids.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { draftOf } from '../support/drafts.ts';
import { rotation } from '../support/step-stories.ts';
import { GRANT, logId as storyLog, PROVISION, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, type Telling } from '../support/story.ts';

const DAYS = 60;
/** Changes that are under way at the same time, so that their records stand between one another's. */
const AT_ONCE = 32;

export interface Life {
  readonly changeId: string;
  readonly drafts: readonly { readonly draft: RecordDraft; readonly objects: readonly Uint8Array[] }[];
}
type Lived = Life['drafts'][number];

const lifeOf = ({ changeId, beats }: Telling): Life => ({ changeId, drafts: beats.map(({ event, atMs }) => draftOf(changeId, event, atMs)) });

/** One of each kind that is over: run out, taken back early, denied, rotated. */
export function livesThatAreOver(): { readonly provision: Life; readonly grant: Life; readonly denied: Life; readonly rotated: Life } {
  const START = Date.parse('2026-11-23T19:00:00.000Z');
  const leased = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START)));
  toldUntilEnded(leased, leased.now.lease!.order);
  const early = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START)));
  toldUntilEnded(early, toldUntilOrdered(early.later(1_000), 'person:olga'), 200);
  return { provision: lifeOf(leased), grant: lifeOf(early), denied: lifeOf(toldUntilDecided(GRANT, START, 'deny')), rotated: lifeOf(rotation()) };
}

/**
 * The same life of another change of another log: ids and digests are its own, also in what is signed; the signatures, which opening does not check, are what
 * they were.
 */
function* reborn(life: Life, changeId: string, log: string, nextAt: () => string, rename: (text: string) => string): Generator<Lived> {
  const digests = new Map<string, string>();
  const renamed = (text: string): string => rename(text.replaceAll(life.changeId.slice(4), changeId.slice(4)).replaceAll(storyLog, log).replaceAll(/sha256:[0-9a-f]{64}/g, (digest) => digests.get(digest) ?? digest));
  const rewritten = (bytes: Uint8Array): Buffer => {
    const own = Buffer.from(renamed(Buffer.from(bytes).toString('utf8')));
    digests.set(digestOf(bytes), digestOf(own));
    return own;
  };
  for (const { draft, objects } of life.drafts) {
    const own = objects.map(rewritten);
    const signed = canonicalText(draft.body).replaceAll(/"payload":"([^"]+)"/g, (_, payload: string) => `"payload":"${rewritten(Buffer.from(payload, 'base64')).toString('base64')}"`);
    yield { draft: { ...draft, change: changeId, at: nextAt(), actor: renamed(draft.actor), body: parseStrict(Buffer.from(renamed(signed))) as JsonObject, objects: own.map(digestOf) }, objects: own };
  }
}

export interface Lives {
  /** Lives that are over, in about the numbers in which they come: they are lived by turns. */
  readonly over: readonly Life[];
  /** Told last, a moment ago: what runs or waits when the sidecar starts. */
  readonly open: readonly Telling[];
  /** How much of it is written, from 0 to 1. */
  readonly done: (size: number, born: number) => number;
  /** What the `n`th change says instead of what the story says. */
  readonly rename?: (n: number) => (text: string) => string;
  readonly say: (text: string) => void;
}

/** The ledger of the installation in `directory`, with changes of the last sixty days. */
export async function writeLives(directory: string, { over, open, done, rename = () => (text) => text, say }: Lives): Promise<void> {
  const signer = parseSigner(readFileSync(join(directory, 'log.key'), 'utf8').trim());
  const startMs = Date.now() - DAYS * 86_400_000;
  let [size, born] = [0, 0];
  const nowMs = (): number => startMs + Math.floor(Math.min(1, done(size, born)) * (DAYS * 86_400_000 - 120_000));
  const at = (): string => new Date(nowMs()).toISOString();
  const log = await openLog({ origin: 'installation.example/ledger', disk: nodeDisk(join(directory, 'data')), directory: 'ledger', journal: 'journal', signer, now: nowMs });
  const bear = (life: Life, atMs: number): Generator<Lived> => reborn(life, newChangeId(log.logId, atMs, systemRandom), log.logId, at, rename(born++));
  const running = Array.from({ length: AT_ONCE }, (): Generator<Lived> | null => null);
  while (done(size, born) < 1) {
    for (const [n, one] of running.entries()) {
      const life = one ?? bear(over[born % over.length]!, nowMs());
      const next = life.next();
      running[n] = next.done === true ? null : life;
      if (next.done === true) continue;
      const appending = log.append([next.value.draft], { objects: next.value.objects });
      size += 1;
      if (size % 4_096 === 0) await appending.durable;
      if (size % 100_000 === 0) say(`${size} records`);
    }
  }
  for (const life of running) for (const { draft, objects } of life ?? []) log.append([draft], { objects });
  for (const telling of open) {
    const life = lifeOf(telling);
    for (const { draft, objects } of bear(life, telling.beats[0]!.atMs)) log.append([draft], { objects });
  }
  await log.sync();
  say(`${log.size} records of ${born} changes`);
  await log.close();
}
