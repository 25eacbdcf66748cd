import { describe, expect, test } from 'vitest';
import { digestOf, parseStrict } from '../../ledger/index.ts';
import { targetStateSchema } from '../../src/protocol/plan.ts';
import { formatTime, parseTime } from '../../src/protocol/values.ts';
import { BEFORE, forger, makeRead, makeStep, someLog } from '../support/envelopes.ts';
import { RECIPIENT, START_MS } from '../support/story.ts';
import { createBench, unsealed, type Bench } from '../support/worker-bench.ts';

async function done(bench: Bench): Promise<void> {
  await bench.clock.until(() => bench.of('acted').some(({ outcome }) => outcome !== 'ambiguous'));
}

describe('a step', () => {
  test('is claimed, sealed, applied, tried, read back and reported', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { envelope, ticket, order } = makeStep();
    expect(await worker.step(envelope)).toEqual({ accepted: true });
    await done(bench);

    expect(bench.reports.map(({ kind }) => kind)).toEqual(['claimed', 'acted']);
    const [acted] = bench.of('acted');
    expect(acted).toMatchObject({ outcome: 'done', code: null, attempt: 1, byUse: 'works', stepId: ticket.stepId, issue: 1 });
    const message = bench.messages[1]!;
    const states = message.objects.map((text) => targetStateSchema.parse(parseStrict(Buffer.from(text))));
    expect(message.objects.map((text) => digestOf(Buffer.from(text)))).toEqual([acted!.before, acted!.after]);
    expect(states.map(({ exists, touched }) => ({ exists, touched }))).toEqual([{ exists: false, touched: BEFORE }, { exists: true, touched: { account: 'present' } }]);
    expect(new Set(states.map(({ salt }) => salt)).size).toBe(2);

    const account = bench.target.accounts.get(ticket.step.account)!;
    expect(unsealed(message.ciphertext!)).toEqual(expect.objectContaining({ secret: account.secret, recipient: RECIPIENT }));
    expect(acted!.seal).toMatchObject({ recipient: RECIPIENT, ciphertext: digestOf(Buffer.from(message.ciphertext!, 'base64')), replaces: null });
    expect(account.validUntil).toBe(formatTime(START_MS + 900_000));
    expect(order).not.toBeNull();
  });

  test('its claim, the order that ends it and the ciphertext are durable before it is applied, and the secret is nowhere', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { envelope, ticket, order } = makeStep();
    let atApply = '';
    bench.target.watch = (operation) => {
      const file = bench.disk.files.get('lease-book')!;
      if (operation === 'apply') atApply = file.bytes.subarray(0, file.synced).toString();
    };
    await worker.step(envelope);
    await done(bench);
    expect(atApply).toContain(`"t":"claim"`);
    expect(atApply).toContain(order!.payload);
    expect(atApply).toContain(`"t":"attempt","stepId":"${ticket.stepId}"`);
    const { secret } = bench.target.accounts.get(ticket.step.account)!;
    expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(bench.disk.files.get('lease-book')!.bytes.toString()).not.toContain(secret);
    expect(bench.messages.map(({ report }) => Buffer.from(report.payload, 'base64').toString()).join()).not.toContain(secret);
  });

  test('that comes again, in any order and number, has one effect and is answered again', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { envelope } = makeStep();
    await Promise.all([worker.step(envelope), worker.step(envelope), worker.step(envelope)]);
    await done(bench);
    expect(await worker.step(envelope)).toEqual({ accepted: true });
    await bench.clock.settle();
    expect(bench.target.calls.filter((call) => call === 'apply')).toHaveLength(1);
    expect(bench.of('acted')).toHaveLength(2);
    expect(new Set(bench.of('acted').map((report) => JSON.stringify(report))).size).toBe(1);
  });

  test('that comes again long after its window is still answered with what was done', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { envelope } = makeStep();
    await worker.step(envelope);
    await done(bench);
    await bench.clock.advance(600_000);
    await worker.step(envelope);
    await bench.clock.settle();
    expect(bench.of('acted').map(({ outcome }) => outcome)).toEqual(['done', 'done']);
  });

  test('revoking what nobody here granted goes the same way, with neither secret nor order', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { envelope, ticket } = makeStep({ action: 'revoke', plan: (plan) => ({ ...plan, before: { account: 'present' } }) });
    bench.target.accounts.set(ticket.step.account, { token: null, secret: 'old', validUntil: null });
    await worker.step(envelope);
    await done(bench);
    expect(bench.of('acted')[0]).toMatchObject({ outcome: 'done', seal: null, byUse: 'notTried' });
    expect(bench.target.accounts.size).toBe(0);
  });

  test('at a target that has changed since it was approved is not done: drifted', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.touched = { account: 'absent', since: 'yesterday' };
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.of('acted')[0]).toMatchObject({ outcome: 'drifted', code: 'drifted', attempt: 0, seal: null });
    expect(bench.messages.at(-1)!.objects[0]).toContain('yesterday');
    expect(bench.target.calls).not.toContain('apply');
  });

  test('that the target rejects has failed, once', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('apply', 'rejected');
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'failed', code: 'target-rejected', detail: 'permission denied', seal: null })]);
  });

  test('whose secret cannot be sealed is not done', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.sealFails = true;
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.of('acted')[0]).toMatchObject({ outcome: 'failed', code: 'cannot-seal' });
    expect(bench.target.calls).not.toContain('apply');
  });
});

describe('a target that cannot be reached', () => {
  test('is asked again while the ticket is good, and then the step is done once', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('read', 'unreachable', 'unreachable');
    bench.target.will('apply', 'unreachable', 'unreachable');
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.of('acted')[0]).toMatchObject({ outcome: 'done', attempt: 1 });
    expect(bench.target.secrets).toHaveLength(1);
  });

  test('until the window is over ends in a refusal that another issue may mend', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.always('apply', 'unreachable');
    const made = makeStep();
    await worker.step(made.envelope);
    await done(bench);
    expect(bench.of('acted')[0]).toMatchObject({ outcome: 'refused', code: 'outside-window', issue: 1 });
    expect(bench.clock.nowMs).toBeGreaterThanOrEqual(parseTime(made.ticket.notAfter));

    bench.target.always('apply', null);
    const again = makeStep({
      changeId: made.ticket.changeId, issue: 2, nowMs: bench.clock.nowMs, log: made.log, fromSize: made.log.size,
      order: (order) => ({ ...order, notBefore: made.orderContent!.notBefore }),
    });
    expect(await worker.step(again.envelope)).toEqual({ accepted: true });
    await bench.clock.until(() => bench.of('acted').length === 2);
    expect(bench.of('acted')[1]).toMatchObject({ outcome: 'done', issue: 2 });
    expect(bench.target.secrets).toHaveLength(1);
  });

  test('a later issue that comes while the first waits prolongs it, and is the one reported', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.always('apply', 'unreachable');
    const made = makeStep();
    await worker.step(made.envelope);
    await bench.clock.advance(200_000);
    const again = makeStep({
      changeId: made.ticket.changeId, issue: 2, nowMs: bench.clock.nowMs, log: made.log, fromSize: made.log.size,
      order: (order) => ({ ...order, notBefore: made.orderContent!.notBefore }), plan: () => made.plan,
    });
    await worker.step(again.envelope);
    await bench.clock.advance(200_000);
    expect(bench.of('acted')).toEqual([]);
    bench.target.always('apply', null);
    await done(bench);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'done', issue: 2, attempt: 1 })]);
  });
});

describe('what is not known is looked for, never repeated blindly', () => {
  test('an effect whose answer was lost is found, and its seal stands', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('apply', 'lostAfter');
    const { envelope, ticket } = makeStep();
    await worker.step(envelope);
    await done(bench);
    const outcomes = bench.of('acted').map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['ambiguous', 'done']);
    expect(bench.target.secrets).toEqual([unsealed(bench.messages.at(-1)!.ciphertext!).secret]);
    expect(bench.target.accounts.get(ticket.step.account)).toBeDefined();
  });

  test('an attempt that never arrived is made again, with a new secret whose seal replaces the old', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('apply', 'lostBefore');
    await worker.step(makeStep().envelope);
    await done(bench);
    const last = bench.of('acted').at(-1)!;
    expect(last).toMatchObject({ outcome: 'done', attempt: 2, byUse: 'works' });
    expect(last.seal!.replaces).toMatch(/^sha256:/);
    expect(last.seal!.replaces).not.toBe(last.seal!.ciphertext);
    expect(bench.target.secrets).toEqual([unsealed(bench.messages.at(-1)!.ciphertext!).secret]);
  });

  test.each(['hangs', 'hangsDone', 'late', 'throws'] as const)('a call that %s leaves one credential, and its secret is the sealed one', async (fate) => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('apply', fate);
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.of('acted').map(({ outcome }) => outcome)).toEqual(['ambiguous', 'done']);
    expect(bench.target.accounts.size).toBe(1);
    expect(bench.target.secrets).toEqual([unsealed(bench.messages.at(-1)!.ciphertext!).secret]);
  });

  test('a probe that is not answered is made again, and ambiguity is reported once', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('apply', 'lostAfter');
    bench.target.will('probe', 'unreachable', 'hangs', 'rejected', 'throws');
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.of('acted').map(({ outcome }) => outcome)).toEqual(['ambiguous', 'done']);
  });
});

describe('refusals', () => {
  test('are signed for a ticket of a trusted sidecar, once per issue, and are final for it', async () => {
    const bench = createBench({ trust: { quorum: 2 } });
    const worker = await bench.start();
    const { envelope, ticket } = makeStep();
    expect(await worker.step(envelope)).toEqual({ accepted: true });
    await bench.clock.settle();
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'refused', code: 'below-floor', attempt: 0, stepId: ticket.stepId })]);
    await worker.step(envelope);
    await bench.clock.advance(10_000);
    expect(new Set(bench.of('acted').map((report) => JSON.stringify(report))).size).toBe(1);
    expect(bench.target.calls).toEqual([]);
  });

  test('are not given to an envelope that was changed on its way, and the true one is taken up after it', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const { envelope } = makeStep();
    await expect(worker.step({ ...envelope, approvals: [] })).rejects.toMatchObject({ code: 'approvals-insufficient' });
    await expect(worker.step({ ...envelope, order: makeStep().order })).rejects.toMatchObject({ code: 'order-mismatch' });
    expect(await worker.step(envelope)).toEqual({ accepted: true });
    await done(bench);
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'done' })]);
  });

  test('of strangers are not answered at all', async () => {
    const bench = createBench();
    const worker = await bench.start();
    await expect(worker.step(makeStep({ ticketSigner: forger }).envelope)).rejects.toMatchObject({ code: 'unknown-sidecar' });
    await expect(worker.step('nonsense')).rejects.toMatchObject({ code: 'malformed' });
    await expect(worker.revoke('nonsense')).rejects.toMatchObject({ code: 'malformed' });
    await bench.clock.advance(10_000);
    expect(bench.reports).toEqual([]);
    expect(worker.state()).toEqual({ run: expect.stringMatching(/^[0-9a-f]{16}$/) as string, refused: [{ code: 'unknown-sidecar', count: 1 }, { code: 'malformed', count: 2 }] });
  });

  test('a receipt that does not continue what was seen is answered with what was seen, also after a restart', async () => {
    const bench = createBench();
    let worker = await bench.start();
    const log = someLog(8);
    await worker.step(makeStep({ log }).envelope);
    const seen = { accepted: false, code: 'inconsistent-checkpoint', fromSize: 9, root: log.root() };
    const next = makeStep({ log });
    expect(await worker.step(next.envelope)).toEqual(seen);
    expect(await worker.step(makeStep({ log: log.fork(3) }).envelope)).toEqual(seen);
    bench.kill();
    worker = await bench.start();
    expect(await worker.step(next.envelope)).toEqual(seen);
    expect(await worker.step({ ...next.envelope, receipt: log.receipt(next.index, { fromSize: 9 }) })).toEqual({ accepted: true });
  });

  test('a receipt proven for one step does not pass for another that comes at the same moment', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const log = someLog(8);
    const first = makeStep({ log });
    const second = makeStep({ log });
    const answers = await Promise.all([worker.step(second.envelope), worker.step(first.envelope)]);
    expect(answers).toEqual([{ accepted: true }, expect.objectContaining({ accepted: false, fromSize: 10 })]);
  });
});

describe('reads', () => {
  test('are answered with a salted state, asked again while the target is away, and change nothing', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.will('read', 'unreachable', 'hangs');
    const { envelope, ticket } = makeRead();
    expect(await worker.step(envelope)).toEqual({ accepted: true });
    await worker.step(envelope);
    await bench.clock.until(() => bench.of('read').length > 0);
    await bench.clock.advance(10_000);
    expect(bench.of('read')).toEqual([expect.objectContaining({ outcome: 'done', stepId: ticket.stepId, issue: 1 })]);
    const [text] = bench.messages[0]!.objects;
    expect(bench.of('read')[0]!.state).toBe(digestOf(Buffer.from(text!)));
    expect(bench.target.calls.every((call) => call === 'read')).toBe(true);
  });

  test('of a target that says no have failed; of one that is away too long, are refused', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const log = someLog();
    bench.target.will('read', 'rejected');
    await worker.step(makeRead({ log }).envelope);
    await bench.clock.until(() => bench.of('read').length === 1);
    bench.target.always('read', 'unreachable');
    await worker.step(makeRead({ log, fromSize: log.size }).envelope);
    await bench.clock.until(() => bench.of('read').length === 2);
    expect(bench.of('read').map(({ outcome, code }) => [outcome, code])).toEqual([['failed', 'target-rejected'], ['refused', 'outside-window']]);
  });
});

describe('reports', () => {
  test('wait for somebody who listens, keep their order, and outlive the process', async () => {
    const bench = createBench();
    bench.listening = false;
    let worker = await bench.start();
    await worker.step(makeStep().envelope);
    await bench.clock.advance(60_000);
    expect(bench.reports).toEqual([]);
    bench.kill();
    worker = await bench.start();
    await bench.clock.advance(1_000);
    bench.listening = true;
    worker.connected();
    await bench.clock.settle();
    expect(bench.of('acted')).toEqual([expect.objectContaining({ outcome: 'done' })]);
    expect(bench.target.secrets).toHaveLength(1);
  });

  test('that are acknowledged are not sent again by the next process', async () => {
    const bench = createBench();
    let worker = await bench.start();
    const log = someLog();
    await worker.step(makeStep({ log }).envelope);
    await done(bench);
    // What was acknowledged is noted with whatever is written next.
    await worker.step(makeRead({ log, fromSize: log.size }).envelope);
    await bench.clock.settle();
    const before = bench.reports.length;
    bench.kill();
    worker = await bench.start();
    worker.connected();
    await bench.clock.advance(5_000);
    expect(bench.reports.slice(before).filter(({ kind }) => kind === 'acted')).toEqual([]);
  });

  test('one that is turned down holds up neither others nor itself', async () => {
    const bench = createBench();
    bench.turnsDown = (report) => report.kind === 'claimed';
    const worker = await bench.start();
    await worker.step(makeStep().envelope);
    await done(bench);
    expect(bench.reports.map(({ kind }) => kind)).toEqual(['acted']);
    bench.turnsDown = () => false;
    await bench.clock.advance(30_000);
    expect(bench.reports.map(({ kind }) => kind)).toEqual(['acted', 'claimed']);
  });
});

describe('opening and closing', () => {
  test('a state directory has one worker', async () => {
    const bench = createBench();
    const worker = await bench.start();
    await expect(bench.start()).rejects.toMatchObject({ code: 'locked' });
    await worker.close();
    await expect(bench.start()).resolves.toBeDefined();
  });

  test('a closed worker takes nothing, and the next one goes on with what it left', async () => {
    const bench = createBench();
    const worker = await bench.start();
    bench.target.always('read', 'unreachable');
    const { envelope } = makeStep();
    await worker.step(envelope);
    await bench.clock.advance(1_000);
    await worker.close();
    await expect(worker.step(envelope)).rejects.toMatchObject({ code: 'closing' });
    bench.target.always('read', null);
    await bench.start();
    await done(bench);
    expect(bench.of('acted')[0]).toMatchObject({ outcome: 'done' });
  });

  test('steps at one target go one after another', async () => {
    const bench = createBench();
    const worker = await bench.start();
    const log = someLog();
    bench.target.will('apply', 'hangs');
    await worker.step(makeStep({ log }).envelope);
    await worker.step(makeStep({ log, fromSize: log.size }).envelope);
    await bench.clock.advance(5_000);
    expect(bench.target.calls).toEqual(['read', 'apply']);
    await bench.clock.until(() => bench.of('acted').filter(({ outcome }) => outcome === 'done').length === 2);
    expect(bench.target.accounts.size).toBe(2);
  });
});
