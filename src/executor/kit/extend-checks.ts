/** What a connector that extends owes: a later end for what is there, and nothing else. */
import assert from 'node:assert/strict';
import { canonicalText } from '../../../ledger/index.ts';
import type { LentAction, PlanStep } from '../../protocol/plan.ts';
import type { StateWithoutSalt, TargetError } from '../connector.ts';
import { failsAs, newClientToken, type Bench } from './bench.ts';

interface Given {
  readonly step: PlanStep;
  readonly extend: PlanStep;
  /** Whether it gives access now, at the target. */
  works(): Promise<boolean>;
}

async function given(bench: Bench, gave: LentAction, validUntilMs: number): Promise<Given> {
  const { adapter } = bench;
  const [name, secret] = [bench.newName(), bench.newSecret()];
  if (gave === 'grant') await adapter.makeAccount(name, secret, []);
  const step = bench.step(gave, name);
  await bench.apply(step, { ...(gave === 'provision' ? { secret } : {}), validUntilMs });
  return { step, extend: { ...step, action: 'extend', gave }, works: async () => (await adapter.use(name, secret))?.length === adapter.privileges.length };
}

export async function extendsGiven(bench: Bench, gave: LentAction): Promise<void> {
  const { expiry } = await bench.stated(gave);
  const [firstMs, laterMs] = [Date.now() + 4_000, Date.now() + 3_600_000];
  const { step, extend, works } = await given(bench, gave, firstMs);
  const before = await readOf(bench, extend);
  if (before === null) {
    await failsAs(['rejected'], bench.apply(extend, { validUntilMs: laterMs }), 'an extension that was said to be impossible');
  } else {
    const there = await bench.adapter.list();
    assert.ok(Object.keys(before.touched).length > 0, 'a read for extend tells of nothing that the step depends on');
    if (expiry === 'native') assert.equal(await bench.probe(extend, laterMs), 'absent', 'it is said to end late before it was extended');
    await bench.apply(extend, { validUntilMs: laterMs });
    assert.equal(await bench.probe(extend, laterMs), 'applied');
    assert.notEqual(await bench.tryUse(extend, null), 'fails');
    assert.equal(canonicalText((await bench.read(extend)).touched), canonicalText(before.touched), 'what the step depends on is not what the step changes: it would have drifted by itself');
    assert.deepEqual(await bench.adapter.list(), there, 'something was made');
    await bench.eventually('its first end is over', () => Promise.resolve(Date.now() > firstMs + 500));
    assert.ok(await works(), 'it ended at its first end');
    await bench.apply(extend, { validUntilMs: laterMs });
  }
  assert.match(await bench.revoke(step), /^(done|already-absent)$/);
  await bench.eventually('it is taken back', async () => !(await works()));
}

export async function extendsNothing(bench: Bench, gave: LentAction): Promise<void> {
  const laterMs = Date.now() + 3_600_000;
  const { step, extend, works } = await given(bench, gave, laterMs - 1_800_000);
  const others = { ...extend, clientToken: newClientToken() };
  assert.equal(await bench.probe(others, laterMs), 'absent', 'what another change made is taken for its own');
  await failsAs(['rejected'], bench.apply(others, { validUntilMs: laterMs }), 'an extension of what another change made');
  assert.equal(await bench.revoke(step), 'done');
  await bench.eventually('it is taken back', async () => !(await works()));
  await failsAs(['rejected'], bench.read(extend), 'a read for an extension of what was taken back');
  await failsAs(['rejected'], bench.apply(extend, { validUntilMs: laterMs }), 'an extension of what was taken back');
  assert.equal(await bench.probe(extend, laterMs), 'absent');
  assert.ok(!(await works()), 'what was taken back is there again');
}

/** Null where it is said that this has no later end. */
async function readOf(bench: Bench, extend: PlanStep): Promise<StateWithoutSalt | null> {
  try {
    return await bench.read(extend);
  } catch (error) {
    if ((error as TargetError).kind === 'rejected') return null;
    throw error;
  }
}
