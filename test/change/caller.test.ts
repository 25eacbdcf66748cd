import { describe, expect, it } from 'vitest';
import { nextWork } from '../../src/change/work.ts';
import { CALLED, decision, expectOk, RUN_KEY, SIDECAR, SINGLE, Story, T0 } from './story.ts';
import { callerIdOf } from '../../src/protocol/caller.ts';

const LIMITS = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const work = (story: Story) => nextWork(story.now, story.nowMs, LIMITS);

/** A change whose caller has its ticket and has not taken it up. */
function ticketed(): Story {
  const story = new Story().allowed(CALLED, SINGLE);
  expectOk(story.decided(decision('allow'), 'dispatch'));
  expectOk(story.authorise());
  return story;
}

function atWork(): Story {
  const story = ticketed();
  expectOk(story.claimed());
  return story;
}

describe('a change that its caller makes itself', () => {
  it('has a ticket for the key of that one run, and is published to nobody', () => {
    const story = ticketed();
    expect(story.now.act?.audience).toBe(callerIdOf(RUN_KEY));
    expect(story.now.plan?.steps.map(({ action }) => action)).toEqual(['call']);
    expect(work(story)).toEqual({ work: null, wakeAtMs: T0 + 300_000 });
  });

  it('cannot be taken up once its ticket has run out, whoever’s clock says what', () => {
    const story = ticketed();
    story.nowMs = T0 + 300_000;
    expect(story.claimed()).toMatchObject({ ok: false, code: 'too-late' });
  });

  it('expires when its ticket was not taken up, and is not issued again', () => {
    const story = ticketed();
    story.nowMs = T0 + 300_000;
    expect(work(story).work).toEqual({ do: 'expireUnclaimed' });
    story.must({ type: 'expire', by: SIDECAR, cause: 'unclaimed' });
    expect(story.now.name).toBe('expired');
    expect(story.claimed()).toMatchObject({ ok: false, code: 'too-late' });
  });

  it('takes no result of a run that had not been claimed', () => {
    expect(ticketed().acted('done')).toMatchObject({ ok: false, code: 'not-expected' });
  });

  it('is not withdrawn while its code may be running', () => {
    expect(atWork().try({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null })).toMatchObject({ ok: false, code: 'too-late' });
  });

  it('tells a caller that was withdrawn meanwhile that it is too late', () => {
    const story = ticketed();
    story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: null });
    expect(story.now.name).toBe('withdrawn');
    expect(story.claimed()).toMatchObject({ ok: false, code: 'too-late' });
  });

  it('of which nothing is heard by its deadline is ambiguous, on record, and somebody’s to look at', () => {
    const story = atWork();
    story.nowMs += 119_999;
    expect(work(story)).toEqual({ work: null, wakeAtMs: T0 + 120_000 });
    story.nowMs += 1;
    expect(work(story).work).toEqual({ do: 'callerSilent' });
    story.must({ type: 'recordSilence', by: SIDECAR, owner: 'person:wei' });
    expect(story.events.slice(-2).map(({ type }) => type)).toEqual(['step.ambiguous', 'finding.opened']);
    expect(work(story)).toEqual({ work: null, wakeAtMs: null });
  });

  it('that reports late after all is verified, and the finding is closed', () => {
    const story = atWork();
    story.nowMs += 120_000;
    story.must({ type: 'recordSilence', by: SIDECAR, owner: null });
    expectOk(story.acted('done', 'exit-0'));
    expect(story.now.name).toBe('verifying');
    expect(work(story).work).toEqual({ do: 'readAfter' });
    expectOk(story.verified());
    expect(story.now).toMatchObject({ name: 'done', findings: new Map() });
  });

  it('that says it failed has failed, and nothing is silent about it', () => {
    const story = atWork();
    story.nowMs += 120_000;
    story.must({ type: 'recordSilence', by: SIDECAR, owner: null });
    expectOk(story.acted('failed', 'exit-3'));
    expect(story.now.name).toBe('failed');
    expect(story.now.findings.size).toBe(0);
  });

  it('that its owner gives up after a silence is withdrawn with what is known', () => {
    const story = atWork();
    story.nowMs += 120_000;
    story.must({ type: 'recordSilence', by: SIDECAR, owner: null });
    story.must({ type: 'withdraw', by: 'nhi:prod/ci-deployer', comment: 'looked at by hand' });
    expect(story.now.name).toBe('withdrawn');
    expect(story.now.findings.size).toBe(0);
  });
});
