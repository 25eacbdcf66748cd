/** A change that policy would deny goes ahead under observe, and the ledger says so; what the executor's floor asks for is asked for all the same. */
import { expect, test, vi } from 'vitest';
import { compareDecision } from '../../src/evidence/replay.ts';
import { tellStory } from '../../src/evidence/story.ts';
import { factsOf, type Facts } from '../../src/facts/load.ts';
import { floorSchema } from '../../src/protocol/trust.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { movedClock } from '../support/moved-clock.ts';
import { EXCESS, settled, tell, usualPdp, verdictOf } from '../support/replayed.ts';
import { answerOf, GRANT, type TestSidecar } from '../support/sidecar.ts';

const DAY_MS = 86_400_000;
const day = (offset: number): string => new Date(Date.now() + offset * DAY_MS).toISOString().slice(0, 10);
const scope = (part: object = {}) => ({ id: 'prod-trial', environments: ['prod'], reason: 'the rules are tried out', owner: 'person:olga', from: day(-1), until: day(30), ...part });
const observing = (...scopes: ReturnType<typeof scope>[]) => (facts: Facts): Facts => factsOf({ ...facts.value, exceptions: { v: 1, exceptions: [], observe: scopes } }, facts.loadedAtMs);
const ask = (sidecar: TestSidecar, request = EXCESS) => sidecar.change(GRANT.subject, request);

/** A floor that asks people is enforced, whatever is under observe. */
const askingNobody = (trust: Trust): void => {
  Object.assign(trust, { requirements: { ...trust.requirements, floors: [floorSchema.parse({ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: null })] } });
};

async function recordsOf({ log }: TestSidecar, type: string): Promise<object[]> {
  const found: object[] = [];
  for await (const { record } of log.entries(0)) if (record.type === type) found.push(record);
  return found;
}

test('what is denied is given without anybody, told as what it is, replayed, and leaves WORKFLOW not established', async () => {
  let [story, change] = ['', ''];
  const told = await tell(await usualPdp(), async (sidecar) => {
    const active = await settled(sidecar, GRANT.subject, await ask(sidecar), 'active', 'denied', 'pending');
    change = active.id;
    expect(active).toMatchObject({ state: 'active', approvals: [], decision: { effect: 'allow', reasons: [{ code: 'observed' }], observed: { scope: 'prod-trial', owner: 'person:olga', until: `${day(30)}T00:00:00.000Z`, effect: 'deny', reasons: [{ code: 'exceeds-purpose' }] } } });
    expect(active.requirement.approvers).toEqual(active.decision?.observed?.approvers);
    const evidence = (await sidecar.send(GRANT.subject, 'GET', active.links.evidence)).body as { records: Parameters<typeof tellStory>[0]; disclosures: Parameters<typeof tellStory>[1] };
    story = tellStory(evidence.records, evidence.disclosures).map(({ text }) => text).join('\n');
  }, { facts: observing(scope()), trusts: askingNobody });
  expect(story).toContain(`Scope prod-trial of person:olga is under observe until ${day(30)}T00:00:00.000Z: policy says denied`);
  const verification = await told.verify();
  expect(verification.workflow?.violations).toEqual([]);
  expect(verdictOf(verification, 'WORKFLOW')).toMatchObject({ status: 'notEstablished', message: expect.stringContaining('1 effect under observe until') as string });
  expect(verdictOf(verification, 'REPLAY').status).toBe('holds');
  const pack = await told.verifyPackOf({ change });
  expect(pack.workflow?.violations).toEqual([]);
  expect(verdictOf(pack, 'REPLAY').status).toBe('holds');
  expect(pack.notProven.join()).toContain('1 effect under observe until');
});

test.each([
  ['is over', scope({ from: day(-30), until: day(0) })],
  ['has not begun', scope({ from: day(1) })],
  ['is of another environment', scope({ environments: ['dev'] })],
  ['is of another connector', scope({ connectors: ['pg-dev'] })],
])('a scope that %s lets nothing through', async (_what, one) => {
  await tell(await usualPdp(), async (sidecar) => {
    expect(await settled(sidecar, GRANT.subject, await ask(sidecar), 'active', 'denied')).toMatchObject({ state: 'denied' });
  }, { facts: observing(one) });
});

test('a scope that was over by what is on record lets nothing through once the clock is set back', async () => {
  const clock = movedClock();
  const told = await tell(await usualPdp(), async (sidecar) => {
    clock.move(3 * DAY_MS);
    expect(await settled(sidecar, GRANT.subject, await ask(sidecar), 'active', 'denied')).toMatchObject({ state: 'denied' });
    clock.move(-3 * DAY_MS);
    expect(await settled(sidecar, GRANT.subject, await ask(sidecar), 'active', 'denied')).toMatchObject({ state: 'denied', decision: { reasons: [{ code: 'exceeds-purpose' }] } });
  }, { facts: observing(scope({ until: day(2) })), trusts: askingNobody, clock });
  const verification = await told.verify();
  // That an executor's clock is behind the records is found whatever was decided.
  expect(verification.workflow?.violations.map(({ code }) => code)).not.toContain('observe-unfounded');
  expect(verdictOf(verification, 'REPLAY').status).toBe('holds');
});

test('a lease that was given under observe is kept while the scope is there, and taken back once it is not', async () => {
  const told = await tell(await usualPdp(), async (sidecar) => {
    const active = await settled(sidecar, GRANT.subject, await ask(sidecar), 'active', 'denied');
    sidecar.load(observing(scope({ reason: 'still tried out' }))(sidecar.facts));
    await vi.waitFor(async () => expect(await recordsOf(sidecar, 'redecision.completed')).toHaveLength(1), { timeout: 10_000, interval: 10 });
    expect((await sidecar.send(GRANT.subject, 'GET', active.links.self)).body).toMatchObject({ state: 'active' });
    sidecar.load(observing()(sidecar.facts));
    await settled(sidecar, GRANT.subject, active, 'revoking', 'revoked');
  }, { facts: observing(scope()), trusts: askingNobody, redecision: { everyMs: 5, confirmAbove: { percent: 100, leases: 5 } } });
  const verification = await told.verify();
  expect(verification.workflow?.violations).toEqual([]);
  expect(verdictOf(verification, 'REPLAY').status).toBe('holds');
});

test('what the engine itself denied under observe replays as what policy said, and as nothing else', () => {
  const policy = { ...answerOf('allow'), observed: { scope: 'prod-trial', owner: 'person:olga', until: `${day(30)}T00:00:00.000Z`, effect: 'deny' as const, reasons: answerOf('deny').reasons, approvers: null } };
  const { observed: _, ...rest } = policy;
  const denied = { ...rest, effect: 'deny' as const, reasons: [{ code: 'lease-not-running', message: 'its lease is over', rule: 'engine' }] };
  expect(compareDecision(denied, policy)).toBeNull();
  expect(compareDecision({ ...denied, obligations: { ...denied.obligations, maxLeaseSeconds: 60 } }, policy)).not.toBeNull();
  expect(compareDecision(rest, policy)).not.toBeNull();
});

test('what the engine denied once a floor had policy’s word enforced replays as what policy said', () => {
  const approvers = { anyOf: ['person:olga'] };
  const policy = { ...answerOf('allow'), observed: { scope: 'prod-trial', owner: 'person:olga', until: `${day(30)}T00:00:00.000Z`, effect: 'needsApproval' as const, reasons: answerOf('needsApproval').reasons, approvers } };
  const { observed: _, ...rest } = policy;
  const denied = { ...rest, effect: 'deny' as const, obligations: { ...rest.obligations, approvers }, reasons: [{ code: 'glass-void', message: 'who broke the glass is disabled', rule: 'engine' }] };
  expect(compareDecision(denied, policy)).toBeNull();
  expect(compareDecision({ ...denied, obligations: { ...denied.obligations, approvers: { anyOf: ['person:vera'] } } }, policy)).not.toBeNull();
});

test('where a floor counts no standing approval any more, policy’s word without them replays, and nothing that lets more count', () => {
  const policy = { ...answerOf('needsApproval', { anyOf: ['person:olga'] }) };
  const lets = { ...policy, obligations: { ...policy.obligations, standingApproval: { maxLeaseSeconds: 900 } } };
  expect(compareDecision(policy, lets)).toBeNull();
  expect(compareDecision(lets, policy)).not.toBeNull();
  expect(compareDecision({ ...policy, effect: 'deny', reasons: [{ code: 'below-floor', message: 'too long', rule: 'engine' }] }, lets)).toBeNull();
  expect(compareDecision({ ...policy, effect: 'allow' }, lets)).not.toBeNull();
});
