/**
 * Ledgers in which somebody broke the glass. Whoever has the sidecar's keys can write all the rest of a ledger, and sign every word of it: that it was
 * broken is the word of whom the auditor's own floor names, by her own key, and nobody reviews herself.
 */
import { expect, it } from 'vitest';
import { BREAKABLE } from '../support/break-glass.ts';
import { START_MS } from '../support/story.ts';
import { again, asOfMs, BREAK_GLASS_CASES, DAY, reviewed, used } from './break-glass-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

it('what was given with the glass broken, and reviewed, holds', async () => {
  expect(workflowOf(await verified(reviewed(), BREAKABLE, { asOfMs: START_MS + 10 * DAY }))).toMatchObject({ status: 'holds' });
  expect(workflowOf(await verified(used(), BREAKABLE, { asOfMs })).status).toBe('holds');
});

it.each(BREAK_GLASS_CASES)('is found: $title', (one) => expectCaught({ asOfMs, trust: BREAKABLE, ...one }, used));

it('a second glass holds where the first was reviewed, late or not, and while it is not overdue', async () => {
  expect(workflowOf(await verified(again(2 * DAY, DAY / 2), BREAKABLE, { asOfMs: START_MS + 2 * DAY + 3_600_000 })).status).toBe('holds');
  expect(workflowOf(await verified(again(2 * DAY, DAY + 5), BREAKABLE, { asOfMs: START_MS + 2 * DAY + 3_600_000 })).status).toBe('holds');
  expect(workflowOf(await verified(again(DAY / 2, null), BREAKABLE, { asOfMs: START_MS + DAY / 2 + 3_600_000 })).status).toBe('holds');
});
