import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/engine/ports.ts';
import { factsOf, type Facts, type FactsValue } from '../../src/facts/load.ts';
import { openFacts } from '../../src/sidecar/reloading-facts.ts';

const EMPTY: FactsValue = { inventory: { v: 1, nhis: [] }, catalogue: { v: 1, entitlements: [], purposes: [] }, directory: { v: 1, people: [], teams: [] }, usage: null, calendar: null };
const OTHER: FactsValue = { ...EMPTY, directory: { v: 1, people: [{ id: 'person:ana', name: 'Ana', active: true, linked: [] }], teams: [] } };

function setUp(): { clock: Clock; load: (nowMs: number) => Promise<Facts>; say(value: FactsValue | Error): void; passMs(ms: number): void; warnings: string[]; open(): ReturnType<typeof openFacts>; timers(): number } {
  let nowMs = 1_000;
  let said: FactsValue | Error = EMPTY;
  const timers = new Set<() => void>();
  const warnings: string[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    after(_delayMs, callback) {
      timers.add(callback);
      return () => timers.delete(callback);
    },
  };
  const load = async (atMs: number): Promise<Facts> => {
    if (said instanceof Error) throw said;
    return factsOf(said, atMs);
  };
  return {
    clock, load, warnings,
    say: (value) => (said = value),
    passMs: (ms) => (nowMs += ms),
    timers: () => timers.size,
    open: () => openFacts({ load, clock, everyMs: 60_000, logger: { info: () => undefined, warn: (_fields, message) => warnings.push(message), error: () => undefined } }),
  };
}

describe('facts that follow their files', () => {
  it('are other facts once the files say something else', async () => {
    const world = setUp();
    const facts = await world.open();
    world.say(OTHER);
    await facts.reload();
    expect(facts.current().value).toEqual(OTHER);
  });

  it('are what was read last, also where an older reading takes longer', async () => {
    const readings: ((value: FactsValue) => void)[] = [];
    const world = setUp();
    const load = (atMs: number): Promise<Facts> => new Promise((resolve) => void readings.push((value) => resolve(factsOf(value, atMs))));
    const opening = openFacts({ load, clock: world.clock, everyMs: 60_000, logger: { info: () => undefined, warn: () => undefined, error: () => undefined } });
    readings.shift()!(EMPTY);
    const facts = await opening;
    const [older, newer] = [facts.reload(), facts.reload()];
    await Promise.resolve();
    expect(readings).toHaveLength(1);
    readings.shift()!(EMPTY);
    await older;
    await Promise.resolve();
    readings.shift()!(OTHER);
    await newer;
    expect(facts.current().value).toEqual(OTHER);
  });

  it('stay the very same object while the files say the same, so that they are recorded once', async () => {
    const world = setUp();
    const facts = await world.open();
    const first = facts.current();
    world.passMs(60_000);
    await facts.reload();
    expect(facts.current()).toBe(first);
  });

  it('are taken as new after hours, so that they are not stale for being right', async () => {
    const world = setUp();
    const facts = await world.open();
    world.passMs(7 * 3_600_000);
    await facts.reload();
    expect(facts.current().loadedAtMs).toBe(1_000 + 7 * 3_600_000);
  });

  it('are taken as new where the clock was set back: of a time that is not yet, policy would take none', async () => {
    const world = setUp();
    const facts = await world.open();
    world.passMs(-500);
    await facts.reload();
    expect(facts.current().loadedAtMs).toBe(500);
  });

  it('stay, and grow old, while the files cannot be believed', async () => {
    const world = setUp();
    const facts = await world.open();
    world.say(new Error('torn'));
    world.passMs(7 * 3_600_000);
    await facts.reload();
    expect(facts.current().loadedAtMs).toBe(1_000);
    expect(world.warnings).toHaveLength(1);
    expect(facts.trouble()).toBe('a facts file');
    world.say(EMPTY);
    await facts.reload();
    expect([facts.trouble(), facts.current().loadedAtMs]).toEqual([null, 1_000 + 7 * 3_600_000]);
  });

  it('are not there at all when they cannot be believed at the start', async () => {
    const world = setUp();
    world.say(new Error('torn'));
    await expect(world.open()).rejects.toThrow('torn');
    expect(world.timers()).toBe(0);
  });

  it('are looked at no more once closed', async () => {
    const world = setUp();
    const facts = await world.open();
    expect(world.timers()).toBe(1);
    facts.close();
    expect(world.timers()).toBe(0);
  });
});
