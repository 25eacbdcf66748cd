import { describe, expect, it } from 'vitest';
import { waitsForApprovalOf } from '../../src/change/waits-for.ts';
import { decision, expectOk, GRANT, Story } from './story.ts';

const pending = (): Story => {
  const story = new Story().requested().read();
  expectOk(story.decided(decision('needsApproval', { anyOf: ['person:wei', 'person:ben'] })));
  return story;
};

describe('a change', () => {
  it('waits for whom it asks, and for nobody else', () => {
    const { now, nowMs } = pending();
    expect(['person:wei', 'person:ben', 'person:olga'].map((person) => waitsForApprovalOf(now, person, nowMs))).toEqual([true, true, false]);
  });

  it('waits for nobody once the time to decide is over, which it may be a moment before that is on record', () => {
    const { now, nowMs } = pending();
    expect(waitsForApprovalOf(now, 'person:wei', nowMs + 3_600_000)).toBe(false);
  });

  it('waits for nobody while it is planned anew, whatever it asked for before', () => {
    const story = pending();
    story.must({ type: 'revise', by: GRANT.subject, request: { ...GRANT, duration: 'PT5M' } as typeof GRANT });
    expect(waitsForApprovalOf(story.now, 'person:wei', story.nowMs)).toBe(false);
  });

  it('waits for nobody where nobody is asked', () => {
    const story = new Story().requested().read();
    expectOk(story.decided(decision('allow')));
    expect(waitsForApprovalOf(story.now, 'person:wei', story.nowMs)).toBe(false);
  });
});
