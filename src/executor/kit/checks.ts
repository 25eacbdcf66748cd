/**
 * What every connector owes, check by check. They need no test runner: each is a title and a function that throws. A connector passes all of
 * them on a real target, or it is not finished.
 */
import assert from 'node:assert/strict';
import { canonicalText } from '../../../ledger/index.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { StateWithoutSalt } from '../connector.ts';
import type { Check, KitAction, TargetAdapter } from './adapter.ts';
import { failsAs, newClientToken, onBench, PATIENCE_MS, revokeBy, type Bench } from './bench.ts';
import { extendsGiven, extendsNothing } from './extend-checks.ts';
import { NAMES } from './names.ts';

export const KIT_ACTIONS = ['provision', 'grant', 'extend', 'revoke', 'stage', 'cutover', 'retire', 'replace', 'disable'] as const satisfies readonly KitAction[];

/**
 * The checks for a connector that does these actions, on the target of `adapter`. They may run in any order, one at a time, and leave
 * accounts of others behind, nothing else.
 *
 * @param actions all that the connector does: that it states just these is the first check
 * @param adapter asked at each check; give the same one each time
 * @param patienceMs how long the target may take to make a credential work, or to end one beyond what is stated of it
 */
export function connectorChecks(actions: readonly KitAction[], adapter: () => TargetAdapter | Promise<TargetAdapter>, patienceMs = PATIENCE_MS): Check[] {
  const checks: Check[] = [];
  const check = (title: string, run: (bench: Bench) => Promise<void>): void => void checks.push({ title, run: async () => onBench(await adapter(), patienceMs, run) });
  const does = (action: KitAction): boolean => actions.includes(action);

  check('states what it does, and nothing else', (bench) => statesJust(bench, actions));
  if (does('provision')) {
    check('provision: makes what the secret opens, with the privileges and no others; it is read, probed, and tried by use', provisions);
    check('provision: reading and probing change nothing', looksOnly);
    check('provision: asked twice, makes one', makesOne);
    check('provision: is refused where the name is taken, and leaves that account alone', leavesTaken);
    check('provision: is refused where a privilege is not there, and leaves nothing behind', leavesNothing);
    check('provision: ends as stated, by itself or not', expires);
    check('provision: gives nothing whose time is over, where it ends by itself', isTooLate);
    check('revoke: ends the access and its sessions, and says so again when asked again', revokes);
    check('revoke: finds nothing to do where there never was anything', revokesAbsent);
    check('revoke: leaves an account of the same name alone that somebody else made anew', mismatches);
    check('revoke: finds what was made again by its client token, whoever asks', isFound);
    check('revoke: leaves the accounts of others alone', sparesOthers);
    check('provision: another change may have the name again', namesAgain);
    for (const name of NAMES) check(`provision: the name ${titleOf(name)} is taken literally, or refused`, (bench) => takesName(bench, name));
  }
  if (does('grant')) {
    check('grant: gives an account that exists the privileges, and takes them back', grants);
    check('grant: that overlaps another leaves it: the access ends with the last of them', overlaps);
    check('grant: leaves the same privilege that somebody else gave', leavesGiven);
    check('grant: is refused to an account that is not there', grantsNobody);
    check('grant: ends as stated, by itself or not', grantExpires);
  }
  if (does('extend')) {
    for (const gave of ['provision', 'grant'] as const) {
      if (!does(gave)) continue;
      check(`extend: gives what a ${gave} made a later end, or says beforehand that it cannot`, (bench) => extendsGiven(bench, gave));
      check(`extend: brings nothing back of a ${gave} that was taken back, nor of another change`, (bench) => extendsNothing(bench, gave));
    }
  }
  if (does('revoke')) check('revoke, as a change: takes the privileges of an account that somebody else gave, and no others', withdraws);
  if (does('stage')) {
    check('rotate: goes from the old login to the new one, and both work in between', rotates);
    check('rotate: a staged login is taken back, and the one in use stays', unstages);
    check('rotate: the old login is never retired where there is no new one', keepsOld);
  }
  if (does('replace')) check('replace: the new secret opens the account, and the old one does not', replaces);
  if (does('disable')) check('disable: shuts an account out, and may be asked for again', disables);
  check('another target than its own is refused by every method', refusesTarget);
  check('a deadline that has passed sends nothing', sendsNothing);
  return checks;
}

function titleOf(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 8)}… (${name.length})` : name);
}

/** Whether what is read now was read so for the plan, as a worker compares just before the effect. */
async function isAsPlanned(bench: Bench, step: PlanStep, before: StateWithoutSalt['touched']): Promise<void> {
  const touched = Object.entries((await bench.read(step)).touched);
  assert.ok(touched.length > 0, `a read for ${step.action} tells of nothing that the step depends on`);
  for (const [key, value] of touched) assert.equal(canonicalText(value), canonicalText(before[key] ?? null), `a read for ${step.action} tells another ${key} than the read before the plan`);
}

async function worksBoth(bench: Bench, step: PlanStep, secret: string, privileges: readonly string[]): Promise<void> {
  await bench.eventually('the new credential works, by the connector', async () => (await bench.tryUse(step, secret)) === 'works');
  await mayJust(bench, 'the new credential may do what was asked for, and nothing else', step.account, secret, privileges);
}

/** A target may take a moment to let in whom it has let in. */
async function mayJust(bench: Bench, what: string, name: string, secret: string, privileges: readonly string[]): Promise<void> {
  const wanted = canonicalText([...privileges].sort());
  await bench.eventually(what, async () => canonicalText(await sorted(bench.adapter.use(name, secret))) === wanted);
}

async function shutOut(bench: Bench, name: string, secret: string, residualMs = 0): Promise<void> {
  await bench.eventually('the credential opens nothing any more', async () => (await bench.adapter.use(name, secret)) === null, residualMs);
}

async function statesJust(bench: Bench, actions: readonly KitAction[]): Promise<void> {
  const [first] = actions;
  assert.ok(first !== undefined, 'a connector does something');
  await bench.stated(first);
  for (const action of KIT_ACTIONS) assert.equal(bench.connector.describe(action) !== null, actions.includes(action), `${action}: stated and said to the kit differently`);
}

async function provisions(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const [privilege] = adapter.privileges;
  const step = bench.step('provision', bench.newName(), [privilege!]);
  const secret = bench.newSecret();
  const before = await bench.read(step);
  assert.deepEqual([before.exists, before.held], [false, []]);
  assert.deepEqual([before.connector, before.target, before.account], [adapter.connector, adapter.target, step.account]);
  const there = await adapter.list();
  await bench.apply(step, { secret });
  assert.equal(await bench.probe(step), 'applied');
  await worksBoth(bench, step, secret, [privilege!]);
  const after = await bench.read(step);
  assert.deepEqual([after.exists, after.held], [true, [privilege]]);
  const wrong = bench.newSecret();
  assert.equal(await bench.tryUse(step, wrong), 'fails', 'a wrong secret is said to work');
  assert.notDeepEqual(await adapter.list(), there);
  assert.equal(await bench.revoke(step), 'done');
  assert.deepEqual(await adapter.list(), there, 'something of it is left, or something else is gone');
}

async function looksOnly(bench: Bench): Promise<void> {
  const step = bench.step('provision', bench.newName());
  const there = await bench.adapter.list();
  await bench.read(step);
  assert.equal(await bench.probe(step), 'absent');
  assert.equal(await bench.tryUse(step, bench.newSecret()), 'fails');
  assert.deepEqual(await bench.adapter.list(), there);
}

async function makesOne(bench: Bench): Promise<void> {
  const step = bench.step('provision', bench.newName());
  const secret = bench.newSecret();
  const other = bench.newSecret();
  await bench.apply(step, { secret });
  const there = await bench.adapter.list();
  // Done already, or refused: the secret that was sealed and reported stays the one that works.
  await bench.apply(step, { secret: other }).catch(() => undefined);
  assert.deepEqual(await bench.adapter.list(), there, 'a second credential was made');
  assert.notEqual(await bench.adapter.use(step.account, secret), null, 'the secret was changed under its owner');
  assert.equal(await bench.adapter.use(step.account, other), null);
  assert.equal(await bench.revoke(step), 'done');
}

async function leavesTaken(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const name = bench.newName();
  const theirs = bench.newSecret();
  await adapter.makeAccount(name, theirs, [adapter.privileges[0]!]);
  const there = await adapter.list();
  await failsAs(['rejected'], bench.apply(bench.step('provision', name, [adapter.privileges[1]!])), 'a name that is taken');
  assert.deepEqual(await adapter.list(), there);
  assert.deepEqual(await adapter.use(name, theirs), [adapter.privileges[0]]);
}

async function leavesNothing(bench: Bench): Promise<void> {
  const there = await bench.adapter.list();
  await failsAs(['rejected'], bench.apply(bench.step('provision', bench.newName(), [bench.adapter.privileges[0]!, 'no such privilege'])), 'a privilege that is none');
  assert.deepEqual(await bench.adapter.list(), there);
}

async function expires(bench: Bench): Promise<void> {
  const { expiry } = await bench.stated('provision');
  const step = bench.step('provision', bench.newName());
  const secret = bench.newSecret();
  const validUntilMs = Date.now() + 3_000;
  await bench.apply(step, { secret, validUntilMs });
  const atFirst = await bench.adapter.use(step.account, secret);
  assert.ok(atFirst !== null || Date.now() > validUntilMs - 1_000, 'it did not work while its time ran');
  if (expiry === 'native') {
    await shutOut(bench, step.account, secret, Math.max(0, validUntilMs - Date.now()));
    assert.equal(await bench.tryUse(step, secret), 'fails');
  } else {
    await bench.eventually('its time is over', async () => Date.now() > validUntilMs + 500);
    assert.notEqual(await bench.adapter.use(step.account, secret), null, 'it ended by itself, and is stated as external');
  }
  assert.match(await bench.revoke(step), /^(done|already-absent)$/);
  await shutOut(bench, step.account, secret);
}

async function isTooLate(bench: Bench): Promise<void> {
  const { expiry } = await bench.stated('provision');
  if (expiry === 'external') return;
  const step = bench.step('provision', bench.newName());
  const secret = bench.newSecret();
  await bench.apply(step, { secret, validUntilMs: Date.now() - 1_000 }).catch(() => undefined);
  assert.equal(await bench.adapter.use(step.account, secret), null);
  assert.match(await bench.revoke(step), /^(done|already-absent)$/);
}

async function revokes(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const { endsSessions, residualMs } = await bench.stated('provision');
  const there = await adapter.list();
  const step = bench.step('provision', bench.newName());
  const secret = bench.newSecret();
  await bench.apply(step, { secret });
  await worksBoth(bench, step, secret, adapter.privileges);
  const isAlive = await adapter.openSession?.(step.account, secret);
  if (isAlive !== undefined) assert.equal(await isAlive(), true);
  assert.equal(await bench.revoke(step), 'done');
  await shutOut(bench, step.account, secret, residualMs);
  if (isAlive !== undefined && endsSessions) await bench.eventually('the session is over', async () => !(await isAlive()), residualMs);
  assert.equal(await bench.tryUse(step, secret), 'fails');
  assert.equal(await bench.probe(step), 'absent');
  assert.deepEqual(await adapter.list(), there);
  assert.equal(await bench.revoke(step), 'already-absent');
}

async function revokesAbsent(bench: Bench): Promise<void> {
  const there = await bench.adapter.list();
  assert.equal(await bench.revoke(bench.step('provision', bench.newName())), 'already-absent');
  assert.deepEqual(await bench.adapter.list(), there);
}

async function mismatches(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const step = bench.step('provision', bench.newName());
  const [ours, theirs] = [bench.newSecret(), bench.newSecret()];
  await bench.apply(step, { secret: ours });
  await adapter.makeAccount(step.account, theirs, [adapter.privileges[0]!]);
  for (const _ of [1, 2]) {
    assert.equal(await bench.revoke(step), 'mismatch');
    assert.deepEqual(await adapter.use(step.account, theirs), [adapter.privileges[0]], 'what somebody else made was touched');
  }
  assert.equal(await adapter.use(step.account, ours), null);
  assert.equal(await bench.probe(step), 'absent');
}

async function isFound(bench: Bench): Promise<void> {
  const { findable } = await bench.stated('provision');
  if (!findable) return;
  const step = bench.step('provision', bench.newName());
  const secret = bench.newSecret();
  const there = await bench.adapter.list();
  await bench.apply(step, { secret });
  const stranger = await bench.another();
  const misremembered = { ...step, account: bench.newName() };
  assert.equal(await stranger.probe(misremembered, AbortSignal.timeout(30_000)), 'applied');
  assert.equal(await stranger.probe({ ...step, clientToken: newClientToken() }, AbortSignal.timeout(30_000)), 'absent', 'what another change made is taken for its own');
  assert.equal(await revokeBy(stranger, misremembered), 'done');
  await shutOut(bench, step.account, secret);
  assert.deepEqual(await bench.adapter.list(), there);
}

async function sparesOthers(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const [mine, other] = [bench.step('provision', bench.newName()), bench.step('provision', bench.newName())];
  const [theirs, secret] = [bench.newSecret(), bench.newSecret()];
  const bystander = bench.newName();
  await adapter.makeAccount(bystander, theirs, [adapter.privileges[0]!]);
  await bench.apply(mine);
  await bench.apply(other, { secret });
  assert.equal(await bench.revoke(mine), 'done');
  await worksBoth(bench, other, secret, adapter.privileges);
  assert.deepEqual(await adapter.use(bystander, theirs), [adapter.privileges[0]]);
  assert.equal(await bench.revoke(other), 'done');
}

async function namesAgain(bench: Bench): Promise<void> {
  const name = bench.newName();
  for (const _ of [1, 2]) {
    const step = bench.step('provision', name);
    const secret = bench.newSecret();
    await bench.apply(step, { secret });
    await worksBoth(bench, step, secret, bench.adapter.privileges);
    assert.equal(await bench.revoke(step), 'done');
  }
}

async function takesName(bench: Bench, name: string): Promise<void> {
  const { adapter } = bench;
  const there = await adapter.list();
  const step = bench.step('provision', name);
  const secret = bench.newSecret();
  if (adapter.takes(name)) {
    await bench.apply(step, { secret });
    await worksBoth(bench, step, secret, adapter.privileges);
    assert.equal((await bench.read(step)).account, name);
    assert.equal(await bench.revoke(step), 'done');
    assert.equal(await adapter.use(name, secret), null);
  } else {
    await failsAs(['rejected'], bench.apply(step, { secret }), 'a name that the target does not take');
  }
  assert.deepEqual(await adapter.list(), there);
}

async function grants(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const { residualMs } = await bench.stated('grant');
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, []);
  const there = await adapter.list();
  const step = bench.step('grant', name);
  const before = await bench.read(step);
  assert.deepEqual([before.exists, before.held], [true, []]);
  assert.equal(await bench.probe(step), 'absent');
  await bench.apply(step);
  assert.equal(await bench.probe(step), 'applied');
  assert.notEqual(await bench.tryUse(step, null), 'fails');
  await mayJust(bench, 'the account may do what it was given', name, theirs, adapter.privileges);
  const after = await bench.read(step);
  assert.deepEqual(after.held, [...adapter.privileges].sort());
  assert.deepEqual(after.touched, before.touched, 'what the step depends on is not what the step changes: it would have drifted by itself');
  assert.equal(await bench.revoke(step), 'done');
  await bench.eventually('the privileges are gone', async () => (await adapter.use(name, theirs))?.length === 0, residualMs);
  assert.equal(await bench.probe(step), 'absent');
  assert.equal(await bench.revoke(step), 'already-absent');
  assert.deepEqual(await adapter.list(), there);
}

async function sorted(names: Promise<readonly string[] | null>): Promise<readonly string[] | null> {
  const all = await names;
  return all === null ? null : [...all].sort();
}

async function overlaps(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, []);
  const [first, second] = [bench.step('grant', name), bench.step('grant', name)];
  await Promise.all([bench.apply(first), bench.apply(second)]);
  assert.equal(await bench.revoke(first), 'done');
  assert.deepEqual(await sorted(adapter.use(name, theirs)), [...adapter.privileges].sort());
  assert.equal(await bench.probe(second), 'applied');
  assert.equal(await bench.revoke(second), 'done');
  await bench.eventually('the privileges are gone', async () => (await adapter.use(name, theirs))?.length === 0);
}

async function leavesGiven(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, [adapter.privileges[0]!]);
  const step = bench.step('grant', name);
  await bench.apply(step);
  assert.equal(await bench.revoke(step), 'done');
  await bench.eventually('only what was lent is gone', async () => canonicalText(await adapter.use(name, theirs)) === canonicalText([adapter.privileges[0]]));
}

async function grantsNobody(bench: Bench): Promise<void> {
  const there = await bench.adapter.list();
  const step = bench.step('grant', bench.newName());
  await failsAs(['rejected'], bench.apply(step), 'an account that is not there');
  assert.deepEqual(await bench.adapter.list(), there);
}

async function grantExpires(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const { expiry } = await bench.stated('grant');
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, []);
  const step = bench.step('grant', name);
  const validUntilMs = Date.now() + 2_000;
  await bench.apply(step, { validUntilMs });
  await bench.eventually('its time is over', async () => Date.now() > validUntilMs + 500);
  assert.equal((await adapter.use(name, theirs))?.length, expiry === 'native' ? 0 : adapter.privileges.length, `it is stated to end by ${expiry === 'native' ? 'itself' : 'a revoke alone'}`);
  assert.match(await bench.revoke(step), /^(done|already-absent)$/);
}

async function withdraws(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const [taken, kept] = adapter.privileges;
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, adapter.privileges);
  const step = bench.step('revoke', name, [taken!]);
  assert.equal(await bench.probe(step), 'absent');
  await bench.apply(step);
  assert.equal(await bench.probe(step), 'applied');
  assert.deepEqual(await adapter.use(name, theirs), adapter.privileges.filter((one) => one !== taken));
  assert.ok((await bench.read(step)).held.includes(kept!));
  await bench.apply(step);
}

interface Rotating {
  readonly before: StateWithoutSalt['touched'];
  readonly stage: PlanStep;
  readonly cutover: PlanStep;
  readonly retire: PlanStep;
  readonly theirs: string;
}

async function rotating(bench: Bench): Promise<Rotating> {
  const { adapter } = bench;
  assert.ok(adapter.makeTwin !== undefined, 'the connector rotates by twins, and the adapter makes none: makeTwin');
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeTwin(name, theirs);
  const { before, steps: [stage, cutover, retire] } = await bench.rotation(name);
  assert.ok(stage?.action === 'stage' && cutover !== undefined && retire !== undefined, 'what was read for a twin is not a rotation by twins');
  return { before, stage, cutover, retire, theirs };
}

async function rotates(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const { before, stage, cutover, retire, theirs } = await rotating(bench);
  const ours = bench.newSecret();
  await isAsPlanned(bench, stage, before);
  assert.equal(await bench.probe(stage), 'absent');
  await bench.apply(stage, { secret: ours });
  assert.equal(await bench.probe(stage), 'applied');
  await bench.eventually('the new login works, by the connector', async () => (await bench.tryUse(stage, ours)) === 'works');
  assert.notEqual(await adapter.use(stage.account, ours), null, 'the new login does not work');
  assert.notEqual(await adapter.use(retire.account, theirs), null, 'the old login does not work any more, and was to overlap');
  await isAsPlanned(bench, cutover, before);
  await bench.apply(cutover, { endSessions: true });
  assert.notEqual(await adapter.use(retire.account, theirs), null, 'a cutover changes nothing');
  await isAsPlanned(bench, retire, before);
  assert.equal(await bench.probe(retire), 'absent');
  const isAlive = await adapter.openSession?.(retire.account, theirs);
  await bench.apply(retire, { endSessions: true });
  assert.equal(await bench.probe(retire), 'applied');
  await shutOut(bench, retire.account, theirs);
  if (isAlive !== undefined) await bench.eventually('the session of the old login is over', async () => !(await isAlive()));
  assert.notEqual(await adapter.use(stage.account, ours), null, 'the new login went with the old one');
  await bench.apply(retire, { endSessions: true });
}

async function unstages(bench: Bench): Promise<void> {
  const { stage, retire, theirs } = await rotating(bench);
  const there = await bench.adapter.list();
  const ours = bench.newSecret();
  await bench.apply(stage, { secret: ours });
  assert.notEqual(await bench.adapter.use(stage.account, ours), null);
  assert.equal(await bench.revoke(stage), 'done');
  await shutOut(bench, stage.account, ours);
  assert.equal(await bench.probe(stage), 'absent');
  assert.notEqual(await bench.adapter.use(retire.account, theirs), null);
  assert.deepEqual((await bench.adapter.list()).filter((line) => !line.startsWith(stage.account)), there.filter((line) => !line.startsWith(stage.account)));
  assert.equal(await bench.revoke(stage), 'already-absent');
}

async function keepsOld(bench: Bench): Promise<void> {
  const { cutover, retire, theirs } = await rotating(bench);
  for (const step of [cutover, retire]) await failsAs(['rejected'], bench.apply(step, { endSessions: true }), `${step.action} without a new login`);
  assert.notEqual(await bench.adapter.use(retire.account, theirs), null);
}

async function replaces(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const [name, theirs, ours] = [bench.newName(), bench.newSecret(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, []);
  const { before, steps: [step] } = await bench.rotation(name);
  assert.equal(step?.action, 'replace', 'what was read for an account with one secret is not a rotation in place');
  await isAsPlanned(bench, step, before);
  assert.equal(await bench.probe(step), 'absent');
  await bench.apply(step, { secret: ours });
  assert.equal(await bench.probe(step), 'applied');
  await bench.eventually('the new secret works, by the connector', async () => (await bench.tryUse(step, ours)) === 'works');
  assert.notEqual(await adapter.use(name, ours), null);
  await shutOut(bench, name, theirs);
}

async function disables(bench: Bench): Promise<void> {
  const { adapter } = bench;
  const { endsSessions, residualMs } = await bench.stated('disable');
  const [name, theirs] = [bench.newName(), bench.newSecret()];
  await adapter.makeAccount(name, theirs, adapter.privileges);
  const isAlive = await adapter.openSession?.(name, theirs);
  const step = bench.step('disable', name, []);
  assert.equal(await bench.probe(step), 'absent');
  for (const _ of [1, 2]) {
    await bench.apply(step);
    assert.equal(await bench.probe(step), 'applied');
    await shutOut(bench, name, theirs, residualMs);
    if (isAlive !== undefined && endsSessions) await bench.eventually('the session is over', async () => !(await isAlive()), residualMs);
    assert.deepEqual((await bench.read(step)).held, []);
  }
}

async function refusesTarget(bench: Bench): Promise<void> {
  const step = { ...bench.step('provision', bench.newName()), target: 'somewhere-else' };
  const secret = bench.newSecret();
  const there = await bench.adapter.list();
  for (const call of [() => bench.read(step), () => bench.apply(step, { secret }), () => bench.probe(step), () => bench.tryUse(step, secret), () => bench.revoke(step)]) {
    await failsAs(['rejected'], call(), 'another target');
  }
  assert.deepEqual(await bench.adapter.list(), there);
}

async function sendsNothing(bench: Bench): Promise<void> {
  const { connector, adapter } = bench;
  const step = bench.step('provision', bench.newName());
  const secret = bench.newSecret();
  const { stepId: _, ...query } = step;
  const there = await adapter.list();
  const past = AbortSignal.abort();
  const calls = [
    () => connector.read(query, past), () => connector.apply({ step, validUntil: null, secret, endSessions: false, signal: past }), () => connector.probe(step, past),
    () => connector.tryUse(step, secret, past), () => revokeBy(connector, step, past),
  ];
  for (const call of calls) await failsAs(['unreachable'], call(), 'a deadline that has passed');
  assert.deepEqual(await adapter.list(), there);
}
