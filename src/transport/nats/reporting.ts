/**
 * Reports on their way over the bus. The stream holds each from when it says so, and its sidecar fetches it there: it is published again only
 * where that may be lost, or may never be answered. A stream that every log shares does not fill because one sidecar is away.
 */
import { jetstream, JetStreamApiError } from '@nats-io/jetstream';
import { canonicalBytes } from '../../../ledger/index.ts';
import { TransportError, type Clock } from '../../engine/ports.ts';
import { anyReportSchema } from '../../protocol/discovery.ts';
import { payloadDigest, readPayload } from '../../protocol/dsse.ts';
import type { ReportMessage } from '../../protocol/envelope.ts';
import { API_PREFIX, delivery, MESSAGE_BYTES_MAX, NOT_THE_LAST, result } from './bus-layout.ts';
import type { Bus } from './connection.ts';
import type { Ack } from './said.ts';

type Said = Extract<Ack, { readonly t: 'taken' | 'refused' }>;

export interface Reporting {
  /**
   * Resolves when a sidecar has recorded the report.
   *
   * @throws TransportError `unreachable`: the bus or the sidecar has not said so in time; `rejected`: the sidecar would not have it
   */
  send(message: ReportMessage): Promise<void>;
  /** What became of a report. */
  heard(said: Said): void;
  /** The sidecar of this log is there, and may not have heard, or not have answered, what was published before: the next try publishes again. */
  hello(log: string): void;
  /** The bus was away, and may have lost what it held: the next try asks it. */
  doubt(): void;
}

interface Held {
  /** Times that the log's sidecar had said hello when this was published. */
  readonly hellos: number;
  /** When the stream last said that it holds it. */
  atMs: number;
  /** Since when no sidecar that is there has been asked to say hello for it. */
  sinceMs: number;
  said: Said | null;
}

const PUBLISH_MS = 5_000;
/** How long the stream is taken at its word, and how long nobody is asked about what was not taken. */
const HELD_MS = 600_000;
/** How long another answer is waited for to what was refused: later reports do not wait longer for it. */
const REFUSED_MS = 2_000;

export interface ReportingOptions {
  readonly lane: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly ackMs: number;
  /** Has every sidecar that is there say hello: its answer to a report may have been lost, and is given once more to one that is published again. */
  readonly askForHello: () => void;
}

export function openReporting({ lane, bus, clock, ackMs, askForHello }: ReportingOptions): Reporting {
  const waiting = new Map<string, (said: Said) => void>();
  /** Of reports that were not taken yet, by token. */
  const held = new Map<string, Held>();
  const hellos = new Map<string, number>();
  let askedMs = Number.NEGATIVE_INFINITY;

  /** One hello does for all that is held. */
  const doubtAnswer = (known: Held): void => {
    const nowMs = clock.nowMs();
    if (nowMs - known.sinceMs < HELD_MS) return;
    known.sinceMs = nowMs;
    if (nowMs - askedMs < HELD_MS) return;
    askedMs = nowMs;
    askForHello();
  };
  /** @param once no second message where the subject has one. */
  const publish = async (subject: string, bytes: Uint8Array, once: boolean): Promise<void> => {
    if (bytes.length > MESSAGE_BYTES_MAX) throw new TransportError('rejected', `${bytes.length} bytes are more than a message on the bus may have`);
    try {
      await jetstream(bus.up(), { apiPrefix: API_PREFIX, checkAPI: false }).publish(subject, bytes, { timeout: PUBLISH_MS, ...(once ? { expect: { lastSubjectSequence: 0 } } : {}) });
    } catch (error) {
      if (once && error instanceof JetStreamApiError && error.code === NOT_THE_LAST) return;
      if (error instanceof TransportError) throw error;
      throw new TransportError('unreachable', `the bus has not said that it holds it: ${(error instanceof Error ? error.message : String(error)).slice(0, 500)}`, { cause: error });
    }
  };
  /** Until the stream holds it. */
  const put = async (log: string, token: string, message: ReportMessage, once: boolean): Promise<void> => {
    if (message.ciphertext !== null) await publish(delivery(lane, log, token), Buffer.from(message.ciphertext, 'base64'), false);
    await publish(result(lane, log, token), canonicalBytes({ v: 1, message: { ...message, ciphertext: null }, delivery: message.ciphertext !== null }), once);
  };

  return {
    async send(message) {
      const { log } = readPayload(message.report, anyReportSchema);
      const token = payloadDigest(message.report).slice('sha256:'.length, 'sha256:'.length + 32);
      const heardHellos = hellos.get(log) ?? 0;
      const known = held.get(token);
      if (known?.said?.t === 'taken') return void held.delete(token);
      // Nobody who could hear it has come since: one message of it is enough.
      const once = heardHellos === (known?.hellos ?? 0);
      const refusal = once && known?.said?.t === 'refused' ? known.said.error : null;
      if (once && known !== undefined) doubtAnswer(known);
      const isHeld = once && known !== undefined && clock.nowMs() - known.atMs < HELD_MS;
      await new Promise<void>((resolve, reject) => {
        const finish = (settle: () => void): void => {
          cancel();
          // Whoever waits for the same report since then goes on waiting.
          if (waiting.get(token) === answer) waiting.delete(token);
          settle();
        };
        const late = refusal === null ? new TransportError('unreachable', 'not acknowledged in time') : new TransportError('rejected', refusal);
        const cancel = clock.after(refusal === null ? ackMs : Math.min(ackMs, REFUSED_MS), () => finish(() => reject(late)));
        const hold = (said: Said | null): void => void held.set(token, { hellos: heardHellos, atMs: clock.nowMs(), sinceMs: (once ? known?.sinceMs : undefined) ?? clock.nowMs(), said });
        const answer = (said: Said): void => finish(() => {
          if (said.t === 'taken') {
            held.delete(token);
            return resolve();
          }
          hold(said);
          reject(new TransportError('rejected', said.error));
        });
        // It may be here before the bus has said that it holds the report.
        waiting.set(token, answer);
        if (isHeld) return;
        put(log, token, message, once).then(() => {
          if (waiting.has(token)) hold(once ? (known?.said ?? null) : null);
        }, (error: unknown) => finish(() => reject(error instanceof Error ? error : new Error(String(error)))));
      });
    },
    heard(said) {
      const wait = waiting.get(said.token);
      if (wait !== undefined) return wait(said);
      // Between two tries.
      const known = held.get(said.token);
      if (known !== undefined) known.said = said;
    },
    hello: (log) => void hellos.set(log, (hellos.get(log) ?? 0) + 1),
    doubt() {
      for (const one of held.values()) one.atMs = Number.NEGATIVE_INFINITY;
    },
  };
}
