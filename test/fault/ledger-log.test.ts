import { describe, expect, it } from 'vitest';
import { digestOf, exitCodeOf, LedgerError, verifyConsistency, verifyInclusion, type Log } from '../../ledger/index.ts';
import { FaultyDisk, type FaultKind } from './faulty-disk.ts';
import { appendOne, AT_MS, draft, fill, ManualTime, objectOf, open, ORIGIN, verdict, verify } from './ledger-fixture.ts';

async function recordsOf(log: Log): Promise<unknown[]> {
  const bodies: unknown[] = [];
  for await (const { record } of log.entries(0)) bodies.push(record.body['i']);
  return bodies;
}

const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];

describe('a log', () => {
  it('settles seq and both chains at the call, before anything is written', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    const before = disk.operations;
    const [a, b] = [log.append([draft(0, { change: 'chg_a' }), draft(1, { change: 'chg_b' })]), log.append([draft(2, { change: 'chg_a' })])];
    expect(disk.operations).toBe(before);
    expect([log.size, log.durableSize]).toEqual([3, 0]);
    const [first, second] = a.records;
    const [third] = b.records;
    expect(third!.record).toMatchObject({ seq: 2, prev: digestOfLeaf(second!.leaf), changeSeq: 1, changePrev: digestOfLeaf(first!.leaf) });
    await Promise.all([a.durable, b.durable]);
    expect(log.durableSize).toBe(3);
    await log.close();
  });

  it('commits what many callers append with one write and one sync', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    const before = disk.syncs;
    await Promise.all(Array.from({ length: 64 }, (_, i) => appendOne(log, i).durable));
    expect(disk.syncs - before).toBe(1);
    await log.close();
  });

  it('commits what comes during a sync in the next group', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    const before = disk.syncs;
    const first = appendOne(log, 0).durable;
    while (disk.trace.at(-1)?.startsWith('sync') !== true) await Promise.resolve();
    const rest = Promise.all(Array.from({ length: 9 }, (_, i) => appendOne(log, i + 1).durable));
    await Promise.all([first, rest]);
    expect(disk.syncs - before).toBe(2);
    await log.close();
  });

  it('acknowledges a record with a checkpoint only once one that covers it is on disk', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    const { records, durable } = appendOne(log, 0, { checkpoint: true });
    await durable;
    expect(log.checkpoint().size).toBe(1);
    expect(disk.files.get('ledger/checkpoint')!.toString()).toBe(log.checkpoint().text);
    const proof = log.prove(0);
    verifyInclusion(records[0]!.leaf, 0, proof.size, proof.hashes, log.checkpoint().root);
    await log.close();
  });

  it('says what is durable without signing it first', async () => {
    const time = new ManualTime();
    const disk = new FaultyDisk();
    const log = await open(disk, time);
    const before = disk.syncs;
    appendOne(log, 0);
    await log.durable();
    expect([log.durableSize, disk.syncs - before, log.checkpoint().size]).toEqual([1, 1, 0]);
    await log.durable();
    expect(log.checkpoint().size).toBe(0);
    await log.close();
  });

  it('signs within a second what nobody asked to have signed', async () => {
    const time = new ManualTime();
    const log = await open(new FaultyDisk(), time);
    await appendOne(log, 0).durable;
    expect(log.checkpoint().size).toBe(0);
    time.advance(1_000);
    await log.sync();
    expect(log.checkpoint().size).toBe(1);
    expect(time.pending).toBe(0);
    await log.close();
  });

  it('keeps no timer while there is nothing new', async () => {
    const time = new ManualTime();
    const log = await open(new FaultyDisk(), time);
    await appendOne(log, 0, { checkpoint: true }).durable;
    expect(time.pending).toBe(0);
    await log.close();
  });

  it('proves that each of its checkpoints is a prefix of the next', async () => {
    const log = await open(new FaultyDisk());
    let last = log.checkpoint();
    for (let i = 0; i < 40; i++) {
      await appendOne(log, i, { checkpoint: true }).durable;
      const next = log.checkpoint();
      verifyConsistency(last.size, next.size, log.proveConsistency(last.size, next.size), last.root, next.root);
      last = next;
    }
    await log.close();
  });

  it('gives back records and objects after reopening, and goes on with the same chains', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 300);
    await fill(disk, 700);
    const log = await open(disk);
    expect(await recordsOf(log)).toEqual(Array.from({ length: 700 }, (_, i) => i));
    expect(Buffer.from((await log.object(digestOf(objectOf(4))))!)).toEqual(Buffer.from(objectOf(4)));
    await log.close();
    const verification = await verify(disk);
    expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(0);
    expect(verification.objects).toEqual({ count: 350, erased: 0 });
  });

  it('gives entries that are still in memory, from any place to any place', async () => {
    const log = await open(new FaultyDisk());
    await Promise.all(Array.from({ length: 600 }, (_, i) => appendOne(log, i).durable));
    const seqs: number[] = [];
    for await (const { seq } of log.entries(250, 520)) seqs.push(seq);
    expect(seqs).toEqual(Array.from({ length: 270 }, (_, i) => 250 + i));
    await log.close();
  });

  it('refuses a second writer while the first lives', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    await expect(open(disk)).rejects.toMatchObject({ code: 'locked' });
    await log.close();
    await (await open(disk)).close();
  });

  it('signs an unchanged head once: reopening leaves the very bytes of the checkpoint', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 5);
    const before = disk.files.get('ledger/checkpoint')!.toString();
    const writes = disk.trace.filter((op) => op === 'write ledger/checkpoint').length;
    await (await open(disk)).close();
    expect(disk.files.get('ledger/checkpoint')!.toString()).toBe(before);
    expect(disk.trace.filter((op) => op === 'write ledger/checkpoint').length).toBe(writes);
  });
});

/** Whether the files are the very same: a write puts another buffer in the place of the old. */
function isUnchanged(disk: FaultyDisk, before: ReadonlyMap<string, Buffer>): boolean {
  return disk.files.size === before.size && [...before].every(([path, bytes]) => disk.files.get(path) === bytes);
}

function digestOfLeaf(leaf: Uint8Array): string {
  return `sha256:${Buffer.from(leaf).toString('hex')}`;
}

describe('an append that is refused', () => {
  const cases: [string, (log: Log) => unknown, string][] = [
    ['a body that is no JSON', (log) => log.append([draft(0), draft(1, { body: { x: 1.5 } })]), 'malformed'],
    ['a time without milliseconds', (log) => log.append([draft(0, { at: '2026-11-23T19:05:00Z' })]), 'malformed'],
    ['a day that is none', (log) => log.append([draft(0, { at: '2026-02-30T19:05:00.000Z' })]), 'malformed'],
    ['a record of 60 KiB and more', (log) => log.append([draft(0), draft(1, { body: { x: 'x'.repeat(61_440) } })]), 'too-large'],
    ['an object that nobody gave', (log) => log.append([draft(0, { objects: [digestOf(objectOf(1))] })]), 'missing-object'],
    ['an object that no draft names', (log) => log.append([draft(0)], { objects: [objectOf(1)] }), 'malformed'],
    ['an object named twice', (log) => log.append([draft(0, { objects: [digestOf(objectOf(1)), digestOf(objectOf(1))] })], { objects: [objectOf(1)] }), 'malformed'],
    ['no draft at all', (log) => log.append([]), 'malformed'],
  ];
  it.each(cases)('for %s sequences nothing', async (_name, attempt, code) => {
    const log = await open(new FaultyDisk());
    expect(() => attempt(log)).toThrow(expect.objectContaining({ code }) as Error);
    expect(log.size).toBe(0);
    await appendOne(log, 0).durable;
    expect(await recordsOf(log)).toEqual([0]);
    await log.close();
  });
});

describe('a disk that fails once', () => {
  /** Appends one record after another, half of them with a checkpoint, and says which were acknowledged. */
  async function run(disk: FaultyDisk): Promise<number[]> {
    const acknowledged: number[] = [];
    let log: Log;
    try {
      log = await open(disk);
    } catch {
      return acknowledged;
    }
    for (let i = log.size; i < 12; i++) {
      try {
        await appendOne(log, i, { checkpoint: i % 2 === 0 }).durable;
        acknowledged.push(i);
      } catch (error) {
        expect((error as LedgerError).code).toBe('unwritable');
        expect(log.failed?.code).toBe('unwritable');
        expect(() => appendOne(log, i + 1)).toThrow(LedgerError);
      }
    }
    await log.close();
    return acknowledged;
  }

  const kinds: FaultKind[] = ['refused', 'half', 'done'];
  it.each(kinds)('at any operation (%s) loses no record that was acknowledged, and acknowledges none after', async (kind) => {
    const clean = new FaultyDisk();
    await run(clean);
    for (let failAt = 1; failAt <= clean.operations; failAt++) {
      const disk = new FaultyDisk();
      Object.assign(disk, { failAt, failKind: kind, failCode: failAt % 2 === 0 ? 'ENOSPC' : 'EIO' });
      const acknowledged = await run(disk);
      const signedBefore = disk.files.get('ledger/checkpoint')?.toString();
      const next = disk.reboot();
      const log = await open(next);
      const found = await recordsOf(log);
      expect(found.slice(0, acknowledged.length), `fault at operation ${failAt}: ${disk.trace[failAt - 1]!}`).toEqual(acknowledged);
      expect(found).toEqual(found.map((_, i) => i));
      if (signedBefore !== undefined) {
        const size = Number(signedBefore.split('\n')[1]);
        expect(log.size).toBeGreaterThanOrEqual(size);
      }
      for (let i = log.size; i < 14; i++) await appendOne(log, i).durable;
      await log.close();
      expect(exitCodeOf((await verify(next)).verdicts, REQUIRED)).toBe(0);
    }
  });

  it('does not try the sync again', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    disk.failAt = disk.operations + 2;
    const appending = appendOne(log, 0);
    await expect(appending.durable).rejects.toMatchObject({ code: 'unwritable' });
    expect(disk.trace.at(-1)).toMatch(/^sync/);
    await expect(log.sync()).rejects.toMatchObject({ code: 'unwritable' });
    await expect(log.durable()).rejects.toMatchObject({ code: 'unwritable' });
    expect(disk.syncs).toBe(0);
    expect(() => appendOne(log, 1)).toThrow(expect.objectContaining({ code: 'unwritable' }) as Error);
    await log.close();
    await (await open(disk)).close();
  });

  it('is noticed when the journal is deleted under the open file', async () => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    const [journal] = [...disk.files.keys()].filter((path) => path.endsWith('.journal'));
    await appendOne(log, 0).durable;
    disk.files.delete(journal!);
    disk.failAt = 0;
    const { durable } = appendOne(log, 1);
    await expect(durable).rejects.toMatchObject({ code: 'unwritable' });
    await log.close();
  });
});

describe('opening after a crash', () => {
  /** Where the journal's last group starts: the journal as it was before one more append. */
  async function withTail(): Promise<{ disk: FaultyDisk; journal: string; start: number }> {
    const disk = new FaultyDisk();
    await fill(disk, 3);
    const [journal] = [...disk.files.keys()].filter((path) => path.endsWith('.journal'));
    const start = disk.files.get(journal!)!.length;
    const log = await open(disk);
    await Promise.all([appendOne(log, 3).durable, appendOne(log, 4).durable]);
    // No close: durable, and not yet signed.
    return { disk, journal: journal!, start };
  }

  it('cuts a last group torn at any byte, says so, and keeps all before', async () => {
    const { disk, journal, start } = await withTail();
    const whole = disk.files.get(journal)!;
    for (let end = start + 1; end < whole.length; end++) {
      const next = disk.reboot();
      next.files.set(journal, Buffer.from(whole.subarray(0, end)));
      const log = await open(next);
      expect(log.size).toBe(3);
      expect(log.recovered).toEqual({ bytesCut: end - start, size: 3 });
      await appendOne(log, 3).durable;
      await log.close();
      expect(exitCodeOf((await verify(next)).verdicts, REQUIRED)).toBe(0);
    }
  });

  it('cuts a last group of which any block is zeros', async () => {
    const { disk, journal, start } = await withTail();
    const whole = disk.files.get(journal)!;
    for (let from = start; from < whole.length; from += 16) {
      const next = disk.reboot();
      next.files.set(journal, Buffer.concat([whole.subarray(0, from), Buffer.alloc(whole.length - from)]));
      const log = await open(next);
      expect(log.size).toBe(3);
      await log.close();
    }
  });

  it('finds a last group that is whole, though nobody had signed it', async () => {
    const { disk } = await withTail();
    const log = await open(disk.reboot());
    expect([log.size, log.recovered]).toEqual([5, null]);
    await log.close();
  });

  it('refuses a journal that ends before the signed checkpoint, at any byte, and changes nothing', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 4);
    const [journal] = [...disk.files.keys()].filter((path) => path.endsWith('.journal'));
    const whole = disk.files.get(journal!)!;
    for (let end = 0; end < whole.length; end += 7) {
      const next = disk.reboot();
      next.files.set(journal!, Buffer.from(whole.subarray(0, end)));
      const before = new Map(next.files);
      await expect(open(next)).rejects.toMatchObject({ code: 'rolled-back' });
      expect(isUnchanged(next, before)).toBe(true);
    }
  });

  it('refuses a journal that was taken away, even without a checkpoint, while tiles tell of it', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 9);
    for (const path of [...disk.files.keys()]) if (path.startsWith('journal/') || path === 'ledger/checkpoint') disk.files.delete(path);
    await expect(open(disk)).rejects.toMatchObject({ code: 'rolled-back', seq: 0 });
  });

  it('refuses a flip of any byte of a signed journal, and changes nothing', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 4);
    const [journal] = [...disk.files.keys()].filter((path) => path.endsWith('.journal'));
    const whole = disk.files.get(journal!)!;
    for (let at = 0; at < whole.length; at++) {
      const next = disk.reboot();
      const flipped = Buffer.from(whole);
      flipped[at] = flipped[at]! ^ 0x01;
      next.files.set(journal!, flipped);
      const before = new Map(next.files);
      const error = await open(next).then(() => null, (e: unknown) => e as LedgerError);
      expect(['corrupt', 'rolled-back'], `flip at byte ${at}`).toContain(error?.code);
      expect(isUnchanged(next, before)).toBe(true);
    }
  });

  it('makes every derived file again, whichever was lost or altered', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 300);
    const derived = [...disk.files.keys()].filter((path) => path.startsWith('ledger/'));
    expect(derived.length).toBeGreaterThan(5);
    for (const path of derived) {
      for (const harm of [null, Buffer.from('harmed'), Buffer.alloc(0)]) {
        const next = disk.reboot();
        if (harm === null) next.files.delete(path);
        else next.files.set(path, harm);
        await (await open(next)).close();
        for (const other of derived) expect(next.files.get(other)!.equals(disk.files.get(other)!), `${other} after ${path} was harmed`).toBe(true);
        expect(exitCodeOf((await verify(next)).verdicts, REQUIRED)).toBe(0);
      }
    }
  });

  it('removes tiles that a crash left behind, and leaves files it does not know', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 9);
    disk.files.set('ledger/tile/0/000.p/3', Buffer.alloc(96));
    disk.files.set('ledger/notes.txt', Buffer.from('mine'));
    await (await open(disk)).close();
    expect(disk.files.has('ledger/tile/0/000.p/3')).toBe(false);
    expect(disk.files.has('ledger/notes.txt')).toBe(true);
  });

  it('refuses the ledger of another origin', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 1);
    const note = disk.files.get('ledger/checkpoint')!.toString().replaceAll(ORIGIN, 'log.test/other');
    disk.files.set('ledger/checkpoint', Buffer.from(note));
    await expect(open(disk)).rejects.toMatchObject({ code: 'corrupt' });
  });
});

describe('erasure', () => {
  const erasure = (digests: readonly string[]): Parameters<Log['append']>[0] => [
    { v: 1, change: null, type: 'erasure', at: new Date(AT_MS).toISOString(), actor: 'person:privacy', body: { erased: [...digests], basis: 'request 7' }, objects: [] },
  ];

  it('zeroes what an erasure record names, everywhere, and verification says that it was on record', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 9);
    const log = await open(disk);
    const digest = digestOf(objectOf(4));
    await expect(log.erase([digest])).rejects.toMatchObject({ code: 'not-found' });
    await log.append(erasure([digest])).durable;
    await log.erase([digest]);
    expect(await log.object(digest)).toBeNull();
    expect(await log.object(digestOf(objectOf(6)))).not.toBeNull();
    await log.close();
    for (const bytes of disk.files.values()) expect(bytes.includes('salt 4')).toBe(false);
    const verification = await verify(disk);
    expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(0);
    expect(verification.objects).toEqual({ count: 5, erased: 1 });
    await (await open(disk)).close();
  });

  it('is finished on opening when a crash cut it short, wherever', async () => {
    const base = new FaultyDisk();
    await fill(base, 9);
    const digest = digestOf(objectOf(4));
    const log = await open(base);
    await log.append(erasure([digest])).durable;
    await log.close();
    for (const failKind of ['refused', 'half', 'done'] as const) {
      for (let step = 1; step <= 2; step++) {
        const disk = base.reboot();
        const writer = await open(disk);
        Object.assign(disk, { failAt: disk.operations + step, failKind });
        await expect(writer.erase([digest])).rejects.toThrow();
        await writer.close();
        const next = disk.reboot();
        const again = await open(next);
        expect(await again.object(digest)).toBeNull();
        await again.close();
        for (const bytes of next.files.values()) expect(bytes.includes('salt 4')).toBe(false);
        expect(verdict(await verify(next), 'INTEGRITY').status).toBe('holds');
      }
    }
  });
});
