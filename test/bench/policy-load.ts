/** The load of `npm run bench:policy`, in a process of its own: requests over connections that are kept, and prints how it went. */
import { Agent, request } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { quantile } from '../support/arms.ts';

export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** What every answer must hold. */
  readonly expected: string;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second in an open loop; 0: a closed one. */
  readonly rate: number;
  /** Sent this often beside, and not counted; its answer is not looked at. */
  readonly beside?: { readonly body: string; readonly everyMs: number };
}

export interface Loaded {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of warming up too. */
  readonly sent: number;
}

function send({ url, headers }: Load, agent: Agent, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers } }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => void chunks.push(chunk));
      answer.on('end', () => resolve(`${answer.statusCode} ${Buffer.concat(chunks).toString()}`));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** One request, whose answer must be as expected. */
async function ask(load: Load, agent: Agent): Promise<void> {
  const answer = await send(load, agent, load.body);
  if (!answer.startsWith('2') || !answer.includes(load.expected)) throw new Error(`not what was expected: ${answer.slice(0, 400)}`);
}

/** So many in flight: each asks again once it is answered. */
async function closedLoop(load: Load, agent: Agent, took: number[]): Promise<void> {
  const endMs = performance.now() + load.seconds * 1_000;
  await Promise.all(Array.from({ length: load.connections }, async () => {
    while (performance.now() < endMs) {
      const startMs = performance.now();
      await ask(load, agent);
      took.push(performance.now() - startMs);
    }
  }));
}

/** So many a second, whatever has come of those before: counted from when each was due. */
async function openLoop(load: Load, agent: Agent, took: number[]): Promise<void> {
  const asking: Promise<void>[] = [];
  const startMs = performance.now();
  const count = Math.round(load.rate * load.seconds);
  for (let n = 0; n < count;) {
    for (const due = Math.min(count, Math.ceil(((performance.now() - startMs) * load.rate) / 1_000)); n < due; n += 1) {
      const dueMs = startMs + (n * 1_000) / load.rate;
      asking.push(ask(load, agent).then(() => void took.push(performance.now() - dueMs)));
    }
    await nextTurn();
  }
  await Promise.all(asking);
}

async function run(load: Load): Promise<Loaded> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.rate === 0 ? load.connections : Infinity, scheduling: 'lifo' });
  const { beside } = load;
  const others = new Agent({ keepAlive: true });
  const disturbed = new Set<Promise<unknown>>();
  const disturb = (body: string): void => {
    const one = send(load, others, body).finally(() => disturbed.delete(one));
    disturbed.add(one);
  };
  const timer = beside === undefined ? undefined : setInterval(() => disturb(beside.body), beside.everyMs);
  const took: number[] = [];
  const startMs = performance.now();
  await (load.rate === 0 ? closedLoop : openLoop)(load, agent, took);
  const seconds = (performance.now() - startMs) / 1_000;
  clearInterval(timer);
  await Promise.all(disturbed);
  agent.destroy();
  others.destroy();
  return { perSecond: took.length / seconds, p50Ms: quantile(took, 0.5), p99Ms: quantile(took, 0.99), sent: took.length };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const load = JSON.parse(process.argv[2]!) as Load;
  // The engines compile what runs often: the server's, and this one's.
  const warm = await run({ ...load, rate: 0, seconds: Math.min(3, load.seconds) });
  const seen = await run(load);
  process.stdout.write(JSON.stringify({ ...seen, sent: warm.sent + seen.sent }));
}
