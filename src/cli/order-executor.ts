/** Hands an executor a revoke order and waits to hear that it was carried out, without acknowledging: the report is for a sidecar to record. */
import { connect } from 'node:net';
import { TransportError } from '../engine/ports.ts';
import { anyReportSchema } from '../protocol/discovery.ts';
import { payloadDigest, readPayload } from '../protocol/dsse.ts';
import type { Dsse, RevokedReport, RevokeOrder } from '../protocol/signed.ts';
import { openFrames, replyFrameSchema, type ReplyFrame, type RequestFrame } from '../transport/local/frames.ts';

export interface OrderOptions {
  /** How long the executor may take to hold the order. */
  readonly answerMs: number;
  /** How long to wait for its report after that. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** Of the one question on the line. */
const ASKED = 1;

/**
 * Has an executor hold a lock, or forget one that is lifted.
 *
 * @throws TransportError `unreachable`: it is not known to hold it; `rejected`: it does not believe the statement
 */
export function lockExecutor(path: string, lock: Dsse, { answerMs, signal }: Pick<OrderOptions, 'answerMs' | 'signal'>): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (end: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', late);
      end();
      frames.close();
    };
    const late = (): void => finish(() => reject(new TransportError('unreachable', `${path}: no answer in time`)));
    const timer = setTimeout(late, answerMs);
    signal.addEventListener('abort', late);
    const frames = openFrames<ReplyFrame, RequestFrame>(connect(path), replyFrameSchema, (frame) => {
      if (frame.op !== 'answer' || frame.id !== ASKED) return;
      const { result } = frame;
      finish(() => ('error' in result ? reject(new TransportError('rejected', result.error)) : resolve()));
    }, (why) => finish(() => reject(new TransportError('unreachable', `${path}: ${why}`))));
    frames.send({ op: 'lock', id: ASKED, lock });
  });
}

/** A report as it came: its signature is the caller's to check. */
export interface Reported {
  readonly envelope: Dsse;
  readonly report: RevokedReport;
}

/**
 * The executor's newest report of the lease's end: one that says it is over, or, when the time is over, the last it sent; null when it holds the
 * order and has said nothing.
 *
 * @throws TransportError `unreachable`: nobody is known to have taken the order; `rejected`: the executor does not accept it
 */
export function orderExecutor(path: string, envelope: Dsse, { leaseId }: Pick<RevokeOrder, 'leaseId'>, options: OrderOptions): Promise<Reported | null> {
  return new Promise((resolve, reject) => {
    let accepted = false;
    let last: Reported | null = null;
    const finish = (end: () => void): void => {
      clearTimeout(timer);
      options.signal.removeEventListener('abort', stop);
      end();
      frames.close();
    };
    const stop = (): void => finish(() => (accepted ? resolve(last) : reject(new TransportError('unreachable', `${path}: no answer in time`))));
    let timer = setTimeout(stop, options.answerMs);
    options.signal.addEventListener('abort', stop);
    const frames = openFrames<ReplyFrame, RequestFrame>(connect(path), replyFrameSchema, (frame) => {
      if (frame.op === 'answer' && frame.id === ASKED) {
        const { result } = frame;
        if ('error' in result) return finish(() => reject(new TransportError('rejected', result.error)));
        accepted = true;
        clearTimeout(timer);
        timer = setTimeout(stop, options.waitMs);
        return;
      }
      if (frame.op !== 'report') return;
      const report = readPayload(frame.message.report, anyReportSchema);
      if (report.kind !== 'revoked' || report.leaseId !== leaseId) return;
      const reported = { envelope: frame.message.report, report };
      last = reported;
      if (report.outcome === 'done' || report.outcome === 'already-absent' || (report.outcome === 'mismatch' && report.order === payloadDigest(envelope))) finish(() => resolve(reported));
    }, (why) => finish(() => (accepted ? resolve(last) : reject(new TransportError('unreachable', `${path}: ${why}`)))));
    frames.send({ op: 'revoke', id: ASKED, order: envelope, watch: true });
  });
}
