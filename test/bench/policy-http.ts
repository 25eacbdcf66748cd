/** Decisions over HTTP: against `opa run --server`, with evidence against without, beside a policy that runs away, and at rest. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NOTHING_RECENT } from '../../src/change/recent.ts';
import { loadFacts } from '../../src/facts/load.ts';
import { buildChangeInput } from '../../src/pdp/build-input.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { quantile } from '../support/arms.ts';
import type { Load, Loaded } from './policy-load.ts';
import { DEPLOYER, pinned, RUNAWAY, runawayPolicy, startOpa, startSidecar, STRANGER, type Server, type SidecarServer } from './policy-servers.ts';
import { rawDisk } from './raw.ts';
import { median, type Row } from './rows.ts';

const SERVER = '0';
const LOAD = '1';
const BOTH = '0,1';
const EVALUATION = '/access/v1/evaluation';
const TICK_MS = 10;

const GRANT: Extract<ChangeRequest, { kind: 'grant' }> = {
  kind: 'grant', subject: DEPLOYER, purpose: 'deploy-orders', reason: 'release 41', duration: 'PT15M', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
};
const evaluationOf = (purpose: string): string => JSON.stringify({
  subject: { type: 'nhi', id: GRANT.subject }, action: { name: 'grant' }, resource: { type: 'entitlement', id: 'pg-main/app/role:deploy' }, context: { purpose, duration: GRANT.duration },
});

export interface Bench {
  readonly directory: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly say: (text: string) => void;
}

function loaded(cores: string, load: Load): Loaded {
  const [program, ...args]: readonly string[] = [...pinned(cores), process.execPath, fileURLToPath(new URL('policy-load.js', import.meta.url)), JSON.stringify(load)];
  return JSON.parse(execFileSync(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] }).toString()) as Loaded;
}

const decisionLoad = (sidecar: SidecarServer, { seconds }: Bench, connections = 16): Load => ({
  url: sidecar.url + EVALUATION, headers: sidecar.headersOf(DEPLOYER), body: evaluationOf(GRANT.purpose), expected: '"code":"needs-approval"', connections, seconds, rate: 0,
});

/** The very question that the sidecar asks its policy about the evaluation. */
export async function askedOfPolicy(): Promise<ChangeInput> {
  const file = (name: string): string => join(process.cwd(), 'examples/facts', `${name}.yaml`);
  const nowMs = Date.now();
  const facts = await loadFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory') }, nowMs);
  return buildChangeInput({
    phase: 'request', nowMs, state: { changeId: 'evaluation', revision: 1, request: GRANT, requester: [DEPLOYER] }, plan: null, step: null, before: null,
    account: facts.inventory.get(GRANT.subject)?.accounts['pg-main'] ?? null, facts, connectors: ['pg-main'], locks: [], parent: null, extended: null, recent: NOTHING_RECENT,
  });
}

const opaLoad = (opa: Server, input: ChangeInput, { seconds }: Bench): Load => ({
  url: `${opa.url}/v1/data/access/decide`, headers: {}, body: JSON.stringify({ input }), expected: '"effect":"needsApproval"', connections: 16, seconds, rate: 0,
});

const of = (seen: readonly Loaded[], what: keyof Loaded): number => median(seen.map((one) => one[what]));
const told = (name: string, seen: readonly Loaded[]): string => `${name} p50 ${of(seen, 'p50Ms').toFixed(2)} ms, p99 ${of(seen, 'p99Ms').toFixed(2)} ms`;

export async function measureHttp(bench: Bench): Promise<Row[]> {
  const [sidecar, opa] = [await startSidecar(SERVER), await startOpa(SERVER)];
  try {
    const [ours, theirs] = [decisionLoad(sidecar, bench), opaLoad(opa, await askedOfPolicy(), bench)];
    const byTurns = (rate: number): { ours: Loaded; theirs: Loaded }[] =>
      Array.from({ length: bench.rounds }, (_, round) => {
        bench.say(`decisions over HTTP, round ${round + 1} of ${bench.rounds}, ${rate === 0 ? 'as fast as they go' : `${rate}/s`} …`);
        return { ours: loaded(LOAD, { ...ours, rate }), theirs: loaded(LOAD, { ...theirs, rate }) };
      });
    const [before, peak] = [[cpuMs(sidecar.pid), cpuMs(opa.pid)], byTurns(0)];
    const used = [cpuMs(sidecar.pid) - before[0]!, cpuMs(opa.pid) - before[1]!];
    const [mine, other] = [peak.map((seen) => seen.ours), peak.map((seen) => seen.theirs)];
    const rate = Math.max(1, Math.round(Math.min(of(mine, 'perSecond'), of(other, 'perSecond')) / 2));
    const calm = byTurns(rate);
    const each = [mine, other].map((seen, side) => used[side]! / seen.reduce((sum, one) => sum + one.sent, 0));
    return [
      {
        what: 'decisions/s over HTTP, by `opa run --server`, 16 in flight, one core', figures: peak.map((seen) => seen.ours.perSecond / seen.theirs.perSecond), goal: '≥ 1.5',
        told: `${Math.round(of(mine, 'perSecond'))}/s; opa ${Math.round(of(other, 'perSecond'))}/s`,
      },
      {
        what: 'core time of a decision over HTTP, by opa’s', figures: [each[0]! / each[1]!], goal: '-',
        told: `${each[0]!.toFixed(2)} ms; opa ${each[1]!.toFixed(2)} ms (whatever else the machine does)`,
      },
      {
        what: `p99 at ${rate}/s, half of the lesser peak, open loop, by opa's`, figures: calm.map((seen) => seen.ours.p99Ms / seen.theirs.p99Ms), goal: '< 1',
        told: `${told('ours', calm.map((seen) => seen.ours))}; ${told('opa', calm.map((seen) => seen.theirs))}`,
      },
    ];
  } finally {
    await Promise.all([sidecar.stop(), opa.stop()]);
  }
}

/** A request that is recorded, decided and recorded as decided, against an evaluation of the same, which is not. */
export async function measureEvidence(bench: Bench): Promise<Row[]> {
  const sidecar = await startSidecar(SERVER);
  const disk = rawDisk(bench.directory);
  try {
    const load = { headers: sidecar.headersOf(STRANGER), connections: 64, seconds: bench.seconds, rate: 0 };
    const plain: Load = { ...load, url: sidecar.url + EVALUATION, body: evaluationOf(GRANT.purpose), expected: 'unknown-requester' };
    const evident: Load = { ...load, url: `${sidecar.url}/v1/changes?wait=PT10S`, body: JSON.stringify(GRANT), expected: '"state":"denied"' };
    const seen: { plain: Loaded; evident: Loaded; rawMs: number }[] = [];
    for (let round = 0; round < bench.rounds; round += 1) {
      bench.say(`decisions with evidence, round ${round + 1} of ${bench.rounds} …`);
      const before = disk.took.sync.length;
      const [without, kept] = [loaded(LOAD, plain), loaded(LOAD, evident)];
      await disk.measure(200);
      seen.push({ plain: without, evident: kept, rawMs: quantile(disk.took.sync.slice(before), 0.99) });
    }
    const [without, kept] = [seen.map((one) => one.plain), seen.map((one) => one.evident)];
    return [
      {
        what: 'decisions/s with two durable records each, by without, 64 in flight', figures: seen.map((one) => one.evident.perSecond / one.plain.perSecond), goal: '≥ 0.6',
        told: `${Math.round(of(kept, 'perSecond'))}/s; without ${Math.round(of(without, 'perSecond'))}/s`,
      },
      {
        what: 'their p99, by that without and two raw syncs’', figures: seen.map((one) => one.evident.p99Ms / (one.plain.p99Ms + 2 * one.rawMs)), goal: '≤ 1',
        told: `${told('with', kept)}; ${told('without', without)}; raw sync p99 ${median(seen.map(({ rawMs }) => rawMs)).toFixed(2)} ms`,
      },
    ];
  } finally {
    await sidecar.stop();
    await disk.close();
  }
}

/** How often somebody asks what policy does not come to an end about. Each is given up after a second, and a thread is started in the place of its own: there is one at a time. */
const RUNAWAY_EVERY_MS = 2_000;

/** How far questions without an end move the others: at a quarter of the peak, by turns with and without them. */
export async function measureRunaway(bench: Bench): Promise<Row[]> {
  const policy = await runawayPolicy(bench.directory);
  const sidecar = await startSidecar(BOTH, policy);
  try {
    const load = decisionLoad(sidecar, bench);
    const rate = Math.round(loaded(BOTH, load).perSecond / 4);
    const seen = Array.from({ length: bench.rounds }, (_, round) => {
      bench.say(`beside a policy that runs away, round ${round + 1} of ${bench.rounds}, ${rate}/s …`);
      return { calm: loaded(BOTH, { ...load, rate }), beside: loaded(BOTH, { ...load, rate, beside: { body: evaluationOf(RUNAWAY), everyMs: RUNAWAY_EVERY_MS } }) };
    });
    return [{
      what: `p99 moved by a policy that runs away, ${rate}/s, a quarter of the peak`, figures: seen.map(({ calm, beside }) => beside.p99Ms - calm.p99Ms), unit: 'ms', goal: '< 10 ms',
      told: `${told('beside it', seen.map(({ beside }) => beside))}; ${told('without', seen.map(({ calm }) => calm))}`,
    }];
  } finally {
    await sidecar.stop();
  }
}

interface Rest {
  readonly readyMs: number;
  readonly rssMiB: number;
  readonly cpuMsPerSecond: number;
}

function cpuMs(pid: number): number {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(11, 13).reduce((sum, text) => sum + Number(text) * TICK_MS, 0);
}

async function atRest(start: () => Promise<Server>, seconds: number): Promise<Rest> {
  const server = await start();
  try {
    // What a start leaves to be done is no rest.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const beforeMs = cpuMs(server.pid);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    const rss = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]) / 1_024;
    return { readyMs: server.readyMs, rssMiB: rss, cpuMsPerSecond: (cpuMs(server.pid) - beforeMs) / seconds };
  } finally {
    await server.stop();
  }
}

export async function measureRest(bench: Bench): Promise<Row[]> {
  const seen: { ours: Rest; theirs: Rest }[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    bench.say(`at rest, round ${round + 1} of ${bench.rounds} …`);
    seen.push({ ours: await atRest(() => startSidecar(SERVER), bench.seconds), theirs: await atRest(() => startOpa(SERVER), bench.seconds) });
  }
  const middle = (side: 'ours' | 'theirs', what: keyof Rest): number => median(seen.map((one) => one[side][what]));
  const row = (what: string, key: keyof Rest, goal: string, spell: (value: number) => string): Row => ({
    what, figures: seen.map(({ ours, theirs }) => ours[key] / Math.max(theirs[key], Number.EPSILON)), goal, told: `${spell(middle('ours', key))}; opa ${spell(middle('theirs', key))}`,
  });
  return [
    row('ready, by opa', 'readyMs', '≤ 0.5 s', (ms) => `${ms.toFixed(0)} ms`),
    row('RSS at rest, by opa', 'rssMiB', '≤ 120 MiB', (mib) => `${mib.toFixed(0)} MiB`),
    { ...row('idle CPU', 'cpuMsPerSecond', '~0', (ms) => `${ms.toFixed(1)} ms of a second`), figures: [] },
  ];
}
