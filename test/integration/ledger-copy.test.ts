/** The copy of a ledger on a real nats-server: what it holds, what becomes of it, and what a ledger is restored from. */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { canonicalBytes, digestOf, directorySource, nodeDisk, openLog, restoreLog, type LedgerError, type Log } from '../../ledger/index.ts';
import type { Clock } from '../../src/engine/ports.ts';
import { restoreLedger, type RestoreOptions } from '../../src/sidecar/restore.ts';
import { API_PREFIX, laneOf, objectPart, pages, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus } from '../../src/transport/nats/connection.ts';
import { keepLedgerCopy, type NatsLedgerCopy } from '../../src/transport/nats/ledger-copy.ts';
import { copySource } from '../../src/transport/nats/ledger-source.ts';
import { inboxOf } from '../../src/transport/nats/server-config.ts';
import { eventually } from '../conformance/transport.ts';
import { appendOne, draft, ORIGIN, signer } from '../fault/ledger-fixture.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';

const EXECUTOR = 'executor:pg-1';
const clock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const LONG_MS = 20_000;

interface Kept {
  readonly log: Log;
  readonly copy: NatsLedgerCopy;
  readonly refills: (readonly [number, number])[];
  readonly conflicts: LedgerError[];
  close(): Promise<void>;
}

describe.skipIf(!hasNats())('the copy of a ledger', () => {
  let nats: TestNats;
  let admin: NatsConnection;
  let root: string;
  const open: Kept[] = [];
  const asAdmin = (): Promise<NatsConnection> => connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
  beforeAll(async () => {
    nats = await testNats([EXECUTOR]);
    admin = await asAdmin();
  });
  afterAll(async () => {
    await admin.close();
    await nats.close();
  });
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'countersign-copy-'));
    await newStream();
  });
  afterEach(async () => {
    for (const kept of open.splice(0)) await kept.close();
    await rm(root, { recursive: true, force: true });
  });

  const newStream = async (): Promise<void> => {
    await (await jetstreamManager(admin)).streams.delete(STREAMS.ledger).catch(() => undefined);
    await setUpBus(admin, planBus([EXECUTOR], 1));
  };
  const keep = async (name: string): Promise<Kept> => {
    const data = join(root, name);
    const disk = nodeDisk(data);
    const log = await openLog({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
    const bus = openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name: 'ledger', inboxPrefix: `_INBOX_${name}`, logger });
    const refills: (readonly [number, number])[] = [];
    const conflicts: LedgerError[] = [];
    const copy = keepLedgerCopy({
      log, bus, executors: [EXECUTOR], disk, clock, logger, refilled: (from, missing) => refills.push([from, missing]),
      conflict(error) {
        conflicts.push(error);
        log.refuse(error);
      },
    });
    const kept: Kept = {
      log, copy, refills, conflicts,
      async close() {
        await copy.close();
        await log.close();
      },
    };
    open.push(kept);
    return kept;
  };
  const closeAll = async (): Promise<void> => {
    for (const kept of open.splice(0)) await kept.close();
  };
  const fill = async (log: Log, to: number): Promise<void> => {
    for (let i = log.size; i < to; i++) await appendOne(log, i, { checkpoint: i === to - 1 }).durable;
  };
  const options = (name: string, more: Partial<RestoreOptions>): RestoreOptions => ({ origin: ORIGIN, data: join(root, name), signer, sources: [], known: [], nowMs: () => Date.now(), ...more });
  const filesBelow = async (directory: string): Promise<Map<string, string>> => {
    const found = new Map<string, string>();
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) found.set(path.slice(directory.length), (await readFile(path)).toString('base64'));
    }
    return found;
  };
  /** What would stand there if the ledger were made from the copy alone, without the record of it. */
  const madeFrom = async (into: string): Promise<Map<string, string>> => {
    const source = (await copySource(admin, logId))!;
    await restoreLog({ origin: ORIGIN, disk: nodeDisk(join(root, into)), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() }, source);
    return filesBelow(join(root, into, 'ledger'));
  };
  let logId = '';
  const lengthOf = async (log: Log): Promise<number> => {
    const source = await copySource(admin, log.logId);
    return source === null ? 0 : Number(source.checkpoint.split('\n')[1]);
  };

  test('holds every record and every object, of which the ledger is made again byte for byte', async () => {
    const { log, copy } = await keep('a');
    logId = log.logId;
    await fill(log, 300);
    const large = Buffer.alloc(2_500_000, 'large ');
    await log.append([draft(300, { objects: [digestOf(large), digestOf(Buffer.from('small'))] })], { objects: [large, Buffer.from('small')], checkpoint: true }).durable;
    expect(await copy.holds(301, LONG_MS)).toBe(true);
    await closeAll();
    expect(await madeFrom('b')).toEqual(await filesBelow(join(root, 'a', 'ledger')));
  });

  test('is at a record before what gives access is let go, and not while the bus is down', async () => {
    const { log, copy } = await keep('a');
    let woken = 0;
    copy.onProgress(() => (woken += 1));
    expect([copy.guards(EXECUTOR), copy.guards('executor:local')]).toEqual([true, false]);
    await fill(log, 3);
    expect(await copy.holds(3, LONG_MS)).toBe(true);
    expect(await copy.holds(4, 50)).toBe(false);
    await nats.nodes[0]!.kill9();
    await fill(log, 9);
    expect(await copy.holds(9, 300)).toBe(false);
    expect(copy.trouble()).toContain('does not come on');
    await nats.nodes[0]!.start();
    await admin.close();
    admin = await asAdmin();
    expect(await copy.holds(9, LONG_MS)).toBe(true);
    expect([woken > 0, copy.trouble()]).toEqual([true, null]);
    expect(await lengthOf(log)).toBe(9);
  });

  test('catches up with what was recorded while nobody copied', async () => {
    const first = await keep('a');
    await fill(first.log, 5);
    expect(await first.copy.holds(5, LONG_MS)).toBe(true);
    await closeAll();
    const alone = await openLog({ origin: ORIGIN, disk: nodeDisk(join(root, 'a')), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
    await fill(alone, 12);
    await alone.close();
    const second = await keep('a');
    expect(await second.copy.holds(12, LONG_MS)).toBe(true);
    expect([second.refills, second.conflicts]).toEqual([[], []]);
  });

  test('that was wiped is filled again, and said to have been', async () => {
    const first = await keep('a');
    logId = first.log.logId;
    await fill(first.log, 8);
    expect(await first.copy.holds(8, LONG_MS)).toBe(true);
    await newStream();
    await fill(first.log, 9);
    expect(await first.copy.holds(9, LONG_MS)).toBe(true);
    expect(first.refills).toEqual([[0, 8]]);
    await closeAll();
    // While nobody was there to see it.
    await newStream();
    const second = await keep('a');
    await eventually(() => second.refills.length > 0);
    expect(second.refills).toEqual([[0, 9]]);
    await closeAll();
    expect(await madeFrom('b')).toEqual(await filesBelow(join(root, 'a', 'ledger')));
  });

  test('whose beginning is gone is made anew', async () => {
    const first = await keep('a');
    logId = first.log.logId;
    await fill(first.log, 4);
    expect(await first.copy.holds(4, LONG_MS)).toBe(true);
    await fill(first.log, 8);
    expect(await first.copy.holds(8, LONG_MS)).toBe(true);
    await closeAll();
    const manager = await jetstreamManager(admin);
    const { state } = await manager.streams.info(STREAMS.ledger);
    await manager.streams.purge(STREAMS.ledger, { seq: state.last_seq });
    const second = await keep('a');
    await eventually(() => second.refills.length > 0);
    expect(second.refills).toEqual([[0, 8]]);
    await closeAll();
    expect(await madeFrom('b')).toEqual(await filesBelow(join(root, 'a', 'ledger')));
  });

  test('takes nothing from a second writer, who notices and records nothing more', async () => {
    const first = await keep('a');
    await fill(first.log, 6);
    expect(await first.copy.holds(6, LONG_MS)).toBe(true);
    await closeAll();
    await cp(join(root, 'a'), join(root, 'clone'), { recursive: true });
    // As a clone of the whole volume: nothing in it tells that it is a copy.
    await rm(join(root, 'clone', 'journal', 'place'));
    const [one, two] = [await keep('a'), await keep('clone')];
    expect([await one.copy.compared(LONG_MS), await two.copy.compared(LONG_MS)]).toEqual(['same', 'same']);
    await fill(one.log, 8);
    expect(await one.copy.holds(8, LONG_MS)).toBe(true);
    await two.log.append([draft(99), draft(98)], { checkpoint: true }).durable;
    expect(await two.copy.holds(8, LONG_MS)).toBe(false);
    await eventually(() => two.conflicts.length > 0);
    expect(two.conflicts).toMatchObject([{ code: 'forked' }]);
    expect(() => two.log.append([draft(1)])).toThrow(expect.objectContaining({ code: 'unwritable' }) as Error);
    expect([two.copy.guards('executor:local'), one.conflicts]).toEqual([true, []]);
    await fill(one.log, 10);
    expect(await one.copy.holds(10, LONG_MS)).toBe(true);
  });

  test.each([['begun anew', 0], ['an older one put back', 4]])('stops a ledger that is %s before it records anything', async (_what, size) => {
    const first = await keep('a');
    await fill(first.log, 4);
    expect(await first.copy.holds(4, LONG_MS)).toBe(true);
    await closeAll();
    if (size > 0) {
      await cp(join(root, 'a'), join(root, 'other'), { recursive: true });
      await rm(join(root, 'other', 'journal', 'place'));
    }
    const more = await keep('a');
    await fill(more.log, 7);
    expect(await more.copy.holds(7, LONG_MS)).toBe(true);
    await closeAll();
    const other = await keep('other');
    expect(await other.copy.compared(LONG_MS)).toBe('conflict');
    expect(other.conflicts).toMatchObject([{ code: 'rolled-back', seq: size }]);
    expect(() => other.log.append([draft(1)])).toThrow(expect.objectContaining({ code: 'unwritable' }) as Error);
    expect(await other.copy.holds(size, 50)).toBe(false);
    expect(other.log.size).toBe(size);
  });

  test('forgets an object that was erased, and is restored all the same', async () => {
    const { log, copy } = await keep('a');
    logId = log.logId;
    const payload = Buffer.from('{"salt":"abc","who":"somebody"}');
    const digest = digestOf(payload);
    await log.append([draft(0, { objects: [digest] })], { objects: [payload], checkpoint: true }).durable;
    expect(await copy.holds(1, LONG_MS)).toBe(true);
    const manager = await jetstreamManager(admin);
    expect(await manager.streams.getMessage(STREAMS.ledger, { last_by_subj: objectPart(log.logId, digest, 0) })).not.toBeNull();
    await log.append([draft(1, { change: null, type: 'erasure', body: { erased: [digest] } })], { checkpoint: true }).durable;
    await log.erase([digest]);
    expect(await copy.holds(2, LONG_MS)).toBe(true);
    expect(await manager.streams.getMessage(STREAMS.ledger, { last_by_subj: objectPart(log.logId, digest, 0) })).toBeNull();
    await closeAll();
    expect(await madeFrom('b')).toEqual(await filesBelow(join(root, 'a', 'ledger')));
  });

  test('is out of reach of every worker', async () => {
    const { log, copy } = await keep('a');
    await fill(log, 2);
    expect(await copy.holds(2, LONG_MS)).toBe(true);
    const worker = await connect({
      servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.executors.get(EXECUTOR)!))), inboxPrefix: inboxOf(laneOf(EXECUTOR)),
    });
    for (const prefix of ['$JS.API', API_PREFIX]) {
      await expect(worker.request(`${prefix}.STREAM.MSG.GET.${STREAMS.ledger}`, JSON.stringify({ seq: 1 }), { timeout: 500 })).rejects.toThrow();
      await expect(worker.request(`${prefix}.DIRECT.GET.${STREAMS.ledger}.${pages(log.logId)}`, '', { timeout: 500 })).rejects.toThrow();
    }
    await expect(worker.request(pages(log.logId), 'x', { timeout: 500 })).rejects.toThrow();
    worker.publish(`cs.say.${laneOf(EXECUTOR)}.all`, 'x', { reply: pages(log.logId) });
    await worker.flush();
    expect((await (await jetstreamManager(admin)).streams.info(STREAMS.ledger, { subjects_filter: pages(log.logId) })).state.subjects).toEqual({ [pages(log.logId)]: expect.any(Number) as number });
    expect(await lengthOf(log)).toBe(2);
    await worker.close();
  });

  describe('restored from', () => {
    const prepared = async (): Promise<Log> => {
      const { log, copy } = await keep('a');
      await fill(log, 4);
      expect(await copy.holds(4, LONG_MS)).toBe(true);
      await fill(log, 9);
      expect(await copy.holds(9, LONG_MS)).toBe(true);
      await closeAll();
      return log;
    };
    const lose = (): Promise<void> => rm(join(root, 'a', 'ledger'), { recursive: true }).then(() => rm(join(root, 'a', 'journal'), { recursive: true }));
    const entriesOf = async (name: string): Promise<{ readonly texts: string[]; readonly types: string[] }> => {
      const log = await openLog({ origin: ORIGIN, disk: nodeDisk(join(root, name)), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
      const texts: string[] = [];
      const types: string[] = [];
      for await (const { bytes, record } of log.entries(0)) {
        texts.push(Buffer.from(bytes).toString('utf8'));
        types.push(record.type);
      }
      await log.close();
      return { texts, types };
    };

    test('it alone: every record as it was, and one that says so', async () => {
      const log = await prepared();
      const before = await entriesOf('a');
      await lose();
      const source = (await copySource(admin, log.logId))!;
      const done = await restoreLedger(options('a', { sources: [source] }));
      expect(done).toMatchObject({ restored: true, had: 0, size: 9, source: 'CS_LEDGER', kept: [] });
      const after = await entriesOf('a');
      expect(after.texts.slice(0, 9)).toEqual(before.texts);
      expect(after.types.slice(9)).toEqual(['ledger.restored']);
      // And the sidecar goes on from there, with the same copy.
      const { copy, conflicts } = await keep('a');
      expect(await copy.holds(10, LONG_MS)).toBe(true);
      expect(conflicts).toEqual([]);
    });

    test('an older state is moved aside and kept; one that is whole and newer is left alone', async () => {
      const first = await keep('a');
      await fill(first.log, 4);
      expect(await first.copy.holds(4, LONG_MS)).toBe(true);
      await closeAll();
      await cp(join(root, 'a'), join(root, 'b'), { recursive: true });
      await rm(join(root, 'b', 'journal', 'place'));
      const again = await keep('a');
      await fill(again.log, 9);
      expect(await again.copy.holds(9, LONG_MS)).toBe(true);
      await closeAll();
      const source = (await copySource(admin, again.log.logId))!;
      const done = await restoreLedger(options('b', { sources: [source] }));
      expect(done).toMatchObject({ restored: true, had: 4, size: 9 });
      expect(done.kept).toHaveLength(2);
      expect((await entriesOf('b')).texts).toHaveLength(10);
      // Ten records are more than the copy has.
      expect(await restoreLedger(options('b', { sources: [source] }))).toMatchObject({ restored: false, had: 10, size: 10, kept: [] });
    });

    test('a newer directory where there is one, held to what the bus and executors have seen', async () => {
      const log = await prepared();
      await cp(join(root, 'a', 'ledger'), join(root, 'backup'), { recursive: true });
      const bus = (await copySource(admin, log.logId))!;
      const directory = (await directorySource(nodeDisk(root), 'backup', 'the backup'))!;
      await lose();
      const beyond = { by: 'executor:pg-1', size: 12, root: log.root(3) };
      await expect(restoreLedger(options('a', { sources: [bus, directory], known: [beyond] }))).rejects.toMatchObject({ code: 'rolled-back', seq: 9 });
      await expect(restoreLedger(options('a', { sources: [bus, directory], known: [{ ...beyond, size: 5 }] }))).rejects.toMatchObject({ code: 'forked' });
      expect(await readdir(join(root, 'a'))).not.toContain('ledger');
      expect(await restoreLedger(options('a', { sources: [bus, directory], known: [{ ...beyond, size: 3 }] }))).toMatchObject({ restored: true, size: 9 });
    });

    test('nothing is replaced by a shorter history or another one', async () => {
      const log = await prepared();
      const source = (await copySource(admin, log.logId))!;
      const other = await openLog({ origin: ORIGIN, disk: nodeDisk(join(root, 'b')), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
      for (const i of [7, 8, 9]) await other.append([draft(i)], { checkpoint: true }).durable;
      await other.close();
      const before = await filesBelow(join(root, 'b', 'ledger'));
      await expect(restoreLedger(options('b', { sources: [source] }))).rejects.toMatchObject({ code: 'forked', message: expect.stringMatching(/root \S+ in CS_LEDGER, and \S+ by the ledger here/) as string });
      expect(await filesBelow(join(root, 'b', 'ledger'))).toEqual(before);
      expect(await readdir(join(root, 'b'))).not.toContain('.restore');
    });

    test('a ledger whose sidecar runs is left alone', async () => {
      const log = await prepared();
      const source = (await copySource(admin, log.logId))!;
      await keep('a');
      await expect(restoreLedger(options('a', { sources: [source] }))).rejects.toMatchObject({ code: 'locked' });
    });

    const page = async (log: Log): Promise<Record<string, unknown>> => {
      const manager = await jetstreamManager(admin);
      return JSON.parse(Buffer.from((await manager.streams.getMessage(STREAMS.ledger, { last_by_subj: pages(log.logId) }))!.data).toString()) as Record<string, unknown>;
    };
    const records = (of: Record<string, unknown>): string[] => of['records'] as string[];
    const cases: readonly (readonly [string, (good: Record<string, unknown>, first: Record<string, unknown>) => Uint8Array[]])[] = [
      ['what is not JSON', () => [Buffer.from('hello')]],
      ['bytes that are not UTF-8', () => [Buffer.from([0xff, 0xfe])]],
      ['a page that is too large', (good) => [canonicalBytes({ ...good, records: ['x'.repeat(61_441)] })]],
      ['a page with a field too many', (good) => [canonicalBytes({ ...good, more: true })]],
      ['a page of another log', (good) => [canonicalBytes({ ...good, log: 'f'.repeat(16) })]],
      ['a page with a record that is altered', (good) => [canonicalBytes({ ...good, records: records(good).map((text) => text.replace('"i":', '"i":1')) })]],
      ['a page whose records are in another order', (good) => [canonicalBytes({ ...good, records: [...records(good)].reverse() })]],
      ['pages in another order', (good, first) => [canonicalBytes(good), canonicalBytes(first)]],
      ['a page that comes twice', (good, first) => [canonicalBytes(first), canonicalBytes(good)]],
      ['a page with a checkpoint of its own making', (good) => [canonicalBytes({ ...good, checkpoint: String(good['checkpoint']).replace('\n9\n', '\n8\n') })]],
      ['a page with a record that is none', (good) => [canonicalBytes({ ...good, records: ['{}', ...records(good).slice(1)] })]],
    ];
    test.each(cases)('nothing of a copy with %s gets into a ledger', async (what, bad) => {
      const log = await prepared();
      const good = await page(log);
      const start = Number(good['first']);
      const first = { ...good, first: 0, records: (await entriesOf('a')).texts.slice(0, start), checkpoint: null, objects: await objectsOf(log, 0, start) };
      await (await jetstreamManager(admin)).streams.purge(STREAMS.ledger, { filter: pages(log.logId) });
      const before = what === 'pages in another order' ? [] : [canonicalBytes(first)];
      for (const bytes of [...before, ...bad(good, first)]) await jetstream(admin).publish(pages(log.logId), bytes);
      await lose();
      await expect((async () => restoreLedger(options('a', { sources: [(await copySource(admin, log.logId))!] })))()).rejects.toMatchObject({ code: expect.stringMatching(/^(corrupt|untrusted|malformed)$/) as string });
      expect((await readdir(join(root, 'a'))).filter((name) => /^(ledger|journal|\.restore)/.test(name))).toEqual([]);
    });

    const objectsOf = async (log: Log, from: number, to: number): Promise<{ digest: string; length: number }[]> => {
      const found: { digest: string; length: number }[] = [];
      for await (const { record } of log.entries(from, to)) for (const digest of record.objects) found.push({ digest, length: (await log.stored(digest)).payload.byteLength });
      return found;
    };

    test('nor of one whose object is altered or missing', async () => {
      const log = await prepared();
      const manager = await jetstreamManager(admin);
      const digest = (await objectsOf(log, 0, 1))[0]!.digest;
      const subject = objectPart(log.logId, digest, 0);
      await manager.streams.purge(STREAMS.ledger, { filter: subject });
      const restore = async (): Promise<unknown> => restoreLedger(options('b', { sources: [(await copySource(admin, log.logId))!] }));
      await expect(restore()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('no erasure record names it') as string });
      await jetstream(admin).publish(subject, 'something else');
      await expect(restore()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining('altered') as string });
    });

    test('a copy whose newest message is rubbish lets nothing be given, and is said to be', async () => {
      const log = await prepared();
      await jetstream(admin).publish(pages(log.logId), 'rubbish');
      const { copy, conflicts } = await keep('a');
      expect(await copy.holds(9, 1_000)).toBe(false);
      expect(conflicts).toEqual([]);
    });
  });
});
