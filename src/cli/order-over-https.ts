/** Hands an executor a revoke order at its HTTPS door, and waits to hear that it was carried out. */
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { z } from 'zod';
import { JsonError, parseStrict } from '../../ledger/index.ts';
import { TransportError } from '../engine/ports.ts';
import { readPayload } from '../protocol/dsse.ts';
import { reportMessageSchema } from '../protocol/envelope.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { reportSchema, type Dsse, type RevokeOrder } from '../protocol/signed.ts';
import type { OrderOptions, Reported } from './order-executor.ts';

/** Where an executor's door is, and whose certificate to expect there. */
export interface HttpsDoor {
  /** `https://host:port`. */
  readonly url: string;
  /** File with the PEM of the authorities, or the very certificate, to trust, and nothing else; null for the system's. Read when it is needed. */
  readonly caFile: string | null;
}

const answerSchema = z.object({ report: reportMessageSchema.nullable() });
const troubleSchema = z.object({ code: z.string().max(64), detail: z.string().max(500) });
const ANSWER_BYTES_MAX = 2_097_152;
/** Between tries where there were too many. */
const AGAIN_MS = 1_000;

/**
 * As {@link import('./order-executor.ts').orderExecutor}.
 *
 * @throws TransportError `unreachable`: nobody is known to have taken the order; `rejected`: the executor does not accept it
 */
export async function orderOverHttps(door: HttpsDoor, envelope: Dsse, { leaseId }: Pick<RevokeOrder, 'leaseId'>, options: OrderOptions): Promise<Reported | null> {
  return reportOf(door, await handIn(door, envelope, options), leaseId);
}

/**
 * As {@link import('./order-executor.ts').lockExecutor}.
 *
 * @throws TransportError `unreachable`: it is not known to hold it; `rejected`: it does not believe the statement
 */
export async function lockOverHttps(door: HttpsDoor, lock: Dsse, { answerMs, signal }: Pick<OrderOptions, 'answerMs' | 'signal'>): Promise<void> {
  await handIn(door, lock, { answerMs, waitMs: answerMs, signal });
}

/** The body of the answer once the statement is taken; what is too much for the door is tried again. */
async function handIn(door: HttpsDoor, envelope: Dsse, options: OrderOptions): Promise<unknown> {
  const ca = await caOf(door);
  const untilMs = performance.now() + options.answerMs;
  for (;;) {
    const { status, body } = await post(door.url, ca, envelope, options);
    if (status === 429 && performance.now() + AGAIN_MS < untilMs && !options.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      continue;
    }
    if (status !== 200 && status !== 202) throw troubleOf(door, status, body);
    return body;
  }
}

/** The report of that lease's end; its signature is the caller's to check. */
function reportOf(door: HttpsDoor, body: unknown, leaseId: string): Reported | null {
  const parsed = answerSchema.safeParse(body);
  if (!parsed.success) throw new TransportError('unreachable', `${door.url}: not the answer of an executor`);
  const message = parsed.data.report;
  if (message === null) return null;
  try {
    const report = readPayload(message.report, reportSchema);
    return report.kind === 'revoked' && report.leaseId === leaseId ? { envelope: message.report, report } : null;
  } catch (cause) {
    if (cause instanceof ProtocolError) throw new TransportError('unreachable', `${door.url}: not the answer of an executor`, { cause });
    throw cause;
  }
}

/** Only a no of the executor's own to this very order is one; anything else may be tried elsewhere. */
function troubleOf({ url }: HttpsDoor, status: number, body: unknown): TransportError {
  const said = troubleSchema.safeParse(body).data;
  const text = said === undefined ? `answers with ${status}` : `${said.code}: ${said.detail}`;
  return new TransportError(status === 403 && said !== undefined ? 'rejected' : 'unreachable', `${url}: ${text}`);
}

/** @throws TransportError: another door may do */
async function caOf({ url, caFile }: HttpsDoor): Promise<string | null> {
  if (caFile === null) return null;
  return readFile(caFile, 'utf8').catch((cause: unknown) => {
    throw new TransportError('unreachable', `${url}: its certificate ${caFile} cannot be read`, { cause });
  });
}

function post(url: string, ca: string | null, envelope: Dsse, options: OrderOptions): Promise<{ readonly status: number; readonly body: unknown }> {
  const payload = Buffer.from(JSON.stringify(envelope), 'utf8');
  const waitSeconds = Math.max(1, Math.min(60, Math.ceil(options.waitMs / 1000)));
  const settings: RequestOptions = {
    method: 'POST', headers: { 'content-type': 'application/json', 'content-length': payload.length, 'prefer': `wait=${waitSeconds}` }, agent: false, minVersion: 'TLSv1.2',
    ...(ca === null ? {} : { ca }), signal: options.signal,
  };
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => reject(new TransportError('unreachable', `${url}: ${why}`, { cause }));
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(new URL('/v1/orders', url), settings, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX) return void request.destroy(new Error('an answer without end'));
        chunks.push(chunk);
      });
      response.on('error', (error) => fail(error.message, error));
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: parseStrict(Buffer.concat(chunks), { maxBytes: ANSWER_BYTES_MAX }) });
        } catch (error) {
          if (!(error instanceof JsonError)) return reject(error instanceof Error ? error : new Error(String(error)));
          resolve({ status: response.statusCode ?? 0, body: null });
        }
      });
    });
    const late = (): void => void request.destroy(new Error('no answer in time'));
    let deadline = setTimeout(late, options.answerMs);
    // Once somebody is there, the answer comes with the report, or when the wait is over.
    request.on('socket', (socket) => socket.once('connect', () => {
      clearTimeout(deadline);
      deadline = setTimeout(late, options.answerMs + waitSeconds * 1000);
    }));
    request.on('error', (error) => fail(error.message, error));
    request.on('close', () => clearTimeout(deadline));
    request.end(payload);
  });
}
