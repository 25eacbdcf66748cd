/** A pack in which each change speaks of the one before it costs what it has, and not its square. */
import { expect, it } from 'vitest';
import { digestOf, type LedgerRecord } from '../../ledger/index.ts';
import type { PackContents, Shown } from '../../src/evidence/pack-contents.ts';
import { workflowOf } from '../../src/evidence/pack-workflow.ts';
import { draftOf } from '../support/drafts.ts';
import { extendRequest } from '../support/extension-story.ts';
import { stepsOfAsync } from '../support/iteration-steps.ts';
import { GRANT, ORIGIN, START_MS, storyTrust, Telling } from '../support/story.ts';

const MANY = 300;

/** A chain of requests, each to extend what the one before it gave; the first of what is not in the pack. */
function chain(): LedgerRecord[] {
  const records: LedgerRecord[] = [];
  let before = new Telling(START_MS).changeId;
  for (let seq = 0; seq < MANY; seq += 1) {
    const telling = new Telling(START_MS + 1_000 + seq);
    const request = extendRequest(before);
    telling.do({ type: 'request', by: GRANT.subject, request, requester: [GRANT.subject], idempotency: null });
    const [{ changeId, event, atMs }] = telling.beats as [Telling['beats'][number]];
    records.push({ ...draftOf(changeId, event, atMs).draft, seq, prev: null, changeSeq: 0, changePrev: null });
    before = changeId;
  }
  return records;
}

function contentsOf(records: readonly LedgerRecord[]): PackContents {
  const shown = records.map(({ seq, change, changeSeq, changePrev, type, at }): Shown => ({ seq, leaf: digestOf(Buffer.from(`${seq}`)), prev: null, change, changeSeq, changePrev, type, at, heads: null }));
  return { shown, heads: [], objectCount: 0, erasedCount: 0, readRecord: (seq) => Promise.resolve(records[seq]!), readObject: () => Promise.resolve(null) };
}

it.each([['with its beginning missing', 0], ['upside down', 1]])('a long chain of extensions, %s', async (_name, reverse) => {
  const records = chain();
  const told = reverse === 0 ? records : records.map((record, seq) => ({ ...records.at(-1 - seq)!, seq, at: record.at }));
  let message = '';
  const steps = await stepsOfAsync(async () => {
    ({ verdict: { message } } = await workflowOf({ from: '2026-01-01T00:00:00.000Z', to: '2027-01-01T00:00:00.000Z' }, contentsOf(told), { trust: storyTrust(), origin: ORIGIN }, null));
  });
  expect(message).toMatch(new RegExp(`^${MANY} of the ${MANY} changes cannot be judged`));
  expect(steps).toBeLessThanOrEqual(60 * MANY);
});
