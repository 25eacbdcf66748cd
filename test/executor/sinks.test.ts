/** Secrets that are kept in a sink: nobody finds one before it opens something, and nobody finds it any more once it does not. */
import { describe, expect, test } from 'vitest';
import { placeOf, recipientSchema } from '../../src/protocol/request.ts';
import { makeStep, type Edits, type Made } from '../support/envelopes.ts';
import { memorySink, type MemorySink } from '../support/memory-sink.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

const PATH = 'team/exporter';

function stepInto(edits: Edits = {}, sink = 'app-kv'): Made {
  return makeStep({ leaseSeconds: 3_600, ...edits, plan: (plan) => ({ ...plan, recipient: `kv:${sink}/${PATH}` }) });
}

function benchWithSink(): { readonly bench: Bench; readonly sink: MemorySink } {
  const sink = memorySink();
  return { bench: createBench({ sinks: (run) => new Map([['app-kv', sink.sink(run)]]) }), sink };
}

const isDone = (bench: Bench) => (): boolean => bench.of('acted').some(({ outcome }) => outcome === 'done');
const foundIn = (sink: MemorySink): string | undefined => sink.found.get(PATH)?.at(-1)?.secret;

test('the recipient of a request may be a place, and has one spelling', () => {
  expect(placeOf(recipientSchema.parse('kv:app-kv/team/exporter'))).toEqual({ sink: 'app-kv', path: 'team/exporter' });
  expect(placeOf(`age1${'q'.repeat(58)}`)).toBeNull();
  for (const none of ['kv:app-kv', 'kv:app-kv/', 'kv:app-kv//x', 'kv:app-kv/../x', 'kv:app-kv/a/./b', 'kv:app-kv/.staged/x', 'kv:App/x', 'kv:/x', 'kv:a/x y', 'kv:a/x?version=1', 'kv:a/x%2e', `kv:a/${'x/'.repeat(9)}x`]) {
    expect(recipientSchema.safeParse(none).success, none).toBe(false);
  }
});

test('a secret is found at its path once it opens something, and not before', async () => {
  const { bench, sink } = benchWithSink();
  const seen: (string | undefined)[] = [];
  bench.target.watch = () => void seen.push(foundIn(sink));
  const worker = await bench.start();
  await worker.step(stepInto().envelope);
  await bench.clock.until(isDone(bench), 60_000);
  const [account] = bench.target.accounts.values();
  expect(foundIn(sink)).toBe(account!.secret);
  expect(sink.staged.size).toBe(0);
  // Read, applied and tried before that.
  expect(seen.slice(0, 3)).toEqual([undefined, undefined, undefined]);
  expect(bench.of('acted').at(-1)).toMatchObject({ byUse: 'works', seal: { recipient: `kv:app-kv/${PATH}` } });
});

test('neither the lease book nor a report has it in clear', async () => {
  const { bench, sink } = benchWithSink();
  const worker = await bench.start();
  await worker.step(stepInto().envelope);
  await bench.clock.until(isDone(bench), 60_000);
  const secret = foundIn(sink)!;
  const everything = [...[...bench.disk.files.values()].map(({ bytes }) => bytes.toString('latin1')), JSON.stringify(bench.messages)];
  for (const spelled of [secret, Buffer.from(secret).toString('base64'), Buffer.from(secret).toString('hex')]) for (const text of everything) expect(text).not.toContain(spelled);
});

test.each([['a sink that is not there', 'other', null], ['a sink that will not keep it', 'app-kv', 'rejected']] as const)('%s: nothing is made', async (_, name, fails) => {
  const { bench, sink } = benchWithSink();
  sink.fails = fails;
  const worker = await bench.start();
  await worker.step(stepInto({}, name).envelope);
  await bench.clock.until(() => bench.of('acted').length > 0, 60_000);
  expect(bench.of('acted').at(-1)).toMatchObject({ outcome: 'failed', code: 'cannot-seal' });
  expect(bench.target.calls).not.toContain('apply');
});

test('a sink that is down for a while delays the step, before its effect or after', async () => {
  for (const during of ['stage', 'publish'] as const) {
    const { bench, sink } = benchWithSink();
    let left = 3;
    sink.watch = (operation) => {
      sink.fails = operation === during && left > 0 ? 'unreachable' : null;
      left -= operation === during ? 1 : 0;
    };
    const worker = await bench.start();
    await worker.step(stepInto().envelope);
    await bench.clock.until(isDone(bench), 120_000);
    expect(bench.target.secrets).toHaveLength(1);
    expect(foundIn(sink)).toBe(bench.target.secrets[0]);
  }
});

test('what an apply that was refused had staged is withdrawn', async () => {
  const { bench, sink } = benchWithSink();
  bench.target.will('apply', 'rejected');
  const worker = await bench.start();
  await worker.step(stepInto().envelope);
  await bench.clock.until(() => bench.of('acted').some(({ outcome }) => outcome === 'failed') && sink.staged.size === 0, 60_000);
  expect(foundIn(sink)).toBeUndefined();
});

test('at the end of the lease it is found no more, and what was there before is', async () => {
  const { bench, sink } = benchWithSink();
  sink.found.set(PATH, [{ secret: 'the one before', by: 'cs_somebody' }]);
  const worker = await bench.start();
  await worker.step(stepInto().envelope);
  await bench.clock.until(isDone(bench), 60_000);
  expect(foundIn(sink)).not.toBe('the one before');
  await bench.clock.until(() => bench.of('revoked').some(({ outcome }) => outcome === 'done') && foundIn(sink) === 'the one before', 4_000_000);
  expect(bench.target.accounts.size).toBe(0);
});

test.each(['down', 'hangs'] as const)('a sink that is %s does not hold up the end of the access by a moment', async (how) => {
  const { bench, sink } = benchWithSink();
  const worker = await bench.start();
  const { envelope, orderContent } = stepInto();
  await worker.step(envelope);
  await bench.clock.until(isDone(bench), 60_000);
  if (how === 'down') sink.fails = 'unreachable';
  else sink.hangs = true;
  await bench.clock.until(() => bench.of('revoked').some(({ outcome }) => outcome === 'done'), 4_000_000);
  expect(Date.parse(bench.of('revoked').at(-1)!.at) - Date.parse(orderContent!.notBefore)).toBeLessThan(1_000);
});

describe.each(['synced', 'written'] as const)('a death at any touch of disk, target or sink, with what was %s', (survives) => {
  test.each([null, 'lostAfter', 'late'] as const)('leaves one credential, and its secret is the one that is found (answer: %s)', async (fate) => {
    let at = 1;
    for (; at < 100; at += 1) {
      const { bench, sink } = benchWithSink();
      if (fate !== null) bench.target.will('apply', fate);
      let touches = 0;
      const touch = (): void => {
        touches += 1;
        if (touches === at) bench.kill(survives);
      };
      bench.disk.watch = touch;
      bench.target.watch = touch;
      sink.watch = touch;
      const { envelope } = stepInto();
      const deliver = async (): Promise<unknown> => (await bench.start()).step(envelope);
      deliver().catch(() => undefined);
      await bench.clock.until(() => touches >= at || isDone(bench)(), 250_000);
      const died = touches >= at;
      if (died) deliver().catch(() => undefined);
      await bench.clock.until(isDone(bench), 250_000);
      if (!died) break;
      expect(bench.target.accounts.size).toBe(1);
      expect(foundIn(sink)).toBe([...bench.target.accounts.values()][0]!.secret);
      expect(sink.staged.size).toBe(0);
    }
    expect(at).toBeGreaterThan(14);
  });
});
