import { expect, it } from 'vitest';
import { createPace, type Pace } from '../../src/engine/pace.ts';
import { nextWork } from '../../src/change/work.ts';
import { decision, expectOk, EXECUTOR, Story } from '../change/story.ts';

const LIMITS = { republishMs: 10_000, retryMs: { first: 250, longest: 15_000 } };
const WORK_LIMITS = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };

/** A change, the pace that it is driven at, and when its next work is due; null: now. */
function driven(story: Story): { readonly pace: Pace; readonly notBefore: () => number | null; readonly done: () => void } {
  const pace = createPace({ nowMs: () => story.nowMs, after: () => () => undefined }, LIMITS);
  const work = () => nextWork(story.now, story.nowMs, WORK_LIMITS).work!;
  return { pace, notBefore: () => pace.notBefore(story.now, work()), done: () => pace.done(story.now, work()) };
}

it('what was published is published again only after a while, or when its executor is there again', () => {
  const story = new Story().armed();
  const { pace, notBefore, done } = driven(story);
  expect(notBefore()).toBeNull();
  done();
  expect(notBefore()).toBe(story.nowMs + 10_000);
  pace.connected('executor:another');
  expect(notBefore()).toBe(story.nowMs + 10_000);
  pace.connected(EXECUTOR);
  expect(notBefore()).toBeNull();
  done();
  story.nowMs += 10_000;
  expect(notBefore()).toBeNull();
});

it('a ticket that was turned down is not issued again at once: each issue is a record', () => {
  const story = new Story().armed();
  const { notBefore } = driven(story);
  expectOk(story.acted('refused', 'outside-window'));
  const refusedAtMs = story.nowMs;
  expect(notBefore()).toBe(refusedAtMs + 250);
  story.nowMs += 100;
  expect(notBefore()).toBe(refusedAtMs + 250);
  story.nowMs += 150;
  expect(notBefore()).toBeNull();
});

it('a clock that is set back holds nothing up', () => {
  const story = new Story().armed();
  const { notBefore, done } = driven(story);
  done();
  story.nowMs -= 3_600_000;
  expect(notBefore()).toBeNull();
});

it('what is turned down again and again is asked for more slowly, and never given up', () => {
  const story = new Story().armed();
  const { notBefore } = driven(story);
  const waits: number[] = [];
  for (let issue = 1; issue <= 14; issue += 1) {
    expectOk(story.acted('refused', 'outside-window'));
    waits.push((notBefore() ?? story.nowMs) - story.nowMs);
    story.nowMs += waits.at(-1)!;
    if (story.nowMs >= story.now.lease!.endsAtMs - 1_000) break;
    expectOk(story.decided(decision('needsApproval', 'person:wei'), 'dispatch'));
    expectOk(story.authorise());
  }
  expect(waits.slice(0, 8)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  expect(waits.slice(10).every((wait) => wait === 256_000 || wait === 300_000)).toBe(true);
  expect(waits.length).toBeGreaterThan(10);
});
