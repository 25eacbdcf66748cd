import { expect, it } from 'vitest';
import { ChainHeads, formatDigest, leafHash, type LedgerRecord, type RecordDraft } from '../../ledger/index.ts';

/** More than are kept as they are spelled, so that ends go into the table and come back out of it. */
const CHANGES = 2_500;
const RECORDS = 9_000;

it('the ends of more changes than are kept at hand are those of a plain map, also once they were written and read again', () => {
  const plain = new Map<string, { changeSeq: number; digest: string }>();
  let heads = new ChainHeads();
  let last: string | null = null;
  for (let seq = 0; seq < RECORDS; seq += 1) {
    // Steps that meet each change several times, and some at once again.
    const change = `chg_${seq % 3 === 0 ? seq % 7 : (seq * 37) % CHANGES}`;
    const draft: RecordDraft = { v: 1, change, type: 'policy.decided', at: '2026-11-29T10:00:00.000Z', actor: 'sidecar:x', body: {}, objects: [] };
    const before = plain.get(change);
    const links = heads.next(draft);
    expect(links).toEqual({ seq, prev: last, changeSeq: before === undefined ? 0 : before.changeSeq + 1, changePrev: before?.digest ?? null });
    const record: LedgerRecord = { ...draft, ...links };
    expect(heads.faultOf(record)).toBeNull();
    const leaf = leafHash(Buffer.from(`${seq}`));
    heads.advance(record, leaf);
    last = formatDigest(leaf);
    plain.set(change, { changeSeq: links.changeSeq!, digest: last });
    if (seq % 2_000 === 1_999) heads = ChainHeads.load(heads.size, heads.last, Buffer.from(heads.dump()));
  }
  expect(heads.map.count).toBe(plain.size);
  expect(plain.size).toBeGreaterThan(2_000);
});
