/** Traces go from who asks to what is done at the target; they hold nothing that anybody wrote, they are believed for nothing, and nobody waits for them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TargetError } from '../../src/executor/connector.ts';
import { CHILD_MS, recentTraces } from '../../src/tracing/recent.ts';
import { openTracer } from '../../src/tracing/otlp.ts';
import { formatTraceparent, parseTraceparent } from '../../src/tracing/trace.ts';
import { tracingSchema } from '../../src/tracing/config.ts';
import { eventually } from '../conformance/transport.ts';
import { CERTIFICATE, KEY } from '../support/door-certificate.ts';
import { forger, makeRead, makeStep } from '../support/envelopes.ts';
import { GRANT, openTestSidecar, type TestSidecar } from '../support/sidecar.ts';
import { CALLER_TRACE, CALLER_TRACEPARENT, recordingTracer } from '../support/spans.ts';
import { createBench } from '../support/worker-bench.ts';

describe('a traceparent', () => {
  it('is read, and written as it was', () => {
    expect(parseTraceparent(CALLER_TRACEPARENT)).toEqual(CALLER_TRACE);
    expect(formatTraceparent(CALLER_TRACE)).toBe(CALLER_TRACEPARENT);
    expect(parseTraceparent(CALLER_TRACEPARENT.replace(/01$/, '00'))).toEqual({ ...CALLER_TRACE, sampled: false });
    expect(parseTraceparent(`01${CALLER_TRACEPARENT.slice(2)}-what-a-later-version-adds`)).toEqual(CALLER_TRACE);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined], ['no text', { traceparent: CALLER_TRACEPARENT }], ['garbage', '<script>'], ['a trace id of zeros', CALLER_TRACEPARENT.replace(CALLER_TRACE.traceId, '0'.repeat(32))],
    ['a span id of zeros', CALLER_TRACEPARENT.replace(CALLER_TRACE.spanId, '0'.repeat(16))], ['upper case', CALLER_TRACEPARENT.toUpperCase()], ['the version that there will never be', `ff${CALLER_TRACEPARENT.slice(2)}`],
    ['more than its version has', `${CALLER_TRACEPARENT}-more`], ['two at once', `${CALLER_TRACEPARENT}, ${CALLER_TRACEPARENT}`], ['a line too many', `${CALLER_TRACEPARENT}\n`], ['a book', `01${CALLER_TRACEPARENT.slice(2)}-${'x'.repeat(10_000)}`],
  ])('that is %s is as if none had come', (_what, text) => {
    expect(parseTraceparent(text)).toBeNull();
  });
});

it('what is done soon is in the trace of who asked, and what is done much later has one of its own with a link back', () => {
  let nowMs = 0;
  const tracer = recordingTracer();
  const traces = recentTraces(tracer, () => nowMs);
  const begin = (name: string): void => traces.begin('chg_1', name, { kind: 'internal', attributes: {} }).end();
  traces.set('chg_1', CALLER_TRACE);
  begin('soon');
  const approval = { ...CALLER_TRACE, traceId: 'b'.repeat(32) };
  traces.follow('chg_1', approval);
  traces.follow('chg_1', { ...approval, traceId: 'c'.repeat(32) })();
  begin('approved');
  nowMs = CHILD_MS;
  begin('later');
  begin('then');
  const [soon, approved, later, then] = tracer.spans;
  expect([soon!.options.parent, soon!.options.links]).toEqual([CALLER_TRACE, []]);
  expect([approved!.options.parent, approved!.options.links]).toEqual([CALLER_TRACE, [approval]]);
  expect([later!.options.parent, later!.options.links]).toEqual([null, [CALLER_TRACE]]);
  expect([then!.options.parent, then!.options.links]).toEqual([later!.context, []]);
});

describe('a worker that is looked at', () => {
  const CANARY = 'canary-secret-9f31';

  it('takes a step in the trace it came in, and says of each call what it was and how it ended: no secret, and no word of a target', async () => {
    const tracer = recordingTracer();
    let failed = 0;
    const bench = createBench({ tracer, wrap: (connector) => ({
      ...connector,
      async read(query, signal) {
        failed += 1;
        if (failed === 1) throw new TargetError('unreachable', `connection string postgres://u:${CANARY}@db`);
        return connector.read(query, signal);
      },
      // A module of somebody's own may answer anything.
      async apply(input) {
        await connector.apply(input);
        return CANARY as unknown as undefined;
      },
    }) });
    const worker = await bench.start();
    const { envelope, ticket } = makeStep();
    await worker.step(envelope, CALLER_TRACEPARENT);
    await bench.clock.until(() => tracer.named('report acted').length > 0);
    const names = tracer.spans.map(({ name }) => name);
    expect(names).toEqual(['process act', 'report claimed', 'read pg-main', 'read pg-main', 'apply pg-main', 'use pg-main', 'read pg-main', 'report acted']);
    const [claim] = tracer.named('process act');
    expect(claim!.options.parent).toEqual(CALLER_TRACE);
    for (const span of tracer.spans.slice(1)) expect(span.options.parent, span.name).toEqual(claim!.context);
    expect(tracer.named('read pg-main')[0]!.ended).toEqual({ error: 'unreachable', attributes: {} });
    expect(tracer.named('apply pg-main')[0]!.ended).toEqual({ attributes: {} });
    expect(tracer.named('use pg-main')[0]!.ended).toEqual({ attributes: { 'countersign.outcome': 'works' } });
    expect(tracer.named('report acted')[0]!.options.attributes).toMatchObject({ 'countersign.outcome': 'done', 'countersign.change': ticket.changeId });
    const { secret } = bench.target.accounts.get(ticket.step.account)!;
    const told = JSON.stringify(tracer.spans);
    for (const hidden of [CANARY, secret!, ticket.step.account, ticket.step.clientToken, 'postgres://']) expect(told).not.toContain(hidden);
  });

  it('takes a step whose traceparent is garbage as it would any other, and what nobody trusted has signed is in nobody’s trace', async () => {
    const tracer = recordingTracer();
    const bench = createBench({ tracer });
    const worker = await bench.start();
    await expect(worker.step(makeStep({ ticketSigner: forger }).envelope, CALLER_TRACEPARENT)).rejects.toMatchObject({ code: 'unknown-sidecar' });
    expect(tracer.spans).toEqual([]);
    const { envelope } = makeRead();
    expect(await worker.step(envelope, '<script>')).toEqual({ accepted: true });
    await bench.clock.until(() => bench.of('read').length > 0);
    expect(tracer.named('process read').map(({ options }) => options.parent)).toEqual([null]);
    expect(new Set(tracer.spans.map(({ context }) => context.traceId)).size).toBe(1);
  });
});

describe('a sidecar that is looked at', () => {
  let sidecar: TestSidecar;
  afterEach(() => sidecar.close());

  it('answers in the trace of who asks, works on the change in it, and sends its steps in it; a span has no word of any request', async () => {
    const tracer = recordingTracer();
    sidecar = await openTestSidecar({ tracing: { tracer, changes: recentTraces(tracer, () => 0) } });
    const { body } = await sidecar.send(GRANT.subject, 'POST', '/v1/changes?wait=PT5S', { ...GRANT, reason: 'canary reason' }, { traceparent: CALLER_TRACEPARENT, tracestate: 'canary=state' });
    const { id, planDigest } = body as { readonly id: string; readonly planDigest: string };
    const [asked] = tracer.named('POST /v1/changes');
    expect(asked!.options.parent).toEqual(CALLER_TRACE);
    expect(asked!.ended!.attributes).toEqual({ 'http.response.status_code': 201 });
    const [read] = tracer.named('publishRead');
    expect([read!.options.parent, read!.options.kind]).toEqual([asked!.context, 'producer']);

    await sidecar.send('person:mallory', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest }, { traceparent: 'garbage' });
    await sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest, comment: 'canary comment' });
    await sidecar.send('person:wei', 'GET', '/v1/changes/canary-path');
    await sidecar.send('person:wei', 'GET', '/readyz');
    const { length } = tracer.spans;
    const [refused, approved] = tracer.named('POST /v1/changes/{id}/approvals');
    expect([refused!.ended!.attributes['http.response.status_code'], refused!.options.parent]).toEqual([404, null]);
    await sidecar.engine.changed(id, 0, 5_000);
    const followed = tracer.spans.filter(({ options }) => (options.links ?? []).length > 0);
    expect(followed.map(({ options }) => options.links)).toEqual([[approved!.context]]);
    expect(followed[0]!.options.parent).toEqual(asked!.context);
    expect(length).toBeGreaterThan(5);
    const told = JSON.stringify(tracer.spans);
    for (const word of ['canary', 'garbage', '/readyz', 'person:', 'nhi:']) expect(told).not.toContain(word);
    // Nor is it on record, or in anything that is signed.
    for await (const { record } of sidecar.log.entries(0)) expect(JSON.stringify(record)).not.toContain(CALLER_TRACE.traceId);
  });
});

describe('a collector', () => {
  let server: Server;
  const started = async (answer: (body: string, respond: (status: number) => void) => void): Promise<string> => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => answer(body, (status) => response.writeHead(status, { 'content-type': 'application/json' }).end('{}')));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  };
  afterEach(() => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  }));
  const warned: string[] = [];
  const open = (endpoint: string, percent = 100): ReturnType<typeof openTracer> => openTracer({ endpoint, percent, service: { name: 'test', version: '0', instance: 'a' }, logger: { warn: (_fields, message) => void warned.push(message) } });
  const flood = (tracer: ReturnType<typeof openTracer>): number => {
    const startedMs = performance.now();
    for (let n = 0; n < 20_000; n += 1) tracer.begin('x', { kind: 'internal', parent: null, attributes: { n } }).end();
    return performance.now() - startedMs;
  };

  it('is sent what ended, with who sent it, under the parent that it has', async () => {
    const heard: string[] = [];
    const tracer = open(await started((body, respond) => {
      heard.push(body);
      respond(200);
    }));
    tracer.begin('x', { kind: 'server', parent: CALLER_TRACE, attributes: { a: 1 } }).end({ error: 'fault' });
    tracer.begin('unsampled', { kind: 'server', parent: { ...CALLER_TRACE, sampled: false }, attributes: {} }).end();
    tracer.begin('not ended', { kind: 'server', parent: CALLER_TRACE, attributes: {} });
    await tracer.close();
    const [{ resource, scopeSpans }] = (JSON.parse(heard.join('')) as { resourceSpans: [{ resource: { attributes: unknown }; scopeSpans: [{ spans: Record<string, unknown>[] }] }] }).resourceSpans;
    expect(resource.attributes).toContainEqual({ key: 'service.name', value: { stringValue: 'test' } });
    expect(scopeSpans[0].spans.map(({ name, traceId, parentSpanId, status }) => ({ name, traceId, parentSpanId, status }))).toEqual([{ name: 'x', traceId: CALLER_TRACE.traceId, parentSpanId: CALLER_TRACE.spanId, status: { code: 2 } }]);
  });

  it('that is flooded is sent a batch and a queue of spans, and the rest is dropped', async () => {
    let received = 0;
    let heard = '';
    const tracer = open(await started((body, respond) => {
      heard = body;
      received += body.split('"traceId"').length - 1;
      respond(200);
    }));
    flood(tracer);
    await eventually(() => received >= 2_048 + 256);
    // In order: all that was there before it has been sent, once it has.
    tracer.begin('the last', { kind: 'internal', parent: null, attributes: {} }).end();
    await eventually(() => heard.includes('the last'));
    expect(received).toBe(2_048 + 256 + 1);
    await tracer.close();
  });

  it('that is dead or never answers keeps nobody waiting', async () => {
    const closedIn = async (tracer: ReturnType<typeof openTracer>): Promise<number> => {
      const closingMs = performance.now();
      await tracer.close();
      return performance.now() - closingMs;
    };
    const hangs = await started(() => undefined);
    const one = open(hangs);
    one.begin('x', { kind: 'internal', parent: null, attributes: {} }).end();
    const many = open(hangs);
    expect(flood(many), 'ms for 20,000 spans').toBeLessThan(5_000);
    const dead = open('http://127.0.0.1:1/v1/traces');
    flood(dead);
    for (const ms of await Promise.all([one, many, dead].map(closedIn))) expect(ms, 'ms to close').toBeLessThan(4_000);
  });

  /** Answers without end; resolves once its first connection is cut. */
  const trickling = (): Promise<boolean> => new Promise<boolean>((resolve) => {
    server.removeAllListeners('request');
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      response.writeHead(200).write('{');
      const trickle = setInterval(() => response.write(' '), 50);
      request.socket.on('close', () => {
        clearInterval(trickle);
        resolve(true);
      });
    });
  });
  const within = (ms: number, cut: Promise<boolean>): Promise<boolean> => Promise.race([cut, new Promise<boolean>((resolve) => setTimeout(resolve, ms, false))]);
  const beginOne = (tracer: ReturnType<typeof openTracer>): void => tracer.begin('x', { kind: 'internal', parent: null, attributes: {} }).end();

  it('that answers without end keeps no process: its connections are cut once this is closed', async () => {
    const endpoint = await started(() => undefined);
    const cut = trickling();
    const tracer = open(endpoint);
    beginOne(tracer);
    await tracer.close();
    expect(await within(1_000, cut)).toBe(true);
  });

  it('that answers one batch without end is cut off from that one alone, and its connections are used again', async () => {
    const exportMs = 1_000;
    const heard: { answered: boolean; cutMs: number | null }[] = [];
    const sockets = new Set<unknown>();
    let trickle: NodeJS.Timeout | undefined;
    const endpoint = await started(() => undefined);
    server.removeAllListeners('request');
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const [one, beganMs] = [{ answered: false, cutMs: null as number | null }, performance.now()];
      heard.push(one);
      sockets.add(request.socket);
      response.on('close', () => (one.cutMs = response.writableFinished ? null : performance.now() - beganMs));
      // The second, on the connection of the first.
      if (heard.length === 2) {
        response.writeHead(200).write('{');
        trickle = setInterval(() => response.write(' '), 50);
      } else {
        // Longer than what the second has left once its batch is given up, and less than it may take itself.
        request.resume().on('end', () => setTimeout(() => response.end('{}', () => (one.answered = true)), exportMs * 0.6));
      }
    });
    const tracer = openTracer({ endpoint, percent: 100, service: { name: 'test', version: '0', instance: 'a' }, logger: { warn: () => undefined }, exportMs });
    for (let n = 0; n < 256 * 5; n += 1) beginOne(tracer);
    await eventually(() => heard.length === 5 && heard.filter(({ answered }) => answered).length === 4);
    const [first, second, ...rest] = heard;
    clearInterval(trickle);
    expect([first, ...rest].map((one) => one?.cutMs)).toEqual([null, null, null, null]);
    expect(second?.cutMs).toBeGreaterThan(exportMs);
    expect(sockets.size).toBe(2);
    await tracer.close();
  });

  it('that answers without end is cut off while spans are sent as well, and where the environment names its authority', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-otlp-'));
    await writeFile(join(folder, 'authority.pem'), CERTIFICATE);
    vi.stubEnv('OTEL_EXPORTER_OTLP_CERTIFICATE', join(folder, 'authority.pem'));
    server = createTlsServer({ cert: CERTIFICATE, key: KEY });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const endless = trickling();
      const tracer = openTracer({ endpoint: `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, percent: 100, service: { name: 'test', version: '0', instance: 'a' }, logger: { warn: () => undefined }, exportMs: 200 });
      beginOne(tracer);
      expect(await within(10_000, endless), 'cut while spans are sent').toBe(true);
      const closed = trickling();
      beginOne(tracer);
      await tracer.close();
      expect(await within(1_000, closed), 'cut once it is closed').toBe(true);
      vi.stubEnv('OTEL_EXPORTER_OTLP_CERTIFICATE', join(folder, 'no-such-file'));
      let isSent = false;
      server.removeAllListeners('request').on('request', () => (isSent = true));
      warned.splice(0);
      const unbelieving = open(`https://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`);
      beginOne(unbelieving);
      await unbelieving.close();
      expect(isSent, 'sent to whom nobody has vouched for').toBe(false);
      expect(warned.splice(0)).toContain('a certificate of the collector of traces cannot be read: it is as if it were not named');
    } finally {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    }
  });

  it('that will not have them is complained of once', async () => {
    const tracer = open(await started((_body, respond) => respond(400)));
    warned.splice(0);
    flood(tracer);
    await tracer.close();
    expect(warned).toEqual(['the collector of traces does not take spans; they are dropped']);
  });
});

it('an endpoint is a URL without a secret in it', () => {
  expect(tracingSchema.parse({ endpoint: 'http://127.0.0.1:4318/v1/traces' })).toEqual({ endpoint: 'http://127.0.0.1:4318/v1/traces', percent: 100 });
  for (const endpoint of ['127.0.0.1:4318', 'file:///etc/passwd', 'http://u:p@h/', 'http://h/?token=x', '']) expect(tracingSchema.safeParse({ endpoint }).success, endpoint).toBe(false);
});
