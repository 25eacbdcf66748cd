import { describe, expect, it } from 'vitest';
import { headKey, HeadMap, formatDigest, type RecordDraft } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { draft, open, verdict, verify } from './ledger-fixture.ts';

/** A ledger of 12 records, then one that states heads, then 3 more. */
async function stating(edit: (body: Record<string, unknown>) => Partial<RecordDraft>): Promise<FaultyDisk> {
  const disk = new FaultyDisk();
  const log = await open(disk);
  for (let i = 0; i < 12; i++) log.append([draft(i)]);
  const body = { ...log.changeHeads() };
  log.append([{ ...draft(12), change: null, type: 'ledger.heads', v: 1, body, objects: [], ...edit(body) }]);
  for (let i = 13; i < 16; i++) log.append([draft(i)]);
  await log.sync();
  await log.close();
  return disk;
}

describe('a record of the heads of all changes', () => {
  it('is what the records before it come to, also in a log that was opened again', async () => {
    const disk = await stating(() => ({}));
    const log = await open(disk);
    const map = new HeadMap();
    const heads = new Map<string, { changeSeq: number; leaf: Uint8Array }>();
    for await (const { record, leaf } of log.entries(0)) if (record.change !== null) heads.set(record.change, { changeSeq: record.changeSeq!, leaf });
    for (const [change, head] of heads) map.set(headKey(change), head);
    expect(log.changeHeads()).toEqual({ size: 16, changes: 3, root: formatDigest(map.root()) });
    log.append([{ ...draft(16), change: null, type: 'ledger.heads', body: { ...log.changeHeads() } }]);
    await log.close();
    expect(verdict(await verify(disk), 'COMPLETENESS')).toMatchObject({ status: 'holds' });
  });

  const other = `sha256:${'0'.repeat(64)}`;
  it.each<[string, (body: Record<string, unknown>) => Partial<RecordDraft>]>([
    ['another root', (body) => ({ body: { ...body, root: other } })],
    ['a size that is not its own seq', (body) => ({ body: { ...body, size: 11 } })],
    ['fewer changes', (body) => ({ body: { ...body, changes: 2 } })],
    ['more than a map', (body) => ({ body: { ...body, more: 1 } })],
    ['nothing', () => ({ body: {} })],
    ['a version that is not known', () => ({ v: 2 })],
    ['them as a record of a change', () => ({ change: 'chg_1' })],
  ])('that states %s fails COMPLETENESS, and is named', async (_what, edit) => {
    const found = verdict(await verify(await stating(edit)), 'COMPLETENESS');
    expect(found).toMatchObject({ status: 'fails', seq: 12 });
    expect(found.message).toContain('record 12');
  });
});
