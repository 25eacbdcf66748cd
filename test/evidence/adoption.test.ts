/** A log that goes on for another: what was begun under the old one is followed to its end under the new, and every lie about it is found. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { rotationsIn } from '../../src/change/origin.ts';
import { whyNotExtendable } from '../../src/change/extension.ts';
import { nextWork } from '../../src/change/work.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { DEFAULT_LIMITS } from '../../src/engine/engine.ts';
import { openStore } from '../../src/engine/store.ts';
import { openAdoption } from '../../src/evidence/check-adoption.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { readHeld } from '../../src/evidence/held.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { recentHistory } from '../../src/notify/history.ts';
import { nodeDisk, openLog } from '../../ledger/index.ts';
import { runningLease, extensionUntilArmed, extensionUntilDecided, extensionUntilDone, extensionUntilVerified, extendRequest, VERIFIED } from '../support/extension-story.ts';
import { CALLED, DISABLE, rotation, toldUntilActed, toldUntilAuthorised, toldUntilClaimed, toldUntilPlanned } from '../support/step-stories.ts';
import { BREAKABLE, letting, reviewBy, toldUntilBroken, toldUntilGiven } from '../support/break-glass.ts';
import { adoptStory, bothTrusted, newLogKey, newSidecar, NEW_ORIGIN, retold, type Place } from '../support/adopted-story.ts';
import { GRANT, keys, ORIGIN, provenance, PROVISION, sidecar, sign, START_MS, type Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, writeStory, type Beat } from '../support/story.ts';
import { ADOPTION_CASES, extendedHere, HIDDEN_CASES, inTwoParts, reopen, withGarbledFirst } from './adoption-cases.ts';
import { ONE, rotated } from './glass-debts-cases.ts';
import { workflowOf } from './verified.ts';
import { draftOf } from '../support/drafts.ts';

let place: Place;
afterEach(() => place.remove());

const lockOf = (lockId: string): DraftWithObjects => systemDraft('lock.set', { lockId, nhi: GRANT.subject, connector: null, reason: 'stolen' }, 'person:olga', START_MS - 2);

/** An old ledger of these beats, whatever they are. */
async function writeBroken(n: number, beats: readonly Beat[]): Promise<{ readonly directory: string; readonly checkpoint: string }> {
  const directory = mkdtempSync(join(tmpdir(), `cs-broken-${n}-`));
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => START_MS });
  const opened = systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS);
  for (const { draft, objects } of [opened, ...beats.map(({ changeId, event, atMs }) => draftOf(changeId, event, atMs))]) log.append([draft], { objects });
  await log.sync();
  const { text } = log.checkpoint();
  await log.close();
  return { directory, checkpoint: text };
}

const workOf = (state: ChangeState, nowMs: number): string | null => nextWork(state, nowMs, DEFAULT_LIMITS).work?.do ?? null;

describe('what was open under the old log', () => {
  it('is owed its review under the new one, whose sidecar says that it is not overdue any more', async () => {
    const said = letting({ maxLeaseSeconds: 3_600, reviewWithinSeconds: 300 });
    const broken = toldUntilActive(toldUntilGiven(toldUntilBroken(START_MS, [], said), said));
    place = await adoptStory(broken.beats, START_MS + 300_000);
    const on = retold((await place.states()).get(broken.changeId)!, START_MS + 500_000);
    on.do({ type: 'openFinding', by: newSidecar, code: 'review-overdue', owner: null, message: 'nobody has reviewed it' });
    await place.tell(on.beats);
    expect((await place.verify(bothTrusted({ files: BREAKABLE }), START_MS + 500_000)).workflow?.violations.map(({ code }) => code)).toEqual(['review-overdue']);
    const { length } = on.beats;
    on.later(1_000).do({ type: 'reviewBreakGlass', by: 'person:ana', verdict: 'justified', comment: 'as it should be', demanded: 'session' });
    expect(on.beats.slice(length).map(({ event }) => `${event.type} ${event.actor}`)).toEqual(['breakglass.reviewed person:ana', `finding.closed ${newSidecar}`]);
    await place.tell(on.beats.slice(length));
    expect((await place.verify(bothTrusted({ files: BREAKABLE }), START_MS + 600_000)).workflow?.violations).toEqual([]);
  });

  it('comes with the rotation that a broken glass had left owed, and that its records speak of', async () => {
    const beats = rotated({ isReviewed: false, isFetched: true });
    const [{ changeId }, { atMs }] = [beats[0]!, beats.at(-1)!];
    place = await adoptStory(beats, atMs + 60_000);
    const states = await place.states();
    expect([...states.values()].map(({ request, name }) => `${request.kind} ${name}`)).toEqual(['grant revoked', 'rotate done']);
    const on = retold(states.get(changeId)!, atMs + 120_000).do(reviewBy());
    await place.tell(on.beats);
    expect((await place.verify(bothTrusted({ files: ONE }), atMs + 180_000, place.old)).workflow?.violations).toEqual([]);
  });

  it('is heard of under the new one, whose sidecar says so', async () => {
    const told = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)));
    place = await adoptStory(told.beats, told.atMs + 1_000);
    const on = retold((await place.states()).get(told.changeId)!, told.atMs + 2_000);
    on.force({ type: 'finding.opened', actor: newSidecar, body: { code: 'caller-silent', message: 'nothing was heard', owner: null } });
    on.do({ type: 'withdraw', by: told.now.requester[0]!, comment: null, isResponder: true });
    expect(on.beats.filter(({ event }) => event.type === 'finding.closed').map(({ event }) => event.actor)).toEqual([newSidecar]);
  });

  it('is carried on: what runs to its end, what is ordered back at once, and what had given nothing ends', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const early = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS + 200_000)));
    const onItsWay = toldUntilArmed(toldUntilDecided(GRANT, START_MS + 400_000));
    const pending = toldUntilDecided(GRANT, START_MS + 500_000);
    const denied = toldUntilDecided(GRANT, START_MS + 510_000, 'deny');
    const atMs = START_MS + 600_000;
    place = await adoptStory([...active.beats, ...early.beats, ...onItsWay.beats, ...pending.beats, ...denied.beats], atMs);
    expect(place.adopted).toMatchObject({ changes: 4, locks: 0, source: 'the backup', ahead: [{ by: 'a lease book', size: 9_000 }] });

    const states = await place.states();
    expect([...states.keys()]).not.toContain(denied.changeId);
    expect([active, early, onItsWay, pending].map(({ changeId }) => [states.get(changeId)!.name, workOf(states.get(changeId)!, atMs)])).toEqual([
      ['active', null], ['active', null], ['authorised', 'compensate'], ['pending', 'endAdopted'],
    ]);
    const on = (told: { changeId: string }, thenMs: number): ReturnType<typeof retold> => retold(states.get(told.changeId)!, thenMs);

    const ends = on(active, atMs + 1_000);
    const revoked = on(early, atMs + 2_000);
    toldUntilEnded(revoked, toldUntilOrdered(revoked, 'person:olga'), 200);
    const undone = on(onItsWay, atMs + 10_000);
    const order = sign.order(deriveRevokeOrder(undone.now.plan!, undone.now.act!.audience, undone.atMs, 'compensation', newSidecar)!);
    undone.do({ type: 'orderRevoke', by: newSidecar, order, comment: null });
    toldUntilEnded(undone, order, 100);
    const ended = on(pending, atMs + 20_000).do({ type: 'expire', by: newSidecar, cause: 'adopted' });
    toldUntilEnded(ends, active.now.lease!.order);
    await place.tell([...revoked.beats, ...undone.beats, ...ended.beats, ...ends.beats]);

    const verification = await place.verify();
    expect(verification.workflow?.violations).toEqual([]);
    expect(workflowOf(verification)).toMatchObject({ status: 'holds', message: expect.stringContaining('4 changes: 3 closed, 1 open, 4 of them adopted; 2 grants: 2 taken back') as string });
    expect(verification.notProven.filter((item) => item.includes(ORIGIN))).toEqual([
      expect.stringContaining(`that every change which was open after ${place.adopted.size} records of ${ORIGIN} was adopted`),
      `what ${ORIGIN} recorded after them: a lease book has seen 9000`,
    ]);
  });

  it('is held to its end across the change of log', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    place = await adoptStory(active.beats, active.atMs + 1_000);
    await place.tell([]);
    expect(workflowOf(await place.verify())).toMatchObject({ status: 'holds' });
    const late = await place.verify(bothTrusted(), active.now.lease!.endsAtMs + 60_000);
    expect(late.workflow?.violations.map(({ code, changeId }) => [code, changeId])).toEqual([['lease-overdue', active.changeId]]);
    expect(workflowOf(late).status).toBe('fails');
  });

  it('keeps the later end that an extension gave, and takes no other', async () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    extensionUntilVerified(extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease)), lease);
    const atMs = ledger.at(-1)!.atMs + 1_000;
    place = await adoptStory(ledger, atMs);
    expect(place.adopted.changes).toBe(2);
    const state = (await place.states()).get(lease.changeId)!;
    expect([state.name, state.lease!.epoch]).toEqual(['active', 2]);
    await place.tell([]);
    expect(workflowOf(await place.verify())).toMatchObject({ status: 'holds' });
    expect(whyNotExtendable(state, extendRequest(lease.changeId), atMs)).toContain('which this one has adopted');
  });

  it('is heard of though its arming was lost with the end of the old log, and is judged where it takes away', async () => {
    const grant = toldUntilArmed(toldUntilDecided(GRANT, START_MS));
    const shutOut = toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(DISABLE, START_MS + 100_000, { effect: 'allow' })));
    const atMs = START_MS + 150_000;
    place = await adoptStory([...grant.beats.slice(0, -1), ...shutOut.beats], atMs);
    const states = await place.states();
    const [given, gone] = [grant, shutOut].map((one) => retold(states.get(one.changeId)!, atMs + 1_000)) as [Telling, Telling];
    expect(given.now.lease).toMatchObject({ armed: false });
    const order = sign.order(deriveRevokeOrder(given.now.plan!, given.now.act!.audience, given.atMs, 'compensation', newSidecar)!);
    given.do({ type: 'orderRevoke', by: newSidecar, order, comment: null });
    toldUntilEnded(toldUntilActed(toldUntilClaimed(given)), order, 100);
    toldUntilActed(gone).later(5).do({ type: 'recordVerification', by: newSidecar, verification: VERIFIED, provenance });
    await place.tell([...given.beats, ...gone.beats].sort((a, b) => a.atMs - b.atMs));
    expect((await place.verify()).workflow?.violations).toEqual([]);
    expect([given.now.name, gone.now.name]).toEqual(['revoked', 'done']);
  });

  it('is held to its earlier end where an extension was under way', async () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const extension = extensionUntilArmed(extensionUntilDecided(lease, ledger), lease);
    place = await adoptStory(ledger, ledger.at(-1)!.atMs + 1_000);
    const state = (await place.states()).get(extension.changeId)!;
    expect([state.name, workOf(state, START_MS + 100_000)]).toEqual(['authorised', 'endAdopted']);
  });

  it('is older than what was begun here, whatever the numbers of its records', async () => {
    const told = rotation();
    place = await adoptStory(told.beats, told.atMs + 1_000);
    const old = (await place.states()).get(told.changeId)!;
    const next: ChangeState = { ...old, changeId: 'chg_next', adoptedFrom: null, act: { ...old.act!, seq: 6 }, firstActAtMs: told.atMs + 9_000 };
    expect(old.act!.seq).toBeGreaterThan(6);
    expect(rotationsIn([next, old]).map(({ changeId }) => changeId)).toEqual([old.changeId, 'chg_next']);
  });

  it('is told of from then on, and not once more from before', async () => {
    const pending = toldUntilDecided(GRANT, START_MS);
    place = await adoptStory(pending.beats, pending.atMs + 1_000);
    const states = await place.states();
    const ended = retold(states.get(pending.changeId)!, pending.atMs + 2_000).do({ type: 'expire', by: newSidecar, cause: 'adopted' });
    await place.tell(ended.beats);
    const log = await openLog({ origin: NEW_ORIGIN, disk: nodeDisk(place.directory), directory: 'ledger', journal: 'journal', signer: newLogKey, now: () => ended.atMs });
    const told: string[] = [];
    for await (const { event, state } of recentHistory(log, (await openStore(log, { nowMs: () => ended.atMs, actor: newSidecar, random: (length) => new Uint8Array(length), changed: () => undefined })).index.recordsOf(ended.changeId))) told.push(`${event.type} ${state.name} ${state.adoptedFrom === pending.now.plan!.log}`);
    await log.close();
    expect(told).toEqual(['change.expired expired true']);
  });

  it('is found on disk for taking it back with the sidecar dead', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    place = await adoptStory(active.beats, active.atMs + 1_000);
    const { held, unreadable } = await readHeld(nodeDisk(place.directory), 'ledger');
    expect(unreadable).toBe(0);
    expect(held.map(({ changeId, subject, order }) => [changeId, subject, order.log])).toEqual([[active.changeId, PROVISION.subject, active.now.plan!.log]]);
  });
});

describe('what a record carries', () => {
  it('is read no further than to the first fault', async () => {
    place = await adoptStory(toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats, START_MS + 500_000);
    const read: string[] = [];
    await place.rewrite((drafts) => drafts.map((one) => (one.draft.type === 'change.adopted' ? inTwoParts(one) : one)));
    const log = await place.open();
    for await (const { record } of log.entries(1, 2)) {
      const adoption = openAdoption(bothTrusted(), NEW_ORIGIN);
      for await (const first of log.entries(0, 1)) adoption.begin(first.record);
      const parts = record.body['parts'] as string[];
      const found = await adoption.take(record, (digest) => {
        read.push(digest);
        return log.object(digest);
      });
      expect([found?.code, parts.length, read]).toEqual(['adoption-mismatch', 2, [parts[0]]]);
    }
    await log.close();
  });

  it('is taken back as far as it can be read', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    place = await adoptStory(active.beats, active.atMs + 1_000);
    await place.rewrite((drafts) => drafts.map((one) => (one.draft.type === 'change.adopted' ? withGarbledFirst(one) : one)));
    const { held, unreadable } = await readHeld(nodeDisk(place.at()), 'ledger');
    expect([held.map(({ changeId }) => changeId), unreadable]).toEqual([[active.changeId], 1]);
  });
});

describe('whose word it is', () => {
  it('WORKFLOW is not established where the auditor does not know the old log, or whose tickets were its', async () => {
    place = await adoptStory(toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats, START_MS + 500_000);
    const stranger = workflowOf(await place.verify(bothTrusted({ logs: [newLogKey], ticketsOf: [NEW_ORIGIN] })));
    expect(stranger).toMatchObject({ status: 'notEstablished', message: `what was adopted from ${ORIGIN}: the trust policy lists no log with the origin ${ORIGIN}` });
    const tickets = workflowOf(await place.verify(bothTrusted({ ticketsOf: [NEW_ORIGIN] })));
    expect(tickets).toMatchObject({ status: 'notEstablished', message: `the trust folder lists no ticket key of ${ORIGIN}, which was adopted, in sidecars.json` });
  });
});

describe('a log whose predecessor is not known', () => {
  it('fails for what its own records say, all the same', async () => {
    place = await adoptStory(toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats, START_MS + 500_000, { first: [lockOf(`lck_${'0'.repeat(26)}`)] });
    expect(workflowOf(await place.verify(bothTrusted({ ticketsOf: [NEW_ORIGIN] })))).toMatchObject({ status: 'notEstablished' });
    await place.tell([], [systemDraft('bundle.activated', { bundle: null, listing: null, signature: null }, 'person:mallory', START_MS + 501_000)]);
    expect(workflowOf(await place.verify(bothTrusted({ ticketsOf: [NEW_ORIGIN] })))).toMatchObject({ status: 'fails', message: expect.stringContaining('wrong-actor') as string });
  });

  it('is said to have nobody’s word for the head that was adopted, where the auditor wants witnesses', async () => {
    place = await adoptStory(toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats, START_MS + 500_000);
    const trust = bothTrusted();
    const strict = { ...trust, policy: { ...trust.policy, groups: [{ name: 'two', threshold: 2, members: [] }], quorum: 'two' } };
    expect((await place.verify()).notProven.filter((item) => item.includes('cosigned'))).toEqual([]);
    expect((await place.verify(strict)).notProven).toContainEqual(`that ${ORIGIN} had no other history than that which was adopted: its head is cosigned by 0 witnesses, which is no quorum (two: 2 of 0)`);
  });
});

describe('what others have seen beyond the adopted head', () => {
  it('is on record for as many as fit, those that have seen most first', async () => {
    const known = Array.from({ length: 70 }, (_, i) => ({ by: `book ${i}`, size: 9_000 + i, root: new Uint8Array(32).fill(i) }));
    place = await adoptStory(toldUntilDecided(GRANT, START_MS).beats, START_MS + 500_000, { known });
    const { ahead } = (await place.verify()).workflow!.adoption!;
    expect([ahead.length, ahead[0]?.by, ahead.at(-1)?.by]).toEqual([64, 'book 69', 'book 6']);
  });
});

describe('a lie about what was adopted', () => {
  it.each(ADOPTION_CASES)('is caught: $title ($code)', async ({ lie, code }) => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const onItsWay = toldUntilArmed(toldUntilDecided(GRANT, START_MS + 400_000));
    place = await adoptStory([...active.beats, ...onItsWay.beats], START_MS + 500_000);
    await lie(place, { active, onItsWay });
    const verification = await place.verify();
    expect(verification.verdicts.find(({ name }) => name === 'INTEGRITY')?.status).toBe('holds');
    expect(workflowOf(verification).status).toBe('fails');
    expect(verification.workflow!.violations.map((violation) => violation.code)).toContain(code);
  });

  it('a log that is dated back to before what it adopts ended hides no lease that is overdue', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const laterMs = active.now.lease!.endsAtMs + 3_600_000;
    place = await adoptStory([...active.beats, ...toldUntilDecided(GRANT, laterMs).beats], laterMs + 100_000);
    await place.rewrite((drafts) => drafts.map((one) => ({ ...one, draft: { ...one.draft, at: formatTime(START_MS + 1_000) } })));
    const codes = (await place.verify()).workflow!.violations.map(({ code }) => code);
    expect(codes).toContain('lease-overdue');
    expect(codes).toContain('adoption-mismatch');
  });

  it('a caller takes up nothing that was authorised before (gained-after-adoption)', async () => {
    const told = toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS));
    place = await adoptStory(told.beats, told.atMs + 1_000);
    const on = retold({ ...(await place.states()).get(told.changeId)!, adoptedFrom: null }, told.atMs + 2_000);
    toldUntilActed(toldUntilClaimed(on));
    await place.tell(on.beats);
    expect((await place.verify()).workflow?.violations[0]?.code).toBe('gained-after-adoption');
  });

  it('an extension that was begun here extends no adopted lease (gained-after-adoption)', async () => {
    const lease = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    place = await adoptStory(lease.beats, lease.atMs + 1_000);
    await place.tell(extendedHere((await place.states()).get(lease.changeId)!, lease.atMs + 2_000).beats);
    expect((await place.verify()).workflow?.violations.map(({ code }) => code)).toEqual(['gained-after-adoption']);
  });

  it('an honest one is none', async () => {
    place = await adoptStory(toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats, START_MS + 500_000);
    await place.rewrite((drafts) => drafts);
    await place.tell([]);
    expect((await place.verify()).workflow?.violations).toEqual([]);
  });
});

describe('with the old ledger at hand', () => {
  const told = (): { active: Telling; onItsWay: Telling } => ({
    active: toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))), onItsWay: toldUntilArmed(toldUntilDecided(GRANT, START_MS + 400_000)),
  });
  const begun = async ({ active, onItsWay }: ReturnType<typeof told>): Promise<void> => {
    const ended = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS - 2_000_000)));
    toldUntilEnded(ended, ended.now.lease!.order);
    place = await adoptStory([...ended.beats, ...active.beats, ...onItsWay.beats], START_MS + 500_000);
  };

  it('it is shown that all that was open was adopted', async () => {
    await begun(told());
    const verification = await place.verify(bothTrusted(), undefined, place.old);
    expect(workflowOf(verification)).toMatchObject({ status: 'holds' });
    expect(verification.notProven.filter((item) => item.includes(ORIGIN))).toEqual([`what ${ORIGIN} recorded after them: a lease book has seen 9000`]);
  });

  it.each(HIDDEN_CASES)('it is found that $title was left out ($code)', async ({ lie, code }) => {
    const all = told();
    await begun(all);
    await lie(place, all);
    expect((await place.verify()).workflow?.violations).toEqual([]);
    const verification = await place.verify(bothTrusted(), undefined, place.old);
    expect(workflowOf(verification)).toMatchObject({ status: 'fails', message: expect.stringContaining(code) as string });
    expect(verification.workflow?.violations.map((violation) => violation.code)).toEqual([code]);
  });

  it('it is found that one that was over was adopted as if it ran (adoption-incomplete)', async () => {
    const early = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    const { length } = early.beats;
    toldUntilEnded(early.later(1_000), toldUntilOrdered(early, 'person:olga'), 200);
    const other = toldUntilDecided(PROVISION, early.atMs + 1_000);
    place = await adoptStory([...early.beats, ...other.beats], other.atMs + 1_000);
    await reopen(place, early.now, length);
    await place.tell([]);
    expect((await place.states()).get(early.changeId)?.name).toBe('active');
    expect((await place.verify()).workflow?.violations).toEqual([]);
    const verification = await place.verify(bothTrusted(), undefined, place.old);
    expect(verification.workflow?.violations.map(({ code }) => code)).toEqual(['adoption-incomplete']);
  });

  it('it is found that a lock that stood was left out, or was set too late (adoption-incomplete)', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const [stood, lifted] = [`lck_${'0'.repeat(26)}`, `lck_${'1'.repeat(26)}`];
    const first = [...[stood, lifted].map(lockOf), systemDraft('lock.lifted', { lockId: lifted, reason: null }, 'person:olga', START_MS - 1)];
    place = await adoptStory(active.beats, active.atMs + 1_000, { first });
    expect(workflowOf(await place.verify(bothTrusted(), undefined, place.old))).toMatchObject({ status: 'holds' });
    await place.tell([]);
    expect(workflowOf(await place.verify(bothTrusted(), undefined, place.old))).toMatchObject({ status: 'holds' });
    const locks: DraftWithObjects[] = [];
    await place.rewrite((drafts) => drafts.filter((one) => one.draft.type !== 'lock.set' || (locks.push(one), false)));
    const dropped = await place.verify();
    expect(dropped.workflow?.violations).toEqual([]);
    expect(dropped.notProven).toContainEqual(expect.stringContaining('and every lock that stood'));
    const codes = async (): Promise<unknown> => (await place.verify(bothTrusted(), undefined, place.old)).workflow?.violations.map(({ code, message }) => [code, message.includes(stood)]);
    expect(await codes()).toEqual([['adoption-incomplete', true]]);
    await place.rewrite((drafts) => [...drafts, ...locks]);
    expect(await codes()).toEqual([['adoption-incomplete', true]]);
  });

  it('what it broke itself is found, also in what was not adopted', async () => {
    const over = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS - 4_000_000)));
    toldUntilEnded(over, over.now.lease!.order);
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    place = await adoptStory([...over.beats.filter(({ event }) => event.type !== 'approval.recorded'), ...active.beats], active.atMs + 1_000);
    await place.tell([]);
    expect(workflowOf(await place.verify())).toMatchObject({ status: 'holds' });
    const verification = await place.verify(bothTrusted(), undefined, place.old);
    expect(verification.workflow?.violations.map(({ code, changeId }) => [code, changeId])).toContainEqual(['approvals-insufficient', over.changeId]);
    expect(workflowOf(verification)).toMatchObject({ status: 'fails', message: expect.stringContaining('of the old ledger') as string });
  });

  it('what it broke in what was adopted is told once', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    place = await adoptStory(active.beats.filter(({ event }) => event.type !== 'approval.recorded'), active.atMs + 1_000);
    const alone = (await place.verify()).workflow!.violations.map(({ code }) => code);
    expect(alone.length).toBeGreaterThan(0);
    expect((await place.verify(bothTrusted(), undefined, place.old)).workflow!.violations.map(({ code }) => code)).toEqual(alone);
  });

  it('what it left open is judged here, where it goes on', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const laterMs = active.now.lease!.endsAtMs + 3_600_000;
    place = await adoptStory([...active.beats, ...toldUntilDecided(GRANT, laterMs).beats], laterMs + 100_000);
    await place.tell([]);
    // Not ended here either: told once, and of this log's record.
    const { violations } = (await place.verify(bothTrusted(), undefined, place.old)).workflow!;
    expect(violations.map(({ code, message }) => [code, message.includes('of the old ledger')])).toEqual([['lease-overdue', false]]);
    expect((await place.verify(bothTrusted(), START_MS, place.old)).workflow?.violations).toEqual([]);
  });

  it('nothing is established by one that goes on beyond what was adopted', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const other = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS + 400_000)));
    place = await adoptStory(active.beats, other.atMs + 10_000);
    await writeStory(`${place.old}-full`, [...active.beats, ...other.beats]);
    const verification = await place.verify(bothTrusted(), undefined, `${place.old}-full`);
    expect(workflowOf(verification)).toMatchObject({ status: 'notEstablished', message: `the old ledger has ${other.beats.length} records more than were adopted` });
  });

  it('nothing is established by one whose records are not what they say', async () => {
    const active = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
    const garbled = active.beats.map((beat) => {
      if (beat.event.type !== 'state.read') return beat;
      const report = { ...beat.event.body.report, payload: Buffer.from('{"a":1}').toString('base64') };
      return { ...beat, event: { ...beat.event, body: { ...beat.event.body, report } } };
    });
    for (const [i, beats] of [garbled, active.beats.slice(1)].entries()) {
      const { directory, checkpoint } = await writeBroken(i, beats);
      place = await adoptStory(active.beats, active.atMs + 1_000);
      await place.rewrite(([first]) => [{ ...first!, draft: { ...first!.draft, body: { ...first!.draft.body, checkpoint, changes: 0, records: 0 } } }]);
      const verification = await place.verify(bothTrusted(), undefined, directory);
      expect(workflowOf(verification).status).toBe('fails');
      expect(verification.notProven).toContainEqual(expect.stringContaining('that ledger would tell'));
      place.remove();
      rmSync(directory, { recursive: true });
    }
  });

  it('nothing is established by one that does not hold, is another, or was never adopted', async () => {
    await begun(told());
    await writeStory(`${place.old}-other`, toldUntilDecided(GRANT, START_MS).beats);
    expect(workflowOf(await place.verify(bothTrusted(), undefined, `${place.old}-other`))).toMatchObject({ status: 'notEstablished', message: expect.stringMatching(/^the old ledger: COMPLETENESS: rolled back/) as string });
    expect(workflowOf(await place.verify(bothTrusted(), undefined, `${place.old}-nowhere`))).toMatchObject({ status: 'notEstablished', message: expect.stringMatching(/^the old ledger: /) as string });
    const plain = await verifyEvidence({ disk: nodeDisk(place.old), directory: 'ledger', trust: bothTrusted(), wholeFolder: true, old: { disk: nodeDisk(place.old), directory: 'ledger' } });
    expect(workflowOf(plain)).toMatchObject({ status: 'notEstablished', message: 'this ledger goes on for no other' });
  });
});
