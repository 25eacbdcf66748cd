/** What was erased is found without reading an object more than once. */
import { expect, it } from 'vitest';
import { digestOf, type LedgerRecord } from '../../ledger/index.ts';
import { withErasedList, type ErasedOnRecord } from '../../src/evidence/erased-list.ts';

it('an object that every record names is read once, whether it is there or not', async () => {
  const [there, gone] = [digestOf(Buffer.from('there')), digestOf(Buffer.from('gone'))];
  const read: string[] = [];
  let found: readonly ErasedOnRecord[] = [];
  const rules = withErasedList({ names: [], record: () => undefined, finish: () => [] }, (erased) => {
    found = erased;
  });
  const record = (seq: number, one: Partial<LedgerRecord>): LedgerRecord => ({ v: 1, seq, prev: null, change: null, changeSeq: null, changePrev: null, type: 'state.read', at: '2026-11-23T19:00:00.000Z', actor: 'x', body: {}, objects: [there, gone], ...one });
  const readObject = (digest: string): Promise<Uint8Array | null> => {
    read.push(digest);
    return Promise.resolve(digest === there ? Buffer.from('there') : null);
  };
  for (let seq = 0; seq < 8; seq += 1) await rules.record(record(seq, {}), readObject);
  await rules.record(record(8, { type: 'erasure', body: { erased: [gone] }, objects: [] }), readObject);
  await rules.finish();
  expect(read).toEqual([there, gone]);
  expect(found).toEqual([{ digest: gone, kind: 'state', change: null, namedBy: 0, seq: 8 }]);
});
