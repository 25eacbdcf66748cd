/** Facts, policy and floors may ask for more than a record has room for: that is answered once, on record, and nothing is tried again and again for it. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { shownState } from '../../src/change/state.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { Facts } from '../../src/facts/facts.ts';
import type { Pdp } from '../../src/pdp/engine.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, PROVISION, scriptedPdp, usualPolicy, type TestOptions, type TestSidecar } from '../support/sidecar.ts';

const [CALLER, OTHER, WEI] = [GRANT.subject, PROVISION.subject, 'person:wei'];
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

const RETRY = { retryMs: { first: 20, longest: 200 } };
const longId = (n: number): string => `person:${String(n).padStart(64, 'x')}`;
const people = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => longId(from + n));
/** As many people with as many ids each as a floor, or a part of an expression, may name. */
const EVERYBODY: Decision['obligations']['approvers'] = { atLeast: 2, of: Array.from({ length: 64 }, (_, n) => ({ anyOf: people(n * 64, 64) })) };
const ofCaller = (decide: (input: ChangeInput) => Decision) => (input: ChangeInput): Decision => (input.change.subject === CALLER ? decide(input) : usualPolicy(input));
const floorOf = (quorum: number): TestOptions['trusts'] => (trust) => void Object.assign(trust, {
  requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 0, proofClass: 'session', approvers: null, maxLeaseSeconds: null }, { connector: '*', target: '*', privilege: 'role:deploy', quorum, proofClass: 'session', approvers: null, maxLeaseSeconds: null }] },
});
const open = async (options: TestOptions): Promise<void> => void (sidecar = await openTestSidecar({ limits: RETRY, trusts: floorOf(0)!, ...options }));
const comesTo = (id: string, name: string): Promise<void> => vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe(name), { timeout: 10_000, interval: 10 });
const failures = (): number => sidecar.logged.filter(({ message }) => message === 'work failed and will be tried again').length;
const reasonsOf = ({ decision }: ChangeView): unknown => decision?.reasons;

/** Somebody else's change goes on, and all that is on record holds. */
async function othersGoOn(): Promise<void> {
  const { id } = await sidecar.change(OTHER, PROVISION);
  await comesTo(id, 'active');
  await sidecar.log.sync();
  const { verdicts, workflow } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
  expect(workflow?.violations).toEqual([]);
  expect(verdicts.find(({ name }) => name === 'WORKFLOW')?.status).toBe('holds');
}

describe('a change is denied, once, and told why,', () => {
  it('where policy asks more people than a record can name', async () => {
    await open({ decide: ofCaller(() => answerOf('needsApproval', EVERYBODY)) });
    const change = await sidecar.change(CALLER, GRANT);
    expect(change.state).toBe('denied');
    expect(reasonsOf(change)).toEqual([{ code: 'result-too-large', message: expect.stringMatching(/^who must approve takes \d+ bytes of a record, which has room for 20000: fewer people/) as string, rule: 'engine' }]);
    expect(failures()).toBe(0);
    await othersGoOn();
  });

  it('where the floor does, of facts that give each of many people many ids', async () => {
    const ids = people(0, 256);
    const asked = people(1_000, 48);
    const linked = (all: readonly string[], n: number): string[] => all.slice(n - (n % 16), n - (n % 16) + 16).filter((_, other) => other !== n % 16);
    const listed = (all: readonly string[]): Facts['directory']['people'] => all.map((id, n) => ({ id, name: id, active: true, roles: [], linked: linked(all, n) }) as unknown as Facts['directory']['people'][number]);
    const crowded = (facts: Facts): Facts => ({
      ...facts,
      directory: { ...facts.directory, teams: [...facts.directory.teams.filter(({ id }) => id !== 'security'), { id: 'security', members: ids }], people: [...facts.directory.people, ...listed(ids), ...listed(asked)] },
    });
    await open({ facts: crowded, decide: ofCaller(() => answerOf('needsApproval', { anyOf: asked })), trusts: floorOf(16)! });
    const change = await sidecar.change(CALLER, GRANT);
    expect(change.state).toBe('denied');
    expect(reasonsOf(change)).toMatchObject([{ code: 'result-too-large', rule: 'engine' }]);
    expect(failures()).toBe(0);
    await othersGoOn();
  });

  it('where revision after revision asks for others, until there is no room for all of them', async () => {
    let from = 0;
    await open({ decide: ofCaller(() => answerOf('needsApproval', { anyOf: people(from, 64) })) });
    const { id } = await sidecar.change(CALLER, GRANT);
    for (let n = 0; n < 8 && sidecar.engine.get(id)?.name === 'pending'; n += 1) {
      from += 64;
      await sidecar.engine.revise(CALLER, id, { ...GRANT, reason: `attempt ${n}` });
      await vi.waitFor(() => expect(sidecar.engine.get(id)?.name).not.toBe('requested'), { timeout: 10_000, interval: 10 });
    }
    expect(sidecar.engine.get(id)).toMatchObject({ name: 'denied', decision: { reasons: [{ code: 'result-too-large' }] } });
    expect(failures()).toBe(0);
    await othersGoOn();
  });

  it('where more consumers are to be told of its window than a plan can name', async () => {
    const named = (name: string): string[] => Array.from({ length: 256 }, (_, n) => `${name}-${n}`);
    const pdp: Pdp = { ...scriptedPdp(ofCaller(() => answerOf('allow'))), schedule: async () => ({ window: { calendar: 'nightly', opensAtMs: Date.now() - 60_000, closesAtMs: Date.now() + 3_600_000 }, reasons: answerOf('allow').reasons }) };
    const calendar = { v: 1, windows: [{ id: 'nightly', timeZone: 'Europe/Berlin', cron: '0 2 * * *', duration: 'PT1H', consumers: named('of-the-window') }], freezes: [] } as unknown as Facts['calendar'];
    await open({ pdp, facts: (facts) => ({ ...facts, calendar, inventory: new Map([...facts.inventory].map(([id, nhi]) => [id, id === CALLER ? { ...nhi, consumers: named('of-the-identity') } : nhi])) }) });
    const change = await sidecar.change(CALLER, GRANT);
    expect(change.state).toBe('denied');
    expect(reasonsOf(change)).toMatchObject([{ code: 'result-too-large', message: expect.stringContaining('512 consumers') as string }]);
    expect(failures()).toBe(0);
  });
});

it('what people have approved is held before its dispatch, with the reason told, and goes on once there is room', async () => {
  let isLarge = true;
  let asked = 0;
  await open({
    decide: ofCaller(({ phase }) => {
      if (phase === 'request') return answerOf('needsApproval', WEI);
      asked += 1;
      return isLarge ? answerOf('needsApproval', EVERYBODY) : answerOf('needsApproval', WEI);
    }),
  });
  const { id, planDigest, links } = await sidecar.change(CALLER, GRANT);
  expect((await sidecar.send(WEI, 'POST', links.approvals, { verdict: 'approve', planDigest })).status).toBe(200);
  await vi.waitFor(() => expect(failures()).toBeGreaterThan(3), { timeout: 10_000, interval: 10 });
  const held = sidecar.engine.get(id)!;
  expect([held.name, shownState(held)]).toEqual(['scheduled', 'stuck']);
  const told = (await sidecar.send(CALLER, 'GET', links.self)).body as ChangeView;
  expect(told.findings).toMatchObject([{ code: 'policy-fault', message: expect.stringContaining('who must approve takes') as string }]);
  // As often as it failed, and no oftener: later each time.
  expect(asked).toBeLessThanOrEqual(failures() + 2);
  const { size } = sidecar.log;
  await vi.waitFor(() => expect(failures()).toBeGreaterThan(5), { timeout: 10_000, interval: 10 });
  expect(sidecar.log.size).toBe(size);
  isLarge = false;
  await comesTo(id, 'active');
  expect(sidecar.engine.get(id)!.findings.size).toBe(0);
  await othersGoOn();
});

it('what was done is judged anew where the answer was too large for its record', async () => {
  let isLarge = true;
  const pdp: Pdp = {
    ...scriptedPdp(usualPolicy), verify: async () => ({ effect: 'allow', reasons: isLarge ? Array.from({ length: 64 }, () => ({ code: 'as-read', message: '€'.repeat(500), rule: 'access.verify' })) : answerOf('allow').reasons, controls: [] }),
  };
  await open({ pdp });
  const { id } = (await sidecar.send(OTHER, 'POST', '/v1/changes', PROVISION)).body as ChangeView;
  await vi.waitFor(() => expect(sidecar.logged.some(({ fields: { error } }) => String(error).startsWith('policy’s answer takes'))).toBe(true), { timeout: 10_000, interval: 10 });
  expect(sidecar.engine.get(id)?.name).toBe('verifying');
  isLarge = false;
  await comesTo(id, 'active');
});
