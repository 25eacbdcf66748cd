/** Stories of rotations, windows, locks, offboardings and callers with one thing wrong in each. */
import { deriveOffboarding } from '../../src/change/derive.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { planDigest, type OffboardItem, type Plan } from '../../src/protocol/plan.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { signedLock } from '../support/locks.ts';
import { editing, rereported, restated, twice, withBody, without } from '../support/edit-story.ts';
import { extensionUntilDecided, runningLease } from '../support/extension-story.ts';
import {
  acknowledge, acted, called, CALLED, CONSUMER, DISABLE, forceAct, keptRotation, offboarding, ROTATE, runSigner, fetchedRotation, stagedRotation, strangersRun, toldUntilActed, toldUntilApproved, toldUntilAuthorised,
  toldUntilClaimed, toldUntilDispatched, toldUntilPlanned, toldUntilStep, toldUntilUndone, windowAt,
} from '../support/step-stories.ts';
import { EXECUTOR, GRANT, keys, report, salt, sidecar, sign, START_MS, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilOrdered, toldUntilEnded, type Beat } from '../support/story.ts';
import type { Case } from './verified.ts';

const HOUR = 3_600_000;
const otherDigest = `sha256:${'0'.repeat(64)}`;
const LOCK = 'lck_01KAVQ0000000000000000000A';
const lock = (edit: { nhi?: string | null; connector?: string | null; statement?: Dsse } = {}, actor = 'person:sam'): DraftWithObjects =>
  systemDraft('lock.set', { lockId: LOCK, nhi: 'nhi:prod/orders-api', connector: null, reason: 'a leak', ...edit }, actor, START_MS);
const lifted = (): DraftWithObjects => systemDraft('lock.lifted', { lockId: LOCK, reason: null }, 'person:sam', START_MS);

/** Planned for a window, told until it is open. */
function inWindow(onMissed: 'replan' | 'expire' = 'expire'): Telling {
  const request = { ...ROTATE, ...(onMissed === 'replan' ? { window: { onMissed } } : {}) };
  const telling = toldUntilApproved(toldUntilPlanned(request, START_MS, { consumers: [CONSUMER], window: windowAt(HOUR / 2, HOUR, onMissed) }));
  telling.atMs = START_MS + HOUR / 2;
  return telling.do({ type: 'openWindow', by: sidecar });
}

const undecided = (): Telling => toldUntilDispatched(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER] }));

/** An offboarding with one account, and the change that was to shut it out. */
const ACCOUNT: Extract<OffboardItem, { kind: 'account' }> = { kind: 'account', nhi: 'nhi:prod/ci-deployer', connector: 'pg-main', target: 'app', account: 'ci_deployer' };
const SHUT_OUT = { ...DISABLE, subject: 'nhi:prod/ci-deployer' };

interface Offboarded {
  readonly ledger: Beat[];
  readonly parent: Telling;
  readonly child: Telling;
}

function shuttingOut(account = ACCOUNT.account): Offboarded {
  const ledger: Beat[] = [];
  const parent = offboarding([{ ...ACCOUNT, account }], ledger, START_MS);
  const child = toldUntilPlanned(SHUT_OUT, parent.atMs, { effect: 'allow', ledger, parent });
  parent.atMs = child.atMs;
  parent.do({ type: 'startItem', by: sidecar, item: 0, change: child.changeId });
  return { ledger, parent, child };
}

const settled = (outcome: 'gone' | 'open') => ({ type: 'item.settled' as const, actor: sidecar, body: { item: 0, outcome, owner: null, detail: 'so it is said' } });

function leaseNotGone(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS, ledger))));
  const parent = offboarding([{ kind: 'lease', nhi: GRANT.subject, change: lease.changeId }], ledger, lease.atMs);
  parent.do({ type: 'startItem', by: sidecar, item: 0, change: lease.changeId });
  lease.atMs = parent.atMs;
  toldUntilOrdered(lease, 'person:olga');
  parent.later(5).force(settled('gone'));
  return ledger;
}

/** The plan of an offboarding whose approvals are nobody's. */
function unapproved(): readonly Beat[] {
  const { ledger } = shuttingOut();
  return editing('approval.recorded', (event) => restated(event, {}, keys.stranger))(ledger);
}

function plannedFor(items: readonly OffboardItem[]): readonly Beat[] {
  return offboarding(items, [], START_MS).beats;
}

function lateCutover(): Telling {
  return toldUntilAuthorised(toldUntilStep(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER] })));
}

function replanned(edit: object, beforeMs = 0): readonly Beat[] {
  const telling = inWindow('replan');
  telling.atMs = START_MS + HOUR - beforeMs;
  telling.do({ type: 'closeWindow', by: sidecar });
  return telling.force({ type: 'change.revised', actor: sidecar, body: { revision: 2, request: telling.now.request, cause: 'windowMissed', ...edit } }).beats;
}

/** The plan that was decided, changed and digested anew. */
function replan(beats: readonly Beat[], edit: (plan: Plan) => Partial<Plan>): Beat[] {
  return editing('policy.decided', (event) => {
    const plan = { ...event.attached!.plan!, ...edit(event.attached!.plan!) };
    return { ...event, body: { ...event.body, planDigest: planDigest(plan) }, attached: { plan } };
  })(beats);
}

/** Of a lease that is over, or never was: nothing is compared with it. */
const superuser = ({ entitlements: [entitlement] }: Plan): Partial<Plan> => ({ extends: { change: NEVER, epoch: 2 }, entitlements: [{ ...entitlement!, privilege: 'role:superuser' }] });
const NEVER = `chg_${'0'.repeat(16)}_01KAVQ0000000000000000000A`;

function ofExtension(): Telling {
  return extensionUntilDecided(runningLease(START_MS), []);
}

export const STEP_CASES: readonly Case[] = [
  {
    title: 'a secret that was sealed to somebody, and that its executor says is delivered', code: 'wrong-actor',
    beats: () => editing('delivery.acknowledged', (event) => ({ ...event, actor: EXECUTOR }))(stagedRotation().beats),
  },
  {
    title: 'a secret in a sink that another executor says is there', code: 'wrong-actor',
    beats: () => editing('delivery.acknowledged', (event) => ({ ...event, actor: 'executor:other' }))(keptRotation().beats),
  },
  { title: 'a cutover though nobody said that the new secret is in its sink', code: 'cutover-early', beats: () => without('delivery.acknowledged')(keptRotation().beats) },
  // The order of steps.
  { title: 'a cutover before there is a new login', code: 'step-order', beats: () => forceAct(undecided(), 1).beats },
  { title: 'an old login that is retired first', code: 'retired-early', beats: () => forceAct(undecided(), 2).beats },
  { title: 'an old login that is retired before the cutover was done', code: 'retired-early', beats: () => forceAct(toldUntilDispatched(stagedRotation()), 2).beats },
  { title: 'a next step before the last was verified', code: 'step-order', beats: () => forceAct(toldUntilActed(toldUntilClaimed(toldUntilAuthorised(undecidedAgain()))), 1).beats },
  { title: 'a cutover before anybody had the new secret', code: 'cutover-early', beats: () => lateCutover().beats },
  { title: 'a cutover before the consumer was on the new login', code: 'cutover-early', beats: () => toldUntilAuthorised(acknowledge(toldUntilStep(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER] })))).beats },
  { title: 'a cutover whose report is older than its ticket', code: 'effect-before-evidence', beats: () => editing('step.succeeded', (event) => rereported(event, () => ({ at: formatTime(START_MS + 120_000) })), 1)(toldUntilStep(stagedRotation().later(600_000)).beats) },
  { title: 'a secret that a cutover makes', code: 'seal-mismatch', beats: () => cutoverWithSecret().beats },
  { title: 'a new login whose secret is sealed to nobody', code: 'seal-mismatch', beats: () => toldUntilActed(toldUntilClaimed(toldUntilAuthorised(undecidedAgain())), { seal: null }).beats },
  { title: 'a consumer that the rotation does not wait for', code: 'wrong-order', beats: () => editing('consumer.confirmed', (event) => ({ ...withBody(event, { consumer: 'nhi:prod/nobody' }), actor: 'person:olga' }))(stagedRotation().beats) },
  { title: 'a consumer that confirms twice', code: 'wrong-order', beats: () => twice('consumer.confirmed')(stagedRotation().beats) },
  { title: 'a rotation of other logins than were read', code: 'plan-not-requested', beats: () => replan(toldUntilPlanned(ROTATE, START_MS).beats, ({ steps }) => ({ steps: steps.map((step) => ({ ...step, account: 'postgres' })) })) },
  { title: 'a new login that nobody but one approved where the floor asks for two', code: 'below-floor', beats: () => stagedRotation().beats, trust: { quorum: 2 } },
  { title: 'a second ticket of a step whose first is still good', code: 'wrong-order', beats: () => issuedAgain(toldUntilAuthorised(undecidedAgain()), 1_000) },
  { title: 'a second rotation at a target that another one has', code: 'target-taken', beats: () => twoAtOnce() },
  { title: 'a new login that is reported as gone already', code: 'report-mismatch', beats: () => toldUntilActed(toldUntilClaimed(toldUntilAuthorised(undecidedAgain())), { outcome: 'already-absent', seal: null, before: null, after: null }).beats },
  { title: 'a step that was taken up when its ticket had run out', code: 'outside-window', beats: () => toldUntilClaimed(toldUntilAuthorised(undecidedAgain()).later(302_000)).beats },
  { title: 'a target that was read before it was to be', code: 'effect-before-evidence', beats: () => editing('state.read', (event) => rereported(event, () => ({ at: formatTime(START_MS - 5_000) })))(toldUntilPlanned(ROTATE, START_MS).beats) },
  { title: 'a consumer for whom another machine identity speaks', code: 'wrong-actor', beats: () => editing('consumer.confirmed', (event) => ({ ...event, actor: 'nhi:prod/billing-export' }))(stagedRotation().beats) },
  { title: 'a rotation that expires while people may still approve it', code: 'wrong-order', beats: () => toldUntilPlanned(ROTATE, START_MS).force({ type: 'change.expired', actor: sidecar, body: { cause: 'approval' } }).beats },
  // Undoing.
  { title: 'a new login that the sidecar takes back after the cutover', code: 'undone-after-cutover', beats: () => undoneAfterCutover('compensation').beats },
  { title: 'a new login that the sidecar takes back after the cutover under another name', code: 'undone-after-cutover', beats: () => undoneAfterCutover('early').beats },
  { title: 'a new login that the sidecar takes back though a consumer has moved over to it', code: 'undone-in-use', beats: () => toldUntilUndone(stagedRotation()).beats },
  { title: 'a failed rotation that nobody undoes', code: 'not-undone', beats: () => failedCutover().beats, asOfMs: START_MS + 4 * HOUR },
  { title: 'a rotation left half done when its window closed', code: 'not-undone', beats: () => stagedInWindow().beats, asOfMs: START_MS + 2 * HOUR },
  { title: 'an ordered end of a staged login that nobody reports', code: 'lease-overdue', beats: () => without('lease.ended')(toldUntilUndone(fetchedRotation()).beats), asOfMs: START_MS + HOUR },
  { title: 'an end that takes another login back', code: 'order-mismatch', beats: () => otherUndone() },
  // Windows.
  { title: 'a step before its window', code: 'outside-window', beats: () => beforeWindow().beats },
  { title: 'a ticket that is good for longer than the window', code: 'outside-window', beats: () => forceAct(toldUntilDispatched(inWindow()), 0, { notAfter: formatTime(START_MS + 2 * HOUR) }).beats },
  { title: 'a step in its window that nobody was told is open', code: 'outside-window', beats: () => without('window.opened')(toldUntilAuthorised(inWindow()).beats) },
  { title: 'an effect that was not even taken up before the window was long over', code: 'outside-window', beats: () => actedAfterWindow().beats },
  { title: 'another window opened than was planned', code: 'window-mismatch', beats: () => editing('window.opened', (event) => withBody(event, { calendar: 'days' }))(inWindow().beats) },
  { title: 'a window opened before its time', code: 'window-mismatch', beats: () => editing('window.opened', () => ({ atMs: START_MS + 60_200 }))(inWindow().beats) },
  { title: 'another window closed than was opened', code: 'window-mismatch', beats: () => editing('window.closed', (event) => withBody(event, { closesAt: formatTime(START_MS + 2 * HOUR) }))(closedWindow().beats) },
  { title: 'a window that is over before its end', code: 'window-mismatch', beats: () => editing('window.closed', () => ({ atMs: START_MS + HOUR - 1 }))(closedWindow().beats) },
  { title: 'a window closed that was not open', code: 'wrong-order', beats: () => twice('window.closed')(closedWindow().beats) },
  { title: 'a change planned anew while its window is still to come to its end', code: 'window-mismatch', beats: () => replanned({}, 1_000) },
  { title: 'a change planned anew for something else', code: 'window-mismatch', beats: () => replanned({ request: { ...ROTATE, reason: 'something else', window: { onMissed: 'replan' } } }) },
  { title: 'a change planned anew by whoever asked, as if a window had been missed', code: 'wrong-actor', beats: () => editing('change.revised', (event) => ({ ...event, actor: 'nhi:prod/orders-api' }))(replanned({})) },
  { title: 'a change that expires before its time', code: 'window-mismatch', beats: () => inWindow().force({ type: 'change.expired', actor: sidecar, body: { cause: 'window' } }).beats },
  { title: 'a window other than was asked for', code: 'plan-not-requested', beats: () => toldUntilPlanned({ ...ROTATE, window: { calendar: 'weekends' } }, START_MS, { window: windowAt(HOUR, 2 * HOUR) }).beats },
  { title: 'a window that is finished while a step is on its way', code: 'window-mismatch', beats: () => closedBeneath('finished') },
  { title: 'a window that is missed while a step is on its way', code: 'window-mismatch', beats: () => closedBeneath('missed') },
  { title: 'a window that nobody was told is over', code: 'window-mismatch', beats: () => inWindow().beats, asOfMs: START_MS + HOUR + 31_000 },
  { title: 'a caller’s ticket that leaves its code no time in the window', code: 'outside-window', beats: () => calledAtTheEnd() },
  // Freezes and locks.
  { title: 'a step in a freeze', code: 'frozen', beats: () => forceAct(toldUntilDispatched(toldUntilPlanned(ROTATE, START_MS), { notBefore: formatTime(START_MS + HOUR) }), 0).beats },
  { title: 'a new login under a lock of the identity', code: 'locked', beats: () => stagedRotation().beats, first: [lock()] },
  { title: 'a new login under a lock of the connector', code: 'locked', beats: () => stagedRotation().beats, first: [lock({ nhi: null, connector: 'pg-main' })] },
  { title: 'a grant under a lock', code: 'locked', beats: () => toldUntilArmed(toldUntilDecided(GRANT, START_MS)).beats, first: [lock({ nhi: GRANT.subject, connector: 'pg-main' })] },
  { title: 'a caller’s code under a lock', code: 'locked', beats: () => called().beats, first: [lock()] },
  { title: 'a lock that is lifted and was not set', code: 'wrong-order', beats: () => [], first: [lifted()] },
  { title: 'a lock of nothing', code: 'malformed-record', beats: () => [], first: [lock({ nhi: null })] },
  { title: 'a lock that is lifted by the identity that it is on', code: 'wrong-actor', beats: () => [], first: [lock(), systemDraft('lock.lifted', { lockId: LOCK, reason: null }, 'nhi:prod/orders-api', START_MS)] },
  { title: 'a lock that a part of the control plane sets', code: 'wrong-actor', beats: () => [], first: [lock({}, 'executor:main')] },
  { title: 'a lock of a revoker that no revoker has signed', code: 'lock-signature', beats: () => [], first: [lock({ statement: signedLock({}, keys.stranger) })] },
  // Offboardings.
  { title: 'a part of an offboarding that is not decided', code: 'parent-mismatch', beats: () => childOfUndecided() },
  { title: 'a part of an offboarding that does not list it', code: 'parent-mismatch', beats: () => childOf({ ...SHUT_OUT, target: 'other' }) },
  { title: 'a part of an offboarding that somebody else asks for', code: 'parent-mismatch', beats: () => editing('change.requested', (event) => ({ ...event, actor: 'person:mallory', body: { ...event.body, requester: ['person:mallory'] } }), 1)(childOf(SHUT_OUT)) },
  { title: 'an offboarding of a lease that this ledger does not have', code: 'item-mismatch', beats: () => plannedFor([{ kind: 'lease', nhi: 'nhi:prod/ci-deployer', change: `chg_${'0'.repeat(16)}_${'0'.repeat(26)}` }]) },
  { title: 'an offboarding of one that lists another', code: 'item-mismatch', beats: () => plannedFor([{ ...ACCOUNT, nhi: 'nhi:prod/orders-api' }]) },
  { title: 'an offboarding that shuts out before it takes back', code: 'item-mismatch', beats: () => accountsFirst() },
  { title: 'an offboarding whose plan is not what was asked for', code: 'plan-not-requested', beats: () => replan(plannedFor([ACCOUNT]), () => ({ mode: 'caller' })) },
  { title: 'an item that a change of its own was to take back', code: 'item-mismatch', beats: () => editing('item.started', (event) => withBody(event, { change: `chg_${'0'.repeat(16)}_${'0'.repeat(26)}` }))(shuttingOut().ledger) },
  { title: 'an item that an unrelated change was to take back', code: 'item-mismatch', beats: () => unrelated() },
  { title: 'an item begun again while it is being taken back', code: 'item-mismatch', beats: () => begunTwice() },
  { title: 'an account that is shut out while a lease before it is not settled', code: 'item-mismatch', beats: () => shutOutFirst() },
  { title: 'an item that nobody listed', code: 'item-mismatch', beats: () => settledByNumber(7) },
  { title: 'an account that is said to be gone and is not', code: 'item-not-gone', beats: () => settledByNumber(0) },
  { title: 'an account that is said to be gone before anything was begun', code: 'item-not-gone', beats: () => offboarding([ACCOUNT], [], START_MS).later(5).force(settled('gone')).beats },
  { title: 'a lease that is said to be gone and is only ordered back', code: 'item-not-gone', beats: () => leaseNotGone() },
  { title: 'an offboarding that nobody approved', code: 'approvals-insufficient', beats: () => unapproved(), amongOthers: true },
  { title: 'an item of an offboarding that was not dispatched', code: 'wrong-order', beats: () => undispatched() },
  { title: 'a shutting out that somebody else calls off', code: 'wrong-actor', beats: () => toldUntilPlanned(SHUT_OUT, START_MS).force({ type: 'change.withdrawn', actor: 'person:mallory', body: { comment: null } }).beats },
  { title: 'a part of an offboarding that whoever offboards makes by their own word', code: 'parent-mismatch', beats: () => childOf({ ...SHUT_OUT, caller: { key: CALLED.caller.key, timeout: 'PT2M' } }) },
  { title: 'an account that is said to be gone, and another was shut out', code: 'item-not-gone', beats: () => anotherShutOut() },
  { title: 'an offboarding that takes back what gave nothing', code: 'item-mismatch', beats: () => takesBackNothing() },
  { title: 'an offboarding that is over while a lease runs that it left out', code: 'item-missing', beats: () => leftOut() },
  { title: 'a grant to an identity that an offboarding is taking everything from', code: 'locked', beats: () => grantMeanwhile() },
  // Callers.
  { title: 'a second ticket for a run', code: 'wrong-order', beats: () => issuedAgain(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)), 301_000) },
  { title: 'a second ticket for a run that has begun', code: 'wrong-order', beats: () => issuedAgain(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS))), 301_000) },
  { title: 'a look afterwards from before the code ran', code: 'effect-before-evidence', beats: () => editing('state.read', (event) => rereported(event, () => ({ at: formatTime(START_MS + 10_000) })), 1)(called().beats) },
  { title: 'a result of code that its caller had not announced', code: 'not-claimed', beats: () => without('step.claimed')(called().beats) },
  { title: 'a claim of somebody else’s run', code: 'report-signature', beats: () => editing('step.claimed', (event) => rereported(event, () => ({}), strangersRun))(called().beats) },
  { title: 'a result of an executor for a caller’s step', code: 'report-mismatch', beats: () => editing('step.succeeded', (event) => ({ ...rereported(event, () => ({ executor: EXECUTOR })), actor: EXECUTOR }))(called().beats) },
  { title: 'a ticket for another run than asked', code: 'ticket-mismatch', beats: () => forceAct(toldUntilDispatched(toldUntilPlanned(CALLED, START_MS)), 0, { audience: `caller:${'0'.repeat(32)}` }).beats },
  { title: 'a ticket for an executor where the caller acts', code: 'ticket-mismatch', beats: () => forceAct(toldUntilDispatched(toldUntilPlanned(CALLED, START_MS)), 0, { audience: EXECUTOR }).beats },
  { title: 'code that ran before its claim was on record', code: 'effect-before-evidence', beats: () => editing('step.succeeded', (event) => rereported(event, () => ({ at: formatTime(START_MS + 50_000) }), runSigner))(called().beats) },
  { title: 'a silence before the time was over', code: 'wrong-order', beats: () => silentEarly() },
  { title: 'a claim after the caller was given up', code: 'record-after-end', beats: () => claimedLate() },
  { title: 'a caller’s ticket that expires while it is good', code: 'wrong-order', beats: () => toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)).force({ type: 'change.expired', actor: sidecar, body: { cause: 'unclaimed' } }).beats },
  { title: 'a plan whose target was made up where nobody read it', code: 'plan-not-requested', beats: () => replan(toldUntilPlanned(CALLED, START_MS, { unread: true }).beats, () => ({ before: { account: 1 } })) },
  { title: 'a plan that extends what nobody asked to extend, and gives something else', code: 'plan-not-requested', beats: () => replan(toldUntilDecided(GRANT, START_MS).beats, superuser) },
  { title: 'a plan that extends another lease than was asked for, and gives something else', code: 'plan-not-requested', beats: () => replan(ofExtension().beats, superuser) },
  { title: 'a plan that was made before anything was read', code: 'plan-not-requested', beats: () => without('state.read')(toldUntilDecided(GRANT, START_MS).beats) },
  { title: 'a look afterwards that nobody was to take', code: 'wrong-order', beats: () => twice('state.read', 1)(without('entitlement.verified')(called().beats)) },
  // Notifications.
  { title: 'a receiver told about a record that is not this change’s', code: 'notice-mismatch', beats: () => toldOf(stagedRotation(), 999).beats },
  { title: 'a receiver told, by whoever asked', code: 'wrong-actor', beats: () => editing('notification.delivered', (event) => ({ ...event, actor: 'nhi:prod/orders-api' }))(toldOf(stagedRotation(), 2).beats) },
  { title: 'a receiver told of what comes after it, of a change that is over', code: 'notice-mismatch', beats: () => toldOf(toldUntilPlanned(ROTATE, START_MS, { effect: 'deny' }), 999).beats },
  { title: 'a consumer that confirms what is over', code: 'record-after-end', beats: () => afterEnd() },
];

/** Decided and authorised once more, `ms` after the ticket before. */
function issuedAgain(telling: Telling, ms: number): readonly Beat[] {
  const decided = telling.beats.findLast(({ event }) => event.type === 'policy.decided')!.event;
  return forceAct(telling.later(ms).force(decided), 0).beats;
}

function twoAtOnce(): readonly Beat[] {
  const ledger: Beat[] = [];
  const first = toldUntilAuthorised(toldUntilPlanned(ROTATE, START_MS, { ledger }));
  toldUntilAuthorised(toldUntilPlanned(ROTATE, first.atMs, { ledger }));
  return ledger;
}

function closedBeneath(cause: 'finished' | 'missed'): readonly Beat[] {
  const telling = toldUntilAuthorised(inWindow());
  return telling.later(5).force({ type: 'window.closed', actor: sidecar, body: { ...telling.now.plan!.window!, cause } }).beats;
}

/** Half a minute is left of the window, and the run may take two. */
function calledAtTheEnd(): readonly Beat[] {
  const telling = toldUntilApproved(toldUntilPlanned(CALLED, START_MS, { window: windowAt(HOUR / 2, HOUR) }));
  telling.atMs = START_MS + HOUR - 30_000;
  return forceAct(toldUntilDispatched(telling.do({ type: 'openWindow', by: sidecar })), 0, { notAfter: formatTime(START_MS + HOUR) }).beats;
}

function anotherShutOut(): readonly Beat[] {
  const { ledger, parent, child } = shuttingOut('ci_deployer_old');
  child.atMs = parent.atMs;
  parent.atMs = toldUntilStep(child).atMs;
  parent.later(5).force(settled('gone'));
  return ledger;
}

function takesBackNothing(): readonly Beat[] {
  const ledger: Beat[] = [];
  const other = toldUntilPlanned(SHUT_OUT, START_MS, { effect: 'allow', ledger });
  offboarding([{ kind: 'lease', nhi: SHUT_OUT.subject, change: other.changeId }], ledger, other.atMs);
  return ledger;
}

function leftOut(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS, ledger))));
  const parent = offboarding([ACCOUNT], ledger, lease.atMs);
  const child = toldUntilPlanned(SHUT_OUT, parent.atMs, { effect: 'allow', ledger, parent });
  parent.atMs = child.atMs;
  parent.do({ type: 'startItem', by: sidecar, item: 0, change: child.changeId });
  child.atMs = parent.atMs;
  parent.atMs = toldUntilStep(child).atMs;
  parent.later(5).do({ type: 'settleItem', by: sidecar, item: 0, outcome: 'gone', owner: null, detail: 'the account is shut out' });
  return ledger;
}

function grantMeanwhile(): readonly Beat[] {
  const { ledger, parent } = shuttingOut();
  toldUntilArmed(toldUntilDecided(GRANT, parent.atMs, 'needsApproval', new Telling(parent.atMs, ledger)));
  return ledger;
}

function undecidedAgain(): Telling {
  return toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER] });
}

function cutoverWithSecret(): Telling {
  const telling = toldUntilClaimed(toldUntilAuthorised(stagedRotation()));
  const seal = { recipient: `age1${'q'.repeat(58)}`, ciphertext: otherDigest, fingerprint: 'cd'.repeat(32), replaces: null };
  return telling.later(5).force({ type: 'delivery.sealed', actor: EXECUTOR, body: { stepId: telling.now.act!.stepId, seal } });
}

/** `decide` lets the sidecar order nothing back here, so the record is forced. */
function undoneAfterCutover(cause: 'compensation' | 'early'): Telling {
  const telling = toldUntilStep(stagedRotation());
  const honest = toldUntilUndone(toldUntilStep(stagedRotation()), 'early', 'person:olga');
  const ordered = honest.beats.find(({ event }) => event.type === 'step.authorised' && event.body.kind === 'revoke')!.event;
  if (ordered.type !== 'step.authorised' || ordered.body.kind !== 'revoke') throw new Error('nothing was ordered');
  const order = sign.order({
    v: 1, log: telling.now.plan!.log, changeId: telling.changeId, leaseId: telling.changeId.replace('chg', 'lse'), epoch: 1, notBefore: formatTime(telling.atMs), audience: EXECUTOR,
    action: 'stage', connector: 'pg-main', target: 'app', account: 'orders_b', privileges: ['role:orders'], clientToken: telling.now.plan!.steps[0]!.clientToken, cause, orderedBy: sidecar,
  });
  return telling.force({ ...ordered, actor: sidecar, body: { ...ordered.body, stepId: ordered.body.stepId.replace(honest.changeId.slice(4), telling.changeId.slice(4)), order } });
}

function failedCutover(): Telling {
  // Nobody has moved over yet: otherwise it would not be undone by itself.
  const staged = acknowledge(toldUntilStep(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER] }))).later(2 * HOUR);
  return toldUntilActed(toldUntilClaimed(toldUntilAuthorised(staged)), { outcome: 'failed', before: null, after: null });
}

function stagedInWindow(): Telling {
  const telling = acknowledge(toldUntilStep(inWindow()));
  telling.atMs = START_MS + HOUR;
  return telling.do({ type: 'closeWindow', by: sidecar });
}

function otherUndone(): readonly Beat[] {
  const telling = stagedRotation();
  const other = toldUntilUndone(fetchedRotation({}, START_MS + HOUR));
  const end = other.beats.at(-1)!.event;
  return telling.later(2 * HOUR).force(rereported(end, () => ({ changeId: telling.changeId }))).beats;
}

function beforeWindow(): Telling {
  const telling = toldUntilPlanned(ROTATE, START_MS, { window: windowAt(HOUR, 2 * HOUR) });
  return forceAct(toldUntilDispatched(telling), 0, { notBefore: formatTime(START_MS + HOUR), notAfter: formatTime(START_MS + HOUR + 60_000) });
}

function actedAfterWindow(): Telling {
  const authorised = toldUntilAuthorised(inWindow());
  authorised.atMs = START_MS + HOUR + 31_000;
  const { content, states } = acted(authorised);
  report(authorised, content, states);
  return authorised;
}

function closedWindow(): Telling {
  const telling = inWindow();
  telling.atMs = START_MS + HOUR;
  return telling.do({ type: 'closeWindow', by: sidecar });
}

function childOfUndecided(): readonly Beat[] {
  const ledger: Beat[] = [];
  const parent = offboarding([ACCOUNT], ledger, START_MS);
  const undecidedLedger = ledger.filter(({ event }) => !(event.type === 'policy.decided' && event.body.phase === 'dispatch'));
  const child = new Telling(parent.atMs).force({ type: 'change.requested', actor: 'person:olga', body: { request: SHUT_OUT, requester: ['person:olga'], idempotency: null, parent: parent.changeId } });
  return [...undecidedLedger, ...child.beats];
}

function childOf(request: typeof SHUT_OUT): readonly Beat[] {
  const ledger: Beat[] = [];
  const parent = offboarding([ACCOUNT], ledger, START_MS);
  new Telling(parent.atMs, ledger).do({ type: 'request', by: 'person:olga', request, requester: ['person:olga'], idempotency: null, parent: parent.changeId });
  return ledger;
}

function accountsFirst(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS, ledger))));
  offboarding([ACCOUNT, { kind: 'lease', nhi: GRANT.subject, change: lease.changeId }], ledger, lease.atMs);
  return ledger;
}

function unrelated(): readonly Beat[] {
  const ledger: Beat[] = [];
  const other = toldUntilPlanned(SHUT_OUT, START_MS, { effect: 'allow', ledger });
  offboarding([ACCOUNT], ledger, other.atMs).later(5).do({ type: 'startItem', by: sidecar, item: 0, change: other.changeId });
  return ledger;
}

function begunTwice(): readonly Beat[] {
  const { ledger, parent } = shuttingOut();
  const second = new Telling(parent.atMs, ledger).do({ type: 'request', by: 'person:olga', request: SHUT_OUT, requester: ['person:olga'], idempotency: null, parent: parent.changeId });
  parent.later(5).do({ type: 'startItem', by: sidecar, item: 0, change: second.changeId });
  return ledger;
}

function shutOutFirst(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS, ledger))));
  const parent = offboarding([{ kind: 'lease', nhi: GRANT.subject, change: lease.changeId }, ACCOUNT], ledger, lease.atMs);
  parent.do({ type: 'startItem', by: sidecar, item: 0, change: lease.changeId });
  const child = toldUntilPlanned(SHUT_OUT, parent.atMs, { effect: 'allow', ledger, parent });
  parent.atMs = child.atMs;
  parent.do({ type: 'startItem', by: sidecar, item: 1, change: child.changeId });
  return ledger;
}

function settledByNumber(item: number): readonly Beat[] {
  const { ledger, parent } = shuttingOut();
  parent.later(5).force({ ...settled('gone'), body: { ...settled('gone').body, item } });
  return ledger;
}

function undispatched(): readonly Beat[] {
  const telling = new Telling(START_MS).do({ type: 'request', by: 'person:olga', request: { kind: 'offboard', subject: 'nhi:prod/ci-deployer', reason: 'gone' }, requester: ['person:olga'], idempotency: null });
  const plan = deriveOffboarding(telling.now, [ACCOUNT], salt(17));
  const decided = offboarding([ACCOUNT], [], START_MS).beats[1]!.event;
  if (decided.type !== 'policy.decided') throw new Error('not decided');
  return telling.later(5).force({ ...decided, body: { ...decided.body, planDigest: planDigest(plan) }, attached: { plan } })
    .later(5).force(settled('open')).beats;
}

function silentEarly(): readonly Beat[] {
  const telling = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)));
  return telling.later(60_000).force({ type: 'step.ambiguous', actor: sidecar, body: { stepId: telling.now.act!.stepId, cause: 'deadline' } }).beats;
}

function claimedLate(): readonly Beat[] {
  const honest = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)));
  const claim = honest.beats.at(-1)!;
  return [...honest.beats.slice(0, -1), { ...claim, event: { type: 'change.expired', actor: sidecar, body: { cause: 'unclaimed' } }, atMs: claim.atMs + HOUR }, { ...claim, atMs: claim.atMs + HOUR }];
}

/** A receiver was told about record `about`. */
export function toldOf(telling: Telling, about: number): Telling {
  return telling.later(5).do({ type: 'recordNotification', by: sidecar, delivered: { webhook: 'chat', event: 'approval.requested', about, attempts: 1 } });
}

function afterEnd(): readonly Beat[] {
  const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
  toldUntilEnded(telling, telling.now.lease!.order);
  return telling.later(5).force({ type: 'consumer.confirmed', actor: CONSUMER, body: { consumer: CONSUMER } }).beats;
}
