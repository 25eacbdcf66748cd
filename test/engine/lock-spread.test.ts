/** Locks between one sidecar and everybody else: what is set here is told, and what others have set is held and recorded. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { generateSignerKey, logIdOf, parseSigner, parseVerifier, type Signer, type Verifier } from '../../ledger/index.ts';
import { openLocks } from '../../src/evidence/check-lock.ts';
import { systemRecordBodies } from '../../src/evidence/record.ts';
import { TransportError } from '../../src/engine/ports.ts';
import { LOCK_TYPE, lockStatementSchema, openLock, type LockStatement } from '../../src/protocol/lock.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { freshLockId } from '../support/locks.ts';
import { openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

const SECURITY = 'person:olga';
const NHI = 'nhi:prod/billing-export';
const signerOf = (name: string, seed: number): Signer => parseSigner(generateSignerKey(name, new Uint8Array(32).fill(seed)).skey);
const OTHER = logIdOf('other.example/ledger');
const keys = { revoker: signerOf('person:sam', 11), other: signerOf('other.example/ticket', 12), third: signerOf('third.example/ticket', 13) };

let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar({ limits: { retryMs: { first: 10, longest: 50 } } });
  (sidecar.trust.sidecars as Map<string, Verifier[]>).set(OTHER, [parseVerifier(keys.other.vkey)]);
  sidecar.trust.requirements.revokers.push({ principal: 'person:sam', key: keys.revoker.vkey });
});
afterEach(() => sidecar.close());

function statement(edit: Partial<LockStatement> & { readonly lockId: string }, by: Signer): Dsse {
  const isRevoker = by === keys.revoker;
  const common = { v: 1, log: isRevoker ? null : OTHER, by: isRevoker ? 'person:sam' : 'person:ben', at: '2026-11-29T08:00:00.000Z', reason: 'a leak is looked into' };
  return signDsse(LOCK_TYPE, lockStatementSchema.parse({ op: 'set', ...common, ...(edit.op === 'lift' ? {} : { nhi: NHI, connector: null }), ...edit }), by);
}
const told = (): { op: string; lockId: string; by: string; authority: string }[] => sidecar.executor.locked.map((lock) => {
  const { statement: { op, lockId, by }, authority } = openLock(lock, sidecar.trust);
  return { op, lockId, by, authority };
});
const recorded = async (): Promise<{ type: string; actor: string; body: Record<string, unknown> }[]> => {
  await sidecar.log.sync();
  const found: { type: string; actor: string; body: Record<string, unknown> }[] = [];
  for await (const { record: { type, actor, body } } of sidecar.log.entries(0)) if (type.startsWith('lock.')) found.push({ type, actor, body });
  return found;
};
const inForce = (): string[] => sidecar.engine.locks().map(({ lockId }) => lockId);
const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 10_000 });
const setHere = async (): Promise<string> => {
  const answer = await sidecar.engine.lock(SECURITY, { nhi: NHI, connector: null }, 'a leak is looked into');
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.lockId;
};
const request = async (): Promise<string> => {
  const answer = await sidecar.engine.request([NHI], PROVISION, null);
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.state.changeId;
};

describe('a lock that is set here', () => {
  it('is told to its executors, signed, and so is its end', async () => {
    const lockId = await setHere();
    await soon(() => expect(told()).toEqual([{ op: 'set', lockId, by: SECURITY, authority: sidecar.log.logId }]));
    await sidecar.engine.unlock(SECURITY, lockId, null);
    await soon(() => expect(told().at(-1)).toEqual({ op: 'lift', lockId, by: SECURITY, authority: sidecar.log.logId }));
  });

  it('is told again until the executor says that it holds it, and to each that comes', async () => {
    sidecar.executor.lockFault = new TransportError('unreachable', 'nobody is there');
    const lockId = await setHere();
    await soon(() => expect(sidecar.logged.some(({ message }) => message.includes('not known to be held'))).toBe(true));
    expect(told()).toEqual([]);
    sidecar.executor.lockFault = null;
    await soon(() => expect(told()).toHaveLength(1));
    const [first] = sidecar.executor.locked;
    sidecar.executor.connect();
    await soon(() => expect(told()).toHaveLength(2));
    expect(sidecar.executor.locked[1]).toEqual(first);
    await sidecar.engine.unlock(SECURITY, lockId, null);
    await soon(() => expect(told()).toHaveLength(3));
    sidecar.executor.connect();
    await soon(() => expect(told().slice(3)).toEqual([expect.objectContaining({ op: 'lift', lockId })]));
  });

  it('is not recorded a second time when an executor shows it', async () => {
    await setHere();
    await soon(() => expect(sidecar.executor.locked).toHaveLength(1));
    sidecar.executor.showLock(sidecar.executor.locked[0]!);
    sidecar.executor.connect();
    await soon(() => expect(sidecar.executor.locked.length).toBeGreaterThan(1));
    expect(await recorded()).toHaveLength(1);
  });
});

describe('a lock of this log that its ledger has lost', () => {
  const own = (edit: Partial<LockStatement> & { readonly lockId: string }, by = sidecar.ticketSigner): Dsse => {
    const common = { v: 1, log: sidecar.log.logId, by: SECURITY, at: '2026-11-29T08:00:00.000Z', reason: 'a leak is looked into' };
    return signDsse(LOCK_TYPE, lockStatementSchema.parse({ op: 'set', ...common, ...(edit.op === 'lift' ? {} : { nhi: NHI, connector: null }), ...edit }), by);
  };

  it('is held again once an executor shows it, on record, and lifted here as before', async () => {
    // What people here have signed is believed, whatever a trust folder says of other logs.
    (sidecar.trust.sidecars as Map<string, Verifier[]>).delete(sidecar.log.logId);
    const lockId = freshLockId();
    const set = own({ lockId });
    sidecar.executor.showLock(set);
    await soon(() => expect(inForce()).toEqual([lockId]));
    const changeId = await request();
    await soon(() => expect(sidecar.engine.waitingFor(changeId)).toContain(lockId));
    (sidecar.trust.sidecars as Map<string, Verifier[]>).set(sidecar.log.logId, [parseVerifier(sidecar.ticketSigner.vkey)]);
    expect(await recorded()).toEqual([{ type: 'lock.set', actor: SECURITY, body: { lockId, nhi: NHI, connector: null, reason: 'a leak is looked into', statement: set } }]);
    expect(await sidecar.engine.unlock(SECURITY, lockId, null)).toMatchObject({ ok: true });
    await soon(() => expect(sidecar.engine.get(changeId)?.name).toBe('active'));
    const verified = openLocks(sidecar.trust);
    const [first, second] = await recorded();
    expect(verified.set(systemRecordBodies['lock.set'].parse(first!.body), first!.actor)).toBeNull();
    expect(verified.lift(systemRecordBodies['lock.lifted'].parse(second!.body), second!.actor)).toBeNull();
    await soon(() => expect(told().at(-1)).toEqual({ op: 'lift', lockId, by: SECURITY, authority: sidecar.log.logId }));
  });

  it('is not held where its lift is known as well', async () => {
    const [lifted, other] = [freshLockId(), freshLockId()];
    sidecar.executor.showLock(own({ op: 'lift', lockId: lifted }));
    sidecar.executor.showLock(own({ lockId: lifted }));
    sidecar.executor.showLock(own({ lockId: other, nhi: 'nhi:prod/ci-deployer' }));
    await soon(() => expect(inForce()).toEqual([other]));
  });

  it('nor where somebody else signs for this log', async () => {
    sidecar.executor.showLock(own({ lockId: freshLockId() }, keys.third));
    await soon(() => expect(sidecar.logged.some(({ message }) => message.includes('nobody trusted has signed'))).toBe(true));
    expect(await recorded()).toEqual([]);
  });

  it('while one that it has is lifted by people here, and by no statement that comes from elsewhere', async () => {
    const lockId = await setHere();
    sidecar.executor.showLock(own({ op: 'lift', lockId }));
    await soon(() => expect(sidecar.logged.some(({ message }) => message.includes('stands here until somebody lifts it'))).toBe(true));
    expect(inForce()).toEqual([lockId]);
    expect(await recorded()).toHaveLength(1);
  });
});

describe('a lock that others have set', () => {
  it.each<[string, Signer, string]>([['a revoker', keys.revoker, 'person:sam'], ['another sidecar', keys.other, 'person:ben']])('by %s: is held here, told on, and recorded with the statement', async (_who, by, actor) => {
    const set = statement({ lockId: freshLockId() }, by);
    const { lockId } = openLock(set, sidecar.trust).statement;
    sidecar.executor.showLock(set);
    await soon(() => expect(inForce()).toEqual([lockId]));
    const changeId = await request();
    await soon(() => expect(sidecar.engine.waitingFor(changeId)).toContain(lockId));
    expect(await recorded()).toEqual([{ type: 'lock.set', actor, body: { lockId, nhi: NHI, connector: null, reason: 'a leak is looked into', statement: set } }]);
    await soon(() => expect(sidecar.executor.locked).toEqual([set]));
    // Nobody here lifts it: whoever set it does.
    expect(await sidecar.engine.unlock(SECURITY, lockId, null)).toMatchObject({ ok: false, code: 'not-allowed' });
    const lift = statement({ op: 'lift', lockId }, by);
    sidecar.executor.showLock(lift);
    await soon(() => expect(sidecar.engine.get(changeId)?.name).toBe('active'));
    expect((await recorded())[1]).toEqual({ type: 'lock.lifted', actor, body: { lockId, reason: 'a leak is looked into', statement: lift } });
    // The old statement sets nothing again.
    sidecar.executor.showLock(set);
    await sidecar.engine.lock(SECURITY, { nhi: null, connector: 'pg-dev' }, 'another');
    expect(await recorded()).toHaveLength(3);
  });

  it('a revoker lifts what was set here, and so does nobody else from elsewhere', async () => {
    const lockId = await setHere();
    sidecar.executor.showLock(statement({ op: 'lift', lockId }, keys.other));
    await sidecar.engine.lock(SECURITY, { nhi: null, connector: 'pg-dev' }, 'time passes');
    expect(inForce()).toContain(lockId);
    sidecar.executor.showLock(statement({ op: 'lift', lockId }, keys.revoker));
    await soon(() => expect(inForce()).not.toContain(lockId));
    expect((await recorded()).at(-1)).toMatchObject({ type: 'lock.lifted', actor: 'person:sam', body: { lockId } });
  });

  it('and lifted before it was heard of holds nothing up', async () => {
    const lockId = freshLockId();
    sidecar.executor.showLock(statement({ op: 'lift', lockId }, keys.other));
    sidecar.executor.showLock(statement({ lockId }, keys.other));
    const other = freshLockId();
    sidecar.executor.showLock(statement({ lockId: other, nhi: 'nhi:prod/ci-deployer' }, keys.other));
    await soon(() => expect(inForce()).toEqual([other]));
  });

  it('a revoker’s is not lifted by a sidecar', async () => {
    const lockId = freshLockId();
    sidecar.executor.showLock(statement({ op: 'lift', lockId }, keys.other));
    sidecar.executor.showLock(statement({ lockId }, keys.revoker));
    await soon(() => expect(inForce()).toEqual([lockId]));
    sidecar.executor.showLock(statement({ op: 'lift', lockId }, keys.other));
    await sidecar.engine.lock(SECURITY, { nhi: null, connector: 'pg-dev' }, 'time passes');
    expect(inForce()).toContain(lockId);
  });

  it.each<[string, () => unknown]>([
    ['by a stranger', () => statement({ lockId: freshLockId() }, keys.third)],
    ['in another name', () => statement({ lockId: freshLockId(), by: 'person:eve' }, keys.revoker)],
    ['of no form', () => ({ hello: 'world' })],
  ])('%s is not held', async (_what, make) => {
    sidecar.executor.showLock(make() as Dsse);
    await soon(() => expect(sidecar.logged.some(({ message }) => message.includes('nobody trusted has signed'))).toBe(true));
    expect(await recorded()).toEqual([]);
  });
});
