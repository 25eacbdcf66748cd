/** Effects under observe: WORKFLOW counts them, is not established for them unless the auditor takes them as they are, and finds those that nothing let through. */
import { describe, expect, it, test } from 'vitest';
import { ended, loaded, OBSERVE_CASES, toldUnderObserve, UNTIL } from './observe-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

const trust = { quorum: 0 };
const { digest, draft } = loaded();

describe('what was under observe', () => {
  it('is no violation, leaves WORKFLOW not established, and is under NOT PROVEN', async () => {
    const verification = await verified(ended(toldUnderObserve(digest)), trust, { first: [draft] });
    expect(verification.workflow).toMatchObject({ violations: [], counts: { observed: 1, observedUntilMs: Date.parse(UNTIL), grants: 1, takenBack: 1 } });
    const said = `1 effect under observe until ${UNTIL}, not enforced`;
    expect(workflowOf(verification)).toMatchObject({ status: 'notEstablished', message: `${said}; all else holds: 1 change: 1 closed, 0 open; 1 grant: 1 taken back (the latest 0.4 s after its end)` });
    expect(verification.notProven).toContain(said);
  });

  it('lets WORKFLOW hold where the auditor takes it as it is, which is told all the same', async () => {
    const verification = await verified(ended(toldUnderObserve(digest)), trust, { first: [draft], acceptObserved: true });
    const said = `1 effect under observe until ${UNTIL}, not enforced`;
    expect(workflowOf(verification)).toMatchObject({ status: 'holds', message: expect.stringMatching(new RegExp(`; ${said}$`)) as string });
    expect(verification.notProven).toContain(said);
  });

  it('is found all the same where the auditor takes it as it is and nothing let it through', async () => {
    const verification = await verified(ended(toldUnderObserve(digest)), trust, { acceptObserved: true });
    expect(workflowOf(verification)).toMatchObject({ status: 'fails', message: expect.stringContaining('observe-unfounded') as string });
  });

  it('is counted once for a change, however often its ticket was issued', async () => {
    const [one, other] = [toldUnderObserve(digest), toldUnderObserve(digest, { atMs: Date.parse('2026-11-23T21:00:00.000Z') })];
    const verification = await verified([...ended(one), ...other.beats], trust, { first: [draft] });
    expect(verification.workflow?.counts.observed).toBe(2);
    expect(verification.notProven).toContain(`2 effects under observe until ${UNTIL}, not enforced`);
  });
});

test.each(OBSERVE_CASES)('$title is found', (one) => expectCaught(one, () => toldUnderObserve(digest).beats));
