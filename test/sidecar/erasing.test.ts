/** Erasure: who may, what may not be, what is on record of it, and that nothing of what was erased is left anywhere. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nodeDisk, type LedgerRecord } from '../../ledger/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { ChangeView, ErasureView } from '../../src/sidecar/schemas.ts';
import { PREVIEW, settled, usualPdp } from '../support/replayed.ts';
import { openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';

const ERASER = 'person:vera';
const BASIS = 'request 17 of a data subject';
const opened: TestSidecar[] = [];
afterEach(async () => {
  for (const sidecar of opened.splice(0)) await sidecar.close().catch(() => undefined);
});

async function open(options: Parameters<typeof openTestSidecar>[0] = {}): Promise<TestSidecar> {
  const sidecar = await openTestSidecar(options);
  opened.push(sidecar);
  return sidecar;
}

async function given(sidecar: TestSidecar): Promise<ChangeView> {
  return settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active');
}

async function over(sidecar: TestSidecar): Promise<ChangeView> {
  const view = await given(sidecar);
  await sidecar.send(PREVIEW.subject, 'POST', `${view.links.self}/revoke`, { comment: 'done' });
  return settled(sidecar, PREVIEW.subject, view, 'revoked');
}

const erase = (sidecar: TestSidecar, body: object, by: string | null = ERASER): Promise<Answered> => sidecar.send(by, 'POST', '/v1/erasures', { basis: BASIS, ...body });

async function records(sidecar: TestSidecar): Promise<LedgerRecord[]> {
  const found: LedgerRecord[] = [];
  for await (const { record } of sidecar.log.entries(0)) found.push(record);
  return found;
}

/** Every byte below the directory. */
function bytesOf(directory: string): string {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
}

describe('erasing a change that is over', () => {
  it('is on record by who asked, and leaves none of its objects anywhere, and its state as it was', async () => {
    const sidecar = await open();
    const view = await over(sidecar);
    const named = (await records(sidecar)).filter(({ change, type }) => change === view.id && type !== 'lease.ended').flatMap(({ objects }) => objects);
    const texts = await Promise.all(named.map(async (digest) => Buffer.from((await sidecar.log.object(digest))!).toString('latin1')));
    expect(texts.length).toBeGreaterThan(4);
    for (const text of texts) expect(bytesOf(sidecar.directory)).toContain(text);

    const answered = await erase(sidecar, { change: view.id });
    expect(answered.status).toBe(200);
    const { erased, already } = answered.body as ErasureView;
    expect(already).toEqual([]);
    expect(new Set(erased.map(({ kind }) => kind))).toEqual(new Set(['policyInput', 'plan', 'state', 'disclosure']));
    for (const text of texts) expect(bytesOf(sidecar.directory)).not.toContain(text);
    const erasure = (await records(sidecar)).at(-1)!;
    expect(erasure).toMatchObject({ type: 'erasure', v: 2, change: null, actor: ERASER, body: { basis: { commitment: expect.any(String) as string }, erased: erased.map(({ digest }) => digest) } });
    expect(new Set(erased.map(({ seq, changes }) => `${seq} ${changes.join()}`))).toEqual(new Set([`${erasure.seq} ${view.id}`]));

    const now = (await sidecar.send(PREVIEW.subject, 'GET', view.links.self)).body as ChangeView;
    expect([now.state, now.planDigest, now.plan]).toEqual(['revoked', view.planDigest, null]);
  });

  it('is as it was, and not worked on, after the next start', async () => {
    const first = await open();
    const view = await over(first);
    await erase(first, { change: view.id });
    const told = first.engine.get(view.id)!;
    await first.close('keep');
    const second = await open({ after: first });
    expect(second.engine.get(view.id)).toEqual(told);
    const { length } = await records(second);
    await over(second);
    expect((await records(second)).slice(length).filter(({ change }) => change === view.id)).toEqual([]);
  });

  it('leaves nothing in snapshots, and one that was taken before it is not used', async () => {
    const first = await open({ snapshots: true, atRestMax: 1 });
    const [view, other] = [await given(first), await given(first)];
    const plan = Buffer.from((await first.log.object(view.planDigest!))!).toString('latin1');
    const { salt } = JSON.parse(plan) as { salt: string };
    await first.log.durable();
    const taken = (): string => bytesOf(join(first.directory, 'state'));
    await vi.waitFor(() => expect(taken()).toContain(other.id), { timeout: 10_000 });
    await first.close('keep');
    expect(taken()).toContain(salt);
    const before = new Map(readdirSync(join(first.directory, 'state')).map((name) => [name, readFileSync(join(first.directory, 'state', name))]));

    const second = await open({ after: first, snapshots: true, atRestMax: 1 });
    await second.send(PREVIEW.subject, 'POST', `${view.links.self}/revoke`, { comment: 'done' });
    await settled(second, PREVIEW.subject, view, 'revoked');
    expect((await erase(second, { change: view.id, kinds: ['policyInput', 'plan'] })).status).toBe(200);
    expect(taken()).toBe('');
    const told = second.engine.get(view.id)!;
    expect(told.plan).toBeNull();
    await second.close('keep');
    expect(taken()).toContain(other.id);
    expect(bytesOf(first.directory)).not.toContain(salt);

    // As it would be were they put back, or had the process ended before they were removed.
    for (const [name, bytes] of before) writeFileSync(join(first.directory, 'state', name), bytes);
    const third = await open({ after: first, snapshots: true, atRestMax: 1 });
    expect(taken()).not.toContain(salt);
    expect(await third.engine.find(view.id)).toEqual(told);
    expect(third.engine.get(other.id)).toMatchObject({ name: 'active', plan: { kind: 'grant' } });
  });

  it('of one that is not in memory is the same, and a later start by a snapshot says so too', async () => {
    const first = await open({ snapshots: true, atRestMax: 0 });
    const view = await over(first);
    await over(first);
    expect(() => first.engine.get(view.id)).toThrow('not in memory');
    expect((await erase(first, { change: view.id })).status).toBe(200);
    const told = (await first.engine.find(view.id))!;
    expect([told.name, told.plan, told.planDigest]).toEqual(['revoked', null, view.planDigest]);
    await first.close('keep');
    const second = await open({ after: first, snapshots: true, atRestMax: 0 });
    expect(await second.engine.find(view.id)).toEqual(told);
    expect(second.engine.index.atRest(view.id)).toEqual(first.engine.index.atRest(view.id));
  });

  it('twice is the same as once', async () => {
    const sidecar = await open();
    const view = await over(sidecar);
    const first = (await erase(sidecar, { change: view.id })).body as ErasureView;
    const size = (await records(sidecar)).length;
    const again = await erase(sidecar, { change: view.id });
    expect([again.status, again.body]).toEqual([200, { erased: [], already: first.erased }]);
    const [one, other] = await Promise.all([erase(sidecar, { objects: [first.erased[0]!.digest] }), erase(sidecar, { change: view.id, kinds: ['plan'] })]);
    expect([one.status, other.status]).toEqual([200, 200]);
    expect((await records(sidecar)).length).toBe(size);
  });

  it('by kind leaves the others', async () => {
    const sidecar = await open();
    const view = await over(sidecar);
    const { erased } = (await erase(sidecar, { change: view.id, kinds: ['policyInput'] })).body as ErasureView;
    expect(new Set(erased.map(({ kind }) => kind))).toEqual(new Set(['policyInput']));
    expect(((await sidecar.send(PREVIEW.subject, 'GET', view.links.self)).body as ChangeView).plan).not.toBeNull();
  });

  it('leaves a ledger whose verifier says what is gone, and under which record', async () => {
    const sidecar = await open();
    const view = await over(sidecar);
    const { erased } = (await erase(sidecar, { change: view.id })).body as ErasureView;
    await sidecar.log.sync();
    const verification = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
    expect(verification.verdicts.find(({ name }) => name === 'INTEGRITY')).toMatchObject({ status: 'holds', message: expect.stringContaining(`${erased.length} of them erased on record`) as string });
    expect(verification.objects.erased).toBe(erased.length);
    expect(verification.erased).toEqual(expect.arrayContaining([{ digest: view.planDigest, kind: 'plan', change: view.id, namedBy: expect.any(Number) as number, seq: erased[0]!.seq }]));
    expect(verification.erased).toHaveLength(erased.length);
  });
});

describe('erasing in a change that was adopted', () => {
  it('is of what it was under the old log: what people wrote goes while the change is open, and its plan stays', async () => {
    const old = await open();
    const view = await given(old);
    const reason = (await records(old)).find(({ change, type }) => change === view.id && type === 'change.requested')!.objects[0]!;
    const text = Buffer.from((await old.log.object(reason))!).toString('latin1');
    await old.engine.close();
    await old.log.close();
    const sidecar = await open({ adopts: old });
    await sidecar.log.durable();
    expect(bytesOf(sidecar.directory)).toContain(text);

    expect(problemIn(await erase(sidecar, { objects: [view.planDigest] })).detail).toContain(`(plan) is needed by ${view.id}`);
    const { erased } = (await erase(sidecar, { change: view.id, kinds: ['disclosure'] })).body as ErasureView;
    expect(erased).toEqual([{ digest: reason, kind: 'disclosure', seq: expect.any(Number) as number, changes: [view.id] }]);
    expect(bytesOf(sidecar.directory)).not.toContain(text);
    expect([sidecar.engine.get(view.id)?.name, sidecar.engine.get(view.id)?.request.reason]).toEqual(['active', { commitment: expect.any(String) as string }]);
    expect((await erase(sidecar, { change: view.id, kinds: ['disclosure'] })).body).toEqual({ erased: [], already: erased });

    await sidecar.log.sync();
    const verification = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
    expect(verification.erased).toMatchObject([{ digest: reason, kind: 'disclosure', change: view.id }]);
    expect(verification.workflow?.violations.filter(({ code }) => code === 'disclosure-mismatch')).toEqual([]);
  });
});

describe('what is not erased', () => {
  it('what a change that is open needs, and the change is named', async () => {
    const sidecar = await open();
    const view = await given(sidecar);
    const before = await records(sidecar);
    const problem = problemIn(await erase(sidecar, { change: view.id }));
    expect([problem.status, problem.code, problem.detail]).toEqual([409, 'not-erasable', expect.stringContaining(`is needed by ${view.id}, which is open`)]);
    expect(problemIn(await erase(sidecar, { objects: [view.planDigest] })).code).toBe('not-erasable');
    expect(await records(sidecar)).toEqual(before);
    expect(await sidecar.log.object(view.planDigest!)).not.toBeNull();
  });

  it('facts while they are in force, or while a change that is open was decided on them; what shares them is named', async () => {
    const first = await open();
    const [closed, running] = [await over(first), await given(first)];
    const facts = (await records(first)).find(({ type }) => type === 'facts.loaded')!.objects[0]!;
    expect(problemIn(await erase(first, { objects: [facts] })).detail).toContain('are the facts in force');
    await first.close('keep');
    const second = await open({ after: first });
    const next = await over(second);
    expect(problemIn(await erase(second, { objects: [facts] })).detail).toContain(`is needed by ${running.id}`);
    await second.send(PREVIEW.subject, 'POST', `${running.links.self}/revoke`, { comment: 'done' });
    await settled(second, PREVIEW.subject, running, 'revoked');
    const answered = await erase(second, { objects: [facts] });
    expect((answered.body as ErasureView).erased).toEqual([{ digest: facts, kind: 'facts', seq: expect.any(Number) as number, changes: [closed.id, running.id].sort() }]);
    expect(next.state).toBe('revoked');
  });

  it.each<[string, object, number, string]>([
    ['an object that no record names', { objects: [`sha256:${'0'.repeat(64)}`] }, 404, 'no-such-object'],
    ['a change that is not there', { change: 'chg_0123456789abcdef_00000000000000000000000000' }, 404, 'no-such-change'],
    ['nothing', {}, 422, 'invalid-request'],
    ['an object and a change', { objects: [`sha256:${'0'.repeat(64)}`], change: 'chg_0123456789abcdef_00000000000000000000000000' }, 422, 'invalid-request'],
    ['kinds of no change', { objects: [`sha256:${'0'.repeat(64)}`], kinds: ['plan'] }, 422, 'invalid-request'],
    ['without a basis', { change: 'chg_0123456789abcdef_00000000000000000000000000', basis: '' }, 422, 'invalid-request'],
  ])('%s', async (_what, body, status, code) => {
    const problem = problemIn(await erase(await open(), body));
    expect([problem.status, problem.code]).toEqual([status, code]);
  });

  it.each<[string, string | null, number, string]>([
    ['nobody', null, 401, 'unauthenticated'], ['who asked', PREVIEW.subject, 403, 'role-required'], ['an approver', 'person:wei', 403, 'role-required'],
    ['an operator', 'person:sam', 403, 'role-required'], ['an auditor', 'person:kim', 403, 'role-required'], ['a machine identity, whatever its token says', 'nhi:prod/eraser', 403, 'not-allowed'],
  ])('for %s', async (_who, by, status, code) => {
    const sidecar = await open();
    const view = await over(sidecar);
    const problem = problemIn(await erase(sidecar, { change: view.id }, by));
    expect([problem.status, problem.code]).toEqual([status, code]);
    expect((await records(sidecar)).map(({ type }) => type)).not.toContain('erasure');
  });

  it('a policy bundle', async () => {
    const sidecar = await open({ pdp: await usualPdp() });
    await sidecar.log.durable();
    const bundle = (await records(sidecar)).find(({ type }) => type === 'bundle.activated')!;
    expect(problemIn(await erase(sidecar, { objects: [bundle.objects[0]!] })).detail).toContain('policy bundle');
  });
});
