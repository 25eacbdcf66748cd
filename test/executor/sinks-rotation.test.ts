/** A rotation whose secret is kept in a sink: whoever looks finds a secret that works, whatever becomes of the rotation and whoever undoes it. */
import { describe, expect, test } from 'vitest';
import type { Connector } from '../../src/executor/connector.ts';
import type { StepAction } from '../../src/protocol/plan.ts';
import { makeStep, NEW, OLD, ROLE, type Made } from '../support/envelopes.ts';
import { memoryBoard } from '../support/memory-board.ts';
import { memorySink, type MemorySink } from '../support/memory-sink.ts';
import { carriedOut, deliver, rotation, withOldLogin, type Rotation } from '../support/rotation.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const PATH = 'team/exporter';
const BEFORE = 'of before';
const recipient = `kv:app-kv/${PATH}`;
const STEPS = ['stage', 'cutover', 'retire'] as const;
const foundIn = (sink: MemorySink): string | undefined => sink.found.get(PATH)?.at(-1)?.secret;
const working = ({ target }: Bench): string[] => [OLD, NEW].filter((account) => target.works(account));

interface Scene {
  readonly sink: MemorySink;
  readonly first: Bench;
  /** Another worker of the executor, with a lease book of its own. */
  readonly second: Bench;
  readonly turn: Rotation;
}

/** The old login works, and its secret is found at the path. */
function scene(wrap: (connector: Connector) => Connector = (connector) => connector): Scene {
  const sink = memorySink();
  const sinks = (run: { readonly alive: boolean }): Map<string, ReturnType<MemorySink['sink']>> => new Map([['app-kv', sink.sink(run)]]);
  const board = memoryBoard();
  const first = withOldLogin(createBench({ sinks, board, wrap }));
  sink.found.set(PATH, [{ secret: BEFORE, by: 'cs_somebody' }]);
  return { sink, first, second: createBench({ sinks, board, beside: first }), turn: rotation({ plan: (plan) => ({ ...plan, recipient }) }) };
}

async function upTo({ first, turn }: Scene, last: StepAction): Promise<Awaited<ReturnType<Bench['start']>>> {
  const worker = await first.start();
  for (const action of STEPS.slice(0, STEPS.indexOf(last as 'stage') + 1)) expect(await carriedOut(first, worker, turn.step(action))).toBe('done');
  return worker;
}

describe('a rotation with overlap', () => {
  test('has the new secret found once it works, and the old one until then', async () => {
    const seen: (string | undefined)[] = [];
    const one = scene((connector) => ({ ...connector, tryUse: (...asked) => {
      seen.push(foundIn(one.sink));
      return connector.tryUse(...asked);
    } }));
    const worker = await upTo(one, 'stage');
    expect(seen).toEqual([BEFORE]);
    const { secret } = one.first.target.accounts.get(NEW)!;
    expect(foundIn(one.sink)).toBe(secret);
    expect(working(one.first)).toEqual([OLD, NEW]);
    expect(one.first.of('acted').at(-1)).toMatchObject({ byUse: 'works', seal: { recipient } });
    for (const action of ['cutover', 'retire'] as const) expect(await carriedOut(one.first, worker, one.turn.step(action))).toBe('done');
    expect(foundIn(one.sink)).toBe(secret);
    expect(working(one.first)).toEqual([NEW]);
  });

  test('does not have one found that fails at its first use', async () => {
    const one = scene((connector) => ({ ...connector, tryUse: () => Promise.resolve('fails') }));
    await upTo(one, 'stage');
    expect(one.first.of('acted').at(-1)).toMatchObject({ byUse: 'fails' });
    expect(foundIn(one.sink)).toBe(BEFORE);
  });

  test.each(['stage', 'cutover'] as const)('that is ordered back after its %s has the old one found again', async (last) => {
    const one = scene();
    const worker = await upTo(one, last);
    await worker.revoke(one.turn.order('compensation', one.first.clock.nowMs));
    await one.first.clock.until(() => foundIn(one.sink) === BEFORE, 10_000);
    expect(working(one.first)).toEqual([OLD]);
    expect(one.sink.staged.size).toBe(0);
  });

  test('that another worker takes back has the old one found again, though only its client token is known there; the first lets it be', async () => {
    const one = scene();
    await upTo(one, 'cutover');
    one.first.kill();
    await (await one.second.start()).revoke(one.turn.order('compensation', one.first.clock.nowMs));
    await one.first.clock.until(() => one.second.of('revoked').length > 0 && foundIn(one.sink) === BEFORE, 10_000);
    expect(working(one.first)).toEqual([OLD]);
    const back = await one.first.start();
    await back.revoke(one.turn.order('compensation', one.first.clock.nowMs));
    await one.first.clock.advance(60_000);
    expect(foundIn(one.sink)).toBe(BEFORE);
  });

  test.each(['by its worker', 'by another'] as const)('never has the old one found again once that is shut out, also where a person takes the new one back, %s', async (whose) => {
    const one = scene();
    let worker = await upTo(one, 'retire');
    const bench = whose === 'by another' ? one.second : one.first;
    if (whose === 'by another') worker = await one.second.start();
    await worker.revoke(one.turn.order('early', one.first.clock.nowMs));
    await one.first.clock.until(() => bench.of('revoked').some(({ outcome }) => outcome === 'done') && foundIn(one.sink) === undefined, 10_000);
    expect(working(one.first)).toEqual([]);
    await one.first.clock.advance(60_000);
    expect(foundIn(one.sink)).toBeUndefined();
  });

  test.each(['hangsDone', 'hangs'] as const)('whose new login a person takes back while the old one is being shut out (%s) has that found which works', async (fate) => {
    const one = scene();
    const worker = await upTo(one, 'cutover');
    one.first.target.will('apply', fate);
    await deliver(worker, one.turn.step('retire'));
    await one.first.clock.until(() => one.first.target.calls.filter((call) => call === 'apply').length === 3);
    await worker.revoke(one.turn.order('early', one.first.clock.nowMs));
    await one.first.clock.advance(180_000);
    expect(working(one.first)).toEqual(fate === 'hangs' ? [OLD] : []);
    expect(foundIn(one.sink)).toBe(fate === 'hangs' ? BEFORE : undefined);
  });

  test.each(['runs on', 'is restarted'] as const)('is taken back at once though the sink is down; the old secret is found again when it is back, where the worker %s', async (how) => {
    const one = scene();
    const worker = await upTo(one, 'stage');
    one.sink.fails = 'unreachable';
    const startMs = one.first.clock.nowMs;
    await worker.revoke(one.turn.order('compensation', startMs));
    await one.first.clock.until(() => one.first.of('revoked').length > 0);
    expect(one.first.clock.nowMs - startMs).toBeLessThan(1_000);
    await one.first.clock.advance(600_000);
    if (how === 'is restarted') one.first.kill();
    expect(foundIn(one.sink)).not.toBe(BEFORE);
    one.sink.fails = null;
    if (how === 'is restarted') await one.first.start();
    await one.first.clock.until(() => foundIn(one.sink) === BEFORE, 60_000);
  });
});

/** Runs `play` with a death at the first touch of disk, target or sink, at the second, and so on; returns how many there were. */
async function dyingAtEach(survives: 'synced' | 'written', play: (one: Scene, deadline: { readonly died: () => boolean }) => Promise<void>): Promise<number> {
  for (let at = 1; at < 200; at += 1) {
    const one = scene();
    let touches = 0;
    const touch = (): void => {
      touches += 1;
      if (touches === at) one.first.kill(survives);
    };
    one.first.disk.watch = touch;
    one.first.target.watch = touch;
    one.sink.watch = touch;
    await play(one, { died: () => touches >= at });
    if (touches < at) return at - 1;
  }
  return 200;
}

describe.each(['synced', 'written'] as const)('a death of the worker at any touch of disk, target or sink, with what was %s', (survives) => {
  test('of a stage that another worker orders back has the old secret found again, for good', async () => {
    const deaths = await dyingAtEach(survives, async (one, { died }) => {
      const made = one.turn.step('stage');
      (async () => (await one.first.start()).step(made.envelope))().catch(() => undefined);
      await one.first.clock.until(() => died() || one.first.of('acted').some(({ outcome }) => outcome === 'done'), 250_000);
      if (!died()) return;
      const order = one.turn.order('compensation', one.first.clock.nowMs);
      await (await one.second.start()).revoke(order);
      await one.first.clock.until(() => one.second.of('revoked').some(({ outcome }) => outcome !== 'failed'), 250_000);
      const back = await one.first.start();
      await back.step(made.envelope).catch(() => undefined);
      await one.first.clock.advance(60_000);
      expect(foundIn(one.sink)).toBe(BEFORE);
      expect(one.sink.staged.size).toBe(0);
      expect(working(one.first)).toEqual([OLD]);
    });
    expect(deaths).toBeGreaterThan(10);
  });

  test('of a stage that is taken up again, here or by another, has the one that works found', async () => {
    for (const who of ['first', 'second'] as const) {
      const deaths = await dyingAtEach(survives, async (one, { died }) => {
        const made = one.turn.step('stage');
        // What the first made and the second has taken back is a login of before to it: that is no more what was planned on.
        const isDone = (): boolean => [one.first, one.second].some((bench) => bench.of('acted').some(({ outcome }) => outcome === 'done' || outcome === 'drifted'));
        (async () => (await one.first.start()).step(made.envelope))().catch(() => undefined);
        await one.first.clock.until(() => died() || isDone(), 250_000);
        if (!died()) return;
        if (who === 'second') await (await one.second.start()).step(made.envelope).catch(() => undefined);
        await one.first.clock.advance(60_000);
        await (await one.first.start()).step(made.envelope).catch(() => undefined);
        await one.first.clock.until(isDone, 250_000);
        await one.first.clock.advance(60_000);
        const isMade = one.first.target.works(NEW);
        if (who === 'first') expect(isMade).toBe(true);
        expect(one.first.target.works(OLD)).toBe(true);
        expect(foundIn(one.sink)).toBe(isMade ? one.first.target.accounts.get(NEW)!.secret : BEFORE);
        expect(one.sink.staged.size).toBe(0);
      });
      expect(deaths).toBeGreaterThan(10);
    }
  });
});

describe('a replacement in place', () => {
  const replacing = (): { readonly one: Scene; readonly made: Made; readonly set: () => string | null } => {
    const one = scene();
    one.first.target.accounts.set(ROLE, { token: null, secret: BEFORE, validUntil: null });
    return { one, made: makeStep({ action: 'replace', plan: (plan) => ({ ...plan, recipient }) }), set: () => one.first.target.accounts.get(ROLE)!.secret };
  };

  test('has the new secret found once it is set', async () => {
    const { one, made, set } = replacing();
    expect(await carriedOut(one.first, await one.first.start(), made)).toBe('done');
    expect(set()).not.toBe(BEFORE);
    expect(foundIn(one.sink)).toBe(set());
    // No order brings the old one back.
    expect(one.sink.found.get(PATH)).toHaveLength(1);
  });

  test('that is refused has the old one found', async () => {
    const { one, made, set } = replacing();
    one.first.target.will('apply', 'rejected');
    expect(await carriedOut(one.first, await one.first.start(), made)).toBe('failed target-rejected');
    await one.first.clock.advance(1_000);
    expect([set(), foundIn(one.sink), one.sink.staged.size]).toEqual([BEFORE, BEFORE, 0]);
  });

  test.each(['lostBefore', 'lostAfter', 'hangs', 'hangsDone', 'late'] as const)('whose answer is lost (%s) has that found which is set', async (fate) => {
    const { one, made, set } = replacing();
    one.first.target.will('apply', fate);
    expect(await carriedOut(one.first, await one.first.start(), made)).toBe('done');
    expect(foundIn(one.sink)).toBe(set());
  });

  test('whose worker dies at any touch has that found which is set, as soon as the worker is back; no other worker sets another', async () => {
    for (let at = 1; at < 100; at += 1) {
      const { one, made, set } = replacing();
      let touches = 0;
      const touch = (): void => {
        touches += 1;
        if (touches === at) one.first.kill('written');
      };
      one.first.disk.watch = touch;
      one.first.target.watch = touch;
      one.sink.watch = touch;
      const isDone = (): boolean => [one.first, one.second].some((bench) => bench.of('acted').some(({ outcome }) => outcome === 'done'));
      (async () => (await one.first.start()).step(made.envelope))().catch(() => undefined);
      await one.first.clock.until(() => touches >= at || isDone(), 250_000);
      if (touches < at) {
        expect(at).toBeGreaterThan(10);
        return;
      }
      await (await one.second.start()).step(made.envelope).catch(() => undefined);
      await one.first.clock.advance(60_000);
      await (await one.first.start()).step(made.envelope).catch(() => undefined);
      await one.first.clock.until(isDone, 250_000);
      await one.first.clock.advance(60_000);
      expect(foundIn(one.sink)).toBe(set());
      expect(new Set(one.first.target.secrets).size).toBe(1);
    }
  });
});
