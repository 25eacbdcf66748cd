/**
 * `npm run bench:open [-- RECORDS [DIRECTORY]]`: a ledger of so many records (1,000,000) of whole lives of changes, and how long a sidecar on it takes
 * until it listens, and in how much memory: first with nothing but the ledger, then again, as after any start before it. A DIRECTORY is kept, and one that
 * is there is opened as it is. Exits 0 only if the second start keeps to {@link READY_MS_MAX} and {@link RSS_MAX}.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { canonicalText, digestOf, nodeDisk, openLog, parseSigner, parseStrict, type JsonObject, type RecordDraft } from '../../ledger/index.ts';

import { newChangeId } from '../../src/engine/ids.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { makeInstallation } from '../support/installation.ts';
import { rotation } from '../support/step-stories.ts';
import { GRANT, logId as storyLog, PROVISION, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, type Telling } from '../support/story.ts';
import { draftOf } from '../support/drafts.ts';

const READY_MS_MAX = 2_000;
const RSS_MAX = 300 * 1024 ** 2;
const TICK_MS = 10;
const DAYS = 60;
/** Changes that are under way at the same time, so that their records stand between one another's. */
const AT_ONCE = 32;
/** Leases that run when the sidecar starts. */
const ACTIVE = 500;

const count = Number(process.argv[2] ?? 1_000_000);
const kept = process.argv[3];
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;

interface Life {
  readonly changeId: string;
  readonly drafts: readonly { readonly draft: RecordDraft; readonly objects: readonly Uint8Array[] }[];
}
const lifeOf = ({ changeId, beats }: Telling): Life => ({ changeId, drafts: beats.map(({ event, atMs }) => draftOf(changeId, event, atMs)) });

/** Lives that are over, in about the numbers in which they come. */
function lives(): Life[] {
  const START = Date.parse('2026-11-23T19:00:00.000Z');
  const leased = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START)));
  toldUntilEnded(leased, leased.now.lease!.order);
  const early = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START)));
  toldUntilEnded(early, toldUntilOrdered(early.later(1_000), 'person:olga'), 200);
  const [provision, grant, denied, rotated] = [leased, early, toldUntilDecided(GRANT, START, 'deny'), rotation()].map(lifeOf) as [Life, Life, Life, Life];
  return [provision, grant, provision, denied, provision, grant, rotated, provision, grant, denied];
}

/**
 * The same life of another change of another log: ids and digests are its own, also in what is signed; the signatures, which opening does not check, are what
 * they were.
 */
function* reborn(life: Life, changeId: string, log: string, nextAt: () => string): Generator<{ draft: RecordDraft; objects: readonly Uint8Array[] }> {
  const digests = new Map<string, string>();
  const renamed = (text: string): string => text.replaceAll(life.changeId.slice(4), changeId.slice(4)).replaceAll(storyLog, log).replaceAll(/sha256:[0-9a-f]{64}/g, (digest) => digests.get(digest) ?? digest);
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

async function generate(directory: string): Promise<void> {
  const signer = parseSigner(readFileSync(join(directory, 'log.key'), 'utf8').trim());
  const startMs = Date.now() - DAYS * 86_400_000;
  let size = 0;
  const nowMs = (): number => startMs + Math.floor((size / count) * (DAYS * 86_400_000 - 120_000));
  const at = (): string => new Date(nowMs()).toISOString();
  const log = await openLog({ origin: 'installation.example/ledger', disk: nodeDisk(join(directory, 'data')), directory: 'ledger', journal: 'journal', signer, now: nowMs });
  const kinds = lives();
  const running = Array.from({ length: AT_ONCE }, (): Generator<{ draft: RecordDraft; objects: readonly Uint8Array[] }> | null => null);
  let born = 0;
  while (size < count - ACTIVE * 12) {
    for (const [n, one] of running.entries()) {
      const life = one ?? reborn(kinds[born++ % kinds.length]!, newChangeId(log.logId, nowMs(), systemRandom), log.logId, at);
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
  for (let n = 0; n < ACTIVE; n += 1) {
    const life = lifeOf(toldUntilActive(toldUntilArmed(toldUntilDecided({ ...GRANT, duration: 'PT8H' } as typeof GRANT, Date.now() - 100_000 + n))));
    for (const { draft, objects } of reborn(life, newChangeId(log.logId, Date.now() - 100_000 + n, systemRandom), log.logId, at)) log.append([draft], { objects });
  }
  await log.sync();
  say(`${log.size} records of ${born + ACTIVE} changes`);
  await log.close();
}

function memoryOf(pid: number): { rss: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)![1]) * 1024;
  return { rss: bytes('VmRSS'), most: bytes('VmHWM') };
}

interface Started {
  readonly readyMs: number;
  /** Of one core, until then: what is left of the time where nothing else runs. */
  readonly cpuMs: number;
  readonly atReady: { rss: number; most: number };
  readonly later: { rss: number; most: number };
}

/** Starts a sidecar, looks at it, and ends it as `signal` does. */
async function start(directory: string, signal: NodeJS.Signals): Promise<Started> {
  const from = performance.now();
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '../../src/main.js'), 'serve', '--config', join(directory, 'countersign.yaml')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout! })) if (line.startsWith('listening')) break;
  const readyMs = performance.now() - from;
  if (child.exitCode !== null) throw new Error(`the sidecar ended with ${child.exitCode}`);
  const ticks = readFileSync(`/proc/${child.pid!}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 13);
  const cpuMs = ticks.reduce((sum, text) => sum + Number(text) * TICK_MS, 0);
  const atReady = memoryOf(child.pid!);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const later = memoryOf(child.pid!);
  child.kill(signal);
  await exited;
  return { readyMs, cpuMs, atReady, later };
}

const report = (what: string, { readyMs, cpuMs, atReady, later }: Started): void =>
  say(`${what}: ready in ${readyMs.toFixed(0)} ms (${cpuMs} ms of a core); RSS ${megabytes(atReady.rss)} then, ${megabytes(later.rss)} after 5 s, ${megabytes(later.most)} at most`);

const installation = await makeInstallation();
const directory = kept ?? `${installation.directory}/kept`;
try {
  if (!existsSync(directory)) {
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(installation.directory)) if (name !== 'kept') await rename(join(installation.directory, name), join(directory, name));
    const path = join(directory, 'countersign.yaml');
    const config = readFileSync(path, 'utf8').replaceAll(/[^ ]*\/examples\/facts/g, join(process.cwd(), 'examples/facts'));
    await writeFile(path, `${config}policy: ${join(process.cwd(), 'policy/bundle')}\n`);
    await generate(directory);
  }
  report('first start', await start(directory, 'SIGTERM'));
  const second = await start(directory, 'SIGKILL');
  report('second start', second);
  report('after a kill', await start(directory, 'SIGTERM'));
  const holds = second.readyMs <= READY_MS_MAX && second.later.most <= RSS_MAX;
  say(holds ? 'holds' : 'DOES NOT HOLD');
  process.exitCode = holds ? 0 : 1;
} finally {
  await installation.remove();
}
