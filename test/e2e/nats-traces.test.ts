/** Sidecar and worker as processes on a real bus, a real PostgreSQL behind them, and a collector: who asked in a trace finds in it what was done at the target. */
import { appendFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../examples/demo/check.ts';
import type { Installation } from '../../examples/demo/installation.ts';
import { connect, isSettled } from '../../src/client/index.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { CALLER_TRACE, CALLER_TRACEPARENT } from '../support/spans.ts';
import { countersign, openBench, verificationTrouble, type Bench } from './support/bench.ts';
import { deployGrant, isGone, isRevoked, REST_MS } from './support/grants.ts';

const EXECUTOR = 'executor:main';

interface Told {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
}

interface Exported {
  readonly resourceSpans: readonly { readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[] }; readonly scopeSpans: readonly { readonly spans: readonly Omit<Told, 'service'>[] }[] }[];
}

describe.skipIf(!hasNats())('over a bus, with a collector of traces', () => {
  let bench: Bench;
  let nats: TestNats;
  let collector: Server;
  let installation: Installation;
  const told: Told[] = [];
  beforeAll(async () => {
    collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        for (const { resource, scopeSpans } of (JSON.parse(Buffer.concat(chunks).toString()) as Exported).resourceSpans) {
          const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
          for (const { spans } of scopeSpans) told.push(...spans.map((span) => ({ ...span, service })));
        }
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const tracing = { endpoint: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces` };
    [bench, nats] = await Promise.all([openBench({ fsync: 'off' }), testNats([EXECUTOR])]);
    installation = bench.install('nats-traces', {
      config: { limits: { republishSeconds: 1 }, tracing },
      bus: { servers: nats.urls, seed: nats.seeds.sidecar, executorId: EXECUTOR, executorSeed: nats.seeds.executors.get(EXECUTOR)! },
    });
    appendFileSync(installation.paths.executorConfig, `tracing: {endpoint: "${tracing.endpoint}"}\n`);
    expect((await countersign(['nats', 'setup', '--config', installation.paths.config])).exitCode).toBe(0);
    await installation.startExecutor();
    await installation.startSidecar();
  });
  afterAll(async () => {
    await installation.stop();
    await nats.close();
    await bench.close();
    await new Promise((resolve) => collector.close(resolve));
  });

  test('one trace has the request, what the sidecar sent over the bus, and what the worker did at the target and reported, under one another', async () => {
    const pipeline = connect({ socket: installation.paths.socket, token: installation.tokenOf('nhi:prod/ci-deployer'), traceparent: () => CALLER_TRACEPARENT });
    const { id } = await pipeline.request(deployGrant('PT10M'));
    const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
    await installation.as('person:wei').approve(id, asked.planDigest!);
    const active = await pipeline.wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
    await installation.as('person:wei').revoke(id, 'early');
    await isGone(bench, active);
    await isRevoked(bench, installation, active);

    const inTrace = (): Told[] => told.filter(({ traceId }) => traceId === CALLER_TRACE.traceId);
    const find = (name: string): Told | undefined => inTrace().find((span) => span.name === name);
    const NAMES = ['POST /v1/changes', 'publishRead', 'process read', 'publishAct', 'process act', 'apply pg-main', 'report acted', 'publishRevoke', 'revoke pg-main', 'report revoked'];
    await until('every span has come', () => (NAMES.every((name) => find(name) !== undefined) ? true : undefined), { timeoutMs: REST_MS });
    const parentOf = ({ parentSpanId }: Told): Told | undefined => inTrace().find(({ spanId }) => spanId === parentSpanId);
    /** From a span up to whoever asked. */
    const pathOf = (name: string): string[] => {
      const path: string[] = [];
      for (let span = find(name); span !== undefined; span = parentOf(span)) path.push(`${span.service.replace('countersign-', '')}: ${span.name}`);
      return path;
    };
    const ASKED = 'sidecar: POST /v1/changes';
    expect(find('POST /v1/changes')!.parentSpanId).toBe(CALLER_TRACE.spanId);
    expect(pathOf('apply pg-main')).toEqual(['worker: apply pg-main', 'worker: process act', 'sidecar: publishAct', ASKED]);
    expect(pathOf('report acted')).toEqual(['worker: report acted', 'worker: process act', 'sidecar: publishAct', ASKED]);
    expect(pathOf('process read')).toEqual(['worker: process read', 'sidecar: publishRead', ASKED]);
    expect(pathOf('revoke pg-main')).toEqual(['worker: revoke pg-main', 'sidecar: publishRevoke', ASKED]);
    expect(await verificationTrouble(installation)).toBe('');
  });
});
