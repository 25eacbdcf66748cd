/** The newest checkpoint of a log that an executor has believed: what raises it, and so what a restored ledger must reach. */
import { describe, expect, test } from 'vitest';
import { readHeads } from '../../src/executor/lease-book.ts';
import { makeStep, someLog, type Made } from '../support/envelopes.ts';
import { logId } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const ids = ['1', '2'].map((digit) => `chg_${logId}_01M8571XRWJ2028CSGVGJ3QS${digit}9`);
const headIn = (bench: Bench): number | null => readHeads(bench.disk.files.get('lease-book')!.bytes).get(logId)?.size ?? null;
/** A step whose record is the one after `size` others. Logs of the same size are the same, and a longer one continues a shorter. */
const after = (size: number, edits: Parameters<typeof makeStep>[0]): Made => makeStep({ log: someLog(size), ...edits });

describe('the head of a log', () => {
  test.each(['revoke', 'disable', 'retire'] as const)('is not raised by a %s, which only takes away: a ledger without its record is still believed', async (action) => {
    const bench = createBench();
    const worker = await bench.start();
    expect(await worker.step(after(9, { changeId: ids[0]!, action }).envelope)).toEqual({ accepted: true });
    expect(headIn(bench)).toBeNull();
    // As it was when the copy had five records, and what was restored from that.
    expect(await worker.step(after(5, { changeId: ids[1]!, action: 'grant' }).envelope)).toEqual({ accepted: true });
    expect(headIn(bench)).toBe(6);
  });

  test('is raised by what gives, which a ledger that was rolled back behind it gets nothing more for', async () => {
    const bench = createBench();
    const worker = await bench.start();
    await worker.step(after(9, { changeId: ids[0]!, action: 'grant' }).envelope);
    expect(headIn(bench)).toBe(10);
    for (const action of ['grant', 'revoke'] as const) {
      expect(await worker.step(after(5, { changeId: ids[1]!, action }).envelope)).toMatchObject({ accepted: false, code: 'inconsistent-checkpoint', fromSize: 10 });
    }
  });

  test('is not raised by a step that takes away and is refused either', async () => {
    const bench = createBench();
    const worker = await bench.start();
    expect(await worker.step(after(9, { changeId: ids[0]!, action: 'disable', approvals: () => [] }).envelope)).toEqual({ accepted: true });
    await bench.clock.until(() => bench.of('acted').length > 0);
    expect(bench.of('acted')).toMatchObject([{ outcome: 'refused' }]);
    expect(headIn(bench)).toBeNull();
  });
});
