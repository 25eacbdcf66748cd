/** What a snapshot may be: a shorter way to the very state that the whole ledger comes to, and nothing else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk, openLog, type Disk, type LedgerRecord, type Log } from '../../ledger/index.ts';
import { isAtRest } from '../../src/change/at-rest.ts';
import { evolve, type ChangeState } from '../../src/change/state.ts';
import { nextWork } from '../../src/change/work.ts';
import { DEFAULT_LIMITS } from '../../src/engine/engine.ts';
import { Fold, foldChanges, NotInMemory, type Captured } from '../../src/engine/fold.ts';
import { readSnapshot, writeSnapshot, type SnapshotPlace } from '../../src/engine/snapshot.ts';
import { openStore, type Store } from '../../src/engine/store.ts';
import { comparable } from '../simulation/comparable.ts';
import { adoptStory, newLogKey, NEW_ORIGIN, type Place } from '../support/adopted-story.ts';
import { extendedLease } from '../support/extension-story.ts';
import { called, rotation, stagedRotation, toldUntilUndone } from '../support/step-stories.ts';
import { cleanStory, keys, ORIGIN, START_MS, toldUntilDecided, GRANT, writeStory, type Beat, type Telling } from '../support/story.ts';

const undone = toldUntilUndone(stagedRotation());
const { ledger: extended } = extendedLease(START_MS + 1_000);
const tellings: Telling[] = [rotation(), undone, called(), toldUntilDecided(GRANT, START_MS + 3_000)];
/** All kinds of changes, at the same time. */
const BEATS: Beat[] = [...cleanStory().beats, ...extended, ...tellings.flatMap(({ beats }) => beats)].sort((a, b) => a.atMs - b.atMs);

let directory: string;
let log: Log;
const records: LedgerRecord[] = [];
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-snapshot-'));
  await writeStory(directory, BEATS);
  log = await open(directory);
  for await (const { record } of log.entries(0)) records.push(record);
});
afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true });
});

const open = (at: string): Promise<Log> => openLog({ origin: ORIGIN, disk: nodeDisk(at), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => START_MS + 9_000_000 });
const options = { nowMs: () => START_MS + 9_000_000, actor: 'sidecar:test', random: (length: number) => new Uint8Array(length), changed: () => undefined };

/** A disk of two files, in memory. */
function place(edit: Partial<SnapshotPlace> = {}): SnapshotPlace & { readonly files: Map<string, Buffer> } {
  const files = new Map<string, Buffer>();
  const disk = {
    read: async (path: string) => files.get(path) ?? null,
    openAppend: async (path: string) => ({
      append: async (bytes: Uint8Array) => void files.set(path, Buffer.concat([files.get(path) ?? Buffer.alloc(0), bytes])),
      truncate: async () => void files.delete(path), close: async () => undefined,
    }),
  } as unknown as Disk;
  return { disk, directory: 'state', signer: keys.log, code: 'this', files, ...edit };
}

const inOrder = ({ live, ...rest }: Captured): string => comparable({ ...rest, live: live.toSorted((a, b) => (a.changeId < b.changeId ? -1 : 1)) });

async function foldUntil(size: number, fold = new Fold(log, { atRestMax: 2 })): Promise<Fold> {
  for (const record of records.slice(fold.size, size)) await fold.record(record);
  return fold;
}

describe('a snapshot and the records after it', () => {
  it('has what is counted of late in pieces, however much of one there is, and comes to the same', async () => {
    const counted = (count: number, seq = 0): { seq: number; atMs: number; makes: boolean }[] => Array.from({ length: count }, (_, n) => ({ seq: seq + n, atMs: START_MS, makes: n % 2 === 0 }));
    const recent = new Map([['requester a', counted(4_095)], ['requester b', counted(5_000, 10)], ['subject c', counted(1)]]);
    const at = place();
    await writeSnapshot(at, log, records.length, { ...(await foldUntil(records.length)).capture(), recent, live: [] }, 0);
    const bytes = at.files.get('state/snapshot.0')!;
    const { parts } = JSON.parse(bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('utf8')) as { parts: number[] };
    expect(parts).toHaveLength(4);
    const found = await readSnapshot(at, log, undefined);
    expect(found!.captured.recent).toEqual(recent);
    expect([...found!.captured.recent.keys()]).toEqual([...recent.keys()]);
    expect(found!.captured).not.toHaveProperty('recentParts');
  });

  it('come to what the whole ledger comes to, wherever it was taken', async () => {
    const whole = inOrder((await foldUntil(records.length)).capture());
    for (let cut = 1; cut <= records.length; cut += 1) {
      const at = place();
      await writeSnapshot(at, log, cut, (await foldUntil(cut)).capture(), 0);
      const found = await readSnapshot(at, log, undefined);
      expect(found?.size).toBe(cut);
      const fold = await foldUntil(records.length, new Fold(log, { from: found!, atRestMax: 2 }));
      expect(inOrder(fold.capture()), `cut after ${cut} records`).toBe(whole);
    }
  }, 60_000);

  it('say the same of every change, at rest or not, as the fold of its events', async () => {
    const fold = await foldUntil(records.length);
    for (const [changeId, state] of await foldChanges(log)) {
      expect(comparable(await fold.load(changeId))).toBe(comparable(state));
      expect(fold.index.recordsOf(changeId)).toEqual(records.filter(({ change }) => change === changeId).map(({ seq }) => seq));
    }
  });

  it('come to the same where changes of an earlier log were adopted', async () => {
    const story: Place = await adoptStory(BEATS, START_MS + 9_000_000);
    const adopting = await openLog({ origin: NEW_ORIGIN, disk: nodeDisk(story.directory), directory: 'ledger', journal: 'journal', signer: newLogKey, now: () => START_MS + 9_000_000 });
    const states = await foldChanges(adopting);
    const at = place({ signer: newLogKey });
    const whole = new Fold(adopting, { atRestMax: 1 });
    for await (const { record } of adopting.entries(0)) {
      await whole.record(record);
      await writeSnapshot(at, adopting, whole.size, whole.capture(), whole.size);
      const fold = new Fold(adopting, { from: (await readSnapshot(at, adopting, undefined))! });
      expect(inOrder(fold.capture())).toBe(inOrder(whole.capture()));
    }
    for (const [changeId, state] of states) expect(comparable(await whole.load(changeId))).toBe(comparable(state));
    await adopting.close();
    story.remove();
  });
});

describe('a snapshot that is worth nothing', () => {
  const thrownAway = async (at: SnapshotPlace, of: Pick<Log, 'origin' | 'root' | 'durableSize'> = log): Promise<string[]> => {
    const said: string[] = [];
    expect(await readSnapshot(at, of, { warn: ({ why }) => void said.push(String(why)) })).toBeNull();
    return said;
  };
  const written = async (edit: Partial<SnapshotPlace> = {}): Promise<ReturnType<typeof place>> => {
    const at = place(edit);
    await writeSnapshot(at, log, 40, (await foldUntil(40)).capture(), 0);
    return at;
  };

  it('is one that was altered anywhere, or is not whole', async () => {
    const { files, ...at } = await written();
    const path = 'state/snapshot.0';
    const whole = files.get(path)!;
    for (let n = 0; n < 200; n += 1) {
      const altered = Buffer.from(whole);
      altered[Math.floor((n / 200) * whole.length)]! ^= 1;
      files.set(path, altered);
      expect(await thrownAway(at)).toEqual(['it is torn, or not signed by the log']);
      files.set(path, whole.subarray(0, Math.floor((n / 200) * whole.length)));
      expect(await thrownAway(at)).toEqual(['it is torn, or not signed by the log']);
    }
  });
  it('is one that somebody else has signed', async () => {
    const at = await written({ signer: keys.stranger });
    expect(await thrownAway({ ...at, signer: keys.log })).toEqual(['it is torn, or not signed by the log']);
  });
  it('is one that other code has folded', async () => {
    const at = await written();
    expect(await thrownAway({ ...at, code: 'another' })).toEqual(['another version of the code has folded it']);
  });
  it('is one of another ledger, of more records than there are, or of others', async () => {
    const at = await written();
    const like = { origin: log.origin, durableSize: log.durableSize, root: (size: number) => log.root(size) };
    expect(await thrownAway(at, { ...like, origin: 'another.example' })).toEqual([`it is of ${ORIGIN}`]);
    expect(await thrownAway(at, { ...like, durableSize: 39 })).toEqual(['it is of 40 records, and there are 39']);
    expect(await thrownAway(at, { ...like, root: (size) => log.root(size - 1) })).toEqual(['the first 40 records are others']);
  });
  it('is made up for by the one before it', async () => {
    const { files, ...at } = await written();
    await writeSnapshot(at, log, 50, (await foldUntil(50)).capture(), 1);
    expect((await readSnapshot(at, log, undefined))?.size).toBe(50);
    files.set('state/snapshot.1', files.get('state/snapshot.1')!.subarray(1));
    expect((await readSnapshot(at, log, undefined))?.size).toBe(40);
  });
});

describe('a store', () => {
  const fresh = async (beats: readonly Beat[] = BEATS): Promise<{ at: string; log: Log }> => {
    const at = mkdtempSync(join(tmpdir(), 'cs-snapshot-'));
    await writeStory(at, beats);
    return { at, log: await open(at) };
  };
  const counted = (of: Log, read: number[]): Log => new Proxy(of, {
    get: (target, name) => {
      if (name === 'entries') return (from: number, to?: number) => (read.push(from), target.entries(from, to));
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });

  it('folds only what has come since the last snapshot, and keeps one when it is closed', async () => {
    const { at, log: own } = await fresh();
    const snapshots: SnapshotPlace = { disk: nodeDisk(at), directory: 'state', signer: keys.log, code: 'this', every: { running: 10_000, closing: 10 } };
    const first = await openStore(own, { ...options, snapshots });
    await first.close();
    const read: number[] = [];
    const second = await openStore(counted(own, read), { ...options, snapshots });
    expect(read).toEqual([own.size]);
    expect(inOrder(second.capture())).toBe(inOrder(first.capture()));
    // Nothing new is worth no other.
    await second.close();
    await own.close();
    rmSync(at, { recursive: true });
  });

  it('keeps one while running, of exactly what is sequenced by then', async () => {
    const { at, log: own } = await fresh();
    const snapshots: SnapshotPlace = { disk: nodeDisk(at), directory: 'state', signer: keys.log, code: 'this', every: { running: 3, closing: 1_000_000 } };
    const store = await openStore(own, { ...options, snapshots });
    for (let epoch = 2; epoch < 12; epoch += 1) {
      store.record('ledger.opened', { origin: ORIGIN, epoch, version: '0.1.0' });
      await store.durable();
    }
    await store.close();
    const found = await readSnapshot(snapshots, own, undefined);
    expect(found!.size).toBeGreaterThan(BEATS.length);
    const reopened = await openStore(own, { ...options, snapshots });
    expect(inOrder(reopened.capture())).toBe(inOrder(store.capture()));
    await own.close();
    rmSync(at, { recursive: true });
  });

  it('judges what comes late of a change at rest as if it had never left memory', async () => {
    const story = cleanStory();
    const { at, log: own } = await fresh(story.beats);
    const store = await openStore(own, { ...options, atRestMax: 1 });
    const { changeId } = story.provision;
    expect(() => store.get(changeId)).toThrow(NotInMemory);
    expect(() => store.apply(changeId, { type: 'withdraw', by: 'person:ana', comment: null })).toThrow(NotInMemory);
    const before = own.size;
    for (const command of lateCommands(story.provision.now)) {
      await store.load(changeId);
      const decided = store.apply(changeId, command);
      expect(decided.ok ? decided.events : decided.code).toEqual(command.type === 'withdraw' ? 'too-late' : []);
    }
    expect(own.size).toBe(before);
    await own.close();
    rmSync(at, { recursive: true });
  });

  it('takes up a change at rest that something still happens to', async () => {
    const standing = rotation();
    const { at, log: own } = await fresh([...standing.beats, ...cleanStory().beats]);
    const store = await openStore(own, { ...options, atRestMax: 1 });
    expect(store.inMemory(standing.changeId)).toBeUndefined();
    const [held] = await store.giving(new Set([standing.now.request.subject]));
    expect(held?.changeId).toBe(standing.changeId);
    await store.load(standing.changeId);
    const applied = store.apply(standing.changeId, { type: 'orderRevoke', by: 'person:sam', order: undone.now.revokes[0]!.order, comment: null });
    // It is the order of another change; what matters is that it was judged on the state as it is.
    expect(applied).toMatchObject({ ok: false, code: 'nothing-to-revoke' });
    await own.close();
    rmSync(at, { recursive: true });
  });

  function lateCommands(state: ChangeState): Parameters<Store['apply']>[1][] {
    const ended = BEATS.find(({ changeId, event }) => changeId === state.changeId && event.type === 'lease.ended')?.event;
    return [
      { type: 'withdraw', by: state.requester[0]!, comment: null },
      { type: 'acknowledgeDelivery', by: state.requester[0]!, ciphertext: state.delivery!.seal.ciphertext },
      ...(ended?.type === 'lease.ended' ? [{ type: 'recordReport', report: state.ended!, envelope: ended.body.report, states: new Map(), order: ended.body.order } as const] : []),
    ];
  }
});

describe('a change at rest', () => {
  it('has nothing due, now or ever', () => {
    const states = new Map<string, ChangeState>();
    let atRest = 0;
    for (const [seq, { changeId, event, atMs }] of BEATS.entries()) {
      const state = evolve(states.get(changeId) ?? null, { ...event, changeId, seq, atMs });
      states.set(changeId, state);
      if (!isAtRest(state)) continue;
      atRest += 1;
      for (const nowMs of [atMs, atMs + 86_400_000, atMs + 86_400_000_000]) expect(nextWork(state, nowMs, DEFAULT_LIMITS)).toEqual({ work: null, wakeAtMs: null });
    }
    expect(atRest).toBeGreaterThan(5);
  });
  it('is none that runs, or is waited for', () => {
    for (const { now } of [toldUntilDecided(GRANT, START_MS), stagedRotation()]) expect(isAtRest(now)).toBe(false);
  });
});
