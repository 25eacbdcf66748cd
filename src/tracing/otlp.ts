/**
 * Spans sent to a collector by OTLP over HTTP. Loaded only where the configuration names one. What the collector does, or does not, holds nobody up: spans wait in a
 * queue of bounded length, and those that find it full are dropped.
 *
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp
 */
import { readFileSync } from 'node:fs';
import { Agent, type ClientRequest } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { createNoopMeter, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Context, type Link } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { BasicTracerProvider, BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, type SpanExporter, type TracerConfig } from '@opentelemetry/sdk-trace-node';
import type { Span, SpanOptions, TraceContext, Tracer } from './trace.ts';

export interface OtlpOptions {
  /** Where spans are posted to: `http://127.0.0.1:4318/v1/traces`. */
  readonly endpoint: string;
  /** Of the traces that are begun here: so many are written down. What comes with a trace of its own goes by that. */
  readonly percent: number;
  /** `service.name`, `service.version` and `service.instance.id`. */
  readonly service: { readonly name: string; readonly version: string; readonly instance: string };
  readonly logger: { warn(fields: Record<string, unknown>, message: string): void };
  /** How long the collector may take for a batch; left out: 5 s. */
  readonly exportMs?: number;
}

export interface OpenTracer extends Tracer {
  /** Sends what is still there, for at most {@link CLOSE_MS}. Never rejects. */
  close(): Promise<void>;
}

const QUEUE_SPANS_MAX = 2_048;
const BATCH_SPANS_MAX = 256;
const BATCH_DELAY_MS = 1_000;
const EXPORT_MS = 5_000;
/** Batches on their way at a time: a collector that does not answer keeps no more than these. */
const EXPORTS_MAX = 2;
const CLOSE_MS = 2_000;
const SPAN_LIMITS = { attributeValueLengthLimit: 256, attributeCountLimit: 32, linkCountLimit: 8, eventCountLimit: 0 };

const KINDS: Readonly<Record<SpanOptions['kind'], SpanKind>> = {
  server: SpanKind.SERVER, client: SpanKind.CLIENT, producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL,
};

export function openTracer({ endpoint, percent, service, logger, exportMs = EXPORT_MS }: OtlpOptions): OpenTracer {
  const agent = cuttingOff(endpoint.startsWith('http:') ? new Agent({ keepAlive: true }) : new TlsAgent({ keepAlive: true, ...certificates(logger) }), exportMs);
  const exporter = new OTLPTraceExporter({ url: endpoint, httpAgentOptions: () => agent, timeoutMillis: exportMs, concurrencyLimit: EXPORTS_MAX, userAgent: `countersign/${service.version}` });
  const provider = new BasicTracerProvider({
    resource: resourceOf(service), sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(percent / 100) }), spanLimits: SPAN_LIMITS, meterProvider: { getMeter: createNoopMeter },
    spanProcessors: [new BatchSpanProcessor(sayingOnce(exporter, logger), {
      maxQueueSize: QUEUE_SPANS_MAX, maxExportBatchSize: BATCH_SPANS_MAX, scheduledDelayMillis: BATCH_DELAY_MS, exportTimeoutMillis: exportMs,
    })],
  });
  const tracer = provider.getTracer('countersign', service.version);
  return {
    begin(name, { kind, parent, links = [], attributes }) {
      const span = tracer.startSpan(name, { kind: KINDS[kind], attributes, links: links.map((link): Link => ({ context: spanContext(link) })) }, contextOf(parent));
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        context: { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 },
        end({ error, attributes: more = {} } = {}) {
          span.setAttributes(error === undefined ? more : { ...more, 'error.type': error });
          if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      } satisfies Span;
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, CLOSE_MS);
      });
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
      // A collector that answers without end would keep the process.
      agent.destroy();
    },
  };
}

/** Whom the exporter's standard variables have believed, and as whom it shows itself: the agent is ours, so that its connections can be cut, and what they name with it. */
function certificates(logger: OtlpOptions['logger']): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const read = (name: string): Buffer | undefined => {
    const path = [process.env[`OTEL_EXPORTER_OTLP_TRACES_${name}`], process.env[`OTEL_EXPORTER_OTLP_${name}`]].find((one) => one !== undefined && one.trim() !== '');
    try {
      return path === undefined ? undefined : readFileSync(path.trim());
    } catch (cause) {
      logger.warn({ name, reason: (cause as Error).message.slice(0, 200) }, 'a certificate of the collector of traces cannot be read: it is as if it were not named');
      return undefined;
    }
  };
  const [ca, cert, key] = [read('CERTIFICATE'), read('CLIENT_CERTIFICATE'), read('CLIENT_KEY')];
  return { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

/**
 * The same agent, which cuts off a connection whose answer takes too long: the exporter's own time is for silence, and an answer that goes on and on would keep
 * its place among those on their way. What other batches are sent over stays.
 */
function cuttingOff<T extends Agent>(agent: T, exportMs: number): T {
  const late = new WeakMap<object, NodeJS.Timeout>();
  const begun = <S extends Duplex | null | undefined>(socket: S): S => {
    if (socket != null) late.set(socket, setTimeout(() => socket.destroy(), exportMs * 1.2).unref());
    return socket;
  };
  const { createConnection, keepSocketAlive, reuseSocket } = agent;
  Object.assign(agent, {
    createConnection: (...asked: Parameters<Agent['createConnection']>) => begun(createConnection.apply(agent, asked)),
    reuseSocket: (socket: Duplex, request: ClientRequest) => reuseSocket.call(agent, begun(socket), request),
    keepSocketAlive(socket: Duplex) {
      clearTimeout(late.get(socket));
      return keepSocketAlive.call(agent, socket);
    },
  });
  return agent;
}

function contextOf(parent: TraceContext | null): Context {
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, spanContext(parent));
}

function spanContext({ traceId, spanId, sampled }: TraceContext): { traceId: string; spanId: string; traceFlags: TraceFlags; isRemote: boolean } {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true };
}

/** Nothing but these attributes: what detectors find out of host and process is nobody's business here. */
function resourceOf({ name, version, instance }: OtlpOptions['service']): NonNullable<TracerConfig['resource']> {
  const attributes = { 'service.name': name, 'service.version': version, 'service.instance.id': instance };
  const resource: NonNullable<TracerConfig['resource']> = { attributes, merge: () => resource, getRawAttributes: () => Object.entries(attributes) };
  return resource;
}

/** Says when spans begin not to be taken, once until they are again. */
function sayingOnce(exporter: SpanExporter, logger: OtlpOptions['logger']): SpanExporter {
  let failing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const { error } = result;
        if (error !== undefined && !failing) logger.warn({ reason: error.message.slice(0, 200) }, 'the collector of traces does not take spans; they are dropped');
        failing = error !== undefined;
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush!(),
    shutdown: () => exporter.shutdown(),
  };
}
