/**
 * The real core, engine, ledger and executor in a simulated world of crashing hosts, lossy networks and unreliable targets. A seed decides
 * everything that happens.
 *
 * `COUNTERSIGN_SEEDS=5000` runs more of them; `COUNTERSIGN_SEED=1234` replays one with an account of what happened.
 */
import { expect, test } from 'vitest';
import { simulate } from './simulate.ts';

const replayed = process.env['COUNTERSIGN_SEED'];
const count = Number(process.env['COUNTERSIGN_SEEDS'] ?? 200);
/** Seeds a test case: short enough to stay within its time. */
const CHUNK = 50;
const CHUNK_MS = 600_000;
/** Seeds beyond the first few hundred that once found something: kept for as long as they still meet the same trouble. */
const REMEMBERED = [
  // A full disk, an early revoke, and a claim that the next process took up again.
  20_301,
  // A standing credential made during a partition, and a policy that changed its mind.
  20_920,
  // A revoke ordered while its step came to nothing.
  32_466,
];

if (replayed !== undefined) {
  test(`seed ${replayed} breaks no invariant`, async () => {
    const { violations } = await simulate(Number(replayed), { trace: (line) => process.stdout.write(`${line}\n`) });
    expect(violations).toEqual([]);
  }, CHUNK_MS);
} else {
  const total: Record<string, number> = {};
  for (let from = 1; from <= count; from += CHUNK) {
    const to = Math.min(from + CHUNK - 1, count);
    test(`seeds ${from} to ${to} break no invariant`, async () => {
      for (let seed = from; seed <= to; seed += 1) {
        const { violations, seen } = await simulate(seed);
        expect(violations, `seed ${seed}: replay with COUNTERSIGN_SEED=${seed}`).toEqual([]);
        for (const [name, times] of Object.entries(seen)) total[name] = (total[name] ?? 0) + times;
      }
    }, CHUNK_MS);
  }

  test('seeds that once found something break no invariant', async () => {
    for (const seed of REMEMBERED) expect((await simulate(seed)).violations, `seed ${seed}`).toEqual([]);
  });

  test('the seeds see access given, taken back, refused, withdrawn and failing', () => {
    expect(['given', 'revoked', 'denied', 'rejected', 'expired', 'withdrawn', 'failed', 'done'].filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see rotations, callers and offboardings come to their ends, and windows, locks and freezes keep them from it', () => {
    const ends = ['rotate done', 'rotate failed', 'rotate expired', 'rotate withdrawn', 'called rotate done', 'called rotate failed', 'called rotate expired', 'offboard done', 'disable done'];
    const records = ['window.opened', 'window.closed', 'lock.set', 'lock.lifted', 'lock.set elsewhere', 'lock.lifted elsewhere', 'consumer.confirmed', 'item.settled', 'delivery.undeliverable', 'step.ambiguous'];
    expect([...ends, ...records].filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see further people told of what nobody decides, and what they were told of approved, expired and withdrawn', () => {
    for (const name of ['approval.escalated', 'escalated late', 'escalated done', 'escalated expired', 'escalated withdrawn']) expect(total[name], name).toBeGreaterThan(0);
  });

  test('the seeds see leases extended, and extensions that come to nothing', () => {
    for (const name of ['extend done', 'extend denied', 'extend failed', 'lease.extended', 'lease.disarmed']) expect(total[name], name).toBeGreaterThan(0);
  });

  test('the seeds see approvals judged, leases taken back by policy, at once and at the word of a person, and an engine that cannot answer', () => {
    const wanted = ['approval.judged', 'lease.redecided', 'redecided revoke', 'redecided revoke held', 'redecision.completed', 'redecision.failed', 'another bundle'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see leases given under observe, turned down by floors, and scopes that begin and end while changes are open', () => {
    const wanted = ['observed deny', 'observed needsApproval', 'given under observe', 'refused under observe', 'under observe at dispatch', 'enforced again deny', 'enforced again needsApproval'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see standing approvals given, used, used up and revoked, changes given up for that, and some that an executor counts none for', () => {
    const wanted = ['standing given', 'standing used', 'standing used up', 'standing revoked', 'standing given up', 'given by standing', 'standing refused'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see glasses broken, reviewed in time and late, rotations that are owed made, let off and overdue', () => {
    const wanted = ['glass broken', 'given under glass', 'glass reviewed', 'glass reviewed late', 'glass review-overdue', 'glass rotated', 'glass rotation not needed', 'glass rotation-overdue'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see keys end between approval and dispatch, people approve again by their next, and a clock set back that nobody who reads the records notices', () => {
    const wanted = ['approved by a key that ends', 'approval uncounted', 'approved again after a key has ended', 'authorised again after a key has ended', 'judged by records though the clock was set back'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see executors of before turn away what standing approvals approve, and people asked there instead', () => {
    expect(['standing turned away', 'people asked where standing is unknown', 'given by people where standing is unknown'].filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see targets changed behind our back, found by reconciling, and cleared', () => {
    const wanted = ['reconciled', 'not reconciled', 'account-unknown', 'access-unexplained', 'access-missing', 'dropped', 'resurrected', 'access-past-end', 'cleared', 'reconcile.proposed', 'reconcile.ordered'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('the seeds see what people wrote, plans, states and inputs erased, and some that are still needed', () => {
    const wanted = ['erased disclosure', 'erased plan', 'erased state', 'erased policyInput', 'erasure not-erasable', 'erasure unanswered'];
    expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('a seed replays: the same run, event for event', async () => {
    const account = async (): Promise<string[]> => {
      const lines: string[] = [];
      await simulate(7, { trace: (line) => lines.push(line) });
      return lines;
    };
    expect(await account()).toEqual(await account());
  });
}
