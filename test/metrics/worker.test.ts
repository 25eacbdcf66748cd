/** What Prometheus is told of a worker is what its lease book owes, and what it reported, with no id in it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { openWorkerMetrics } from '../../src/metrics/worker.ts';
import { TargetError } from '../../src/executor/connector.ts';
import { forger, makeStep } from '../support/envelopes.ts';
import { createBench } from '../support/worker-bench.ts';

const HAS_PROMTOOL = spawnSync('promtool', ['--version']).error === undefined;

it('an end is armed until it is due, overdue from that moment while it cannot be carried out, and neither once it is', async () => {
  let down = false;
  const bench = createBench({
    reported(report) {
      metrics.take(report);
      throw new Error('whoever counts keeps nothing from being done');
    },
    wrap: (connector) => ({ ...connector, revoke: (order, signal) => (down ? Promise.reject(new TargetError('unreachable', 'canary: no route')) : connector.revoke(order, signal)) }),
  });
  const metrics = openWorkerMetrics('0.0.0-test', () => bench.clock.nowMs);
  const worker = await bench.start();
  metrics.watch(() => ({ ...worker.watched(), busUp: null }));
  const values = async (...series: string[]): Promise<(number | undefined)[]> => {
    const lines = (await metrics.text()).split('\n');
    return series.map((name) => {
      const line = lines.find((one) => one.startsWith(`countersign_worker_${name} `));
      return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
    });
  };
  const OWED = ['revocations_armed', 'revocations_overdue', 'revocations_overdue_oldest_seconds', 'last_revocation_timestamp_seconds'];
  const { envelope } = makeStep({ leaseSeconds: 900 });
  await worker.step(envelope);
  await bench.clock.until(() => bench.of('acted').length > 0);
  expect(await values(...OWED, 'reports_total{kind="acted",outcome="done"}', 'reports_total{kind="claimed",outcome="done"}')).toEqual([1, 0, 0, 0, 1, 1]);

  down = true;
  bench.listening = false;
  await bench.clock.advance(900_000);
  await bench.clock.advance(60_000);
  const [armed, overdue, oldest, last] = await values(...OWED);
  expect([armed, overdue, last]).toEqual([0, 1, 0]);
  expect(oldest).toBeGreaterThanOrEqual(60);
  expect((await values('reports_waiting'))[0]).toBeGreaterThan(0);
  await expect(worker.step(makeStep({ ticketSigner: forger }).envelope)).rejects.toThrow();
  const text = await metrics.text();
  expect(text).not.toMatch(/chg_|nhi:|person:|stp_|lse_|canary/);
  expect(await values('refused_total{code="unknown-sidecar"}', 'lease_book_ok', 'lease_book_failures_total', 'bus_connected')).toEqual([1, 1, 0, undefined]);
  if (HAS_PROMTOOL) expect(execFileSync('promtool', ['check', 'metrics'], { input: `${text.split('\n').filter((line) => line.includes('countersign_')).join('\n')}\n`, encoding: 'utf8' })).toBe('');

  down = false;
  bench.listening = true;
  await bench.clock.until(() => bench.of('revoked').some(({ outcome }) => outcome === 'done'));
  expect((await values(...OWED)).slice(0, 3)).toEqual([0, 0, 0]);
  expect((await values('last_revocation_timestamp_seconds'))[0]).toBeGreaterThan(0);

  bench.disk.watch = () => {
    throw new Error('no space left');
  };
  await worker.step(makeStep().envelope).catch(() => undefined);
  metrics.watch(() => ({ ...worker.watched(), busUp: false }));
  expect(await values('lease_book_ok', 'lease_book_failures_total', 'bus_connected')).toEqual([0, 1, 0]);
});
