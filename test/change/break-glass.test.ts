/** Breaking the glass, as the core decides it. */
import { expect, it } from 'vitest';
import { decide } from '../../src/change/decide.ts';
import { BREAK_GLASS_SECONDS_MAX } from '../../src/protocol/break-glass.ts';
import { GLASS, glassOf, GLASS_SALT, glassStatement, letting, REASON } from '../support/break-glass.ts';
import { GRANT, START_MS, Telling, toldUntilDecided } from '../support/story.ts';

it('is too late once the time to decide is over, as an approval is, whether or not anybody has said so yet', () => {
  const telling = toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS), letting());
  const { approvalsByMs } = telling.now;
  const use = (nowMs: number): ReturnType<typeof decide> => {
    telling.atMs = nowMs;
    return decide(telling.now, { type: 'breakGlass', statement: glassOf(glassStatement(telling)), reason: REASON, salt: GLASS_SALT, limits: GLASS, owed: null }, nowMs);
  };
  expect(use(approvalsByMs! - 1)).toMatchObject({ ok: true });
  expect(use(approvalsByMs!)).toMatchObject({ ok: false, code: 'approval-expired' });
});

it('waits for a review that was due by then, and for none that is due later', () => {
  const telling = toldUntilDecided(GRANT, START_MS, 'needsApproval', new Telling(START_MS), letting());
  const use = (reviewByMs: number): ReturnType<typeof decide> =>
    decide(telling.now, { type: 'breakGlass', statement: glassOf(glassStatement(telling)), reason: REASON, salt: GLASS_SALT, limits: GLASS, owed: { changeId: telling.changeId, what: 'review', byMs: reviewByMs } }, telling.atMs);
  expect(use(telling.atMs)).toMatchObject({ ok: false, code: 'break-glass-refused' });
  expect(use(telling.atMs + BREAK_GLASS_SECONDS_MAX)).toMatchObject({ ok: true });
});
