/** Standing approvals over HTTP: given, used by what comes, counted, revoked; and that whoever holds the ledger alone can verify all of it. */
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalBytes, nodeDisk } from '../../ledger/index.ts';
import { admit } from '../../src/executor/admission.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { EngineFault } from '../../src/pdp/fault.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { passkeysFileSchema, passkeysOf, type Passkeys } from '../../src/protocol/passkeys.ts';
import { STANDING_NAMESPACE, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import type { Floor } from '../../src/protocol/trust.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { WorkerKnows } from '../../src/protocol/worker-knows.ts';
import { heardTurnedAway, rememberTurnedAway } from '../../src/engine/turned-away.ts';
import { TransportError, type Clock } from '../../src/engine/ports.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { standingApprovalListSchema, type ChangeView, type StandingApprovalList, type StandingApprovalView } from '../../src/sidecar/schemas.ts';
import { movedClock } from '../support/moved-clock.ts';
import { testPasskey, type AssertionEdit } from '../support/passkey.ts';
import { answerOf, EXECUTOR, GRANT, openTestSidecar, problemIn, scriptedPdp, type Answered, type TestOptions, type TestSidecar } from '../support/sidecar.ts';
import { ASKS_NOTHING } from '../support/scripted-executor.ts';
import { testSshKey, type TestSshKey } from '../support/ssh.ts';

const CALLER = 'nhi:prod/ci-deployer';
const ANAS = 'person:ana';
const [ana, wei, stranger] = [testSshKey(), testSshKey(), testSshKey()];
const SALT = Buffer.alloc(16, 3).toString('base64url');
const WHY = 'each release is granted the same';
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

interface Setting {
  readonly lets?: Decision['obligations']['standingApproval'] | null;
  readonly approvers?: Decision['obligations']['approvers'];
  readonly standing?: boolean;
  readonly quorum?: number;
  readonly floor?: Partial<Floor>;
  readonly passkeys?: Passkeys;
  readonly rejections?: number;
  readonly notBefore?: string;
  readonly options?: TestOptions;
}

async function open({ lets = { maxLeaseSeconds: 3_600 }, approvers = { anyOf: ['person:wei', ANAS] }, standing = true, quorum = 1, floor = {}, passkeys = new Map(), rejections, notBefore, options = {} }: Setting = {}): Promise<void> {
  const asks = answerOf('needsApproval', approvers);
  sidecar = await openTestSidecar({
    decide: () => ({ ...asks, obligations: { ...asks.obligations, ...(lets === null ? {} : { standingApproval: lets }), ...(notBefore === undefined ? {} : { notBefore }), ...(rejections === undefined ? {} : { rejections }) } }),
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${ANAS} ${ana.publicLine}\nperson:wei ${wei.publicLine}`),
      passkeys,
      requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum, proofClass: 'session', approvers: null, maxLeaseSeconds: null, standing, ...floor }] },
    } satisfies Partial<Trust>),
    ...options,
  });
}

interface Giving {
  readonly by?: string;
  readonly key?: TestSshKey;
  readonly edit?: Partial<StandingStatement>;
  readonly body?: object;
}
const template = (by: string, edit: Partial<StandingStatement> = {}): StandingStatement => ({
  v: 1, log: sidecar.log.logId, approver: by, subject: CALLER, kinds: ['grant'], connector: 'pg-main', target: 'app', accounts: ['ci_deployer'], privileges: ['role:deploy'], recipients: [],
  maxLeaseSeconds: 900, uses: 3, notBefore: formatTime(Date.now()), expiresAt: formatTime(Date.now() + 3_600_000), reason: commitmentTo({ name: 'reason', salt: SALT, value: WHY }), ...edit,
});
function giving(statement: StandingStatement, key: TestSshKey, body: object = {}): object {
  return { statement, reason: WHY, salt: SALT, signature: writeArmour(key.sign(canonicalBytes(statement), { namespace: STANDING_NAMESPACE })), ...body };
}
const give = ({ by = ANAS, key = ana, edit, body }: Giving = {}): Promise<Answered> => sidecar.send(by, 'POST', '/v1/standing-approvals', giving(template(by, edit), key, body));
const given = async (one: Giving = {}): Promise<StandingApprovalView> => {
  const { status, body } = await give(one);
  expect(status).toBe(201);
  return body as StandingApprovalView;
};
const ask = (change = GRANT): Promise<ChangeView> => sidecar.change(CALLER, change);
const show = async (id: string, by = CALLER): Promise<ChangeView> => (await sidecar.send(by, 'GET', `/v1/changes/${id}`)).body as ChangeView;
const usesOf = async (approvalId: string): Promise<number | undefined> => ((await sidecar.send(ANAS, 'GET', '/v1/standing-approvals')).body as StandingApprovalList).standingApprovals.find((one) => one.approvalId === approvalId)?.used;
const verdict = async (): Promise<string> => {
  await sidecar.log.sync();
  const { workflow } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
  return (workflow?.violations ?? []).map(({ code, message }) => `${code}: ${message}`).join('; ');
};

describe('somebody who has rejected a change', () => {
  const REVISED = { ...GRANT, reason: 'asked for again' };
  const decide = (id: string, by: string, verdict: string, planDigest: string | null): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { verdict, planDigest, comment: 'as it is' });
  const revised = async (id: string): Promise<ChangeView> => {
    expect((await sidecar.send(CALLER, 'POST', `/v1/changes/${id}/revisions`, REVISED)).status).toBeLessThan(300);
    await expect.poll(async () => { const { revision, state } = await show(id); return [revision, state]; }, { timeout: 10_000 }).toEqual([2, 'pending']);
    return show(id);
  };

  it('approves another revision of it herself, and by no template that she gave before or gives afterwards', async () => {
    await open({ approvers: { atLeast: 2, of: [ANAS, 'person:wei', 'person:olga'] }, rejections: 2 });
    const { id, planDigest } = await ask();
    expect((await decide(id, ANAS, 'reject', planDigest)).body).toMatchObject({ state: 'pending' });
    await given();
    const again = await revised(id);
    // Wei's, which is used, comes after hers, which was looked at first.
    await given({ by: 'person:wei', key: wei });
    await expect.poll(async () => (await show(id)).approvals.map(({ approver }) => approver), { timeout: 10_000 }).toEqual(['person:wei']);
    expect((await decide(id, ANAS, 'approve', again.planDigest)).body).toMatchObject({ state: 'scheduled' });
    expect(await verdict()).toBe('');
  });

  it('nor does the template of another of her ids, and she rejects it once', async () => {
    const facts: TestOptions['facts'] = (usual) => ({ ...usual, directory: { ...usual.directory, people: usual.directory.people.map((person) => (person.id === 'person:wei' ? { ...person, linked: [ANAS] } : person)) } });
    await open({ approvers: { atLeast: 1, of: [ANAS, 'person:wei', 'person:olga'] }, rejections: 2, options: { facts } });
    const { id, planDigest } = await ask();
    expect((await decide(id, 'person:wei', 'reject', planDigest)).body).toMatchObject({ state: 'pending' });
    expect((await decide(id, ANAS, 'reject', planDigest)).body).toMatchObject({ state: 'pending' });
    await given();
    const again = await revised(id);
    await given({ edit: { uses: 4 } });
    expect((await decide(id, 'person:olga', 'approve', again.planDigest)).body).toMatchObject({ state: 'scheduled' });
    expect((await show(id)).approvals.map(({ approver }) => approver)).toEqual(['person:olga']);
    expect(await verdict()).toBe('');
  });
});

it('the list is told in pages, either way around, narrowed by words and by what is still in force', async () => {
  await open();
  const [first, over, last] = [await given({ edit: { uses: 1 } }), await given({ edit: { uses: 2 } }), await given({ by: 'person:wei', key: wei, edit: { privileges: ['role:other'] } })];
  await sidecar.send(ANAS, 'POST', `/v1/standing-approvals/${over.approvalId}/revoke`, { reason: 'one is enough' });
  const listed = async (query: string): Promise<StandingApprovalList> => standingApprovalListSchema.parse((await sidecar.send('person:kim', 'GET', `/v1/standing-approvals?${query}`)).body);
  const ids = async (query: string): Promise<string[]> => (await listed(query)).standingApprovals.map(({ approvalId }) => approvalId);
  const keys = (all: readonly StandingApprovalView[]): string[] => all.map(({ at, approvalId }) => `${at} ${approvalId}`);
  const whole = await listed('');
  expect([keys(whole.standingApprovals), whole.next, whole.count, whole.all]).toEqual([keys([first, over, last]).sort(), null, 3, 3]);
  for (const [order, expected] of [['', keys(whole.standingApprovals)], ['&order=newest', keys(whole.standingApprovals).reverse()]] as const) {
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: StandingApprovalList = await listed(`limit=1${order}${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
      found.push(...keys(page.standingApprovals));
      cursor = page.next ?? null;
    }
    expect(found).toEqual(expected);
  }
  expect(await ids('state=over')).toEqual([over.approvalId]);
  expect((await ids('state=inForce')).sort()).toEqual([first.approvalId, last.approvalId].sort());
  expect(await listed('q=OTHER%20wei&limit=1')).toMatchObject({ standingApprovals: [{ approvalId: last.approvalId }], next: null, count: 1, all: 3 });
  for (const query of ['state=all', 'limit=0', 'order=oldest']) expect(problemIn(await sidecar.send(ANAS, 'GET', `/v1/standing-approvals?${query}`)).code).toBe('malformed-query');
});

it.each<[string, readonly WorkerKnows[]]>([
  ['has said nothing, as one of before', []],
  ['knows other proofs alone', [{ ...ASKS_NOTHING, proofs: ['telepathy'] }]],
  ['is one of two, of which one does not know them', [ASKS_NOTHING, { ...ASKS_NOTHING, run: '1'.repeat(16), proofs: [] }]],
  ['counts none by its floor', [{ ...ASKS_NOTHING, floors: [] }]],
  ['counts hers by none', [{ ...ASKS_NOTHING, floors: [{ ...ASKS_NOTHING.floors[0]!, quorum: 1, standing: true, approvers: ['person:wei'] }] }]],
  ['counts a passkey’s alone', [{ ...ASKS_NOTHING, floors: [{ ...ASKS_NOTHING.floors[0]!, quorum: 1, standing: true, proofClass: 'passkey' }] }]],
])('where a worker %s, people are asked and no change is lost, until it says otherwise', async (_what, known) => {
  await open();
  const { executor } = sidecar;
  executor.known = known;
  const approval = await given();
  const change = await ask();
  expect([change.state, change.turns?.now]).toEqual(['pending', expect.arrayContaining([ANAS])]);
  expect(await usesOf(approval.approvalId)).toBe(0);
  executor.sayKnows({ ...ASKS_NOTHING, run: '2'.repeat(16), floors: [{ ...ASKS_NOTHING.floors[0]!, quorum: 1, standing: true, proofClass: 'ssh', approvers: [ANAS] }] });
  await expect.poll(async () => (await show(change.id)).approvals.map(({ approver }) => approver), { timeout: 10_000 }).toEqual([ANAS]);
});

it('one that an executor turned away, though it knows such, is used there no more, also over a connection that is new, until another worker is there: people are asked, and what was turned away ends', async () => {
  const clock = movedClock();
  await open({ options: { clock } });
  const approval = await given();
  const { executor } = sidecar;
  const { publishStep } = executor;
  let turnedAway = 0;
  // As one does whose folder lacks her key.
  executor.publishStep = async (audience, envelope, trace) => {
    if (envelope.approvals.some(({ use }) => use !== undefined)) {
      turnedAway += 1;
      throw new TransportError('rejected', `${audience}: approval-invalid: a key that is not among the allowed signers`);
    }
    return publishStep(audience, envelope, trace);
  };
  executor.sayKnows({ ...ASKS_NOTHING, run: '1'.repeat(16) });
  const first = await ask();
  await expect.poll(() => turnedAway, { timeout: 10_000 }).toBeGreaterThan(0);
  executor.connect();
  executor.sayKnows({ ...ASKS_NOTHING, run: '1'.repeat(16) });
  expect((await ask({ ...GRANT, reason: 'the next' })).state).toBe('pending');
  expect(await usesOf(approval.approvalId)).toBe(1);
  clock.move(301_000);
  await expect.poll(async () => (await show(first.id)).state, { timeout: 10_000 }).toBe('failed');
  expect((await sidecar.send(CALLER, 'GET', `/v1/changes/${first.id}/evidence`)).text).toContain(`"uncounted":["${approval.approvalId}"]`);
  executor.publishStep = publishStep;
  executor.sayKnows({ ...ASKS_NOTHING, run: '2'.repeat(16) });
  const last = await ask({ ...GRANT, reason: 'once it is newer' });
  expect((await show(last.id)).approvals).toMatchObject([{ approver: ANAS }]);
  await expect.poll(verdict, { timeout: 10_000 }).toBe('');
});

it('what an executor of before is remembered to have said of its ticket says nothing of the one that is there now', async () => {
  await open();
  await given();
  const { executor } = sidecar;
  const { publishStep } = executor;
  const turnedAway: string[] = [];
  let first: string | null = null;
  executor.publishStep = async (audience, envelope, trace) => {
    const { plan, approvals } = envelope;
    if (plan === null || !approvals.some(({ use }) => use !== undefined) || plan.changeId !== (first ??= plan.changeId)) return publishStep(audience, envelope, trace);
    turnedAway.push(plan.changeId);
    throw new TransportError('rejected', `${audience}: approval-invalid: a key that is not among the allowed signers`);
  };
  await ask();
  await expect.poll(() => turnedAway.length, { timeout: 10_000 }).toBeGreaterThan(0);
  executor.sayKnows({ ...ASKS_NOTHING, run: '1'.repeat(16) });
  executor.connect();
  const before = turnedAway.length;
  await expect.poll(() => turnedAway.length, { timeout: 10_000 }).toBeGreaterThan(before);
  const next = await ask({ ...GRANT, reason: 'the next' });
  expect((await show(next.id)).approvals).toMatchObject([{ approver: ANAS }]);
});

it.each<[string, string, number | undefined, boolean]>([
  ['what it cannot read', `${EXECUTOR}: malformed: /approvals/0`, 1, true],
  ['by its report, what its floor counts none for', 'below-floor', 1, true],
  ['what nobody approved beforehand', 'below-floor', undefined, false],
  ['anything while its lease book cannot be written', `${EXECUTOR}: the lease book cannot be written`, 1, false],
  ['what drifted', 'drifted', 1, false],
])('an executor that turns away %s is believed not to take this standing approval only where that may be why', (_what, why, use, isHeard) => {
  const turnedAway = rememberTurnedAway(() => 9);
  heardTurnedAway({ turnedAway, logger: { warn: () => undefined } as never }, EXECUTOR, { changeId: '', approvals: [{ approval: { approvalId: 'apr_1', ...(use === undefined ? {} : { use }) } }] as never }, 8, why);
  expect([turnedAway.has(EXECUTOR, 'apr_1'), turnedAway.has(EXECUTOR, 'apr_2'), turnedAway.has('executor:other', 'apr_1')]).toEqual([isHeard, false, false]);
});

it('one person has room for a hundred standing approvals, and takes none from the others', async () => {
  await open();
  for (let n = 0; n < 100; n += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => given({ edit: { uses: n + i + 1 } })));
  expect(problemIn(await give({ edit: { uses: 900 } }))).toMatchObject({ code: 'standing-refused', detail: '100 standing approvals of person:ana are in force: revoke some' });
  await given({ by: 'person:wei', key: wei });
});

it('one of which policy has not said whether it is accepted has its try again, by itself', async () => {
  const asks = answerOf('needsApproval', { anyOf: ['person:wei', ANAS] });
  const pdp = scriptedPdp(() => ({ ...asks, obligations: { ...asks.obligations, standingApproval: { maxLeaseSeconds: 3_600 } } }));
  let faults = 0;
  await open({
    options: {
      limits: { retryMs: { first: 50, longest: 200 } },
      pdp: { ...pdp, accept: (input) => ((faults += 1) <= 3 ? Promise.reject(new EngineFault('undefined-result', 'as the test says')) : pdp.accept(input)) },
    },
  });
  await given();
  const { id } = await ask();
  await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
  expect(faults).toBe(4);
});

it('whoever tells people is told once it has had its try', async () => {
  const told: (string | undefined)[] = [];
  await open({ options: { onEvents: (state, events) => void (events.some(({ type }) => type === 'policy.decided') && sidecar.engine.standingTried(state.changeId).then((now) => told.push(now?.name))) } });
  await ask();
  await expect.poll(() => told, { timeout: 10_000 }).toEqual(['pending']);
  await given();
  await ask({ ...GRANT, reason: 'another' });
  await expect.poll(() => told.length, { timeout: 10_000 }).toBeGreaterThan(1);
  expect(told[1]).not.toBe('pending');
});

describe('what is within a standing approval', () => {
  it('is approved by it when it comes, with the proof that an executor takes and in words that a person reads', async () => {
    await open();
    const one = await given();
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).approvals, { timeout: 10_000 }).toEqual([expect.objectContaining({ approvalId: one.approvalId, approver: ANAS, proofClass: 'ssh', standing: { use: 1, uses: 3, expiresAt: one.statement.expiresAt } })]);
    await expect.poll(() => sidecar.executor.steps.some(({ plan }) => plan !== null), { timeout: 10_000 }).toBe(true);
    const envelope = sidecar.executor.steps.find(({ plan }) => plan !== null)!;
    const taken = (trust: Trust): object => admit(envelope, { trust, executorId: EXECUTOR, nowMs: Date.now(), connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
    expect(taken(sidecar.trust)).toMatchObject({ ok: true, kind: 'act' });
    expect(taken({ ...sidecar.trust, requirements: { ...sidecar.trust.requirements, floors: [] } })).toMatchObject({ ok: false, code: 'below-floor' });
    const { text } = await sidecar.send(CALLER, 'GET', `/v1/changes/${id}/evidence`);
    expect(text).toContain('"approval.judged"');
    expect(await verdict()).toBe('');
  });

  it('is approved so often as it says, whoever asks at once: fifty changes, ten uses', async () => {
    await open();
    const { approvalId } = await given({ edit: { uses: 10 } });
    const asked = await Promise.all(Array.from({ length: 50 }, (_, n) => sidecar.send(CALLER, 'POST', '/v1/changes', { ...GRANT, reason: `release ${n}` })));
    const ids = asked.map(({ body }) => (body as ChangeView).id);
    await expect.poll(async () => (await Promise.all(ids.map((id) => show(id)))).filter(({ state }) => state === 'requested').length, { timeout: 30_000 }).toBe(0);
    await expect.poll(() => usesOf(approvalId), { timeout: 30_000 }).toBe(10);
    const shown = await Promise.all(ids.map((id) => show(id)));
    const uses = shown.flatMap(({ approvals }) => approvals.map(({ standing }) => standing?.use ?? 0)).sort((a, b) => a - b);
    expect(uses).toEqual(Array.from({ length: 10 }, (_, n) => n + 1));
    expect(shown.filter(({ state }) => state === 'pending')).toHaveLength(40);
    expect(await verdict()).toBe('');
  }, 60_000);

  it('and waits already is approved when it is given; the same again is the same', async () => {
    await open();
    const { id } = await ask();
    const statement = template(ANAS);
    const first = await sidecar.send(ANAS, 'POST', '/v1/standing-approvals', giving(statement, ana));
    const again = await sidecar.send(ANAS, 'POST', '/v1/standing-approvals', giving(statement, ana));
    expect([first.status, again.status]).toEqual([201, 201]);
    expect((again.body as StandingApprovalView).approvalId).toBe((first.body as StandingApprovalView).approvalId);
    await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
  });

  it('and waits already is approved once it begins', async () => {
    await open();
    const { id } = await ask();
    await given({ edit: { notBefore: formatTime(Date.now() + 1_500) } });
    expect((await show(id)).approvals).toEqual([]);
    await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
    expect(await verdict()).toBe('');
  });

  it('counts its person once: two of hers are one approval, and two people are two', async () => {
    await open({ approvers: { allOf: ['person:wei', ANAS] }, quorum: 2 });
    await given();
    await given({ edit: { uses: 2 } });
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
    expect((await show(id)).state).toBe('pending');
    await given({ by: 'person:wei', key: wei });
    await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).not.toBe('pending');
    expect(await verdict()).toBe('');
  });
});

describe('nothing is approved by it, and the change waits for people,', () => {
  const quiet = async (change = GRANT): Promise<void> => {
    const asked = await ask(change);
    // Whatever would be done is done by the time that another change has gone the same way.
    const other = await ask({ ...GRANT, reason: 'another' });
    for (const { id } of [asked, other]) expect(await show(id)).toMatchObject({ state: 'pending', approvals: [] });
  };
  it.each<[string, Setting, Giving]>([
    ['where policy lets none count', { lets: null }, {}],
    ['where policy lets it for less', { lets: { maxLeaseSeconds: 899 } }, {}],
    ['where the floor counts none', { standing: false }, {}],
    ['where the floor asks for a passkey', { floor: { proofClass: 'passkey' } }, {}],
    ['where the floor counts others', { floor: { approvers: ['person:wei'] } }, {}],
    ['of somebody who is not asked', { approvers: 'person:wei' }, {}],
    ['for another identity', {}, { edit: { subject: 'nhi:prod/billing-export' } }],
    ['of another kind', {}, { edit: { kinds: ['extend'] } }],
    ['at another target', {}, { edit: { target: 'other' } }],
    ['at another account', {}, { edit: { accounts: ['other'] } }],
    ['with less', {}, { edit: { privileges: ['role:read'] } }],
    ['for a second less', {}, { edit: { maxLeaseSeconds: 899 } }],
    ['before it begins', {}, { edit: { notBefore: formatTime(Date.now() + 600_000) } }],
  ])('%s', async (_what, setting, one) => {
    await open(setting);
    await given(one);
    await quiet();
  });
  it('of an emergency', async () => {
    await open();
    await given();
    const { id } = await ask({ ...GRANT, urgency: 'emergency' });
    await ask();
    expect(await show(id)).toMatchObject({ state: 'pending', approvals: [] });
  });
  it('of somebody who is disabled by then, or whose key is trusted no more', async () => {
    await open();
    await given();
    const { directory } = sidecar.facts;
    sidecar.load({ ...sidecar.facts, directory: { ...directory, people: directory.people.map((person) => (person.id === ANAS ? { ...person, active: false } : person)) } });
    await quiet();
    sidecar.load({ ...sidecar.facts, directory });
    Object.assign(sidecar.trust, { signers: new Map() });
    await quiet();
  });
});

describe('it is not given, and nothing is recorded,', () => {
  it.each<[string, Giving, string, RegExp]>([
    ['in another’s name', { edit: { approver: 'person:wei' } }, 'standing-refused', /gives no standing approval of person:wei/],
    ['for another log', { edit: { log: '0123456789abcdef' } }, 'standing-refused', /is for log/],
    ['for longer than 30 days from now', { edit: { notBefore: formatTime(Date.now() + 86_400_000), expiresAt: formatTime(Date.now() + 31 * 86_400_000) } }, 'standing-refused', /between now and/],
    ['that is over', { edit: { notBefore: '2020-01-01T00:00:00.000Z', expiresAt: '2020-01-02T00:00:00.000Z' } }, 'standing-refused', /between now and/],
    ['that would give what stands', { edit: { maxLeaseSeconds: null } }, 'proof-invalid', /longest lease/],
    ['that lists something twice', { edit: { privileges: ['role:deploy', 'role:deploy'] } }, 'proof-invalid', /twice/],
    ['for another reason than was signed', { body: { reason: 'another' } }, 'standing-refused', /what was signed/],
    ['with a key of nobody', { key: stranger }, 'proof-invalid', /allowed signers/],
    ['with the key of somebody else', { key: wei }, 'proof-invalid', /a key of person:wei/],
  ])('%s', async (_what, one, code, detail) => {
    await open();
    const before = sidecar.log.size;
    expect(problemIn(await give(one))).toMatchObject({ code, detail: expect.stringMatching(detail) as string });
    expect(sidecar.log.size).toBe(before);
  });
  it('by a machine identity', async () => {
    await open();
    expect(problemIn(await sidecar.send('nhi:prod/billing-export', 'POST', '/v1/standing-approvals', giving(template(ANAS), ana)))).toMatchObject({ code: 'nhi-cannot-approve' });
  });
});

describe('once it is revoked', () => {
  const revoke = (approvalId: string, by: string): Promise<Answered> => sidecar.send(by, 'POST', `/v1/standing-approvals/${approvalId}/revoke`, { reason: 'no longer needed' });
  const HELD = formatTime(Date.now() + 3_600_000);

  it.each([['who gave it', ANAS, 'rejected'], ['security', 'person:olga', 'withdrawn']])('by %s, it approves nothing more, and what waited under it is over', async (_who, by, state) => {
    await open({ notBefore: HELD });
    const { approvalId } = await given();
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).toBe('scheduled');
    expect(await revoke(approvalId, by)).toMatchObject({ status: 200, body: { revoked: { by } } });
    expect((await show(id)).state).toBe(state);
    expect((await revoke(approvalId, by)).status).toBe(200);
    expect((await ask()).state).toBe('pending');
    expect(await verdict()).toBe('');
  });

  it.each([['who gave it', ANAS, 'rejected'], ['security', 'person:olga', 'withdrawn']])('by %s, a change of which it approved a part is over too, and asks nobody in vain', async (_who, by, state) => {
    await open({ approvers: { stages: [ANAS, 'person:wei'] } });
    const { approvalId } = await given();
    const { id, planDigest } = await ask();
    await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
    expect((await revoke(approvalId, by)).status).toBe(200);
    expect((await show(id)).state).toBe(state);
    expect(problemIn(await sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest }))).toMatchObject({ code: 'already-decided' });
    expect(await verdict()).toBe('');
  });

  it('by who gave it, where more than one must say no, the change waits for others without her', async () => {
    await open({ approvers: { atLeast: 2, of: [ANAS, 'person:wei', 'person:olga'] }, rejections: 2 });
    const { approvalId } = await given();
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
    await revoke(approvalId, ANAS);
    expect(await show(id)).toMatchObject({ state: 'pending', approvals: [{ approver: ANAS, verdict: 'reject' }] });
    expect(await verdict()).toBe('');
  });

  it('by somebody whose no was one too few before, what it approved is over all the same', async () => {
    await open({ approvers: { atLeast: 2, of: [ANAS, 'person:wei', 'person:olga'] }, rejections: 2, notBefore: HELD });
    const { id, planDigest } = await ask();
    expect(await sidecar.send('person:olga', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'reject', planDigest, comment: 'why now' })).toMatchObject({ status: 200, body: { state: 'pending' } });
    const { approvalId } = await given();
    await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(2);
    expect(await sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest })).toMatchObject({ status: 200, body: { state: 'scheduled' } });
    expect((await revoke(approvalId, 'person:olga')).status).toBe(200);
    expect((await show(id)).state).toBe('withdrawn');
    expect(await verdict()).toBe('');
  });

  it('by somebody who had said no under another id, which nobody knew to be hers, what it approved is over too', async () => {
    await open({ approvers: { atLeast: 1, of: [ANAS, 'person:wei', 'person:olga'] }, rejections: 2, notBefore: HELD });
    const { id, planDigest } = await ask();
    expect(await sidecar.send('person:olga', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'reject', planDigest, comment: 'why now' })).toMatchObject({ status: 200, body: { state: 'pending' } });
    const { directory } = sidecar.facts;
    sidecar.load({ ...sidecar.facts, directory: { ...directory, people: directory.people.map((person) => (person.id === 'person:wei' ? { ...person, linked: ['person:olga'] } : person)) } });
    const { approvalId } = await given();
    await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).toBe('scheduled');
    expect((await revoke(approvalId, 'person:wei')).status).toBe(200);
    expect((await show(id)).state).toBe('withdrawn');
    expect(await verdict()).toBe('');
  });

  it('it stays revoked: what was signed is not taken again', async () => {
    await open();
    const body = giving(template(ANAS), ana);
    const { approvalId } = (await sidecar.send(ANAS, 'POST', '/v1/standing-approvals', body)).body as StandingApprovalView;
    await revoke(approvalId, ANAS);
    expect(problemIn(await sidecar.send(ANAS, 'POST', '/v1/standing-approvals', body))).toMatchObject({ code: 'standing-refused', detail: expect.stringContaining('revoked by person:ana') as string });
  });

  it('is not for anybody to do', async () => {
    await open();
    const { approvalId } = await given();
    for (const by of ['person:mallory', CALLER]) expect([403, 404]).toContain((await revoke(approvalId, by)).status);
    expect((await revoke(`apr_${'0'.repeat(32)}`, ANAS)).status).toBe(404);
  });
});

describe.each([['the ledger', false], ['a snapshot', true]])('a start from %s', (_what, snapshots) => {
  it('knows what was given, how often it was used, and what was revoked', async () => {
    await open({ options: { snapshots } });
    const one = await given();
    const gone = await given({ edit: { uses: 2 } });
    await sidecar.send(ANAS, 'POST', `/v1/standing-approvals/${gone.approvalId}/revoke`, { reason: 'one is enough' });
    for (const use of [1, 2]) {
      await ask();
      await expect.poll(() => usesOf(one.approvalId), { timeout: 10_000 }).toBe(use);
    }
    const before = sidecar;
    await before.close('keep');
    await open({ options: { snapshots, after: before } });
    const { standingApprovals } = (await sidecar.send(ANAS, 'GET', '/v1/standing-approvals')).body as StandingApprovalList;
    expect(new Map(standingApprovals.map(({ approvalId, used, revoked }) => [approvalId, [used, revoked?.by ?? null]]))).toEqual(new Map([[one.approvalId, [2, null]], [gone.approvalId, [0, ANAS]]]));
    await ask();
    await expect.poll(() => usesOf(one.approvalId), { timeout: 10_000 }).toBe(3);
    expect((await ask()).state).toBe('pending');
    expect(await verdict()).toBe('');
  });
});

describe('who is asked', () => {
  it('may still reject what it approved, until it is dispatched', async () => {
    await open({ notBefore: formatTime(Date.now() + 3_600_000) });
    await given();
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).toBe('scheduled');
    const { planDigest } = await show(id);
    const reject = (by: string): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'reject', planDigest, comment: 'not today' });
    expect((await reject('person:mallory')).status).toBe(404);
    expect(await reject('person:wei')).toMatchObject({ status: 200, body: { state: 'rejected' } });
    expect(await verdict()).toBe('');
  });
  it('of what people approved one by one nobody rejects that any more', async () => {
    await open({ notBefore: formatTime(Date.now() + 3_600_000) });
    const { id, planDigest } = await ask();
    expect((await sidecar.send(ANAS, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest })).status).toBe(200);
    expect(problemIn(await sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'reject', planDigest, comment: 'no' }))).toMatchObject({ code: 'already-decided' });
  });
});

it('where policy lets it count no more before the dispatch, who gave it is asked again, and shown as asked', async () => {
  const asks = answerOf('needsApproval', { stages: [ANAS, 'person:wei'] });
  await open({ options: { decide: ({ phase }) => ({ ...asks, obligations: { ...asks.obligations, ...(phase === 'dispatch' ? {} : { standingApproval: { maxLeaseSeconds: 3_600 } }) } }) } });
  await given();
  const { id, planDigest } = await ask();
  await expect.poll(async () => (await show(id)).approvals.length, { timeout: 10_000 }).toBe(1);
  expect((await show(id)).turns).toEqual({ now: ['person:wei'], then: [] });
  await sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest });
  await expect.poll(async () => (await show(id)).turns, { timeout: 10_000 }).toEqual({ now: [ANAS], then: [] });
  expect((await sidecar.send(ANAS, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest })).status).toBe(200);
  expect(await verdict()).toBe('');
});

it('where the floor counts none any more before the dispatch, it waits for people, and comes up to the floor for every verifier', async () => {
  await open({ notBefore: formatTime(Date.now() + 1_500) });
  await given();
  const { id, planDigest } = await ask();
  await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).toBe('scheduled');
  const before = sidecar;
  await before.close('keep');
  await open({ standing: false, options: { after: before } });
  await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).toBe('pending');
  expect((await sidecar.send(ANAS, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest })).status).toBe(200);
  await expect.poll(() => sidecar.executor.steps.some(({ plan }) => plan !== null), { timeout: 10_000 }).toBe(true);
  expect(await verdict()).toBe('');
});

describe('where the clock was ahead, and was set back', () => {
  let aheadMs = 0;
  const clock: Clock = { ...systemClock, nowMs: () => Date.now() + aheadMs };

  it('none is given that is over by the time of the records', async () => {
    aheadMs = 7_200_000;
    await open({ options: { clock } });
    await ask();
    aheadMs = 0;
    expect(problemIn(await give())).toMatchObject({ code: 'standing-refused' });
    expect(await verdict()).toBe('');
  });

  it('what one approved is over all the same once it is revoked', async () => {
    aheadMs = 0;
    await open({ notBefore: formatTime(Date.now() + 3_600_000), options: { clock, limits: { approvalSeconds: 600 } } });
    const { approvalId } = await given();
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).state, { timeout: 10_000 }).toBe('scheduled');
    aheadMs = 1_800_000;
    await ask({ ...GRANT, reason: 'another' });
    aheadMs = 0;
    expect((await sidecar.send(ANAS, 'POST', `/v1/standing-approvals/${approvalId}/revoke`, { reason: 'no longer needed' })).status).toBe(200);
    expect((await show(id)).state).toBe('rejected');
    expect(await verdict()).toBe('');
  });
});

describe('a standing approval by a passkey', () => {
  const passkey = testPasskey();
  const options = { floor: { proofClass: 'passkey' as const }, passkeys: passkeysOf(passkeysFileSchema.parse([passkey.entry(ANAS)])) };
  const giveBy = (edit: AssertionEdit = {}, { by = ANAS, said = {}, body = {} }: { readonly by?: string; readonly said?: object; readonly body?: object } = {}): Promise<Answered> => {
    const statement = template(by);
    return sidecar.send(by, 'POST', '/v1/standing-approvals', { statement, reason: WHY, salt: SALT, passkey: passkey.answer({ ...statement, ...said }, edit), ...body });
  };

  it('approves where a passkey is asked for, as executors and verifiers take it; her SSH key does not', async () => {
    await open(options);
    expect((await sidecar.send(ANAS, 'GET', '/v1/standing-approvals')).body).toMatchObject({ principal: ANAS, passkeys: [{ credentialId: passkey.credentialId }] });
    const bySsh = await given();
    const one = await giveBy({}, { body: { reason: WHY } });
    expect(one).toMatchObject({ status: 201, body: { proofClass: 'passkey' } });
    const { approvalId } = one.body as StandingApprovalView;
    const { id } = await ask();
    await expect.poll(async () => (await show(id)).approvals, { timeout: 10_000 }).toEqual([expect.objectContaining({ approvalId, proofClass: 'passkey', standing: expect.objectContaining({ use: 1 }) as object })]);
    expect(await usesOf(bySsh.approvalId)).toBe(0);
    await expect.poll(() => sidecar.executor.steps.some(({ plan }) => plan !== null), { timeout: 10_000 }).toBe(true);
    const envelope = sidecar.executor.steps.find(({ plan }) => plan !== null)!;
    const taken = (trust: Trust): object => admit(envelope, { trust, executorId: EXECUTOR, nowMs: Date.now(), connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
    expect(taken(sidecar.trust)).toMatchObject({ ok: true, kind: 'act' });
    expect(taken({ ...sidecar.trust, passkeys: new Map() })).toMatchObject({ ok: false, code: 'approval-invalid' });
    expect(await verdict()).toBe('');
  });

  it('is none, and on no record, where she did not answer for this very template, or was not verified', async () => {
    await open(options);
    const size = sidecar.log.size;
    const refused = async (one: Promise<Answered>, code: string): Promise<void> => expect(problemIn(await one)).toMatchObject({ code });
    await refused(giveBy({}, { said: { uses: 2 } }), 'proof-invalid');
    await refused(giveBy({ flags: 0x01 }), 'proof-invalid');
    await refused(giveBy({ rpId: 'elsewhere.example.org' }), 'proof-invalid');
    await refused(giveBy({}, { by: 'person:wei' }), 'proof-invalid');
    await refused(giveBy({}, { body: { signature: 'x' } }), 'invalid-request');
    await refused(giveBy({}, { body: { passkey: undefined } }), 'invalid-request');
    expect(sidecar.log.size).toBe(size);
  });
});
