/** The oracle itself is doubted here: for each invariant, a world in which somebody breaks it is found out, by the number of that invariant. */
import { expect, test } from 'vitest';
import { canonicalBytes, digestOf, type Log } from '../../ledger/index.ts';
import { TargetError, type Connector, type StateWithoutSalt } from '../../src/executor/connector.ts';
import type { Transport } from '../../src/engine/ports.ts';
import type { SnapshotPlace } from '../../src/engine/snapshot.ts';
import { EngineFault } from '../../src/pdp/engine.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { revokeOrderSchema, type Dsse } from '../../src/protocol/signed.ts';
import { expectFound, FINDING_MS } from './finding.ts';
import { NO_FLOORS } from './fixtures.ts';
import { simulate } from './simulate.ts';
import { unsynced } from './unsynced.ts';
import type { Wraps } from './world.ts';

const SEEDS = 'broken.seeds.json';

function changed<T extends object>(whole: T, part: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      const value: unknown = Reflect.get(name in part ? part : target, name);
      return typeof value === 'function' && !(name in part) ? (value.bind(target) as unknown) : value;
    },
  });
}
/** Says that steps of these actions were done, and does nothing. */
function pretending(connector: Connector, actions: readonly string[], seen: Partial<StateWithoutSalt>): Partial<Connector> {
  const pretended = new Set<string>();
  const isPretended = ({ action, clientToken }: { action: string; clientToken: string }): boolean => pretended.has(`${action} ${clientToken}`);
  return {
    async apply(input) {
      if (!actions.includes(input.step.action)) return connector.apply(input);
      pretended.add(`${input.step.action} ${input.step.clientToken}`);
    },
    probe: async (step, signal) => (isPretended(step) ? 'applied' : connector.probe(step, signal)),
    tryUse: async (step, secret, signal) => (isPretended(step) ? 'notTried' : connector.tryUse(step, secret, signal)),
    async read(query, signal) {
      const state = await connector.read(query, signal);
      return isPretended(query) ? { ...state, ...seen, touched: { ...state.touched, ...seen.touched } } : state;
    },
  };
}
/** Disarms what was armed for a lease as soon as something else is. */
function hasty(transport: Transport): Transport {
  const armed = new Map<string, Dsse>();
  return {
    ...transport,
    async arm(audience, order) {
      const { leaseId } = readPayload(order, revokeOrderSchema);
      const earlier = armed.get(leaseId);
      armed.set(leaseId, order);
      await transport.arm(audience, order);
      if (earlier !== undefined && earlier.payload !== order.payload) await transport.disarm(audience, earlier).catch(() => undefined);
    },
  };
}
const allow = (input: ChangeInput): Decision => ({
  effect: 'allow', reasons: [{ code: 'no-permit-reason', message: 'the engine is down, so why not', rule: 'engine' }],
  obligations: { approvers: null, proofClass: 'session', maxLeaseSeconds: null, verification: 'readBack' },
  entitlements: { requested: input.change.entitlements, held: [], used: [], excess: [], counterOffer: null }, controls: [],
});

const NO_REASON = [{ code: 'whatever', message: 'nobody has looked', rule: 'engine' }];

const cases: readonly { readonly invariant: number; readonly who: string; readonly wraps: Wraps }[] = [
  { invariant: 1, who: 'a ledger that acknowledges before it syncs', wraps: { sidecarDisk: unsynced } },
  {
    invariant: 2, who: 'a connector that gives one privilege more than was approved',
    wraps: { connector: (connector) => changed<Connector>(connector, { apply: (input) => connector.apply({ ...input, step: { ...input.step, privileges: [...input.step.privileges, 'role:app_owner'] } }) }) },
  },
  { invariant: 3, who: 'an executor whose timers are lost', wraps: { executorClock: (clock) => ({ nowMs: () => clock.nowMs(), after: (delayMs, callback) => (delayMs > 15_000 ? () => undefined : clock.after(delayMs, callback)) }) } },
  { invariant: 3, who: 'a lease book that is not synced before the effect', wraps: { executorDisk: unsynced } },
  { invariant: 3, who: 'a connector that says revoked and does nothing', wraps: { connector: (connector) => changed<Connector>(connector, { revoke: async (order, signal) => ((await connector.probe(order, signal)) === 'applied' ? 'done' : 'already-absent') }) } },
  {
    invariant: 3, who: 'a connector that says extended and does nothing',
    wraps: { connector: (connector) => changed<Connector>(connector, pretending(connector, ['extend'], {})) },
  },
  {
    invariant: 3, who: 'a sidecar that disarms the earlier order before the extension is on record', wraps: { transport: hasty },
  },
  {
    invariant: 4, who: 'a policy engine that allows when it cannot decide',
    wraps: { pdp: (pdp) => changed(pdp, { decide: (input) => pdp.decide(input).catch((error: unknown) => {
      if (error instanceof EngineFault) return allow(input);
      throw error;
    }) }) },
  },
  { invariant: 5, who: 'a fold that misses the last record', wraps: { log: (log) => changed<Log>(log, { entries: (from, to) => log.entries(from, to ?? (from === 0 && log.durableSize > 6 ? log.durableSize - 1 : log.durableSize)) }) } },
  { invariant: 5, who: 'a snapshot that says it is of more records than it is', wraps: { snapshots: (place) => ({ ...place, disk: { ...place.disk, read: (path) => overstated(place, path) } }) } },
  {
    invariant: 6, who: 'a worker that repeats what may have happened',
    wraps: { connector: (connector) => changed<Connector>(connector, { apply: (input) => connector.apply(input).catch((error: unknown) => {
      if (error instanceof TargetError && error.kind === 'ambiguous') return connector.apply(input);
      throw error;
    }) }) },
  },
  { invariant: 7, who: 'a seal that does not seal', wraps: { seal: async (secret) => Buffer.from(`sealed, honestly: ${secret}`) } },
  {
    invariant: 8, who: 'a disk that changes a byte of what was recorded',
    wraps: { sidecarDisk: (disk) => ({ ...disk, writeDerived: (path, bytes) => disk.writeDerived(path, path.includes('tile/entries') ? flipped(bytes) : bytes) }) },
  },
  {
    invariant: 9, who: 'an executor that has no floor',
    wraps: { executorTrust: (trust) => ({ ...trust, requirements: { ...trust.requirements, floors: NO_FLOORS } }) },
  },
  {
    invariant: 10, who: 'a connector that makes no new login and lets the old one be shut out',
    wraps: { connector: (connector) => changed<Connector>(connector, pretending(connector, ['stage', 'cutover'], { held: ['role:orders'], exists: true })) },
  },
  {
    invariant: 10, who: 'a connector that says retired and does nothing',
    wraps: { connector: (connector) => changed<Connector>(connector, pretending(connector, ['retire'], { held: [], touched: { currentCanLogin: false } })) },
  },
  {
    invariant: 11, who: 'a policy that never asks for a window',
    wraps: { pdp: (pdp) => changed(pdp, {
      schedule: async () => ({ window: null, reasons: [{ code: 'whenever', message: 'why wait', rule: 'engine' }] }),
      decide: (input) => pdp.decide({ ...input, change: { ...input.change, emergency: true } }),
    }) },
  },
  { invariant: 11, who: 'an executor that says it holds a lock and does not', wraps: { deafToLocks: true } },
  { invariant: 16, who: 'a sidecar and executors that ask for no witness', wraps: { witnesses: 'ignored' } },
  { invariant: 12, who: 'a run that does not wait for the answer to its claim', wraps: { hastyCallers: true } },
  {
    invariant: 13, who: 'a connector that says shut out and does nothing',
    wraps: { connector: (connector) => changed<Connector>(connector, pretending(connector, ['disable'], { held: [], touched: { canLogin: false } })) },
  },
  { invariant: 19, who: 'a policy that takes nothing back', wraps: { pdp: (pdp) => changed(pdp, { redecide: async () => ({ effect: 'keep', reasons: NO_REASON, controls: [] }) }) } },
  {
    invariant: 19, who: 'a policy engine that takes back what it cannot answer for',
    wraps: { pdp: (pdp) => changed(pdp, { redecide: (input) => pdp.redecide(input).catch((error: unknown) => {
      if (error instanceof EngineFault) return { effect: 'revoke', reasons: NO_REASON, controls: [] };
      throw error;
    }) }) },
  },
  {
    invariant: 19, who: 'a line that loses what policy takes back',
    wraps: { transport: (transport) => ({ ...transport, publishRevoke: (audience, order) => (readPayload(order, revokeOrderSchema).orderedBy.startsWith('sidecar:') ? Promise.resolve() : transport.publishRevoke(audience, order)) }) },
  },
  { invariant: 19, who: 'a policy that lets anybody approve', wraps: { pdp: (pdp) => changed(pdp, { accept: async () => ({ effect: 'accept', reasons: NO_REASON, controls: [] }) }) } },
  {
    invariant: 21, who: 'a policy that observes on after the end of a scope',
    wraps: { pdp: (pdp) => changed(pdp, { decide: (input) => pdp.decide({ ...input, facts: { ...input.facts, ...(input.facts.observe === undefined ? {} : { observe: input.facts.observe.map((scope) => ({ ...scope, untilMs: scope.untilMs + 86_400_000 })) }) } }) }) },
  },
  { invariant: 20, who: 'a bundle that follows another in name only', wraps: { bundlesInNameOnly: true } },
  { invariant: 17, who: 'a disk that zeroes nothing', wraps: { sidecarDisk: (disk) => ({ ...disk, overwrite: async () => undefined }) } },
];

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[copy.length - 20]! ^= 1;
  return copy;
}

/** The older of the two snapshots, signed anew as if it were as young as the other. */
async function overstated({ disk, directory, signer }: SnapshotPlace, path: string): Promise<Uint8Array | null> {
  const [first, second] = await Promise.all([0, 1].map(async (turn) => {
    const bytes = await disk.read(`${directory}/snapshot.${turn}`);
    if (bytes === null || bytes.length < 5) return null;
    const end = 4 + Buffer.from(bytes).readUInt32BE(0);
    try {
      return { bytes: Buffer.from(bytes), end, header: JSON.parse(Buffer.from(bytes.subarray(4, end)).toString()) as { size: number; root: string } };
    } catch {
      return null;
    }
  }));
  if (first == null || second == null) return disk.read(path);
  const [older, newer] = first.header.size < second.header.size ? [first, second] : [second, first];
  const header = canonicalBytes({ ...older.header, size: newer.header.size, root: newer.header.root });
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.byteLength);
  const content = Buffer.concat([length, header, older.bytes.subarray(older.end, -64)]);
  return Buffer.concat([content, await signer.sign(Buffer.from(`countersign/snapshot/v1\n${digestOf(content)}\n`))]);
}

test('a disk that changes a byte of every snapshot hurts nobody: they are thrown away', async () => {
  const thrownAway: string[] = [];
  const altered = (bytes: Uint8Array): Uint8Array => (bytes.length > 100 ? flipped(bytes) : bytes);
  const wraps: Wraps = { snapshots: (place) => ({ ...place, disk: { ...place.disk, read: async (path) => {
    const bytes = await place.disk.read(path);
    return bytes === null ? null : altered(bytes);
  } } }) };
  for (let seed = 1; seed <= 4; seed += 1) {
    const { violations } = await simulate(seed, { wraps, trace: (line) => {
      if (line.includes('a snapshot is thrown away')) thrownAway.push(line);
    } });
    expect(violations).toEqual([]);
  }
  expect(thrownAway.length).toBeGreaterThan(0);
}, 60_000);

for (const { invariant, who, wraps } of cases) {
  test(`invariant ${invariant}: ${who} is found out`, () => expectFound(SEEDS, who, invariant, async (seed) => (await simulate(seed, { wraps })).violations), FINDING_MS);
}
