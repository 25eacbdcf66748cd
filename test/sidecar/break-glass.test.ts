/** Breaking the glass over HTTP: what is asked for, what is taken, that an executor takes what comes of it, and that nobody reviews herself. */
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalBytes, nodeDisk } from '../../ledger/index.ts';
import { describeChange } from '../../src/cli/describe.ts';
import { openOutput } from '../../src/cli/output.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { admit } from '../../src/executor/admission.ts';
import { notificationsOf } from '../../src/notify/derive.ts';
import type { NotificationPayload } from '../../src/notify/payload.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { BREAK_GLASS_NAMESPACE } from '../../src/protocol/break-glass.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { passkeysFileSchema, passkeysOf, type Passkeys } from '../../src/protocol/passkeys.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { BreakGlassAnswer, BreakGlassReviewAnswer, ChangeList, ChangeView } from '../../src/sidecar/schemas.ts';
import { glassMessage } from '../../src/slack/message.ts';
import { GLASS, GLASS_SALT, REASON, SAM } from '../support/break-glass.ts';
import { movedClock } from '../support/moved-clock.ts';
import { testPasskey, type AssertionEdit } from '../support/passkey.ts';
import { answerOf, EXECUTOR, GRANT, openTestSidecar, problemIn, PROVISION, RECIPIENT, type Answered, type TestOptions, type TestSidecar } from '../support/sidecar.ts';
import { testSshKey, type TestSshKey } from '../support/ssh.ts';

const CALLER = 'nhi:prod/ci-deployer';
const [sam, ana, stranger] = [testSshKey(), testSshKey(), testSshKey()];
const DAY = 86_400_000;
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

interface Floor {
  readonly glass?: readonly object[];
  readonly lets?: Decision['obligations']['breakGlass'] | null;
  readonly approvers?: Decision['obligations']['approvers'];
  readonly options?: TestOptions;
  readonly passkeys?: Passkeys;
  /** Of the floor. */
  readonly quorum?: number;
  /** Until when policy holds what was let. */
  readonly notBefore?: string;
  /** Another key that is trusted. */
  readonly key?: { readonly person: string; readonly line: string };
}

async function open({ glass = [GLASS], lets = { maxLeaseSeconds: 3_600, reviewWithinSeconds: 86_400 }, approvers = { allOf: ['person:wei', 'person:ana'] }, options = {}, passkeys = new Map(), quorum = 2, notBefore, key }: Floor = {}): Promise<void> {
  const asks = answerOf('needsApproval', approvers);
  sidecar = await openTestSidecar({
    ...options,
    decide: ({ change }) => (change.kind === 'rotate' ? answerOf('allow') : { ...asks, obligations: { ...asks.obligations, ...(lets === null ? {} : { breakGlass: lets }), ...(notBefore === undefined ? {} : { notBefore }) } }),
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${SAM} ${sam.publicLine}\nperson:ana ${ana.publicLine}${key === undefined ? '' : `\n${key.person} ${key.line}`}`),
      passkeys,
      requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum, proofClass: 'ssh', approvers: null, maxLeaseSeconds: null }], breakGlass: glass as NonNullable<Trust['requirements']['breakGlass']> },
    } satisfies Partial<Trust>),
  });
}
const asked = (): Promise<ChangeView> => sidecar.change(CALLER, GRANT);
const path = ({ id }: ChangeView, rest = ''): string => `/v1/changes/${id}/break-glass${rest}`;

interface Signing {
  readonly key?: TestSshKey;
  readonly by?: string;
  readonly namespace?: string;
  /** What is signed otherwise than it is said. */
  readonly signed?: object;
  readonly reason?: string;
  readonly body?: object;
}
async function use(change: ChangeView, { key = sam, by = SAM, namespace = BREAK_GLASS_NAMESPACE, signed = {}, reason = REASON, body = {} }: Signing = {}): Promise<Answered> {
  const unsaid = (await sidecar.send(by, 'GET', path(change))).body as BreakGlassAnswer;
  const statement = { ...unsaid, reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: reason }), ...signed };
  const signature = writeArmour(key.sign(canonicalBytes(statement), { namespace }));
  return sidecar.send(by, 'POST', path(change), { planDigest: change.planDigest, reason, salt: GLASS_SALT, ssh: { expiresAt: statement.expiresAt, signature }, ...body });
}
const review = (change: ChangeView, by: string, verdict = 'justified', more: object = {}): Promise<Answered> => sidecar.send(by, 'POST', path(change, '/review'), { verdict, comment: 'looked at it', ...more });
const disable = (one: string): void => sidecar.load({ ...sidecar.facts, directory: { ...sidecar.facts.directory, people: sidecar.facts.directory.people.map((person) => (person.id === one ? { ...person, active: false } : person)) } });
const linking = (one: string, other: string): NonNullable<TestOptions['facts']> => (facts) => ({
  ...facts, directory: { ...facts.directory, people: facts.directory.people.map((person) => (person.id === one ? { ...person, linked: [other] } : person)) },
});
const grown = async (attempt: () => Promise<unknown>): Promise<number> => {
  const before = sidecar.log.size;
  await attempt();
  return sidecar.log.size - before;
};

describe('a change whose glass is broken', () => {
  it('is made, and an executor with the same floor takes it; one whose floor names nobody does not', async () => {
    await open();
    const change = await asked();
    expect(change.state).toBe('pending');
    expect((await sidecar.send(SAM, 'GET', path(change))).body).toMatchObject({ changeId: change.id, planDigest: change.planDigest, usedBy: SAM });
    const broken = await use(change);
    expect(broken).toMatchObject({ status: 200, body: { breakGlass: { usedBy: SAM, review: null } } });
    const { body } = await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}?wait=PT10S&since=${(broken.body as ChangeView).length}`);
    expect(['scheduled', 'authorised', 'executing', 'verifying', 'active']).toContain((body as ChangeView).state);
    await expect.poll(() => sidecar.executor.steps.some(({ plan }) => plan !== null), { timeout: 10_000 }).toBe(true);
    const envelope = sidecar.executor.steps.find(({ plan }) => plan !== null)!;
    const taken = (trust: Trust): object => admit(envelope, { trust, executorId: EXECUTOR, nowMs: Date.now(), connectors: new Set(['pg-main']), head: () => null, beganAtMs: () => null });
    expect(taken(sidecar.trust)).toMatchObject({ ok: true, kind: 'act' });
    const { breakGlass: _, ...requirements } = sidecar.trust.requirements;
    expect(taken({ ...sidecar.trust, requirements })).toMatchObject({ ok: false, code: 'below-floor' });
    const { text } = await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}/evidence`);
    expect(text).toContain('"breakglass.used"');
    expect(text).toContain(REASON);
  });

  it('is broken once: the same again changes nothing', async () => {
    await open();
    const change = await asked();
    const { body } = await sidecar.send(SAM, 'GET', path(change));
    const { expiresAt } = body as BreakGlassAnswer;
    expect((await use(change, { signed: { expiresAt } })).status).toBe(200);
    expect(await grown(async () => expect((await use(change, { signed: { expiresAt } })).status).toBe(200))).toBeLessThan(12);
    expect(problemIn(await use(change, { reason: 'another', signed: { expiresAt, reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: 'another' }) } }))).toMatchObject({ status: 403, code: 'break-glass-refused' });
  });
});

describe('the glass is not broken, and nothing is recorded,', () => {
  it.each<[string, Floor, Signing, string, RegExp]>([
    ['where the floor names nobody', { glass: [] }, {}, 'break-glass-refused', /floor does not let/],
    ['where the floor names others', { glass: [{ ...GLASS, people: ['person:olga'] }] }, {}, 'break-glass-refused', /floor does not let/],
    ['by somebody whom the floor does not name', {}, { by: 'person:ana', key: ana }, 'break-glass-refused', /floor does not let person:ana/],
    ['where policy lets nobody', { lets: null }, {}, 'break-glass-refused', /policy lets nobody/],
    ['for longer than policy lets it be', { lets: { maxLeaseSeconds: 899, reviewWithinSeconds: 60 } }, {}, 'break-glass-refused', /899 s is the longest/],
    ['for longer than the floor lets it be', { glass: [{ ...GLASS, maxLeaseSeconds: 600 }] }, {}, 'break-glass-refused', /600 s is the longest/],
    ['where nobody else could review it', { approvers: SAM, quorum: 1 }, {}, 'break-glass-refused', /nobody else to review/],
    ['where the floor counts a review by nobody else', { glass: [{ ...GLASS, reviewers: [SAM, 'person:mallory'] }] }, {}, 'break-glass-refused', /counts a review by person:sam, person:mallory, and none of them/],
    ['where two entries of the floor name different reviewers', { glass: [{ ...GLASS, reviewers: ['person:wei'] }, { ...GLASS, reviewers: ['person:ana'] }] }, {}, 'break-glass-refused', /counts a review by nobody/],
    ['for no reason', {}, { reason: ' ' }, 'break-glass-refused', /why is to be said/],
    ['with a key of nobody', {}, { key: stranger }, 'proof-invalid', /not among the allowed signers/],
    ['with the key of somebody else', {}, { key: ana }, 'proof-invalid', /a key of person:ana/],
    ['by what was signed as an approval', {}, { namespace: 'approval@countersign' }, 'proof-invalid', /not signed as breaking the glass/],
    ['by what was signed of another plan', {}, { signed: { planDigest: `sha256:${'0'.repeat(64)}` } }, 'proof-invalid', /does not hold/],
    ['for another reason than was signed', {}, { body: { reason: 'because' } }, 'proof-invalid', /does not hold/],
    ['by what is good for longer than an hour', {}, { signed: { expiresAt: '2999-01-01T00:00:00.000Z' } }, 'proof-invalid', /is the longest/],
    ['by what had expired', {}, { signed: { expiresAt: '2020-01-01T00:00:00.000Z' } }, 'approval-expired', /good no more/],
    ['for a plan that it is not', {}, { body: { planDigest: `sha256:${'0'.repeat(64)}` }, signed: { planDigest: `sha256:${'0'.repeat(64)}` } }, 'plan-changed', /the plan is now/],
  ])('%s', async (_why, floor, signing, code, message) => {
    await open(floor);
    const change = await asked();
    let answered: Answered | null = null;
    expect(await grown(async () => (answered = await use(change, signing)))).toBe(0);
    expect(problemIn(answered!)).toMatchObject({ code, detail: expect.stringMatching(message) as unknown });
  });

  it('where all who could review it are herself, by other ids', async () => {
    await open({ approvers: 'person:wei', quorum: 1, options: { facts: linking('person:wei', 'person:sam') } });
    const change = await asked();
    expect(problemIn(await use(change))).toMatchObject({ status: 403, code: 'break-glass-refused', detail: expect.stringContaining('the same person') as unknown });
  });

  it('by somebody whom the directory has disabled since, though her key and token are still there', async () => {
    await open();
    const change = await asked();
    disable(SAM);
    expect(await grown(async () => expect(problemIn(await use(change))).toMatchObject({ status: 403, code: 'break-glass-refused', detail: expect.stringContaining('disabled') as unknown }))).toBe(0);
  });

  it('by what would have expired by the time of its record: a clock that is set back takes back no time', async () => {
    const clock = movedClock();
    await open({ options: { clock } });
    const change = await asked();
    const { expiresAt } = (await sidecar.send(SAM, 'GET', path(change))).body as BreakGlassAnswer;
    clock.move(1_800_000);
    await asked();
    clock.move(-1_800_000);
    expect(await grown(async () => expect(problemIn(await use(change, { signed: { expiresAt } }))).toMatchObject({ status: 409, code: 'approval-expired' }))).toBe(0);
    // What is asked for now is good from the records' time on.
    expect((await use(change)).status).toBe(200);
    await sidecar.log.sync();
  });

  it('without a reason, or a signature', async () => {
    await open();
    const change = await asked();
    for (const body of [{ reason: undefined }, { ssh: undefined }, { salt: 'short' }]) expect(problemIn(await use(change, { body }))).toMatchObject({ status: 422, code: 'invalid-request' });
  });

  it('by a machine identity', async () => {
    await open();
    expect(problemIn(await sidecar.send(CALLER, 'GET', path(await asked())))).toMatchObject({ status: 403, code: 'nhi-cannot-approve' });
  });

  it.each([
    ['what stands', 'nhi:prod/billing-export', { ...PROVISION, duration: undefined }],
    ['what takes away', CALLER, { ...GRANT, kind: 'revoke', duration: undefined }],
  ])('for %s', async (_what, by, request) => {
    await open();
    const change = await sidecar.change(by, request as never);
    expect(change.state).toBe('pending');
    expect(problemIn(await use(change))).toMatchObject({ code: 'break-glass-refused', detail: expect.stringMatching(/what a lease takes back/) as unknown });
  });
});

describe('that the glass was broken', () => {
  it('is reviewed by one of those who were asked, once, and by nobody else', async () => {
    await open();
    const change = await asked();
    expect(problemIn(await review(change, 'person:ana'))).toMatchObject({ status: 409, code: 'not-expected' });
    await use(change);
    expect(problemIn(await review(change, 'person:olga'))).toMatchObject({ status: 403, code: 'not-an-approver' });
    expect(problemIn(await review(change, SAM)).status).toBe(403);
    expect(problemIn(await review(change, 'person:ana', 'perhaps')).status).toBe(422);
    expect(await review(change, 'person:ana', 'unjustified')).toMatchObject({ status: 200, body: { breakGlass: { review: { by: 'person:ana', verdict: 'unjustified' } } } });
    expect(problemIn(await review(change, 'person:wei'))).toMatchObject({ status: 409, code: 'already-decided' });
  });

  it('is not reviewed by who broke it, though she was asked', async () => {
    await open({ glass: [{ ...GLASS, people: ['person:ana'] }] });
    const change = await asked();
    expect((await use(change, { by: 'person:ana', key: ana })).status).toBe(200);
    expect(problemIn(await review(change, 'person:ana'))).toMatchObject({ status: 403, code: 'self-approval' });
  });

  it('is not reviewed by who broke it with another account of theirs, nor broken where nobody else could', async () => {
    const facts: TestOptions['facts'] = (given) => ({ ...given, directory: { ...given.directory, people: given.directory.people.map((person) => (person.id === SAM ? { ...person, linked: ['person:wei'] } : person)) } });
    await open({ options: { facts } });
    const change = await asked();
    expect((await use(change)).status).toBe(200);
    expect(problemIn(await review(change, 'person:wei'))).toMatchObject({ status: 403, code: 'self-approval' });
    expect((await review(change, 'person:ana')).status).toBe(200);
    await sidecar.close();
    await open({ approvers: 'person:wei', quorum: 1, options: { facts } });
    expect(problemIn(await use(await asked()))).toMatchObject({ code: 'break-glass-refused', detail: 'there is nobody else to review it: all who were asked are the same person' });
  });

  it('is not reviewed by somebody whom the directory has disabled since', async () => {
    await open();
    const change = await asked();
    expect((await use(change)).status).toBe(200);
    disable('person:wei');
    expect(problemIn(await review(change, 'person:wei'))).toMatchObject({ status: 403, code: 'not-an-approver' });
  });

  it('is reviewed by security once nobody is left who was asked, on record, and by nobody else', async () => {
    await open();
    const change = await asked();
    expect((await use(change)).status).toBe(200);
    disable('person:wei');
    const askedOf = async (by: string): Promise<unknown> => ((await sidecar.send(by, 'GET', path(change, '/review'))).body as BreakGlassReviewAnswer).standsIn;
    expect(await askedOf('person:olga')).toBeUndefined();
    expect(problemIn(await review(change, 'person:olga'))).toMatchObject({ status: 403, code: 'not-an-approver' });
    const { directory } = sidecar.facts;
    const without = (ids: readonly string[]): void => sidecar.load({ ...sidecar.facts, directory: { ...directory, people: directory.people.map((person) => (ids.includes(person.id) ? { ...person, active: false } : person)) } });
    without(['person:wei', 'person:ana']);
    expect(directory.teams.find(({ id }) => id === 'security')!.members).toContain('person:olga');
    expect(problemIn(await review(change, 'person:mallory')).status).toBe(404);
    expect(await askedOf('person:olga')).toBe('security');
    expect((await review(change, 'person:olga')).status).toBe(200);
    expect(await shown(change)).toMatchObject({ breakGlass: { review: { by: 'person:olga' } } });
    await sidecar.log.sync();
    const { workflow, notProven } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
    expect(workflow!.violations).toEqual([]);
    expect(notProven).toContain('that nobody who was asked was left to review 1 broken glass, which security reviewed');
  });

  it('is reviewed by nobody whom the floor does not name, whoever the directory leaves and whoever it puts into security', async () => {
    await open({ glass: [{ ...GLASS, reviewers: ['person:ana', 'person:olga'] }] });
    const change = await asked();
    expect((await use(change)).status).toBe(200);
    expect(problemIn(await review(change, 'person:wei'))).toMatchObject({ status: 403, code: 'not-an-approver', detail: expect.stringMatching(/it names person:ana, person:olga/) as unknown });
    expect((await sidecar.send('person:ana', 'GET', path(change, '/review'))).body).toMatchObject({ reviewers: ['person:ana', 'person:olga'] });
    // Ana, whom it names, is there: Olga was not asked.
    expect(problemIn(await review(change, 'person:olga'))).toMatchObject({ code: 'not-an-approver' });
    const { directory } = sidecar.facts;
    const teams = directory.teams.map((team) => (team.id === 'security' ? { ...team, members: [...team.members, 'person:mallory'] } : team));
    sidecar.load({ ...sidecar.facts, directory: { ...directory, teams, people: directory.people.map((person) => (person.id === 'person:ana' ? { ...person, active: false } : person)) } });
    expect(problemIn(await review(change, 'person:mallory'))).toMatchObject({ code: 'not-an-approver' });
    expect((await review(change, 'person:olga')).status).toBe(200);
    await sidecar.log.sync();
    const found = async (glass: object): Promise<readonly object[]> => (await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', wholeFolder: true, trust: { ...sidecar.trust, requirements: { ...sidecar.trust.requirements, breakGlass: [glass] as NonNullable<Trust['requirements']['breakGlass']> } } })).workflow!.violations;
    expect(await found({ ...GLASS, reviewers: ['person:ana', 'person:olga'] })).toEqual([]);
    expect(await found({ ...GLASS, reviewers: ['person:ana'] })).toMatchObject([{ code: 'not-an-approver' }]);
  });

  it.each<[string, Floor, readonly string[], readonly string[]]>([
    ['all who were asked, where the floor names nobody', {}, [], ['person:ana', 'person:wei']],
    ['whom of them the floor names', { glass: [{ ...GLASS, reviewers: ['person:ana', 'person:olga'] }] }, [], ['person:ana']],
    ['whom of security the floor names, where nobody is left who was asked', { glass: [{ ...GLASS, reviewers: ['person:ana', 'person:olga'] }] }, ['person:ana'], ['person:olga']],
    ['who is left of them by the directory', {}, ['person:wei'], ['person:ana']],
  ])('is asked to be reviewed, on every channel, of exactly those whose review counts: %s', async (_whom, floor, gone, reviewers) => {
    for (const by of reviewers) {
      const notices: NotificationPayload[] = [];
      await open({ ...floor, options: { onEvents: (state, events) => void notices.push(...events.flatMap((event) => notificationsOf({ event, state }, (broken) => sidecar.engine.glassReviewers(broken))).map(({ payload }) => payload)) } });
      const change = await asked();
      gone.forEach(disable);
      const broken = (await use(change)).body as ChangeView;
      const notice = notices.find(({ type }) => type === 'breakglass.used')!.data as Extract<NotificationPayload, { type: 'breakglass.used' }>['data'];
      expect([[...notice.reviewers].sort(), [...broken.breakGlass!.reviewers!].sort()]).toEqual([reviewers, reviewers]);
      const [, whom] = /Reviewed by(?: one of)?: ([^"]*)"/.exec(JSON.stringify(glassMessage(notice, () => undefined)))!;
      expect(whom!.split(', ').sort()).toEqual(reviewers);
      const [, line] = /to be reviewed by [^ ]+, by (.*)/.exec(describeChange(broken, openOutput({ stdout: { write: () => true }, stderr: { write: () => true }, env: {}, json: false }), { nowMs: 0 }).join('\n'))!;
      expect(line!.split(' or ').sort()).toEqual(reviewers);
      const people = ['person:wei', 'person:ana', 'person:olga', 'person:mallory'];
      const inbox = async (one: string): Promise<string[]> => ((await sidecar.send(one, 'GET', '/v1/changes?waitingForMe=true&order=soonest')).body as ChangeList).changes.map(({ id }) => id);
      for (const one of people) expect([one, await inbox(one)]).toEqual([one, reviewers.includes(one) ? [change.id] : []]);
      for (const one of people.filter((person) => !reviewers.includes(person))) expect((await review(change, one)).status).toBeGreaterThanOrEqual(400);
      const reviewed = await review(change, by);
      expect(reviewed).toMatchObject({ status: 200, body: { breakGlass: { review: { by } } } });
      expect((reviewed.body as ChangeView).breakGlass).not.toHaveProperty('reviewers');
      expect(await inbox(by)).toEqual([]);
      if (by !== reviewers.at(-1)) await sidecar.close();
    }
  });

  it('leaves its lease among those that run until that has ended, and no longer, though the review is still owed', async () => {
    await open();
    const change = await asked();
    await use(change);
    const state = async (): Promise<string> => ((await sidecar.send('person:wei', 'GET', `/v1/changes/${change.id}`)).body as ChangeView).state;
    const leases = async (): Promise<string[]> => ((await sidecar.send('person:sam', 'GET', '/v1/leases')).body as { leases: { changeId: string }[] }).leases.map(({ changeId }) => changeId);
    await expect.poll(state, { timeout: 10_000 }).toBe('active');
    expect(await leases()).toEqual([change.id]);
    expect((await sidecar.send('person:sam', 'POST', `/v1/changes/${change.id}/revoke`, {})).status).toBe(202);
    await expect.poll(state, { timeout: 10_000 }).toBe('revoked');
    expect(await leases()).toEqual([]);
    expect((await review(change, 'person:wei')).status).toBe(200);
  });

  it('is still seen by who broke it, once she is on call no more and nobody may see it without taking part', async () => {
    await open({ glass: [{ ...GLASS, people: ['person:olga'] }], key: { person: 'person:olga', line: stranger.publicLine } });
    const change = await asked();
    expect((await use(change, { by: 'person:olga', key: stranger })).status).toBe(200);
    const { directory } = sidecar.facts;
    sidecar.load({ ...sidecar.facts, directory: { ...directory, teams: directory.teams.map((team) => ({ ...team, members: [] })) } });
    expect((await sidecar.send('person:olga', 'GET', `/v1/changes/${change.id}`)).status).toBe(200);
    expect((await sidecar.send('person:mallory', 'GET', `/v1/changes/${change.id}`)).status).toBe(404);
  });

  it('and that nobody has reviewed it in time is a finding, and keeps her from the next, until somebody has', async () => {
    const clock = movedClock();
    await open({ options: { clock } });
    const first = await asked();
    await use(first);
    const second = await asked();
    clock.move(DAY + 60_000);
    await expect.poll(async () => ((await sidecar.send('person:wei', 'GET', `/v1/changes/${first.id}`)).body as ChangeView).findings.map(({ code }) => code), { timeout: 10_000 }).toContain('review-overdue');
    expect(second.state).toBe('pending');
    const third = await asked();
    expect(problemIn(await use(third))).toMatchObject({ code: 'break-glass-refused', detail: expect.stringContaining(first.id) as unknown });
    expect((await review(first, 'person:wei')).status).toBe(200);
    expect(((await sidecar.send('person:wei', 'GET', `/v1/changes/${first.id}`)).body as ChangeView).findings.map(({ code }) => code)).not.toContain('review-overdue');
    expect((await use(third)).status).toBe(200);
  });

  it('keeps her from the next by another of her ids as well', async () => {
    const clock = movedClock();
    await open({ glass: [{ ...GLASS, people: [SAM, 'person:olga'] }], key: { person: 'person:olga', line: stranger.publicLine }, options: { clock, facts: linking('person:olga', SAM) } });
    const first = await asked();
    expect((await use(first, { by: 'person:olga', key: stranger })).status).toBe(200);
    clock.move(DAY + 60_000);
    expect(problemIn(await use(await asked()))).toMatchObject({ code: 'break-glass-refused', detail: expect.stringContaining(first.id) as unknown });
  });

  it('is not reviewed by who asked for the change, by another of their ids', async () => {
    await open({ options: { facts: linking('person:wei', 'person:mallory') } });
    const change = await sidecar.change('person:mallory', GRANT);
    expect((await use(change)).status).toBe(200);
    expect(problemIn(await review(change, 'person:wei'))).toMatchObject({ status: 403, code: 'self-approval' });
    expect((await review(change, 'person:ana')).status).toBe(200);
  });

  it('nor does a clock that is set back let her: it is overdue by what is on record', async () => {
    const clock = movedClock();
    await open({ options: { clock } });
    const first = await asked();
    await use(first);
    clock.move(DAY + 60_000);
    await expect.poll(async () => ((await sidecar.send('person:wei', 'GET', `/v1/changes/${first.id}`)).body as ChangeView).findings.map(({ code }) => code), { timeout: 10_000 }).toContain('review-overdue');
    clock.move(-120_000);
    expect(problemIn(await use(await asked()))).toMatchObject({ code: 'break-glass-refused', detail: expect.stringContaining(first.id) as unknown });
  });
});

const shown = async ({ id }: ChangeView): Promise<ChangeView> => (await sidecar.send('person:wei', 'GET', `/v1/changes/${id}`)).body as ChangeView;
const findingsOf = async (change: ChangeView): Promise<string[]> => (await shown(change)).findings.map(({ code }) => code);
/** Broken, given, and taken back before its time. */
async function over(): Promise<ChangeView> {
  const change = await asked();
  expect((await use(change)).status).toBe(200);
  await expect.poll(async () => (await shown(change)).state, { timeout: 10_000 }).toBe('active');
  expect((await sidecar.send(SAM, 'POST', `/v1/changes/${change.id}/revoke`, {})).status).toBe(202);
  await expect.poll(async () => (await shown(change)).state, { timeout: 10_000 }).toBe('revoked');
  return shown(change);
}
async function rotate(): Promise<ChangeView> {
  const change = await sidecar.change(CALLER, { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'after the emergency', recipient: RECIPIENT });
  const { digest } = (await sidecar.send(CALLER, 'GET', `/v1/changes/${change.id}/delivery`)).body as { digest: string };
  await sidecar.send(CALLER, 'POST', `/v1/changes/${change.id}/delivery`, { digest });
  for (const { consumer } of change.rotation!.consumers) await sidecar.send(CALLER, 'POST', `/v1/changes/${change.id}/confirmations`, { consumer });
  await expect.poll(async () => (await shown(change)).state, { timeout: 10_000 }).toBe('done');
  return change;
}

describe('a login that was lent more', () => {
  it('owes a rotation once the lease has ended: overdue, it is a finding and keeps her from the next, until it is made', async () => {
    const clock = movedClock();
    await open({ quorum: 0, options: { clock } });
    // What was made before the lease has ended is not it.
    await rotate();
    const first = await over();
    expect(first.breakGlass?.rotation).toMatchObject({ connector: 'pg-main', target: 'app', account: 'ci_deployer', change: null, waivedBy: null });
    expect((await review(first, 'person:wei')).status).toBe(200);
    clock.move(DAY + 60_000);
    await expect.poll(() => findingsOf(first), { timeout: 10_000 }).toEqual(['rotation-overdue']);
    const next = await asked();
    expect(problemIn(await use(next))).toMatchObject({ code: 'break-glass-refused', detail: expect.stringContaining(`the rotation of ${first.id} is overdue`) as unknown });
    const rotation = await rotate();
    expect(await shown(first)).toMatchObject({ findings: [], breakGlass: { rotation: { change: rotation.id, waivedBy: null } } });
    expect((await use(next)).status).toBe(200);
  });

  it('owes none where a reviewer says so, once the lease has ended, and she alone', async () => {
    await open();
    const running = await asked();
    await use(running);
    expect(problemIn(await review(running, 'person:wei', 'justified', { rotation: 'notNeeded' }))).toMatchObject({ status: 409, code: 'not-expected' });
    expect((await review(running, 'person:wei')).status).toBe(200);
    await expect.poll(async () => (await shown(running)).state, { timeout: 10_000 }).toBe('active');
    expect((await sidecar.send(SAM, 'POST', `/v1/changes/${running.id}/revoke`, {})).status).toBe(202);
    await expect.poll(async () => (await shown(running)).state, { timeout: 10_000 }).toBe('revoked');
    const waive = { rotation: 'notNeeded' };
    expect(problemIn(await review(running, SAM, 'justified', waive)).status).toBe(403);
    expect(problemIn(await review(running, 'person:olga', 'justified', waive))).toMatchObject({ code: 'not-an-approver' });
    expect(problemIn(await review(running, 'person:ana', 'unjustified', waive))).toMatchObject({ code: 'already-decided' });
    expect(problemIn(await review(running, 'person:ana', 'justified', { rotation: 'done' }))).toMatchObject({ status: 422 });
    expect(await review(running, 'person:ana', 'justified', waive)).toMatchObject({ status: 200, body: { breakGlass: { review: { by: 'person:wei' }, rotation: { waivedBy: 'person:ana' } } } });
    expect(await grown(async () => expect((await review(running, 'person:ana', 'justified', waive)).status).toBe(200))).toBe(0);
  });
});

describe('where the floor asks for a review by signature', () => {
  const SIGNED = [{ ...GLASS, reviewProofClass: 'ssh' }];
  async function signed(change: ChangeView, { key = ana, by = 'person:ana', namespace = 'breakglass-review@countersign', verdict = 'justified', said = {}, sent = {} }: { readonly key?: TestSshKey; readonly by?: string; readonly namespace?: string; readonly verdict?: string; readonly said?: object; readonly sent?: object } = {}): Promise<Answered> {
    const { statement: unsaid } = (await sidecar.send(by, 'GET', path(change, '/review'))).body as BreakGlassReviewAnswer;
    const statement = { ...unsaid, verdict, comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: 'looked at it' }), ...said };
    return review(change, by, verdict, { signed: { salt: GLASS_SALT, ssh: { expiresAt: statement.expiresAt, signature: writeArmour(key.sign(canonicalBytes(statement), { namespace })) } }, ...sent });
  }

  it('a session is none, nor is what somebody else, or something else, was signed with; her own signature is, and goes on record', async () => {
    await open({ glass: SIGNED });
    const change = await asked();
    expect(problemIn(await sidecar.send('person:ana', 'GET', path(change, '/review')))).toMatchObject({ status: 409, code: 'not-expected' });
    await use(change);
    expect(await grown(async () => {
      expect(problemIn(await review(change, 'person:ana'))).toMatchObject({ code: 'proof-too-weak' });
      expect(problemIn(await signed(change, { key: stranger }))).toMatchObject({ code: 'proof-invalid' });
      expect(problemIn(await signed(change, { key: sam }))).toMatchObject({ code: 'proof-invalid' });
      expect(problemIn(await signed(change, { namespace: BREAK_GLASS_NAMESPACE }))).toMatchObject({ code: 'proof-invalid' });
      expect(problemIn(await signed(change, { said: { verdict: 'unjustified' } }))).toMatchObject({ code: 'proof-invalid' });
      expect(problemIn(await signed(change, { sent: { comment: 'looked away' } }))).toMatchObject({ code: 'proof-invalid' });
      expect(problemIn(await signed(change, { said: { expiresAt: '2020-01-01T00:00:00.000Z' } }))).toMatchObject({ code: 'approval-expired' });
      expect(problemIn(await signed(change, { said: { expiresAt: '2999-01-01T00:00:00.000Z' } }))).toMatchObject({ code: 'proof-invalid' });
    })).toBeLessThan(12);
    expect((await shown(change)).breakGlass?.review).toBeNull();
    expect((await signed(change)).status).toBe(200);
    const { text } = await sidecar.send('person:wei', 'GET', `/v1/changes/${change.id}/evidence`);
    expect(text).toContain('application/vnd.countersign.break-glass-review+json');
  });
});

it('neither breaks nor reviews a glass with a key that is over by the time of the record, though the clock was set back', async () => {
  const clock = movedClock();
  const until = formatTime(clock.nowMs() + 120_000).replaceAll(/[-:T]|\.\d{3}/g, '');
  await open({ glass: [{ ...GLASS, reviewProofClass: 'ssh' }], options: { clock }, key: { person: 'person:wei', line: `valid-before="${until}" ${stranger.publicLine}` } });
  const change = await asked();
  expect((await use(change)).status).toBe(200);
  clock.move(300_000);
  const other = await asked();
  clock.move(-300_000);
  const { statement: unsaid } = (await sidecar.send('person:wei', 'GET', path(change, '/review'))).body as BreakGlassReviewAnswer;
  const statement = { ...unsaid, verdict: 'justified', comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: 'looked at it' }) };
  const signature = writeArmour(stranger.sign(canonicalBytes(statement), { namespace: 'breakglass-review@countersign' }));
  expect(problemIn(await review(change, 'person:wei', 'justified', { signed: { salt: GLASS_SALT, ssh: { expiresAt: statement.expiresAt, signature } } }))).toMatchObject({ code: 'proof-invalid' });
  Object.assign(sidecar.trust, { signers: parseAllowedSigners(`${SAM} valid-before="${until}" ${sam.publicLine}`) });
  expect(problemIn(await use(other))).toMatchObject({ code: 'proof-invalid' });
});

it('a glass stands that was broken with a key which is good by the time of the record, though the clock was set back to before it was', async () => {
  const clock = movedClock();
  const since = formatTime(clock.nowMs() + 120_000).replaceAll(/[-:T]|\.\d{3}/g, '');
  await open({ options: { clock }, key: { person: SAM, line: `valid-after="${since}" ${stranger.publicLine}` } });
  clock.move(300_000);
  const change = await asked();
  clock.move(-300_000);
  expect((await use(change, { key: stranger })).status).toBe(200);
  await expect.poll(() => sidecar.executor.steps.some(({ plan }) => plan !== null), { timeout: 10_000 }).toBe(true);
  expect((await shown(change)).state).not.toBe('denied');
});

it('a glass stands for nothing once the directory has disabled who broke it, before the step is authorised', async () => {
  const clock = movedClock();
  await open({ options: { clock }, notBefore: new Date(clock.nowMs() + 300_000).toISOString() });
  const [change, other] = [await asked(), await asked()];
  for (const one of [change, other]) expect((await use(one)).status).toBe(200);
  expect((await shown(change)).state).toBe('scheduled');
  disable(SAM);
  clock.move(301_000);
  await expect.poll(async () => (await shown(change)).state, { timeout: 10_000 }).toBe('denied');
  expect((await shown(change)).decision?.reasons.map(({ code }) => code)).toEqual(['glass-void']);
  expect(sidecar.executor.armed).toHaveLength(0);
});

it.each<[string, () => Partial<Trust>, string]>([
  ['once our own floor does not let who broke it any more', () => ({ requirements: { ...sidecar.trust.requirements, breakGlass: [{ ...GLASS, people: ['person:olga'] }] } }), 'the floor does not let person:sam break the glass for this'],
  ['once her key is not good any more', () => ({ signers: parseAllowedSigners(`${SAM} valid-before="20260101Z" ${sam.publicLine}`) }), 'the key of person:sam, who broke the glass, is not good any more'],
])('nor %s', async (_when, edit, message) => {
  const clock = movedClock();
  await open({ options: { clock }, notBefore: new Date(clock.nowMs() + 300_000).toISOString() });
  const change = await asked();
  expect((await use(change)).status).toBe(200);
  Object.assign(sidecar.trust, edit());
  clock.move(301_000);
  await expect.poll(async () => (await shown(change)).state, { timeout: 10_000 }).toBe('denied');
  expect((await shown(change)).decision?.reasons).toMatchObject([{ code: 'glass-void', message }]);
  expect(sidecar.executor.armed).toHaveLength(0);
});

describe('where the floor asks for a review by passkey', () => {
  const passkey = testPasskey();
  const byPasskey = async (change: ChangeView, { by = 'person:ana', said = {}, sent = {}, edit = {} }: { readonly by?: string; readonly said?: object; readonly sent?: object; readonly edit?: AssertionEdit } = {}): Promise<Answered> => {
    const { statement: unsaid } = (await sidecar.send(by, 'GET', path(change, '/review'))).body as BreakGlassReviewAnswer;
    const statement = { ...unsaid, verdict: 'justified', comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: 'looked at it' }), ...said };
    return review(change, by, 'justified', { signed: { salt: GLASS_SALT, passkey: { expiresAt: unsaid.expiresAt, ...passkey.answer(statement, edit) } }, ...sent });
  };

  it('neither a session nor an SSH key is one, nor an answer for something else; her own answer is, and says so on record', async () => {
    await open({ glass: [{ ...GLASS, reviewProofClass: 'passkey' }], passkeys: passkeysOf(passkeysFileSchema.parse([passkey.entry('person:ana')])) });
    const change = await asked();
    await use(change);
    const { body } = await sidecar.send('person:ana', 'GET', path(change, '/review'));
    expect(body).toMatchObject({ proofClass: 'passkey', passkeys: [{ credentialId: passkey.credentialId }] });
    const { statement: unsaid } = body as BreakGlassReviewAnswer;
    const bySsh = { ...unsaid, verdict: 'justified', comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: 'looked at it' }) };
    const signature = writeArmour(ana.sign(canonicalBytes(bySsh), { namespace: 'breakglass-review@countersign' }));
    expect(problemIn(await review(change, 'person:ana'))).toMatchObject({ code: 'proof-too-weak' });
    expect(problemIn(await review(change, 'person:ana', 'justified', { signed: { salt: GLASS_SALT, ssh: { expiresAt: unsaid.expiresAt, signature } } }))).toMatchObject({ code: 'proof-too-weak' });
    expect(problemIn(await byPasskey(change, { said: { verdict: 'unjustified' } }))).toMatchObject({ code: 'proof-invalid' });
    expect(problemIn(await byPasskey(change, { sent: { comment: 'looked away' } }))).toMatchObject({ code: 'proof-invalid' });
    expect(problemIn(await byPasskey(change, { edit: { flags: 0x01 } }))).toMatchObject({ code: 'proof-invalid' });
    expect(problemIn(await byPasskey(change, { edit: { rpId: 'elsewhere.example.org' } }))).toMatchObject({ code: 'proof-invalid' });
    expect(problemIn(await byPasskey(change, { by: 'person:wei' }))).toMatchObject({ code: 'proof-invalid' });
    expect((await shown(change)).breakGlass?.review).toBeNull();
    expect((await byPasskey(change)).status).toBe(200);
    const { records } = (await sidecar.send('person:wei', 'GET', `/v1/changes/${change.id}/evidence`)).body as { readonly records: readonly { readonly type: string; readonly body: object }[] };
    expect(records.at(-1)).toMatchObject({ type: 'breakglass.reviewed', actor: 'person:ana', body: { proofClass: 'passkey', statement: { signatures: [{ keyid: expect.stringMatching(/^sha256:/) as string }] } } });
  });
});
