/** A caller's run, for tests of the sidecar's side: its key, and what it signs, true or not. */
import { randomBytes } from 'node:crypto';
import { generateSignerKey, parseSigner, type Signer } from '../../ledger/index.ts';
import { callerIdOf } from '../../src/protocol/caller.ts';
import { readPayload, signDsse } from '../../src/protocol/dsse.ts';
import type { ReportMessage, StepEnvelope } from '../../src/protocol/envelope.ts';
import { REPORT_TYPE, ticketSchema } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';

export interface TestRun {
  /** Raw public key, base64, as a request names it. */
  readonly key: string;
  readonly id: string;
  readonly signer: Signer;
  claimed(envelope: StepEnvelope, more?: Record<string, unknown>): ReportMessage;
  acted(envelope: StepEnvelope, more?: Record<string, unknown>): ReportMessage;
}

export function testRun(): TestRun {
  const seed = randomBytes(32);
  // A vkey ends in base64 of a type byte and the raw key.
  const key = Buffer.from(generateSignerKey('run', seed).vkey.split('+').slice(2).join('+'), 'base64').subarray(1).toString('base64');
  const id = callerIdOf(key);
  const signer = parseSigner(generateSignerKey(id, seed).skey);
  const message = (envelope: StepEnvelope, report: Record<string, unknown>): ReportMessage => {
    const { log, changeId, stepId, issue } = readPayload(envelope.ticket, ticketSchema);
    const full = { v: 1, executor: id, log, changeId, stepId, issue, at: formatTime(Date.now()), ...report };
    return { v: 1, report: signDsse(REPORT_TYPE, full, signer), objects: [], ciphertext: null, order: null };
  };
  return {
    key, id, signer,
    claimed: (envelope, more = {}) => message(envelope, { kind: 'claimed', ...more }),
    acted: (envelope, more = {}) => message(envelope, {
      kind: 'acted', attempt: 1, outcome: 'done', code: 'exit-0', detail: null, before: null, after: null, byUse: 'notTried', seal: null, ...more,
    }),
  };
}
