import { describe, expect, it } from 'vitest';
import { canonicalBytes, canonicalText, digestOf, type LedgerRecord } from '../../ledger/index.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { unprovenIn, workflowVerdict } from '../../src/evidence/verify.ts';
import { openWorkflow, type WorkflowFindings } from '../../src/evidence/workflow.ts';
import type { OffboardItem } from '../../src/protocol/plan.ts';
import { editing, rereported } from '../support/edit-story.ts';
import {
  acknowledge, called, CALLED, confirm, CONSUMER, DISABLE, keptRotation, offboarding, ROTATE, rotation, fetchedRotation, stagedRotation, toldUntilActed, toldUntilApproved, toldUntilAuthorised, toldUntilClaimed,
  toldUntilDispatched, toldUntilPlanned, toldUntilStep, toldUntilUndone, toldUntilVerified, windowAt,
} from '../support/step-stories.ts';
import {
  cleanStory, GRANT, ORIGIN, sidecar, START_MS, storyTrust, targetState, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, type Beat,
} from '../support/story.ts';
import { STEP_CASES, toldOf } from './step-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';
import { draftOf } from '../support/drafts.ts';

const HOUR = 3_600_000;

/** What WORKFLOW says of a story in which nothing is wrong. */
async function held(beats: readonly Beat[], options: Parameters<typeof verified>[2] = {}): Promise<string> {
  const verification = await verified(beats, {}, options);
  expect(verification.workflow?.violations).toEqual([]);
  expect(workflowOf(verification).status).toBe('holds');
  return workflowOf(verification).message;
}

describe('an honest rotation', () => {
  it('is followed to its end', async () => {
    expect(await held(rotation().beats)).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back; 1 rotation: 1 finished');
  });

  it('whose target has one secret is followed to its end', async () => {
    expect(await held(acknowledge(toldUntilStep(toldUntilPlanned(ROTATE, START_MS, { overlap: 'none' }))).beats)).toContain('1 rotation: 1 finished');
  });

  it('whose secret its executor keeps in a sink holds', async () => {
    expect(await held(keptRotation().beats)).toContain('1 rotation: 1 finished');
  });

  it('goes on under the approvals that it began with, a day later', async () => {
    const telling = stagedRotation();
    toldUntilStep(toldUntilStep(telling.later(24 * HOUR)).later(24 * HOUR));
    expect(await held(telling.beats)).toContain('1 rotation: 1 finished');
  });

  it('waits for its grace where a consumer says nothing', async () => {
    const telling = acknowledge(toldUntilStep(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER] })));
    toldUntilStep(telling.later(2 * HOUR));
    expect(await held(telling.beats)).toContain('1 rotation: 0 finished, 1 under way');
  });

  it('is undone where its secret cannot be delivered', async () => {
    const telling = toldUntilStep(toldUntilPlanned(ROTATE, START_MS));
    telling.later(HOUR).do({ type: 'giveUpDelivery', by: sidecar, reason: 'nobody fetched it' });
    expect(await held(toldUntilUndone(telling).beats)).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back; 1 rotation: 0 finished, 1 undone');
  });

  it('is undone where its cutover fails', async () => {
    const telling = toldUntilActed(toldUntilClaimed(toldUntilAuthorised(fetchedRotation().later(2 * HOUR))), { outcome: 'failed', before: null, after: null });
    expect(await held(toldUntilUndone(telling).beats)).toContain('1 change: 1 closed, 0 open');
  });

  it('is undone after a consumer has moved over where somebody withdraws it', async () => {
    const telling = stagedRotation();
    telling.later(5).do({ type: 'withdraw', by: ROTATE.subject, comment: 'not after all' });
    expect(await held(toldUntilUndone(telling).beats)).toContain('1 rotation: 0 finished, 1 undone');
  });

  it('tries its retirement again, and may be taken back by a person after its end', async () => {
    const telling = toldUntilStep(stagedRotation());
    toldUntilActed(toldUntilClaimed(toldUntilAuthorised(telling)), { outcome: 'refused', code: 'not-yet', before: null, after: null });
    toldUntilStep(telling);
    expect(await held(toldUntilUndone(telling.later(HOUR), 'early', 'person:olga').beats)).toContain('1 rotation: 1 finished');
  });

  it('that is given up after its cutover says that both credentials stand', async () => {
    const telling = toldUntilStep(stagedRotation());
    telling.later(HOUR).do({ type: 'openFinding', by: sidecar, code: 'rotation-stalled', message: 'still in use', owner: null });
    telling.later(5).do({ type: 'withdraw', by: ROTATE.subject, comment: null });
    expect(await held(telling.beats)).toContain('1 rotation: 0 finished, 1 given up with both credentials standing');
  });

  it('retires the old login under a lock, which is about what is gained', async () => {
    const telling = toldUntilStep(stagedRotation());
    const gaining = [...telling.beats];
    toldUntilStep(telling);
    const set = systemDraft('lock.set', { lockId: 'lck_01KAVQ0000000000000000000A', nhi: ROTATE.subject, connector: null, reason: 'a leak' }, 'person:sam', START_MS);
    const lifted = systemDraft('lock.lifted', { lockId: 'lck_01KAVQ0000000000000000000A', reason: null }, 'person:sam', START_MS);
    const findings = await followed([...gaining, set, ...telling.beats.slice(gaining.length), lifted]);
    expect(findings.violations).toEqual([]);
  });
});

describe('an honest change in its time', () => {
  const window = windowAt(HOUR / 2, HOUR);
  const opened = (telling: Telling): Telling => {
    telling.atMs = Math.max(toldUntilApproved(telling).atMs, START_MS + HOUR / 2);
    return telling.do({ type: 'openWindow', by: sidecar });
  };

  it('is done inside its window, and the old login retired after it', async () => {
    const telling = opened(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER], window }));
    toldUntilStep(confirm(acknowledge(toldUntilStep(telling))));
    telling.atMs = START_MS + HOUR;
    toldUntilStep(telling.do({ type: 'closeWindow', by: sidecar }));
    expect(await held(telling.beats)).toContain('1 rotation: 1 finished');
  });

  it('whose window closed on it half done is undone', async () => {
    const telling = acknowledge(toldUntilStep(opened(toldUntilPlanned(ROTATE, START_MS, { consumers: [CONSUMER], window }))));
    telling.atMs = START_MS + HOUR;
    toldUntilUndone(telling.do({ type: 'closeWindow', by: sidecar }));
    expect(await held(telling.beats)).toContain('1 rotation: 0 finished, 1 undone');
  });

  it('that missed its window is planned anew, and approved anew', async () => {
    const request = { ...ROTATE, window: { onMissed: 'replan' as const } };
    const telling = opened(toldUntilPlanned(request, START_MS, { consumers: [CONSUMER], window: windowAt(HOUR / 2, HOUR, 'replan') }));
    telling.atMs = START_MS + HOUR;
    telling.do({ type: 'missWindow', by: sidecar });
    expect(telling.now.revision).toBe(2);
    toldUntilPlanned(request, telling.atMs, { consumers: [CONSUMER], window: windowAt(2 * HOUR, 3 * HOUR, 'replan') }, telling);
    toldUntilApproved(telling);
    telling.atMs = START_MS + 2 * HOUR;
    toldUntilStep(confirm(acknowledge(toldUntilStep(telling.do({ type: 'openWindow', by: sidecar })))));
    toldUntilStep(telling).later(5).do({ type: 'closeWindow', by: sidecar });
    expect(await held(telling.beats)).toContain('1 change: 1 closed, 0 open');
  });

  it('that missed its window expires where it was to', async () => {
    const telling = opened(toldUntilPlanned(ROTATE, START_MS, { window }));
    telling.atMs = START_MS + HOUR;
    expect(await held(telling.do({ type: 'missWindow', by: sidecar }).beats)).toContain('1 change: 1 closed, 0 open');
  });

  it('waits for the end of a freeze, and is decided again', async () => {
    const telling = toldUntilDispatched(toldUntilPlanned(ROTATE, START_MS), { notBefore: new Date(START_MS + HOUR / 2).toISOString() });
    telling.atMs = START_MS + HOUR / 2;
    expect(await held(toldUntilStep(telling).beats)).toContain('1 under way');
  });
});

describe('an honest offboarding', () => {
  it('takes back a lease and an account that is open first, and then is gone', async () => {
    const { ledger } = offboarded();
    const message = await held(ledger);
    expect(message).toBe('4 changes: 4 closed, 0 open; 1 grant: 1 taken back; 1 offboarding: 1 finished');
  });

  it('remembers a lease that ended between its listing and its decision', async () => {
    const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    const parent = offboarding([{ kind: 'lease', nhi: GRANT.subject, change: lease.changeId }], [], lease.atMs);
    toldUntilEnded(lease, lease.now.lease!.order);
    const end = lease.beats.pop()!;
    const [requested, ...decided] = parent.beats.map((beat, n) => (n === 0 ? beat : { ...beat, atMs: beat.atMs - parent.beats[0]!.atMs + end.atMs }));
    parent.atMs = decided.at(-1)!.atMs + 5;
    parent.do({ type: 'settleItem', by: sidecar, item: 0, outcome: 'gone', owner: null, detail: 'the access is gone' });
    expect(await held([...lease.beats, requested!, end, ...decided, parent.beats.at(-1)!])).toContain('1 offboarding: 1 finished');
  });

  it('does not know a lease that had ended before it was asked for', async () => {
    const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    toldUntilEnded(lease, lease.now.lease!.order);
    const { beats } = offboarding([{ kind: 'lease', nhi: GRANT.subject, change: lease.changeId }], [], lease.atMs);
    expect((await verified([...lease.beats, ...beats])).workflow?.violations.map(({ code }) => code)).toEqual(['item-mismatch']);
  });
});

/** A lease and an account of the same identity; the account could not be shut out at once. */
function offboarded(): { ledger: Beat[]; parent: Telling } {
  const ledger: Beat[] = [];
  const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS, ledger))));
  const items: OffboardItem[] = [
    { kind: 'lease', nhi: GRANT.subject, change: lease.changeId }, { kind: 'account', nhi: GRANT.subject, connector: 'pg-main', target: 'app', account: 'ci_deployer' },
  ];
  const parent = offboarding(items, ledger, lease.atMs);
  parent.do({ type: 'startItem', by: sidecar, item: 0, change: lease.changeId });
  lease.atMs = parent.atMs;
  const order = toldUntilOrdered(lease, 'person:olga');
  parent.atMs = lease.atMs;
  parent.later(5).do({ type: 'settleItem', by: sidecar, item: 0, outcome: 'open', owner: 'person:sam', detail: 'not gone yet' });
  lease.atMs = parent.atMs;
  const request = { ...DISABLE, subject: GRANT.subject };
  const first = toldUntilPlanned(request, lease.atMs, { effect: 'deny', ledger, parent });
  parent.atMs = first.atMs;
  parent.do({ type: 'startItem', by: sidecar, item: 1, change: first.changeId });
  parent.later(5).do({ type: 'settleItem', by: sidecar, item: 1, outcome: 'open', owner: 'person:sam', detail: 'denied' });
  lease.atMs = parent.atMs;
  toldUntilEnded(lease, order, 0);
  parent.atMs = lease.atMs;
  parent.later(5).do({ type: 'settleItem', by: sidecar, item: 0, outcome: 'gone', owner: null, detail: 'the access is gone' });
  const second = toldUntilPlanned(request, parent.atMs, { effect: 'allow', ledger, parent });
  parent.atMs = second.atMs;
  parent.do({ type: 'startItem', by: sidecar, item: 1, change: second.changeId });
  second.atMs = parent.atMs;
  toldUntilStep(second);
  parent.atMs = second.atMs;
  parent.later(5).do({ type: 'settleItem', by: sidecar, item: 1, outcome: 'gone', owner: null, detail: 'the account is shut out' });
  return { ledger, parent };
}

describe('an honest change by a caller', () => {
  it('that an executor has looked at is as good as any', async () => {
    const verification = await verified(called().beats);
    expect(verification.workflow?.violations).toEqual([]);
    expect(workflowOf(verification).message).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back');
    expect(verification.notProven.join()).not.toContain('self-reported');
  });

  it('that nobody can look at is self-reported, and said to be', async () => {
    const verification = await verified(called({ unread: true }).beats);
    expect(verification.workflow?.violations).toEqual([]);
    expect(workflowOf(verification).message).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back; 1 change self-reported by its caller');
    expect(verification.notProven).toContain('what 1 change self-reported by its caller did: no executor has looked');
    expect(verification.verdicts.find(({ name }) => name === 'NOT PROVEN')?.message).toContain('self-reported');
  });

  it('whose code failed is self-reported too: it says itself that it did nothing', async () => {
    const telling = toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS))), { outcome: 'failed', code: 'exit-1' });
    expect(await held(telling.beats)).toContain('1 change: 1 closed, 0 open; 0 grants: 0 taken back; 1 change self-reported by its caller');
  });

  it('that is silent is ambiguous, until it is heard after all', async () => {
    const telling = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS, { unread: true })));
    telling.later(120_000).do({ type: 'recordSilence', by: sidecar, owner: 'person:sam' });
    const silent = await verified(telling.beats);
    expect(workflowOf(silent)).toMatchObject({ status: 'holds', message: '1 change: 0 closed, 1 open; 0 grants: 0 taken back; 1 change of ambiguous outcome' });
    expect(silent.notProven).toContain('whether 1 change of ambiguous outcome was made');
    expect(await held(toldUntilVerified(toldUntilActed(telling.later(HOUR))).beats)).toContain('; 1 change self-reported by its caller');
  });

  it('that is silent and was called off is over, its outcome still not known, and heard of all the same', async () => {
    const telling = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS, { unread: true })));
    telling.later(120_000).do({ type: 'recordSilence', by: sidecar, owner: 'person:sam' });
    telling.later(HOUR).do({ type: 'withdraw', by: CALLED.subject, comment: 'looked at by hand' });
    expect(await held(telling.beats)).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back; 1 change of ambiguous outcome');
    expect(await held(toldUntilActed(telling.later(HOUR)).beats)).toContain('; 1 change self-reported by its caller');
  });

  it('whose ticket nobody took up is over, with nothing to report', async () => {
    const telling = toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS));
    expect(await held(telling.later(300_000).do({ type: 'expire', by: sidecar, cause: 'unclaimed' }).beats)).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back');
  });
});

describe('a change of which somebody was told', () => {
  it('holds while it is open, and after it is over', async () => {
    await held(toldOf(stagedRotation(), 4).beats);
    await held(toldOf(toldUntilPlanned(ROTATE, START_MS, { effect: 'deny' }), 4).beats);
  });
});

type Told = Beat | ReturnType<typeof systemDraft>;

/** Follows records straight from the story, some objects of which are erased. */
async function followed(told: readonly Told[], isErased: (text: string) => boolean = () => false): Promise<WorkflowFindings> {
  const workflow = openWorkflow({ trust: storyTrust(), origin: ORIGIN });
  const objects = new Map<string, Uint8Array>();
  const lengths = new Map<string, number>();
  for (const [seq, one] of told.entries()) {
    const { draft, objects: bytes } = 'draft' in one ? one : draftOf(one.changeId, one.event, one.atMs);
    for (const object of bytes) objects.set(digestOf(object), object);
    const changeSeq = draft.change === null ? null : (lengths.get(draft.change) ?? 0);
    if (draft.change !== null) lengths.set(draft.change, changeSeq! + 1);
    const record: LedgerRecord = { ...draft, seq, prev: null, changeSeq, changePrev: null };
    await workflow.record(record, (digest) => {
      const object = objects.get(digest) ?? null;
      return Promise.resolve(object === null || isErased(Buffer.from(object).toString('utf8')) ? null : object);
    });
  }
  return workflow.finish();
}

describe('a ledger whose plans were erased', () => {
  const isPlan = (text: string): boolean => text.includes('"revision":');

  it('is followed by its tickets, and says what cannot be checked', async () => {
    const { ledger } = offboarded();
    const stories = [...rotation().beats, ...called().beats, ...ledger, ...cleanStory().beats, ...toldUntilUndone(fetchedRotation()).beats];
    const findings = await followed(stories, isPlan);
    expect(findings.violations).toEqual([]);
    expect(findings.erasedPlans).toBe(8);
    expect(findings.counts).toMatchObject({ rotations: 2, rotated: 1, rolledBack: 1, offboardings: 1, offboarded: 0 });
  });

  it('is followed with everything else erased as well', async () => {
    const { ledger } = offboarded();
    const findings = await followed([...rotation().beats, ...called().beats, ...ledger, ...cleanStory().beats], () => true);
    expect(findings.violations).toEqual([]);
  });

  it('still tells steps that are out of order', async () => {
    const [retired] = STEP_CASES.filter(({ title }) => title === 'an old login that is retired before the cutover was done');
    expect((await followed(retired!.beats!(), isPlan)).violations.map(({ code }) => code)).toEqual(['retired-early']);
  });
});

describe('a ledger whose states were erased', () => {
  const isState = (text: string): boolean => text.includes('"touched":');

  it('does not show that plans follow from what was read, and says so', async () => {
    const findings = await followed(cleanStory().beats, isState);
    expect(findings).toMatchObject({ violations: [], erasedPlans: 0, uncheckedPlans: 2 });
    expect(workflowVerdict(findings)).toMatchObject({ status: 'notEstablished', message: expect.stringMatching(/^2 plans made from states that were erased: .*; all else holds: 3 changes/) as string });
    expect(unprovenIn(findings, null)).toContain(`what ${findings.erasedStates} erased states said`);
  });

  it('shows it where only what was read after the plan is gone', async () => {
    const { beats } = cleanStory();
    const ofPlans = beats.flatMap(({ event }) => (event.type === 'state.read' ? [canonicalText(event.attached!.before!)] : []));
    const findings = await followed(beats, (text) => isState(text) && !ofPlans.includes(text));
    expect(workflowVerdict(findings).status).toBe('holds');
    expect(findings.erasedStates).toBeGreaterThan(0);
    expect(unprovenIn(findings, null)).toContain(`what ${findings.erasedStates} erased states said`);
  });

  it('does not hide a plan that was made from another state', async () => {
    const told = editing('state.read', (event) => rereported(event, () => ({ state: digestOf(canonicalBytes(OTHER)) })))(cleanStory().provision.beats).map((beat) =>
      (beat.event.type === 'state.read' ? { ...beat, event: { ...beat.event, attached: { before: OTHER } } } : beat));
    expect((await followed(told)).violations.map(({ code }) => code)).toContain('plan-not-requested');
    expect(workflowVerdict(await followed(told, (text) => text.includes('somethingElse'))).status).toBe('notEstablished');
  });
});
const OTHER = { ...targetState('billing_export_1', [], false, 1), touched: { somethingElse: true } };

it('a change that only took away is closed once it is done', async () => {
  expect(await held(toldUntilStep(toldUntilPlanned(DISABLE, START_MS, { effect: 'allow' })).beats)).toBe('1 change: 1 closed, 0 open; 0 grants: 0 taken back');
});

describe('a story of several steps with one thing wrong', () => {
  it.each(STEP_CASES)('is caught: $title ($code)', (one) => expectCaught(one, () => []));
});
