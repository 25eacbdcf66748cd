import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateSignerKey, parseSigner, type AppendFile, type Disk } from '../../ledger/index.ts';
import { readPayload, signDsse } from '../../src/protocol/dsse.ts';
import { stepEnvelopeSchema, type ReportMessage, type StepEnvelope } from '../../src/protocol/envelope.ts';
import { planDigest } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { actTicketSchema, reportSchema, REPORT_TYPE } from '../../src/protocol/signed.ts';
import { changeViewSchema, type ChangeView } from '../../src/sidecar/schemas.ts';
import { systemClock, systemRandom } from '../../src/sidecar/system.ts';
import { testRun, type TestRun } from '../support/run.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, PROVISION, type Answered, type TestSidecar } from '../support/sidecar.ts';
import { otherId } from '../support/ids.ts';

const CALLER = 'nhi:prod/ci-deployer';
let sidecar: TestSidecar;
let run: TestRun;
beforeEach(async () => {
  sidecar = await openTestSidecar();
  run = testRun();
});
afterEach(() => sidecar.close());

const rotation = (key = run.key): ChangeRequest => ({
  kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'rotate by script', caller: { key, timeout: 'PT5M' },
});
const path = (change: ChangeView, rest = ''): string => `/v1/changes/${change.id}${rest}`;
const until = async (change: ChangeView, ...states: ChangeView['state'][]): Promise<ChangeView> => {
  let view = changeViewSchema.parse((await sidecar.send(CALLER, 'GET', path(change))).body);
  while (!states.includes(view.state)) view = changeViewSchema.parse((await sidecar.send(CALLER, 'GET', path(view, `?wait=PT10S&since=${view.length}`))).body);
  return view;
};
/** A change that its caller may now make. */
const authorised = async (request = rotation()): Promise<ChangeView> => {
  const change = await sidecar.change(CALLER, request);
  expect(change).toMatchObject({ state: 'pending', mode: 'caller', steps: [{ action: 'call', account: 'ci_deployer', state: 'waiting' }] });
  const answered = await sidecar.send('person:wei', 'POST', path(change, '/approvals'), { verdict: 'approve', planDigest: change.planDigest });
  expect(answered.status, answered.text).toBe(200);
  return until(change, 'authorised');
};
const ticketOf = async (change: ChangeView): Promise<StepEnvelope> => stepEnvelopeSchema.parse((await sidecar.send(CALLER, 'GET', path(change, '/ticket'))).body);
const report = (change: ChangeView, message: object, by = CALLER): Promise<Answered> => sidecar.send(by, 'POST', path(change, '/reports'), message);

/** A disk that syncs nothing while it is held. */
function slowDisk(): { wrap: (disk: Disk) => Disk; hold(): Promise<void>; release(): void } {
  let held = Promise.resolve();
  let release = (): void => undefined;
  let reached = (): void => undefined;
  const wrapFile = (file: AppendFile): AppendFile => ({
    get size() {
      return file.size;
    },
    append: (bytes) => file.append(bytes),
    async sync() {
      reached();
      await held;
      await file.sync();
    },
    truncate: (size) => file.truncate(size),
    close: () => file.close(),
    check: () => file.check(),
  });
  return {
    wrap: (disk) => ({ ...disk, openAppend: async (path) => wrapFile(await disk.openAppend(path)) }),
    hold() {
      held = new Promise((resolve) => {
        release = resolve;
      });
      return new Promise((resolve) => {
        reached = resolve;
      });
    },
    release: () => release(),
  };
}

describe('a change that its caller makes', () => {
  it('is ticketed to the run, claimed before its code runs, and done once it was seen', async () => {
    const change = await authorised();
    expect(change).toMatchObject({ executor: run.id, steps: [{ state: 'authorised' }] });
    const envelope = await ticketOf(change);
    const ticket = readPayload(envelope.ticket, actTicketSchema);
    expect(ticket).toMatchObject({ audience: run.id, changeId: change.id, planDigest: change.planDigest });
    expect(planDigest(envelope.plan!)).toBe(change.planDigest);
    // Nobody else was sent it.
    expect(sidecar.executor.steps.filter((step) => step.plan !== null)).toEqual([]);

    const claimed = await report(change, run.claimed(envelope));
    expect(claimed.status, claimed.text).toBe(200);
    expect(claimed.body).toMatchObject({ state: 'executing', steps: [{ state: 'executing' }] });
    expect((await report(change, run.acted(envelope))).status).toBe(200);
    expect(await until(change, 'done')).toMatchObject({ result: { outcome: 'done', selfReported: false }, steps: [{ state: 'done' }] });
  });

  it('fails with what its code ended with', async () => {
    const change = await authorised();
    const envelope = await ticketOf(change);
    await report(change, run.claimed(envelope));
    expect((await report(change, run.acted(envelope, { outcome: 'failed', code: 'exit-3' }))).body).toMatchObject({ state: 'failed', steps: [{ state: 'notMade' }] });
  });

  it('may be told of twice: a claim or a result whose answer was lost adds nothing', async () => {
    const change = await authorised();
    const envelope = await ticketOf(change);
    const claim = run.claimed(envelope);
    for (const message of [claim, claim]) expect((await report(change, message)).status).toBe(200);
    const acted = run.acted(envelope);
    for (const message of [acted, acted]) expect((await report(change, message)).status).toBe(200);
    const { length } = await until(change, 'done');
    expect((await report(change, acted)).body).toMatchObject({ length });
  });

  it('answers at once where nobody needs to approve it: the caller has the next move', async () => {
    await sidecar.close();
    sidecar = await openTestSidecar({ decide: () => answerOf('allow') });
    const startedMs = Date.now();
    expect(await sidecar.change(CALLER, rotation())).toMatchObject({ state: 'authorised' });
    expect(Date.now() - startedMs).toBeLessThan(9_000);
  });
});

describe('a claim', () => {
  it('is answered once it is durable, and not before: the code runs on that answer', async () => {
    const disk = slowDisk();
    await sidecar.close();
    sidecar = await openTestSidecar({ disk: disk.wrap });
    const change = await authorised();
    const envelope = await ticketOf(change);
    const reached = disk.hold();
    let isAnswered = false;
    const answering = sidecar.engine.receiveCallerReport(change.id, run.claimed(envelope)).finally(() => {
      isAnswered = true;
    });
    try {
      await reached;
      // It is sequenced, and everything that waits for nothing but that has had its turn.
      expect(sidecar.engine.get(change.id)?.claimed).toBe(true);
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(isAnswered).toBe(false);
    } finally {
      disk.release();
    }
    expect(await answering).toMatchObject({ ok: true });
  });

  it('is in time by the clock that the run has, though records are later than its ticket', async () => {
    let aheadMs = 0;
    await sidecar.close();
    sidecar = await openTestSidecar({ clock: { ...systemClock, nowMs: () => Date.now() + aheadMs } });
    const change = await authorised();
    const envelope = await ticketOf(change);
    aheadMs = 3_600_000;
    await sidecar.engine.lock('person:olga', { nhi: 'nhi:dev/report-preview', connector: null }, 'beside all this');
    aheadMs = 0;
    expect((await report(change, run.claimed(envelope))).body).toMatchObject({ state: 'executing' });
  });
});

describe('what a run may not', () => {
  it('act without a claim', async () => {
    const change = await authorised();
    expect(problemIn(await report(change, run.acted(await ticketOf(change))))).toMatchObject({ status: 409, code: 'not-expected' });
  });

  it('claim what was withdrawn meanwhile', async () => {
    const change = await authorised();
    const envelope = await ticketOf(change);
    await sidecar.send(CALLER, 'POST', path(change, '/withdraw'), {});
    expect(problemIn(await report(change, run.claimed(envelope)))).toMatchObject({ status: 409, code: 'too-late' });
  });

  it('take a ticket up before there is one, or twice', async () => {
    const pending = await sidecar.change(CALLER, rotation());
    expect(problemIn(await sidecar.send(CALLER, 'GET', path(pending, '/ticket')))).toMatchObject({ status: 409, code: 'not-expected' });
    const change = await authorised();
    await report(change, run.claimed(await ticketOf(change)));
    expect(problemIn(await sidecar.send(CALLER, 'GET', path(change, '/ticket')))).toMatchObject({ status: 409, code: 'not-expected' });
  });

  it.each([
    ['claim', (): ChangeRequest => ({ ...GRANT, caller: { key: run.key, timeout: 'PT5M' } })],
    ['claim a new credential', (): ChangeRequest => ({ ...PROVISION, caller: { key: run.key, timeout: 'PT5M' } })],
  ])('%s what ends by itself: that needs an executor', async (_what, request) => {
    const size = sidecar.log.size;
    expect(problemIn(await sidecar.send(CALLER, 'POST', '/v1/changes', request()))).toMatchObject({ status: 422, code: 'lease-needs-executor' });
    expect(sidecar.log.size).toBe(size);
  });

  it('… nor by a revision', async () => {
    const change = await sidecar.change(CALLER, GRANT);
    const answered = await sidecar.send(CALLER, 'POST', path(change, '/revisions'), { ...GRANT, caller: { key: run.key, timeout: 'PT5M' } });
    expect(problemIn(answered)).toMatchObject({ status: 422, code: 'lease-needs-executor' });
  });
});

describe('a report that is not the run’s own', () => {
  const signedBy = (name: string, message: ReportMessage, change: Record<string, unknown> = {}): ReportMessage => {
    const signer = parseSigner(generateSignerKey(name, systemRandom(32)).skey);
    return { ...message, report: signDsse(REPORT_TYPE, { ...readPayload(message.report, reportSchema), ...change }, signer) };
  };
  const seal = { recipient: `age1${'q'.repeat(58)}`, ciphertext: `sha256:${'0'.repeat(64)}`, fingerprint: 'f'.repeat(64), replaces: null };

  it.each<[string, (envelope: StepEnvelope) => ReportMessage]>([
    ['by another key under the run’s name', (envelope) => signedBy(run.id, run.claimed(envelope))],
    ['by another run', (envelope) => testRun().claimed(envelope)],
    ['by the executor of the connector', (envelope) => signedBy('example.org/pg-1', run.claimed(envelope), { executor: 'executor:pg-1' })],
    ['by the run in an executor’s name', (envelope) => run.claimed(envelope, { executor: 'executor:pg-1' })],
    ['about another change', (envelope) => run.claimed(envelope, { changeId: otherId(readPayload(envelope.ticket, actTicketSchema).changeId) })],
    ['about another log', (envelope) => run.claimed(envelope, { log: '0'.repeat(16) })],
    ['of a read', (envelope) => run.claimed(envelope, { kind: 'read', outcome: 'done', code: null, detail: null, state: null })],
    ['that seals a secret', (envelope) => run.acted(envelope, { seal })],
    ['with a signature cut short', (envelope) => {
      const message = run.claimed(envelope);
      const [signature] = message.report.signatures;
      return { ...message, report: { ...message.report, signatures: [{ ...signature!, sig: signature!.sig.slice(0, -8) }] } };
    }],
    ['with a payload changed', (envelope) => {
      const message = run.acted(envelope, { outcome: 'failed' });
      return { ...message, report: { ...message.report, payload: run.acted(envelope).report.payload } };
    }],
    ['with rubbish beside it', (envelope) => ({ ...run.claimed(envelope), objects: ['{"v":1}'] })],
    ['with what is not even JSON beside it', (envelope) => ({ ...run.claimed(envelope), objects: ['{'] })],
  ])('%s is not taken, and nothing is recorded', async (_name, forge) => {
    const change = await authorised();
    const envelope = await ticketOf(change);
    const size = sidecar.log.size;
    expect(problemIn(await report(change, forge(envelope)))).toMatchObject({ status: 403, code: 'not-allowed' });
    expect(sidecar.log.size).toBe(size);
    // And it kept nobody from doing it right.
    expect((await report(change, run.claimed(envelope))).status).toBe(200);
  });

  it('that says a time when it cannot have been is not taken: what it says stays in the evidence', async () => {
    const change = await authorised();
    const envelope = await ticketOf(change);
    const impossible = async (message: ReportMessage): Promise<void> => {
      const size = sidecar.log.size;
      const problem = problemIn(await report(change, message));
      expect(problem).toMatchObject({ status: 403, code: 'not-allowed' });
      expect(problem.detail).toContain('its clock is wrong');
      expect(sidecar.log.size).toBe(size);
    };
    await impossible(run.claimed(envelope, { at: '2999-01-01T00:00:00.000Z' }));
    expect((await report(change, run.claimed(envelope))).status).toBe(200);
    await impossible(run.acted(envelope, { at: readPayload(envelope.ticket, actTicketSchema).notBefore }));
    expect((await report(change, run.acted(envelope))).status).toBe(200);
  });

  it.each<[string, unknown]>([
    ['nothing', {}],
    ['a list', []],
    ['no signature', { v: 1, report: { payloadType: REPORT_TYPE, payload: 'AAAA', signatures: [] }, objects: [], ciphertext: null, order: null }],
    ['an unknown field', { v: 1, report: {}, objects: [], ciphertext: null, order: null, changeId: 'x' }],
    ['too many objects', { v: 1, report: { payloadType: REPORT_TYPE, payload: 'AAAA', signatures: [{ keyid: 'k', sig: 'AAAA' }] }, objects: ['', '', '', '', ''], ciphertext: null, order: null }],
  ])('%s is none at all', async (_name, body) => {
    const change = await sidecar.change(CALLER, rotation());
    const size = sidecar.log.size;
    expect(problemIn(await report(change, body as object))).toMatchObject({ status: 422, code: 'invalid-request' });
    expect(sidecar.log.size).toBe(size);
  });

  it('is not taken for a change that an executor makes', async () => {
    const run1 = await authorised();
    const change = await sidecar.change(CALLER, GRANT);
    expect(problemIn(await report(change, run.claimed(await ticketOf(run1)))).status).toBe(409);
    expect(problemIn(await sidecar.send(CALLER, 'GET', path(change, '/ticket')))).toMatchObject({ status: 409, code: 'not-expected' });
  });
});

describe('other people’s tickets', () => {
  it('are not for those who only see the change', async () => {
    const change = await authorised();
    const envelope = await ticketOf(change);
    // Wei owns the identity and has approved; that makes the ticket no more hers.
    expect(problemIn(await sidecar.send('person:wei', 'GET', path(change, '/ticket')))).toMatchObject({ status: 403, code: 'not-requester' });
    expect(problemIn(await report(change, run.claimed(envelope), 'person:wei'))).toMatchObject({ status: 403, code: 'not-requester' });
    expect(problemIn(await sidecar.send('person:mallory', 'GET', path(change, '/ticket')))).toMatchObject({ status: 404, code: 'no-such-change' });
    expect(problemIn(await report(change, run.claimed(envelope), 'person:mallory'))).toMatchObject({ status: 404, code: 'no-such-change' });
    expect((await until(change, 'authorised')).steps).toMatchObject([{ state: 'authorised' }]);
  });

  it.each(['from=-1', 'from=x', 'from=1e3', 'from=1&from=2', 'since=1', 'from=99999999999999999'])('%s is 400', async (query) => {
    const change = await sidecar.change(CALLER, rotation());
    expect(problemIn(await sidecar.send(CALLER, 'GET', path(change, `/ticket?${query}`)))).toMatchObject({ status: 400, code: 'malformed-query' });
  });

  it('come with a proof from the checkpoint that the caller has seen, where this log has grown from it', async () => {
    const from = sidecar.log.checkpoint().size;
    const change = await authorised();
    const proven = stepEnvelopeSchema.parse((await sidecar.send(CALLER, 'GET', path(change, `/ticket?from=${from}`))).body);
    expect(proven.receipt.consistency.map(({ fromSize }) => fromSize)).toEqual([from]);
    const beyond = stepEnvelopeSchema.parse((await sidecar.send(CALLER, 'GET', path(change, '/ticket?from=1000000'))).body);
    expect(beyond.receipt.consistency).toEqual([]);
  });
});
