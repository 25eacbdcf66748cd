/** What becomes of a change that another log carries on: given what had happened under the old, then this is due, and nothing that would gain. */
import { describe, expect, it } from 'vitest';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { decide } from '../../src/change/decide.ts';
import { deriveQuery, deriveReadTicket } from '../../src/change/derive.ts';
import { nextWork } from '../../src/change/work.ts';
import { DEFAULT_LIMITS } from '../../src/engine/engine.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { newLogId, newSidecar } from '../support/adopted-story.ts';
import { extensionUntilArmed, extensionUntilDecided, extensionUntilDone, runningLease } from '../support/extension-story.ts';
import {
  called, CALLED, DISABLE, fetchedRotation, ROTATE, stagedRotation, toldUntilActed, toldUntilApproved, toldUntilAuthorised, toldUntilClaimed, toldUntilPlanned, toldUntilStep, windowAt, offboarding,
} from '../support/step-stories.ts';
import { decision, EXECUTOR, GRANT, logId, provenance, PROVISION, report, sign, START_MS, targetState, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided } from '../support/story.ts';

const VERIFICATION = { effect: 'allow' as const, reasons: [{ code: 'as-planned', message: 'nothing more, nothing less', rule: 'access' }], controls: [] };
const verify = { type: 'recordVerification', by: newSidecar, verification: VERIFICATION, provenance } as const;

function adopted(telling: Telling): Telling {
  return telling.later(1_000).force({ type: 'change.adopted', actor: newSidecar, body: { log: logId, records: telling.beats.length, head: `sha256:${'a'.repeat(64)}`, parts: [`sha256:${'b'.repeat(64)}`] } });
}
const due = (telling: Telling, laterMs = 0): string | null => nextWork(telling.now, telling.atMs + laterMs, DEFAULT_LIMITS).work?.do ?? null;
const lease = (): Telling => runningLease(START_MS);
const extension = (until: (extending: Telling) => Telling = (same) => same): Telling => {
  const of = lease();
  return until(extensionUntilArmed(extensionUntilDecided(of, []), of));
};
const settled = (telling: Telling): Telling => toldUntilActed(toldUntilClaimed(toldUntilArmed(telling)));

describe('what is due', () => {
  it.each<[string, () => Telling, string | null]>([
    ['a request that nobody has looked at', () => new Telling(START_MS).do({ type: 'request', by: GRANT.subject, request: GRANT, requester: [GRANT.subject], idempotency: null }), 'endAdopted'],
    ['one that waits for approval', () => toldUntilDecided(GRANT, START_MS), 'endAdopted'],
    ['one that waits for its window', () => toldUntilApproved(toldUntilPlanned(ROTATE, START_MS, { window: windowAt(3_600_000, 7_200_000) })), 'endAdopted'],
    ['a grant that is authorised', () => toldUntilArmed(toldUntilDecided(GRANT, START_MS)), 'compensate'],
    ['a grant that is there and not verified', () => settled(toldUntilDecided(GRANT, START_MS)), 'compensate'],
    ['a grant in use', () => toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS))), null],
    ['a secret that nobody fetched', () => settled(toldUntilDecided(PROVISION, START_MS)), 'compensate'],
    ['an extension that was not applied', () => extension(), 'endAdopted'],
    ['an extension that was applied', () => extension(extensionUntilDone), 'endAdopted'],
    ['a rotation that is staged', () => fetchedRotation(), 'compensate'],
    ['a rotation that somebody has moved over to', () => stagedRotation(), 'stalled'],
    ['a rotation that has taken over', () => toldUntilStep(stagedRotation()), 'stalled'],
    ['a rotation whose old login is shut out', () => toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilStep(stagedRotation())))), 'verify'],
    ['an account that is to be shut out', () => toldUntilAuthorised(toldUntilPlanned(DISABLE, START_MS, { effect: 'allow' })), null],
    ['an account that is shut out', () => toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(DISABLE, START_MS, { effect: 'allow' })))), 'verify'],
    ['a ticket that its caller has not taken up', () => toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)), 'endAdopted'],
    ['code of a caller that runs', () => toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS))), null],
    ['code of a caller that has run', () => toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)))), 'verify'],
    ['a caller’s change that is done', () => called(), null],
    ['an offboarding at work', () => offboarding([{ kind: 'account', nhi: 'nhi:prod/ci-deployer', connector: 'pg-main', target: 'app', account: 'ci_deployer' }], [], START_MS), 'offboard'],
  ])('of %s', (_, tell, work) => {
    expect(due(adopted(tell()))).toBe(work);
  });

  it('of a step that nothing undoes: its report is waited for, and not for ever', () => {
    const telling = adopted(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(DISABLE, START_MS, { effect: 'allow' }))));
    const { work, wakeAtMs } = nextWork(telling.now, telling.atMs, DEFAULT_LIMITS);
    expect([work, wakeAtMs! > telling.atMs]).toEqual([null, true]);
    telling.atMs = wakeAtMs!;
    expect(due(telling)).toBe('endAdopted');
    expect(telling.do({ type: 'expire', by: newSidecar, cause: 'adopted' }).now.name).toBe('expired');
    // It comes all the same: it is recorded, and changes nothing.
    expect(toldUntilActed(telling).now).toMatchObject({ name: 'expired', result: { outcome: 'done' } });
  });

  it('of code of a caller that says nothing: it is its owner’s, as ever', () => {
    expect(due(adopted(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)))), 600_000)).toBe('callerSilent');
  });

  it('of an open window: it is closed once its change has ended', () => {
    const telling = toldUntilApproved(toldUntilPlanned(ROTATE, START_MS, { window: windowAt(0, 7_200_000) })).do({ type: 'openWindow', by: `sidecar:${logId}` });
    expect(due(adopted(telling))).toBe('endAdopted');
    expect(due(telling.do({ type: 'expire', by: newSidecar, cause: 'adopted' }))).toBe('closeWindow');
    expect(telling.do({ type: 'closeWindow', by: newSidecar }).beats.at(-1)!.event).toMatchObject({ type: 'window.closed', body: { cause: 'finished' } });
  });
});

describe('nothing is gained', () => {
  it('by any command that could', () => {
    const pending = adopted(toldUntilDecided(GRANT, START_MS));
    for (const command of [
      { type: 'revise', by: GRANT.subject, request: GRANT }, { type: 'approve', approval: pending.now.approvals[0]?.approval ?? ({} as never), comment: null },
      { type: 'recordDecision', by: newSidecar, phase: 'dispatch', plan: pending.now.plan, decision: decision('allow'), provenance, approvalSeconds: 60 },
      { type: 'openWindow', by: newSidecar }, { type: 'missWindow', by: newSidecar },
    ] as const) expect(decide(pending.now, command, pending.atMs), command.type).toMatchObject({ ok: false, code: 'too-late', message: expect.stringContaining(logId) as string });
    const given = adopted(settled(toldUntilDecided(GRANT, START_MS)));
    expect(decide(given.now, verify, given.atMs)).toMatchObject({ ok: false, code: 'too-late' });
    const longer = adopted(extension(extensionUntilDone));
    expect(decide(longer.now, verify, longer.atMs)).toMatchObject({ ok: false, code: 'too-late' });
  });

  it('by a target that was read meanwhile: nothing is planned with it', () => {
    const asked = new Telling(START_MS).do({ type: 'request', by: GRANT.subject, request: GRANT, requester: [GRANT.subject], idempotency: null });
    const query = deriveQuery(asked.changeId, GRANT, 'ci_deployer');
    asked.do({ type: 'authoriseRead', by: `sidecar:${logId}`, ticket: sign.ticket(deriveReadTicket(asked.now, query, EXECUTOR, asked.atMs, 300)) });
    const telling = adopted(asked);
    const before = targetState('ci_deployer', [], true, 1);
    const told = telling.beats.length;
    report(telling, {
      kind: 'read', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, at: formatTime(telling.atMs), stepId: telling.now.read!.stepId, issue: 1,
      outcome: 'done', code: null, detail: null, state: digestOf(canonicalBytes(before)),
    }, [before]);
    expect(telling.beats).toHaveLength(told);
  });

  it('by a caller that takes its ticket up now', () => {
    const telling = adopted(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS)));
    expect(() => toldUntilClaimed(telling)).toThrow('too-late');
  });

  it('and what takes away may be judged', () => {
    const telling = adopted(toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(DISABLE, START_MS, { effect: 'allow' })))));
    expect(telling.do(verify).now).toMatchObject({ name: 'done', adoptedFrom: logId });
  });

  it('and nothing of this log ends for having been adopted', () => {
    const telling = toldUntilDecided(GRANT, START_MS);
    expect(decide(telling.now, { type: 'expire', by: newSidecar, cause: 'adopted' }, telling.atMs)).toMatchObject({ ok: false, code: 'not-expected' });
    const running = adopted(lease());
    expect(decide(running.now, { type: 'expire', by: newSidecar, cause: 'adopted' }, running.atMs)).toMatchObject({ ok: false, code: 'not-expected' });
    expect(newLogId).not.toBe(logId);
  });
});
