/** Locks between sidecars that share no executor, over a real bus. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { canonicalBytes, generateSignerKey, logIdOf, parseSigner, parseVerifier, type Signer, type Verifier } from '../../ledger/index.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { LOCK_TYPE, lockStatementSchema, openLock, type LockStatement } from '../../src/protocol/lock.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { laneOf, lock as lockSubject, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { compareBus, planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus } from '../../src/transport/nats/connection.ts';
import { openLockBoard } from '../../src/transport/nats/lock-board.ts';
import { inboxOf } from '../../src/transport/nats/server-config.ts';
import { freshLockId } from '../support/locks.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const EXECUTOR = 'executor:pg-1';
const SECURITY = 'person:olga';
const NHI = 'nhi:prod/billing-export';
const ORIGINS = { a: 'a.example/ledger', b: 'b.example/ledger' } as const;
const keyOf = (name: string, seed: number): Signer => parseSigner(generateSignerKey(name, new Uint8Array(32).fill(seed)).skey);
const keys = { a: keyOf('a.example/tickets', 21), b: keyOf('b.example/tickets', 22), thief: keyOf('a.example/tickets', 23), revoker: keyOf('person:sam', 24) };
type Name = 'a' | 'b';

async function eventually(reached: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await reached()).toBe(true), { timeout: 20_000 });
}

describe.skipIf(!hasNats())('locks of sidecars that share no executor', () => {
  let nats: TestNats;
  let admin: NatsConnection;
  const open = new Set<{ close(): Promise<void> }>();
  const asAdmin = (): Promise<NatsConnection> => connect({ servers: [...nats.urls], authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.sidecar))) });
  beforeAll(async () => {
    nats = await testNats([EXECUTOR]);
    admin = await asAdmin();
  });
  afterAll(async () => {
    await admin.close();
    await nats.close();
  });
  beforeEach(() => newStream());
  afterEach(async () => {
    for (const one of open) await one.close();
  });
  const newStream = async (): Promise<void> => {
    await (await jetstreamManager(admin)).streams.delete(STREAMS.locks).catch(() => undefined);
    await setUpBus(admin, planBus([EXECUTOR], 1));
  };

  interface Started extends TestSidecar { stop(): Promise<void> }
  const start = async (name: Name, trusts: readonly Name[] = ['a', 'b']): Promise<Started> => {
    const told: TestSidecar['logged'][number][] = [];
    const logger = { info: () => undefined, warn: (fields: Record<string, unknown>, message: string) => void told.push({ level: 'warn', fields, message }), error: () => undefined };
    const bus = openBus({ servers: nats.urls, seed: nats.seeds.sidecar, name, inboxPrefix: `_INBOX_${name}`, logger });
    const board = openLockBoard({ bus, clock: systemClock, logger });
    const sidecar = await openTestSidecar({
      origin: ORIGINS[name], ticketSigner: keys[name], lockBoard: board, limits: { retryMs: { first: 10, longest: 50 } },
      trusts(trust) {
        for (const one of trusts) (trust.sidecars as Map<string, Verifier[]>).set(logIdOf(ORIGINS[one]), [parseVerifier(keys[one].vkey)]);
        trust.requirements.revokers.push({ principal: 'person:sam', key: keys.revoker.vkey });
      },
    });
    const close = async (): Promise<void> => {
      open.delete(started);
      board.close();
      await bus.close();
      await sidecar.close();
    };
    const started: Started = { ...sidecar, get logged() { return [...sidecar.logged, ...told]; }, close, stop: close };
    open.add(started);
    return started;
  };
  const lockAt = async (sidecar: TestSidecar): Promise<string> => {
    const answer = await sidecar.engine.lock(SECURITY, { nhi: NHI, connector: null }, 'a leak is looked into');
    if (!answer.ok) throw new Error(answer.message);
    return answer.value.lockId;
  };
  const inForce = (sidecar: TestSidecar): string[] => sidecar.engine.locks().map(({ lockId }) => lockId);
  const recorded = async (sidecar: TestSidecar): Promise<string[]> => {
    await sidecar.log.sync();
    const found: string[] = [];
    for await (const { record: { type, body } } of sidecar.log.entries(0)) if (type.startsWith('lock.')) found.push(`${type} ${body['lockId'] as string}`);
    return found;
  };
  const ask = async (sidecar: TestSidecar): Promise<string> => {
    const answer = await sidecar.engine.request([NHI], PROVISION, null);
    if (!answer.ok) throw new Error(answer.message);
    return answer.value.state.changeId;
  };
  const signed = (by: Signer, edit: Partial<LockStatement> & { readonly lockId: string }): Dsse => {
    const common = { v: 1, log: by === keys.revoker ? null : logIdOf(ORIGINS.a), by: by === keys.revoker ? 'person:sam' : SECURITY, at: '2026-11-29T08:00:00.000Z', reason: 'a leak is looked into' };
    return signDsse(LOCK_TYPE, lockStatementSchema.parse({ op: 'set', ...common, ...(edit.op === 'lift' ? {} : { nhi: NHI, connector: null }), ...edit }), by);
  };
  const held = async (authority: string, lockId: string): Promise<Dsse | null> => {
    const found = await (await jetstreamManager(admin)).streams.getMessage(STREAMS.locks, { last_by_subj: lockSubject(authority, lockId) });
    return found === null ? null : JSON.parse(Buffer.from(found.data).toString('utf8')) as Dsse;
  };
  const opIn = async (authority: string, lockId: string, trust: TestSidecar['trust']): Promise<string | null> => {
    const envelope = await held(authority, lockId);
    return envelope === null ? null : openLock(envelope, trust).statement.op;
  };
  /** Published after all that was published before, and heard by whoever has heard those. */
  const marked = async (sidecar: TestSidecar): Promise<void> => {
    const lockId = freshLockId();
    await jetstream(admin).publish(lockSubject('revoker', lockId), canonicalBytes(signed(keys.revoker, { lockId, nhi: 'nhi:prod/ci-deployer' })));
    await eventually(() => inForce(sidecar).includes(lockId));
  };

  test('a lock at one: the other authorises nothing under it, until it is lifted', async () => {
    const [a, b] = [await start('a'), await start('b')];
    const lockId = await lockAt(a);
    await eventually(() => inForce(b).includes(lockId));
    const changeId = await ask(b);
    await eventually(() => b.engine.waitingFor(changeId)?.includes(lockId) === true);
    expect(b.engine.get(changeId)?.name).toBe('scheduled');
    expect(await b.engine.unlock(SECURITY, lockId, null)).toMatchObject({ ok: false, code: 'not-allowed' });
    await a.engine.unlock(SECURITY, lockId, null);
    await eventually(() => b.engine.get(changeId)?.name === 'active');
    expect(await recorded(b)).toEqual([`lock.set ${lockId}`, `lock.lifted ${lockId}`]);
    expect(await recorded(a)).toEqual([`lock.set ${lockId}`, `lock.lifted ${lockId}`]);
    // What is there is not put there again by each who knows it.
    const more = await lockAt(b);
    await eventually(() => inForce(a).includes(more));
    const { state } = await (await jetstreamManager(admin)).streams.info(STREAMS.locks);
    expect([state.messages, state.last_seq]).toEqual([2, 3]);
  });

  test('one that was down hears of every lock that stands before it authorises anything, and of none that was lifted', async () => {
    const a = await start('a');
    const [lockId, lifted] = [await lockAt(a), freshLockId()];
    a.executor.showLock(signed(keys.revoker, { lockId: lifted }));
    await eventually(() => inForce(a).includes(lifted));
    a.executor.showLock(signed(keys.revoker, { op: 'lift', lockId: lifted }));
    await eventually(async () => (await opIn('revoker', lifted, a.trust)) === 'lift' && (await opIn(a.log.logId, lockId, a.trust)) === 'set');
    await a.stop();
    const b = await start('b');
    const changeId = await ask(b);
    await eventually(() => b.engine.waitingFor(changeId)?.includes(lockId) === true);
    expect([b.engine.get(changeId)?.name, b.engine.get(changeId)?.act]).toEqual(['scheduled', null]);
    expect(inForce(b)).toEqual([lockId]);
    expect(await recorded(b)).toEqual([`lock.set ${lockId}`]);
  });

  test('a revoker’s lock that reached an executor reaches the sidecar that does not see that executor', async () => {
    const [a, b] = [await start('a'), await start('b')];
    const lockId = freshLockId();
    a.executor.showLock(signed(keys.revoker, { lockId }));
    await eventually(() => inForce(b).includes(lockId));
    b.executor.showLock(signed(keys.revoker, { op: 'lift', lockId }));
    await eventually(() => !inForce(a).includes(lockId));
  });

  test('a revoker lifts the lock of a sidecar everywhere', async () => {
    const [a, b] = [await start('a'), await start('b')];
    const lockId = await lockAt(a);
    await eventually(() => inForce(b).includes(lockId));
    b.executor.showLock(signed(keys.revoker, { op: 'lift', lockId }));
    await eventually(() => !inForce(a).includes(lockId) && !inForce(b).includes(lockId));
    await a.stop();
    await b.stop();
    // Both statements are there, each in its authority's place.
    expect(inForce(await start('b'))).toEqual([]);
  });

  test('a lock that is set while the bus is down is there when it is back', async () => {
    const [a, b] = [await start('a'), await start('b')];
    const before = await lockAt(a);
    await eventually(() => inForce(b).includes(before));
    await nats.nodes[0]!.kill9();
    const answer = await a.engine.lock(SECURITY, { nhi: null, connector: 'pg-dev' }, 'while nothing can be told');
    if (!answer.ok) throw new Error(answer.message);
    await nats.nodes[0]!.start();
    await eventually(() => inForce(b).includes(answer.value.lockId));
    await admin.close();
    admin = await asAdmin();
  });

  test('what a bus that was wiped had is put there again', async () => {
    const a = await start('a');
    const before = await lockAt(a);
    await eventually(async () => (await opIn(a.log.logId, before, a.trust)) === 'set');
    await newStream();
    const after = await a.engine.lock(SECURITY, { nhi: 'nhi:prod/ci-deployer', connector: null }, 'after it was wiped');
    if (!after.ok) throw new Error(after.message);
    await eventually(async () => (await opIn(a.log.logId, before, a.trust)) === 'set' && (await opIn(a.log.logId, after.value.lockId, a.trust)) === 'set');
  });

  test('an older statement that comes again changes nothing, and gives its place back to the lift', async () => {
    const [a, b] = [await start('a'), await start('b')];
    const lockId = await lockAt(a);
    await eventually(async () => (await opIn(a.log.logId, lockId, a.trust)) === 'set' && inForce(b).includes(lockId));
    const set = (await held(a.log.logId, lockId))!;
    await a.engine.unlock(SECURITY, lockId, null);
    await eventually(async () => (await opIn(a.log.logId, lockId, a.trust)) === 'lift' && !inForce(b).includes(lockId));
    await jetstream(admin).publish(lockSubject(a.log.logId, lockId), canonicalBytes(set));
    await marked(b);
    expect(inForce(b)).not.toContain(lockId);
    expect((await recorded(b)).filter((one) => one.endsWith(lockId))).toEqual([`lock.set ${lockId}`, `lock.lifted ${lockId}`]);
    // Whoever knows better puts it right when it looks next, such as for a lock of its own.
    await a.engine.lock(SECURITY, { nhi: null, connector: 'pg-dev' }, 'another');
    await eventually(async () => (await opIn(a.log.logId, lockId, a.trust)) === 'lift');
    await b.stop();
    expect(inForce(await start('b'))).not.toContain(lockId);
  });

  test.each<[string, () => Uint8Array | string]>([
    ['forged', () => canonicalBytes(signed(keys.thief, { lockId: freshLockId() }))],
    ['of a sidecar in the name of a revoker', () => canonicalBytes(signed(keys.a, { lockId: freshLockId(), log: null }))],
    ['of nothing', () => canonicalBytes(signed(keys.a, { lockId: freshLockId(), nhi: null }))],
    ['that is no JSON', () => 'lock'],
    ['of no bytes', () => ''],
  ])('a message %s is refused and logged, and the next is heard', async (_what, make) => {
    const early = freshLockId();
    await jetstream(admin).publish(lockSubject(logIdOf(ORIGINS.a), early), make());
    const b = await start('b');
    await marked(b);
    const late = freshLockId();
    await jetstream(admin).publish(lockSubject(logIdOf(ORIGINS.a), late), make());
    await marked(b);
    // What is said now is heard before what the stream holds has been read.
    await eventually(() => b.logged.filter(({ message }) => /nobody trusted has signed|what is no lock/.test(message)).length >= 2);
    expect((await recorded(b)).length).toBe(2);
  });

  test('a message that is too large is not held by the stream, nor read by who hears it', async () => {
    const b = await start('b');
    const subject = lockSubject(logIdOf(ORIGINS.a), freshLockId());
    const large = Buffer.concat([canonicalBytes(signed(keys.a, { lockId: freshLockId() })), Buffer.alloc(8_192, ' ')]);
    // The stream tells nobody of it: it is heard by who listens already, which a sidecar begins to while it starts.
    await eventually(async () => {
      await expect(jetstream(admin).publish(subject, large)).rejects.toThrow('message size exceeds maximum allowed');
      return b.logged.some(({ message }) => message.includes('what is no lock'));
    });
    await marked(b);
    expect((await recorded(b)).length).toBe(1);
  });

  test('rubbish in the place of a lock is replaced, and a sidecar that is not trusted is not believed', async () => {
    const [a, b] = [await start('a'), await start('b', ['b'])];
    const lockId = await lockAt(a);
    const place = lockSubject(a.log.logId, lockId);
    await eventually(async () => (await held(a.log.logId, lockId)) !== null);
    await marked(b);
    expect(inForce(b)).not.toContain(lockId);
    await jetstream(admin).publish(place, canonicalBytes(signed(keys.thief, { op: 'lift', lockId })));
    await a.engine.lock(SECURITY, { nhi: null, connector: 'pg-dev' }, 'another');
    await eventually(async () => openLock((await held(a.log.logId, lockId))!, { ...a.trust, sidecars: new Map([[a.log.logId, [parseVerifier(keys.a.vkey), parseVerifier(keys.thief.vkey)]]]) }).statement.op === 'set');
    expect(inForce(a)).toContain(lockId);
  });

  test('no worker puts anything there, hears or reads any of it; nobody deletes any', async () => {
    const lockId = freshLockId();
    const place = lockSubject(logIdOf(ORIGINS.a), lockId);
    await jetstream(admin).publish(place, canonicalBytes(signed(keys.a, { lockId })));
    const worker = await connect({ servers: [...nats.urls], inboxPrefix: inboxOf(laneOf(EXECUTOR)), authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(nats.seeds.executors.get(EXECUTOR)!))) });
    try {
      await expect(worker.request(place, 'x', { timeout: 2_000 })).rejects.toThrow(/[Pp]ermission/);
      await expect(worker.request(`CSJS.API.STREAM.MSG.GET.${STREAMS.locks}`, '{"seq":1}', { timeout: 2_000 })).rejects.toThrow(/[Pp]ermission/);
    } finally {
      await worker.close();
    }
    const manager = await jetstreamManager(admin);
    await expect(manager.streams.purge(STREAMS.locks)).rejects.toThrow();
    await expect(manager.streams.deleteMessage(STREAMS.locks, 1)).rejects.toThrow();
    expect((await manager.streams.info(STREAMS.locks)).state.messages).toBe(1);
  });

  test('a bus that was set up before has the stream after setup, and nothing else changes', async () => {
    await (await jetstreamManager(admin)).streams.delete(STREAMS.locks);
    expect(await compareBus(admin, planBus([EXECUTOR], 1))).toEqual([{ what: STREAMS.locks, change: 'create', fields: [] }]);
    const a = await start('a');
    const lockId = await lockAt(a);
    expect(await setUpBus(admin, planBus([EXECUTOR], 1))).toEqual([{ what: STREAMS.locks, change: 'create', fields: [] }]);
    expect(await setUpBus(admin, planBus([EXECUTOR], 1))).toEqual([]);
    await eventually(async () => (await held(a.log.logId, lockId)) !== null);
  });
});
