/** Nothing is signed but what was shown: of a standing approval, and of the review of a broken glass. */
import { expect, it } from 'vitest';
import { reviewFault, templateDiffers } from '../../src/cli/shown-statement.ts';
import { templateLines } from '../../src/cli/shown-template.ts';
import { TEMPLATE, WHY, WHY_SALT } from '../support/standing.ts';
import { logId, START_MS } from '../support/story.ts';

const shown = { lines: templateLines(TEMPLATE).map(({ text }) => text), log: logId, approver: 'person:ana', reason: WHY, salt: WHY_SALT, nowMs: START_MS + 60_000 };

it('a template is signed as it is shown, in her name, for this log and reason, and soon', () => {
  expect(templateDiffers(TEMPLATE, shown)).toBeNull();
  const others = { subject: 'nhi:prod/another', kinds: ['extend'], connector: 'pg-other', target: 'other', accounts: [], privileges: [], maxLeaseSeconds: 900, uses: 4, expiresAt: '2026-11-24T19:00:00.000Z' };
  for (const [field, value] of Object.entries(others)) expect(templateDiffers({ ...TEMPLATE, [field]: value }, shown), field).toBe('another than is shown');
  // Not by a second: a day and an hour are not a day, an hour and most of another.
  const long = { ...TEMPLATE, maxLeaseSeconds: 90_000 };
  const shownLong = { ...shown, lines: templateLines(long).map(({ text }) => text) };
  expect(templateDiffers(long, shownLong)).toBeNull();
  for (const maxLeaseSeconds of [90_001, 93_599]) expect(templateDiffers({ ...long, maxLeaseSeconds }, shownLong)).toBe('another than is shown');
  expect(templateDiffers({ ...TEMPLATE, expiresAt: TEMPLATE.notBefore }, shown)).toBe('it ends before it begins');
  expect(templateDiffers({ ...TEMPLATE, reason: { commitment: `sha256:${'1'.repeat(64)}` } }, shown)).toBe('for another reason than is shown');
  expect(templateDiffers(TEMPLATE, { ...shown, reason: 'another' })).toBe('for another reason than is shown');
  expect(templateDiffers(TEMPLATE, { ...shown, approver: 'person:wei' })).toMatch(/in the name of person:ana/);
  expect(templateDiffers(TEMPLATE, { ...shown, log: '0123456789abcdef' })).toMatch(/for log/);
  expect(templateDiffers(TEMPLATE, { ...shown, nowMs: START_MS + 3_600_001 })).toMatch(/too long ago/);
  expect(templateDiffers({ ...TEMPLATE, also: 1 }, shown)).toBe('no standing approval');
});

it('a review is of the broken glass of this change, and good for an hour at most', () => {
  const [id, other] = ['A', 'B'].map((end) => `chg_${logId}_01JD00000000000000000000A${end}`) as [string, string];
  const unsaid = { v: 1 as const, log: logId, changeId: id, revision: 1, breakGlass: `sha256:${'1'.repeat(64)}`, reviewer: 'person:ana', expiresAt: '2026-11-23T20:00:00.000Z' };
  const nowMs = Date.parse('2026-11-23T19:00:00.000Z');
  expect(reviewFault(id, unsaid, nowMs)).toBeNull();
  expect(reviewFault(other, unsaid, nowMs)).toMatch(/about another change/);
  expect(reviewFault(id, { ...unsaid, log: '0123456789abcdef' }, nowMs)).toMatch(/about another change/);
  expect(reviewFault(id, unsaid, nowMs - 1)).toMatch(/longer than it may be/);
  // What she says, she says: a stolen sidecar would have her say as well that a login needs no new credential.
  for (const said of [{ rotation: 'notNeeded' }, { verdict: 'justified' }, { comment: { commitment: `sha256:${'1'.repeat(64)}` } }, { also: 1 }]) expect(reviewFault(id, { ...unsaid, ...said }, nowMs)).toBe('more than is shown');
});
