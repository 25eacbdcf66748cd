import { randomBytes } from 'node:crypto';
import { lstat, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import type { Clock, Transport } from '../../src/engine/ports.ts';
import { reportMaker } from '../../src/executor/reports.ts';
import type { ReportMessage } from '../../src/protocol/envelope.ts';
import { workerKnows } from '../../src/protocol/worker-knows.ts';
import { listenLocal, type LocalListener } from '../../src/transport/local/executor-end.ts';
import { FRAME_BYTES_MAX } from '../../src/transport/local/frames.ts';
import { connectLocal } from '../../src/transport/local/sidecar-end.ts';
import { makeStep } from '../support/envelopes.ts';
import { signedLock } from '../support/locks.ts';
import { EXECUTOR, keys, logId, sidecar, sign, START_MS } from '../support/story.ts';
import { eventually, farEnd, transportConformance, type FarEnd, type Pair } from './transport.ts';

const clock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const { envelope, plan, order } = makeStep();
const envelopes = Array.from({ length: 20 }, (_, n) => makeStep({ issue: n + 1 }).envelope);
const report = reportMaker(EXECUTOR, keys.executor, { ...clock, nowMs: () => START_MS });
const claimed = (issue: number, log = logId): ReportMessage => report({ kind: 'claimed', log, changeId: plan.changeId, stepId: plan.steps[0]!.stepId, issue });
const revoked = (leaseId = plan.lease!.leaseId): ReportMessage => report({
  kind: 'revoked', log: logId, changeId: plan.changeId, leaseId, epoch: 1, order: `sha256:${'0'.repeat(64)}`, outcome: 'done', code: null, detail: null, after: null, byUse: 'notTried', attempt: 1,
}, { order });

function listen(socket: string, far: FarEnd): Promise<LocalListener> {
  const fail = (): void => {
    if (far.refusal !== null) throw far.refusal;
  };
  far.state = { run: randomBytes(8).toString('hex') };
  return listenLocal({
    socket, clock, logger, worker: {
      async arm(one) {
        fail();
        far.armed.push(one);
      },
      async disarm(one) {
        fail();
        far.disarmed.push(one);
      },
      async revoke(one, traceparent) {
        fail();
        far.traceparents.push(traceparent);
        far.revoked.push(one);
      },
      async lock(one) {
        fail();
        far.locked.push(one);
      },
      locks: () => far.locks,
      state: () => far.state, knows: () => workerKnows(far.state.run, far.floors),
      setAside() {
        far.unreadable += 1;
      },
      step(one, traceparent) {
        far.steps.push(one);
        far.traceparents.push(traceparent);
        return far.answer(one);
      },
      connected() {
        far.connections += 1;
      },
    },
  });
}

async function openPair(): Promise<Pair> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-local-'));
  const socket = join(directory, 'executor.sock');
  const far = farEnd();
  const dial = (): Transport => connectLocal({ log: logId, executors: [{ id: EXECUTOR, socket }], clock, logger, reconnectMs: { first: 5, longest: 20 } });
  let listener = await listen(socket, far);
  let transport = dial();
  return {
    audience: EXECUTOR, far, holds: false, sidecar: () => transport,
    report: (message) => listener.send(message),
    showLock: (lock) => listener.tellLock(lock),
    async restartExecutor() {
      await listener.close();
      listener = await listen(socket, far);
    },
    async restartSidecar() {
      await transport.close();
      transport = dial();
    },
    stopExecutor: () => listener.close(),
    async close() {
      await transport.close();
      await listener.close();
      await rm(directory, { recursive: true });
    },
  };
}

transportConformance('local', openPair, { envelope: (n) => envelopes[n]!, order: order!, orderDue: (n, dueMs) => sign.order(deriveRevokeOrder(plan, EXECUTOR, dueMs, 'leaseEnd', `person:n${n}`)!), lock: signedLock(), reports: [claimed(1), claimed(2)] });

describe('the socket of an executor', () => {
  let directory: string;
  let path: string;
  let far: FarEnd;
  let listener: LocalListener;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'countersign-local-'));
    path = join(directory, 's');
    far = farEnd();
    listener = await listen(path, far);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await listener.close();
    await rm(directory, { recursive: true, force: true });
  });
  /** A peer that writes what it likes and keeps what it hears. */
  const peer = async (): Promise<{ readonly socket: Socket; readonly heard: () => Record<string, unknown>[]; readonly isClosed: () => boolean }> => {
    const socket = connect(path);
    sockets.push(socket);
    let text = '';
    let closed = false;
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => (closed = true));
    await new Promise((resolve) => socket.once('connect', resolve));
    return { socket, heard: () => text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>), isClosed: () => closed };
  };
  const says = (socket: Socket, ...frames: unknown[]): void => frames.forEach((frame) => socket.write(`${JSON.stringify(frame)}\n`));

  test('of an executor of before, which closes the connection over a question that it does not know, is connected to all the same, and nothing is known of it until it is newer', async () => {
    const old = join(directory, 'old');
    const asked: string[][] = [];
    const before = createServer((socket) => {
      const ops: string[] = [];
      asked.push(ops);
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => chunk.toString().split('\n').filter((line) => line !== '').forEach((line) => {
        const { op, id } = JSON.parse(line) as { op: string; id: number };
        ops.push(op);
        if (op === 'hello') socket.write(`${JSON.stringify({ op: 'answer', id, result: { accepted: true } })}\n`);
        else socket.destroy();
      }));
      sockets.push(socket);
    });
    await new Promise<void>((resolve) => before.listen(old, resolve));
    const transport = connectLocal({ log: logId, executors: [{ id: EXECUTOR, socket: old }], clock, logger, reconnectMs: { first: 5, longest: 20 } });
    const heard: string[] = [];
    transport.onKnows((audience, run) => void heard.push(`${audience} ${run}`));
    await eventually(() => transport.isConnected(EXECUTOR));
    expect([asked, transport.knows(EXECUTOR), heard]).toEqual([[['hello', 'knows'], ['hello']], [], []]);
    before.close();
    sockets.at(-1)!.destroy();
    await eventually(() => !transport.isConnected(EXECUTOR));
    const newer = await listen(old, far);
    await eventually(() => transport.knows(EXECUTOR).length > 0);
    expect(heard).toEqual([`${EXECUTOR} ${far.state.run}`]);
    await transport.close();
    await newer.close();
  });

  test('is its owner\'s alone', async () => {
    expect((await lstat(path)).mode & 0o777).toBe(0o600);
  });

  test.each<[string, Buffer]>([
    ['what is not JSON', Buffer.from('hello\n')],
    ['a frame of no known form', Buffer.from('{"op":"shutdown","id":1}\n')],
    ['a frame with a field too many', Buffer.from(`{"op":"hello","id":1,"log":"${logId}","also":1}\n`)],
    ['a key twice', Buffer.from(`{"op":"hello","op":"hello","id":1,"log":"${logId}"}\n`)],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22, 0x0a])],
    ['a number that is no integer', Buffer.from('{"op":"ack","id":1.5}\n')],
    ['depth without end', Buffer.from(`${'['.repeat(100_000)}\n`)],
    ['a line without end', Buffer.alloc(FRAME_BYTES_MAX + 1, 0x61)],
    ['a line over the limit', Buffer.concat([Buffer.alloc(FRAME_BYTES_MAX + 1, 0x20), Buffer.from('\n')])],
  ])('closes on %s, and nobody else notices', async (_what, bytes) => {
    const other = await peer();
    says(other.socket, { op: 'hello', id: 1, log: logId });
    const stranger = await peer();
    stranger.socket.write(bytes);
    await eventually(stranger.isClosed);
    says(other.socket, { op: 'arm', id: 2, order });
    await eventually(() => other.heard().length === 2);
    expect(other.heard()[1]).toEqual({ op: 'answer', id: 2, result: { accepted: true } });
    expect(far.steps).toEqual([]);
  });

  test('reads frames however they are cut, and many at once', async () => {
    const { socket, heard } = await peer();
    const text = Buffer.from(`${JSON.stringify({ op: 'step', id: 1, envelope })}\n${JSON.stringify({ op: 'arm', id: 2, order })}\n`);
    for (let at = 0; at < text.length; at += 997) socket.write(text.subarray(at, at + 997));
    await eventually(() => heard().length === 2);
    expect(far.steps).toEqual([envelope]);
    expect(far.armed).toEqual([order]);
  });

  test('sends reports of a log to those who said hello for it, and to nobody else', async () => {
    const [mine, others, silent] = [await peer(), await peer(), await peer()];
    says(mine.socket, { op: 'hello', id: 1, log: logId });
    says(others.socket, { op: 'hello', id: 1, log: 'f'.repeat(16) });
    await eventually(() => mine.heard().length === 1 && others.heard().length === 1);
    const sending = listener.send(claimed(1));
    await eventually(() => mine.heard().length === 2);
    const [, { id }] = mine.heard() as [unknown, { id: number }];
    says(mine.socket, { op: 'ack', id });
    await sending;
    expect(others.heard()).toHaveLength(1);
    expect(silent.heard()).toHaveLength(0);
    await expect(listener.send(claimed(1, '0'.repeat(16)))).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('sends reports of a log also to whoever goes on for it, and said hello for both', async () => {
    const { socket, heard } = await peer();
    says(socket, { op: 'hello', id: 1, log: 'f'.repeat(16) }, { op: 'hello', id: 2, log: logId });
    await eventually(() => heard().length === 2);
    const sending = [listener.send(claimed(1)), listener.send(claimed(1, 'f'.repeat(16)))];
    await eventually(() => heard().length === 4);
    for (const { id } of heard().slice(2)) says(socket, { op: 'ack', id });
    await Promise.all(sending);
  });

  test('is not held up by a sidecar that died without a word: the one that lives acknowledges', async () => {
    const [dead, alive] = [await peer(), await peer()];
    says(dead.socket, { op: 'hello', id: 1, log: logId });
    says(alive.socket, { op: 'hello', id: 1, log: logId });
    await eventually(() => far.connections === 2);
    const sending = listener.send(claimed(1));
    await eventually(() => alive.heard().length === 2);
    says(alive.socket, { op: 'ack', id: alive.heard()[1]!['id'] });
    await sending;
  });

  test('tells who watches a lease of its end, with no hello and no acknowledgement, and nobody of anything else', async () => {
    const [watcher, other] = [await peer(), await peer()];
    const early = sign.order(deriveRevokeOrder(plan, EXECUTOR, START_MS, 'early', sidecar)!);
    says(watcher.socket, { op: 'revoke', id: 1, order: early, watch: true });
    says(other.socket, { op: 'revoke', id: 1, order: early });
    await eventually(() => watcher.heard().length === 1 && other.heard().length === 1);
    listener.tell(revoked(`lse_${logId}_${'0'.repeat(26)}`));
    listener.tell(claimed(1));
    listener.tell(revoked());
    await eventually(() => watcher.heard().length === 2);
    expect(watcher.heard()[1]).toMatchObject({ op: 'report', message: revoked() });
    expect(other.heard()).toHaveLength(1);
  });

  test('is not taken from an executor that listens, is taken over from one that died, and no other file is removed', async () => {
    await expect(listen(path, farEnd())).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const stale = join(directory, 'stale');
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(directory, 'dead'), () => resolve()));
    await rename(join(directory, 'dead'), stale);
    await new Promise((resolve) => dead.close(resolve));
    expect((await lstat(stale)).isSocket()).toBe(true);
    await writeFile(join(directory, 'file'), 'mine');
    await expect(listen(join(directory, 'file'), farEnd())).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(await readFile(join(directory, 'file'), 'utf8')).toBe('mine');
    await (await listen(stale, farEnd())).close();
    await expect(listen(join(directory, 'x'.repeat(120)), farEnd())).rejects.toThrow(/longer than/);
  });
});
