import { describe, expect, it } from 'vitest';
import {
  decodeBundle, decodeRecord, digestOf, encodeBundle, encodeRecord, exitCodeOf, formatCheckpoint, formatSignatureLine, generateSignerKey, leafHash, MerkleTree,
  parseCosigner, parseTrustPolicy, sha256, signCheckpoint, tilesBetween,
  type LedgerRecord, type RuleSet, type TrustPolicy, type Verdict,
} from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { appendOne, AT_MS, draft, fill, open, ORIGIN, signer, signerOf, verdict, verify } from './ledger-fixture.ts';

const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];

async function ledger(size: number): Promise<FaultyDisk> {
  const disk = new FaultyDisk();
  await fill(disk, size);
  return disk;
}

/** The ledger with entries changed, and, as an attacker would, its tiles made to fit. */
function rewrite(disk: FaultyDisk, change: (entries: Uint8Array[]) => Uint8Array[], tiles: 'kept' | 'fitted'): FaultyDisk {
  const next = disk.reboot();
  const size = Number(disk.files.get('ledger/checkpoint')!.toString().split('\n')[1]);
  const entries = change([...tilesBetween(0, size)].filter(({ level }) => level === null).flatMap(({ path }) => decodeBundle(disk.files.get(`ledger/${path}`)!)));
  const tree = new MerkleTree();
  for (const entry of entries) tree.append(leafHash(entry));
  for (const { level, index, width, path } of tilesBetween(0, size)) {
    const from = index * 256;
    if (level === null) next.files.set(`ledger/${path}`, Buffer.from(encodeBundle(entries.slice(from, from + width))));
    else if (tiles === 'fitted') next.files.set(`ledger/${path}`, Buffer.from(tree.nodes(8 * level, from, Math.min(from + width, Math.floor(tree.size / 256 ** level)))));
  }
  return next;
}

function alter(bytes: Uint8Array): Uint8Array {
  const record = decodeRecord(bytes);
  return encodeRecord({ ...record, body: { i: 999 } });
}

describe('a ledger that nobody has touched', () => {
  it('has its verdicts in order, and says what it does not prove', async () => {
    const verification = await verify(await ledger(300));
    expect(verification.verdicts.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'INTEGRITY holds', 'SIGNATURE holds', 'WITNESS notEstablished', 'COMPLETENESS holds', 'TIME notEstablished', 'REPLAY notEstablished', 'NOT PROVEN notEstablished',
    ]);
    expect(verification.notProven).toEqual(expect.arrayContaining([
      'changes made outside Countersign since the last reconcile', 'no external anchor: rollback not excluded',
    ]));
    expect(verification.head).toMatchObject({ origin: ORIGIN, size: 300, keyName: signer.keyName });
    expect([exitCodeOf(verification.verdicts, REQUIRED), exitCodeOf(verification.verdicts)]).toEqual([0, 3]);
  });

  it('is not established when it is empty, absent, or nobody said whom to trust', async () => {
    expect(exitCodeOf((await verify(new FaultyDisk())).verdicts, REQUIRED)).toBe(3);
    expect(exitCodeOf((await verify(await ledger(0))).verdicts, REQUIRED)).toBe(3);
    const untrusted = await verify(await ledger(3), { trust: null });
    expect(verdict(untrusted, 'SIGNATURE').status).toBe('notEstablished');
    expect(untrusted.notProven).toContain('whose ledger this is');
    expect(exitCodeOf(untrusted.verdicts, REQUIRED)).toBe(3);
  });

  it('holds for a reader while it is being written', async () => {
    const disk = await ledger(20);
    const log = await open(disk);
    let appended = 20;
    const verification = await verify(disk, {
      progress: () => {
        if (appended < 23) log.append([draft(appended++)], { checkpoint: true });
      },
    });
    expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(0);
    await log.close();
  });

  it('holds for a reader who looks between any two steps of a writer, once the writer has gone on', async () => {
    const before = await ledger(20);
    const append = async (disk: FaultyDisk): Promise<void> => {
      const log = await open(disk);
      await Promise.all([20, 21, 22].map((i) => appendOne(log, i, { checkpoint: true }).durable)).finally(() => log.close());
    };
    const after = before.reboot();
    await append(after);
    const failed: string[] = [];
    for (let step = 1; step <= after.operations; step += 1) {
      const seen = before.reboot();
      seen.failAt = step;
      await append(seen).catch(() => undefined);
      const between = seen.reboot();
      const alone = verdict(await verify(between, { pause: null }), 'INTEGRITY');
      if (alone.status === 'fails') failed.push(alone.message);
      const verification = await verify(between, {
        pause: () => {
          between.files.clear();
          for (const [path, bytes] of after.files) between.files.set(path, bytes);
          return Promise.resolve();
        },
      });
      expect(exitCodeOf(verification.verdicts, REQUIRED), `before step ${step}: ${alone.message}`).toBe(0);
    }
    expect(failed).toEqual(expect.arrayContaining([
      expect.stringContaining('"tile/entries/000.p/23": nothing under the checkpoint of 20 records accounts for it'),
      expect.stringContaining('"tile/entries/000.p/20": nothing under the checkpoint of 23 records accounts for it'),
    ]));
  });

  it('is read once more, and no more, where nobody goes on with it', async () => {
    const disk = await ledger(20);
    disk.files.set('ledger/stray', Buffer.from('x'));
    let pauses = 0;
    const pause = (): Promise<void> => (pauses++, Promise.resolve());
    expect(verdict(await verify(disk, { pause }), 'INTEGRITY').message).toContain('unexpected file "stray"');
    expect(pauses).toBe(1);
    expect(verdict(await verify(await ledger(20), { pause, minSize: 21 }), 'COMPLETENESS').status).toBe('fails');
    expect(pauses).toBe(1);
  });

  it('gives each record and its objects to the rules, in order, once it has been checked', async () => {
    const seen: number[] = [];
    const payloads: string[] = [];
    const rules = (origin: string): RuleSet => ({
      names: ['WORKFLOW'],
      async record(record, readObject) {
        seen.push(record.seq);
        for (const digest of record.objects) payloads.push(Buffer.from((await readObject(digest))!).toString());
      },
      finish: () => [{ name: 'WORKFLOW', status: 'holds', message: origin }],
    });
    const verification = await verify(await ledger(270), { rules });
    expect(seen).toEqual(Array.from({ length: 270 }, (_, i) => i));
    expect(payloads[1]).toContain('salt 2');
    expect(verification.verdicts.map(({ name }) => name).slice(3, 6)).toEqual(['COMPLETENESS', 'WORKFLOW', 'TIME']);
    expect(exitCodeOf(verification.verdicts)).toBe(0);
  });

  it('reads an object that an older record named first', async () => {
    const disk = await ledger(10);
    const log = await open(disk);
    const object = Buffer.from('plan');
    await log.append([draft(10, { objects: [digestOf(object)] })], { objects: [object] }).durable;
    await log.append([draft(11, { objects: [digestOf(object)] })]).durable;
    await log.close();
    const found: (string | undefined)[] = [];
    const rules = (): RuleSet => ({
      names: [],
      async record({ seq, objects }, readObject) {
        if (seq === 11) found.push(Buffer.from((await readObject(objects[0]!))!).toString());
      },
      finish: () => [],
    });
    const verification = await verify(disk, { rules });
    expect(found).toEqual(['plan']);
    expect(verdict(verification, 'INTEGRITY').status).toBe('holds');
  });
});

describe('harm', () => {
  const N = 41;

  it.each(['kept', 'fitted'] as const)('to one record is named, tiles %s', async (tiles) => {
    const harmed = rewrite(await ledger(300), (entries) => entries.map((entry, i) => (i === N ? alter(entry) : entry)), tiles);
    expect(verdict(await verify(harmed), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: N, message: expect.stringContaining(`record ${N} is altered`) as string });
  });

  it.each(['kept', 'fitted'] as const)('by removing a record is told from altering it, tiles %s', async (tiles) => {
    const harmed = rewrite(await ledger(300), (entries) => entries.filter((_, i) => i !== N), tiles);
    expect(verdict(await verify(harmed), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: N, message: `record ${N} was removed` });
  });

  it.each(['kept', 'fitted'] as const)('by swapping two records is told, tiles %s', async (tiles) => {
    const swap = (entries: Uint8Array[]): Uint8Array[] => entries.map((entry, i) => (i === N ? entries[N + 2]! : i === N + 2 ? entries[N]! : entry));
    expect(verdict(await verify(rewrite(await ledger(300), swap, tiles)), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: N, message: `records ${N} and ${N + 2} are swapped` });
  });

  it('by putting a record in twice is told', async () => {
    const repeat = (entries: Uint8Array[]): Uint8Array[] => [...entries.slice(0, N), entries[N - 1]!, ...entries.slice(N, -1)];
    expect(verdict(await verify(rewrite(await ledger(300), repeat, 'fitted')), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: N, message: `record ${N - 1} stands again in the place of record ${N}` });
  });

  it('by cutting the tail below the checkpoint is told', async () => {
    const disk = await ledger(300);
    disk.files.delete('ledger/tile/entries/001.p/44');
    expect(verdict(await verify(disk), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: 256, message: expect.stringContaining('the checkpoint covers 300 records') as string });
  });

  it('by rewriting history with every chain and tile in place shows in the root', async () => {
    const forge = (entries: Uint8Array[]): Uint8Array[] => {
      let prev: string | null = null;
      const heads = new Map<string, string>();
      return entries.map((entry, i) => {
        const record = decodeRecord(entry);
        const body = i === N ? { i: 999 } : record.body;
        const changePrev = record.change === null ? null : (heads.get(record.change) ?? null);
        const bytes = encodeRecord({ ...record, body, prev, changePrev });
        prev = `sha256:${Buffer.from(leafHash(bytes)).toString('hex')}`;
        if (record.change !== null) heads.set(record.change, prev);
        return bytes;
      });
    };
    expect(verdict(await verify(rewrite(await ledger(300), forge, 'fitted')), 'INTEGRITY')).toMatchObject({ status: 'fails', message: expect.stringContaining('do not have the root of the checkpoint') as string });
  });

  it('by a log that signs a change with a record missing shows in the chain of the change', async () => {
    const disk = await ledger(20);
    // The log's own key signs the forgery: only the change's chain can tell.
    let prev: string | null = null;
    const forged = rewrite(disk, (entries) => entries.map((entry, i) => {
      const record = decodeRecord(entry);
      const changed: LedgerRecord = i === 13 ? { ...record, prev, changeSeq: record.changeSeq! + 1 } : { ...record, prev };
      const bytes = encodeRecord(changed);
      prev = `sha256:${Buffer.from(leafHash(bytes)).toString('hex')}`;
      return bytes;
    }), 'fitted');
    const tree = new MerkleTree();
    for (const entry of decodeBundle(forged.files.get('ledger/tile/entries/000.p/20')!)) tree.append(leafHash(entry));
    forged.files.set('ledger/checkpoint', Buffer.from(signCheckpoint({ origin: ORIGIN, size: 20, root: tree.root() }, signer)));
    const verification = await verify(forged);
    expect(verdict(verification, 'COMPLETENESS')).toMatchObject({ status: 'fails', seq: 13 });
    expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(1);
  });

  it('to a tile is told from harm to a record', async () => {
    const disk = await ledger(600);
    const level0 = Buffer.from(disk.files.get('ledger/tile/0/000')!);
    level0[N * 32] = level0[N * 32]! ^ 1;
    const harmed = disk.reboot();
    harmed.files.set('ledger/tile/0/000', level0);
    expect(verdict(await verify(harmed), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: N, message: `the level 0 tile is altered at record ${N}, which is whole` });
    const level1 = Buffer.from(disk.files.get('ledger/tile/1/000.p/2')!);
    level1[32] = level1[32]! ^ 1;
    disk.files.set('ledger/tile/1/000.p/2', level1);
    expect(verdict(await verify(disk), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: 256, message: expect.stringContaining('tile/1/000.p/2 is altered') as string });
  });

  it('to an object names it and the record', async () => {
    const disk = await ledger(20);
    const bytes = Buffer.from(disk.files.get('ledger/objects/0')!);
    bytes.write('SALT', bytes.indexOf('salt 4'));
    disk.files.set('ledger/objects/0', bytes);
    expect(verdict(await verify(disk), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: 4, message: expect.stringMatching(/^object sha256:[0-9a-f]{64} is altered/) as string });
  });

  it('by erasing an object that no record says is erased is told', async () => {
    const disk = await ledger(20);
    const bytes = Buffer.from(disk.files.get('ledger/objects/0')!);
    const length = bytes.readUInt32BE(0);
    bytes[4] = 0;
    bytes.fill(0, 37, 37 + length);
    disk.files.set('ledger/objects/0', bytes);
    expect(verdict(await verify(disk), 'INTEGRITY')).toMatchObject({ status: 'fails', seq: 0, message: expect.stringContaining('no erasure record') as string });
  });

  it.each(['ledger/notes.txt', 'ledger/tile/0/000.p/3', 'ledger/objects/2', 'ledger/tile/entries/x000/000', 'ledger/tile/.hidden'])('by a file that nothing accounts for is told: %s', async (path) => {
    const disk = await ledger(9);
    disk.files.set(path, Buffer.from('x'));
    expect(verdict(await verify(disk), 'INTEGRITY')).toMatchObject({ status: 'fails', message: expect.stringContaining('unexpected file') as string });
  });

  it('by adding a file of objects, or bytes to one, is told', async () => {
    const disk = await ledger(9);
    for (const bytes of [Buffer.from('x'), Buffer.alloc(0), disk.files.get('ledger/objects/0')!]) {
      const harmed = disk.reboot();
      harmed.files.set('ledger/objects/1', bytes);
      expect(verdict(await verify(harmed), 'INTEGRITY')).toMatchObject({ status: 'fails', message: 'ledger/objects/1 holds bytes that are no object of any record' });
    }
  });

  it('at any byte of any file fails, and a flip in a record names that record', async () => {
    const disk = await ledger(6);
    const bundle = 'ledger/tile/entries/000.p/6';
    const ends: number[] = [];
    for (const entry of decodeBundle(disk.files.get(bundle)!)) ends.push((ends.at(-1) ?? 0) + 2 + entry.length);
    for (const [path, whole] of disk.files) {
      if (!path.startsWith('ledger/')) continue;
      for (let at = 0; at < whole.length; at++) {
        const harmed = disk.reboot();
        const bytes = Buffer.from(whole);
        bytes[at] = bytes[at]! ^ (1 << (at % 8));
        harmed.files.set(path, bytes);
        const verification = await verify(harmed);
        expect(exitCodeOf(verification.verdicts, REQUIRED), `${path} byte ${at}`).toBe(1);
        if (path !== bundle) continue;
        const record = ends.findIndex((end) => at < end);
        expect(verdict(verification, 'INTEGRITY'), `byte ${at}, in record ${record}`).toMatchObject({ status: 'fails', seq: record });
      }
    }
  });

  it('by cutting any file short or adding to it fails', async () => {
    const disk = await ledger(12);
    for (const [path, whole] of disk.files) {
      if (!path.startsWith('ledger/')) continue;
      for (const bytes of [whole.subarray(0, -1), whole.subarray(1), Buffer.concat([whole, Buffer.from([0])]), Buffer.alloc(0), whole.subarray(0, whole.length >> 1)]) {
        const harmed = disk.reboot();
        harmed.files.set(path, Buffer.from(bytes));
        expect(exitCodeOf((await verify(harmed)).verdicts, REQUIRED), `${path} of ${bytes.length} bytes`).toBe(1);
      }
      const without = disk.reboot();
      without.files.delete(path);
      expect(exitCodeOf((await verify(without)).verdicts, REQUIRED), `without ${path}`).toBe(1);
    }
  });

  it('keeps rules from being believed', async () => {
    const harmed = rewrite(await ledger(60), (entries) => entries.map((entry, i) => (i === N ? alter(entry) : entry)), 'fitted');
    const rules = (): RuleSet => ({ names: ['WORKFLOW'], record: () => undefined, finish: () => [{ name: 'WORKFLOW', status: 'holds', message: '' }] });
    expect(verdict(await verify(harmed, { rules }), 'WORKFLOW').status).toBe('notEstablished');
  });
});

describe('trust', () => {
  const other = signerOf('log.test/other');

  async function signature(policy: string): Promise<Verdict> {
    return verdict(await verify(await ledger(5), { trust: parseTrustPolicy(policy) }), 'SIGNATURE');
  }

  it('in another log is no trust in this one', async () => {
    expect(await signature(`log ${other.vkey}\nquorum none\n`)).toMatchObject({ status: 'fails', message: `the trust policy lists no log with the origin ${ORIGIN}` });
  });

  it('in another key of the same name is no trust in this key', async () => {
    expect(await signature(`log ${signerOf(ORIGIN, 'another').vkey}\nquorum none\n`)).toMatchObject({ status: 'fails', message: expect.stringContaining('signed by none of the known keys') as string });
  });

  it('in a key whose name is not the origin does not let it speak for the log', async () => {
    const disk = await ledger(5);
    const { size, root } = { size: 5, root: Buffer.from(disk.files.get('ledger/checkpoint')!.toString().split('\n')[2]!, 'base64') };
    disk.files.set('ledger/checkpoint', Buffer.from(signCheckpoint({ origin: ORIGIN, size, root }, other)));
    const trust = parseTrustPolicy(`log ${signer.vkey}\nlog ${other.vkey}\nquorum none\n`);
    expect(verdict(await verify(disk, { trust }), 'SIGNATURE').status).toBe('fails');
  });
});

describe('anchors', () => {
  const witness = parseCosigner(generateSignerKey('witness.test/w', sha256(Buffer.from('w')), 4).skey);
  const second = parseCosigner(generateSignerKey('witness.test/v', sha256(Buffer.from('v')), 4).skey);
  const quorum = (k: string): TrustPolicy => parseTrustPolicy(`log ${signer.vkey}\nwitness w ${witness.vkey}\nwitness v ${second.vkey}\ngroup g ${k} w v\nquorum g\n`);
  const cosignedAt = Math.floor(AT_MS / 1000) + 60;

  function cosign(disk: FaultyDisk, seconds = cosignedAt): FaultyDisk {
    const next = disk.reboot();
    const note = disk.files.get('ledger/checkpoint')!.toString();
    const text = note.slice(0, note.indexOf('\n\n') + 1);
    next.files.set('ledger/checkpoint', Buffer.from(note + formatSignatureLine(witness.keyName, witness.cosign(text, seconds))));
    return next;
  }

  it('by a witness are counted, and give the records a time they were there by', async () => {
    const verification = await verify(cosign(await ledger(9)), { trust: quorum('any') });
    expect(verdict(verification, 'WITNESS')).toMatchObject({ status: 'holds', message: '1/2: the quorum (g: 1 of 2) is met' });
    expect(verdict(verification, 'TIME').status).toBe('holds');
    expect(verification.notProven).not.toContain('no external anchor: rollback not excluded');
    expect(verdict(await verify(cosign(await ledger(9)), { trust: quorum('all') }), 'WITNESS')).toMatchObject({ status: 'fails', message: '1/2: the quorum (g: 2 of 2) is not met' });
  });

  it('by a witness catch records that claim to be later', async () => {
    const early = cosign(await ledger(9), Math.floor(AT_MS / 1000) - 60);
    expect(verdict(await verify(early, { trust: quorum('any') }), 'TIME').status).toBe('fails');
  });

  it('survive in the checkpoint file while its head does', async () => {
    const disk = cosign(await ledger(9));
    const before = disk.files.get('ledger/checkpoint')!.toString();
    await (await open(disk)).close();
    expect(disk.files.get('ledger/checkpoint')!.toString()).toBe(before);
  });

  it('in the auditor\'s hand catch a rollback and a split view', async () => {
    const disk = await ledger(30);
    const pinned = disk.files.get('ledger/checkpoint')!.toString();
    const older = await ledger(20);
    expect(verdict(await verify(older, { pinned }), 'COMPLETENESS')).toMatchObject({ status: 'fails', message: expect.stringContaining('rolled back') as string });
    await fill(disk, 50);
    const verification = await verify(disk, { pinned });
    expect(verdict(verification, 'COMPLETENESS')).toMatchObject({ status: 'holds', message: expect.stringContaining('the first 30 are those of the pinned checkpoint') as string });
    const forked = signCheckpoint({ origin: ORIGIN, size: 30, root: sha256(Buffer.from('other')) }, signer);
    expect(verdict(await verify(disk, { pinned: forked }), 'COMPLETENESS')).toMatchObject({ status: 'fails', message: expect.stringContaining('split view') as string });
    await expect(verify(disk, { pinned: formatCheckpoint({ origin: ORIGIN, size: 3, root: sha256() }) })).rejects.toThrow();
  });

  it('by a least size catch a ledger that is too short', async () => {
    expect(verdict(await verify(await ledger(20), { minSize: 21 }), 'COMPLETENESS').status).toBe('fails');
  });
});

describe('time', () => {
  it('that goes back by more than clocks do fails, and names the record', async () => {
    const disk = await ledger(5);
    const log = await open(disk);
    await log.append([draft(5, { at: new Date(AT_MS - 5_000).toISOString() })]).durable;
    await log.close();
    expect(verdict(await verify(disk), 'TIME')).toMatchObject({ status: 'fails', seq: 5 });
  });
});
