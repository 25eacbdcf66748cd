import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { AccessError, ClientError, connect, withAccess, WorkError, type Access, type AccessOptions, type CalledRequest, type ChangeView, type Client, type LeasedRequest } from '../../src/client/index.ts';
import type { AccessPorts } from '../../src/client/persist.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { actedReportSchema, type Dsse } from '../../src/protocol/signed.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { answerOf, GRANT, ORIGIN, tokenOf } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
const LEASED = GRANT as LeasedRequest;
const CALLED: CalledRequest = { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script' };
let sidecar: ServedSidecar;
let client: Client;
let trust: string;
beforeEach(async () => {
  sidecar = await serveTestSidecar();
  client = sidecar.client(CALLER);
  trust = await sidecar.trustFolder();
});
afterEach(() => sidecar.close());

/** Real time, but nobody waits: a pause passes at once and is counted. */
function impatient(): AccessPorts {
  let sleptMs = 0;
  return {
    nowMs: () => Date.now() + sleptMs, random: (length) => randomBytes(length),
    async sleep(ms) {
      sleptMs += ms;
    },
  };
}
/** Approves as Wei whatever comes to need it. */
const approving = (change: ChangeView): void => {
  if (change.state === 'pending') void sidecar.client('person:wei').approve(change.id, change.planDigest!).catch(() => undefined);
};
const run = <T>(change: LeasedRequest | CalledRequest, work: (access: Access) => T | Promise<T>, options: AccessOptions = {}, by = client): ReturnType<typeof withAccess<T>> =>
  withAccess(by, change, work, { seen: approving, ...(change.kind === 'grant' ? {} : { trust }), ...options }, impatient());
const only = async (): Promise<ChangeView> => {
  const { changes } = await client.list();
  expect(changes).toHaveLength(1);
  return changes[0]!;
};
const failing = async (promise: Promise<unknown>): Promise<unknown> => promise.then(() => expect.unreachable('it should have failed'), (error: unknown) => error);
const never = (): never => expect.unreachable('the code ran');
/** The answers to the first `times` calls get lost on the way back; the calls themselves arrive. */
const losing = (method: 'request' | 'report' | 'revoke', times: number, which: (n: number) => boolean = () => true): Client => {
  let calls = 0;
  let lost = 0;
  const send = client[method] as (...args: unknown[]) => Promise<unknown>;
  return {
    ...client,
    [method]: async (...args: unknown[]) => {
      calls += 1;
      const answer = await send(...args);
      if (!which(calls) || lost >= times) return answer;
      lost += 1;
      throw new ClientError('timed-out', 'the answer was lost');
    },
  };
};
const unreachable = (method: keyof Client): Client => ({ ...client, [method]: () => Promise.reject(new ClientError('unreachable', 'nobody is there')) });

describe('with a lease', () => {
  it('runs the code while the access is there, and gives it back', async () => {
    let during: ChangeView | null = null;
    const outcome = await run(LEASED, async (access) => {
      expect(access).toMatchObject({ account: 'ci_deployer', connector: 'pg-main', target: 'app' });
      expect(access.signal.aborted).toBe(false);
      during = await client.get(access.changeId);
      expect(during.plan!.steps[0]!.clientToken).toBe(access.clientToken);
      return 42;
    });
    expect(during).toMatchObject({ state: 'active' });
    expect(outcome).toMatchObject({ value: 42, change: { state: 'revoking' } });
    expect(await client.wait(outcome.change.id, { until: ({ state }) => state === 'revoked' })).toMatchObject({ ended: { outcome: 'done' } });
  });

  it('gives it back when the code throws, and throws what it threw', async () => {
    const thrown = new RangeError('mine');
    expect(await failing(run(LEASED, () => Promise.reject(thrown)))).toBe(thrown);
    await client.wait((await only()).id, { until: ({ state }) => state === 'revoked' });
  });

  it('is asked for once, however often the answer is lost', async () => {
    expect((await run(LEASED, () => 1, {}, losing('request', 3))).value).toBe(1);
    await only();
  });

  it('is given back once its revoke can be heard of', async () => {
    expect((await run(LEASED, () => 1, {}, losing('revoke', 3))).change).toMatchObject({ id: (await only()).id });
  });

  it.each([['cannot be read', () => { throw new Error('ENOENT: the next one is not there yet'); }], ['is empty', () => '']])('is given back though the token %s for a moment, while the next one is put there', async (_how, missing) => {
    let gone = 0;
    const by = connect({ socket: sidecar.socket, token: () => (gone > 0 && (gone -= 1) >= 0 ? missing() : tokenOf(CALLER)) });
    const { change } = await run(LEASED, () => void (gone = 2), {}, by);
    expect(gone).toBe(0);
    await client.wait(change.id, { until: ({ state }) => state === 'revoked' });
  });

  it('says so when it cannot be given back, and keeps what the code threw', async () => {
    const thrown = new Error('mine');
    const error = await failing(run(LEASED, () => Promise.reject(thrown), {}, unreachable('revoke')));
    expect(error).toMatchObject({ code: 'not-released', ran: true, cause: thrown, reasons: [{ code: 'unreachable' }] });
    expect(await failing(run(LEASED, () => 1, {}, unreachable('revoke')))).toMatchObject({ code: 'not-released', ran: true });
  });

  it('does not run the code of what nobody decides in time, and withdraws it', async () => {
    const error = await failing(run(LEASED, never, { timeoutMs: 200, seen: () => undefined }));
    expect(error).toBeInstanceOf(AccessError);
    expect(error).toMatchObject({ code: 'still-pending', ran: false });
    expect(await only()).toMatchObject({ state: 'withdrawn' });
  });

  it('does not run the code of what its caller gives up', async () => {
    const stop = new AbortController();
    const error = await failing(run(LEASED, never, { signal: stop.signal, seen: ({ state }) => state === 'pending' && stop.abort() }));
    expect(error).toMatchObject({ code: 'aborted', ran: false });
    expect(await only()).toMatchObject({ state: 'withdrawn' });
  });

  it('is for access that ends', async () => {
    const { duration: _, ...standing } = LEASED;
    expect(await failing(run(standing as LeasedRequest, never))).toBeInstanceOf(TypeError);
    expect((await client.list()).changes).toEqual([]);
  });
});

describe('what is refused', () => {
  it.each([['a lease', LEASED], ['a caller’s change', CALLED]])('%s that policy denies runs nothing, and says why', async (_what, change) => {
    await sidecar.close();
    sidecar = await serveTestSidecar({ decide: () => answerOf('deny') });
    client = sidecar.client(CALLER);
    trust = await sidecar.trustFolder();
    const error = await failing(run(change, never));
    expect(error).toMatchObject({ code: 'denied', ran: false, reasons: [{ code: 'exceeds-purpose', message: 'as the test says' }] });
    expect((error as Error).message).toContain('exceeds-purpose');
  });

  it.each([['a lease', LEASED], ['a caller’s change', CALLED]])('%s that somebody rejects runs nothing', async (_what, change) => {
    const seen = (view: ChangeView): void => {
      if (view.state === 'pending') void sidecar.client('person:wei').reject(view.id, view.planDigest!, 'not today').catch(() => undefined);
    };
    expect(await failing(run(change, never, { seen }))).toMatchObject({ code: 'rejected', ran: false });
  });

  it('is a request that the sidecar does not take, in its own words', async () => {
    expect(await failing(run({ ...LEASED, subject: 'ci-deployer' }, never))).toMatchObject({ code: 'invalid-request' });
    expect(await failing(run({ ...LEASED, caller: { key: `${'A'.repeat(43)}=`, timeout: 'PT1M' } }, never))).toMatchObject({ code: 'lease-needs-executor' });
  });
});

describe('as the caller’s own change', () => {
  const recorded = async (id: string): Promise<string[]> => (await client.evidence(id)).records.map(({ type }) => type);

  it('runs the code once its claim is recorded, and records what became of it', async () => {
    let types: string[] = [];
    const { value, change } = await run(CALLED, async (access) => {
      expect(access).toMatchObject({ account: 'ci_deployer', connector: 'pg-main', target: 'app' });
      types = await recorded(access.changeId);
      return 'rotated';
    });
    expect(types.at(-1)).toBe('step.claimed');
    expect(value).toBe('rotated');
    expect(change).toMatchObject({ state: 'done', mode: 'caller', result: { outcome: 'done', selfReported: false } });
  });

  it('records that the code failed, and not a word of what it said: that may hold a secret', async () => {
    const thrown = new Error('password for ci_deployer is hunter2');
    expect(await failing(run(CALLED, () => Promise.reject(thrown)))).toBe(thrown);
    const { id, state } = await only();
    expect(state).toBe('failed');
    const { records } = await client.evidence(id);
    const { report } = records.find(({ type }) => type === 'step.failed')!.body as { report: Dsse };
    expect(readPayload(report, actedReportSchema)).toMatchObject({ outcome: 'failed', code: 'threw', detail: null });
    expect(Buffer.from(report.payload, 'base64').toString()).not.toContain('hunter2');
  });

  it('records what the code wants to have said, also that nobody knows', async () => {
    await failing(run(CALLED, () => Promise.reject(new WorkError('ambiguous', 'signal-9', 'killed'))));
    const { id } = await only();
    expect(await recorded(id)).toContain('step.ambiguous');
    expect(await client.get(id)).toMatchObject({ state: 'executing', steps: [{ state: 'ambiguous' }] });
  });

  it('runs the code once, though the answers to its claim are lost', async () => {
    let ran = 0;
    await run(CALLED, () => (ran += 1), {}, losing('report', 3, (n) => n <= 3));
    expect(ran).toBe(1);
    expect((await recorded((await only()).id)).filter((type) => type === 'step.claimed')).toHaveLength(1);
  });

  it('tells what became of the code until it is heard, and does not run it again', async () => {
    let ran = 0;
    const { change } = await run(CALLED, () => (ran += 1), {}, losing('report', 4, (n) => n > 1));
    expect(ran).toBe(1);
    expect(change.state).toBe('done');
    expect((await recorded(change.id)).filter((type) => type === 'step.succeeded')).toHaveLength(1);
  });

  it('says so when it was never heard, after a while', async () => {
    let reports = 0;
    const deaf: Client = {
      ...client,
      report: (id, message) => ((reports += 1) === 1 ? client.report(id, message) : Promise.reject(new ClientError('unreachable', 'nobody is there'))),
    };
    const ok = await failing(run(CALLED, () => 1, { reportTimeoutMs: 60_000 }, deaf));
    expect(ok).toMatchObject({ code: 'not-reported', ran: true });
    expect(reports).toBeGreaterThan(8);
  });

  it('does not run the code whose claim nobody answers', async () => {
    expect(await failing(run(CALLED, never, {}, unreachable('report')))).toMatchObject({ code: 'not-claimed', ran: false });
    expect(await only()).toMatchObject({ state: 'withdrawn' });
  });

  it('does not run the code of a change that was withdrawn in the last moment', async () => {
    const late: Client = {
      ...client,
      async report(id, message) {
        await client.withdraw(id);
        return client.report(id, message);
      },
    };
    expect(await failing(run(CALLED, never, {}, late))).toMatchObject({ code: 'not-claimed', ran: false, reasons: [{ code: 'too-late' }] });
  });

  it('needs a trust folder of the caller’s own', async () => {
    expect(await failing(withAccess(client, CALLED, never))).toBeInstanceOf(TypeError);
    expect(await failing(withAccess(client, CALLED, never, { trust: join(sidecar.directory, 'nowhere') }))).toMatchObject({ name: 'TrustError' });
    expect((await client.list()).changes).toEqual([]);
  });

  it.each([
    ['whose log it does not know', async () => sidecar.trustFolder({ logKey: generateSignerKey(ORIGIN, randomBytes(32)).vkey }), 'untrusted-checkpoint'],
    ['whose ticket key it does not know', async () => sidecar.trustFolder({ ticketKey: generateSignerKey('example.org/tickets', randomBytes(32)).vkey }), 'unknown-sidecar'],
    ['that asked fewer people than it would', async () => sidecar.trustFolder({ floors: [{ connector: '*', target: '*', privilege: '*', quorum: 2, proofClass: 'session', approvers: null, maxLeaseSeconds: null }] }), 'approvals-insufficient'],
  ])('does not run the code at the word of a sidecar %s', async (_what, folder, code) => {
    const error = await failing(run(CALLED, never, { trust: await folder() })) as AccessError;
    expect(error).toMatchObject({ code: 'refused', ran: false });
    expect([code, code === 'unknown-sidecar' ? 'bad-signature' : 'below-floor']).toContain(error.reasons[0]!.code);
    expect(await only()).toMatchObject({ state: 'withdrawn' });
    expect(await recorded((await only()).id)).not.toContain('step.claimed');
  });

  it('does not run the code for anything but what it asked for, approved or not', async () => {
    const elsewhere: Client = { ...client, request: (change, options) => client.request({ ...change, target: 'payroll' } as typeof change, options) };
    expect(await failing(run(CALLED, never, {}, elsewhere))).toMatchObject({ code: 'refused', reasons: [{ code: 'wrong-step' }] });
  });

  it('does not run the code of another run’s ticket', async () => {
    let stolen: Awaited<ReturnType<Client['callerTicket']>> | null = null;
    await run(CALLED, () => 1, {}, { ...client, callerTicket: async (id, from) => (stolen = await client.callerTicket(id, from)) });
    const replaying: Client = { ...client, callerTicket: () => Promise.resolve(stolen!) };
    expect(await failing(run(CALLED, never, {}, replaying))).toMatchObject({ code: 'refused', reasons: [{ code: 'wrong-audience' }] });
  });

  it('remembers the newest checkpoint, and does not run the code when the log was rolled back since', async () => {
    const heads = join(sidecar.directory, 'state', 'heads.json');
    await run(CALLED, () => 1, { heads });
    const first = JSON.parse(await readFile(heads, 'utf8')) as Record<string, { size: number; root: string }>;
    const [[log, head]] = Object.entries(first) as [[string, { size: number; root: string }]];
    expect(log).toBe(sidecar.log.logId);
    await run(CALLED, () => 1, { heads });
    expect((JSON.parse(await readFile(heads, 'utf8')) as typeof first)[log]!.size).toBeGreaterThan(head.size);

    await writeFile(heads, JSON.stringify({ [log]: { ...head, size: 100_000 } }));
    expect(await failing(run(CALLED, never, { heads }))).toMatchObject({ code: 'refused', reasons: [{ code: 'inconsistent-checkpoint' }] });
    await writeFile(heads, JSON.stringify({ [log]: { size: head.size, root: Buffer.alloc(32).toString('base64') } }));
    expect(await failing(run(CALLED, never, { heads }))).toMatchObject({ code: 'refused', reasons: [{ code: 'inconsistent-checkpoint' }] });
    await writeFile(heads, '{');
    const asked = (await client.list()).changes.length;
    expect(await failing(run(CALLED, never, { heads }))).toBeInstanceOf(Error);
    expect((await client.list()).changes).toHaveLength(asked);
  });

});
