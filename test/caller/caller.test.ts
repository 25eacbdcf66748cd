import { describe, expect, test } from 'vitest';
import { openTicketForRun, type OpenedTicket } from '../../src/caller/open-ticket.ts';
import { actedReport, claimedReport, type Acted } from '../../src/caller/reports.ts';
import { newRunKey, type RunKey } from '../../src/caller/run-key.ts';
import { callerIdOf, callerVerifier } from '../../src/protocol/caller.ts';
import { openDsse } from '../../src/protocol/dsse.ts';
import { reportMessageSchema, type ReportMessage } from '../../src/protocol/envelope.ts';
import { runKeySchema } from '../../src/protocol/request.ts';
import { reportSchema, REPORT_TYPE, type Refusal, type Report } from '../../src/protocol/signed.ts';
import { actorIdSchema, formatTime } from '../../src/protocol/values.ts';
import { forger, makeRead, makeStep, someLog, type Edits } from '../support/envelopes.ts';
import { START_MS, storyTrust } from '../support/story.ts';

const random = (seed: number) => (length: number): Uint8Array => new Uint8Array(length).fill(seed);
const key = newRunKey(random(41));
const other = newRunKey(random(42));

function call(edits: Edits = {}): ReturnType<typeof makeStep> {
  return makeStep({ action: 'call', runKey: key.publicKey, ...edits });
}
function open(envelope: unknown, settings: { readonly key?: RunKey; readonly nowMs?: number } = {}): OpenedTicket {
  return openTicketForRun(envelope, { trust: storyTrust(), key, nowMs: START_MS + 1_000, head: () => null, ...settings });
}

describe('the key of a run', () => {
  test('is named in requests, tickets and reports by its public half', () => {
    expect(runKeySchema.safeParse(key.publicKey).success).toBe(true);
    expect(actorIdSchema.safeParse(key.id).success).toBe(true);
    expect(key.id).toBe(callerIdOf(key.publicKey));
    expect(key.signer.vkey).toBe(callerVerifier(key.publicKey).vkey);
  });
  test('is another for each run, and shows its private half nowhere', () => {
    expect(other.id).not.toBe(key.id);
    const seed = Buffer.from(random(41)(32));
    const shown = JSON.stringify(key) + Object.values(key.signer).map(String).join();
    expect(shown).not.toContain(seed.toString('base64').slice(1, 40));
    expect(shown).not.toContain('PRIVATE');
  });
});

describe('the ticket of a run', () => {
  test('is opened with its plan and the checkpoint to remember', () => {
    const { envelope, ticket, plan, log } = call();
    expect(open(envelope)).toEqual({ ok: true, ticket, plan, head: { size: log.size, root: log.root() } });
  });
  const refused: readonly (readonly [string, Refusal, () => unknown])[] = [
    ['a ticket for another run', 'wrong-audience', () => call({ runKey: other.publicKey }).envelope],
    ['a plan of another run under a ticket for this one', 'wrong-step', () => call({ runKey: other.publicKey, ticket: (ticket) => ({ ...ticket, audience: key.id }) }).envelope],
    ['a ticket of an executor', 'wrong-audience', () => makeStep({ action: 'disable' }).envelope],
    ['a read', 'wrong-step', () => makeRead({ ticket: (ticket) => ({ ...ticket, audience: key.id }) }).envelope],
    ['a forged ticket', 'unknown-sidecar', () => call({ ticketSigner: forger }).envelope],
    ['a plan edited after approval', 'plan-digest-mismatch', () => {
      const { envelope } = call();
      return { ...envelope, plan: { ...envelope.plan!, caller: { ...envelope.plan!.caller!, timeoutSeconds: 86_400 } } };
    }],
    ['no approval', 'approvals-insufficient', () => call({ approvals: () => [] }).envelope],
    ['a receipt of something else', 'receipt-mismatch', () => ({ ...call().envelope, receipt: makeStep().envelope.receipt })],
    ['a ticket whose step is at another account than its plan', 'wrong-step', () => call({ ticket: (ticket) => ({ ...ticket, step: { ...ticket.step, account: 'postgres' } }) }).envelope],
    ['nonsense', 'malformed', () => 'nonsense'],
  ];
  test.each(refused)('is not %s: %s', (_what, code, envelope) => {
    expect(open(envelope())).toMatchObject({ ok: false, code });
  });
  test('is not opened after its time', () => {
    expect(open(call().envelope, { nowMs: START_MS + 400_000 })).toMatchObject({ ok: false, code: 'outside-window' });
  });
  test('is not opened for the key of another run', () => {
    expect(open(call().envelope, { key: other })).toMatchObject({ ok: false, code: 'wrong-audience' });
  });
  test('of a log that was rolled back is refused to who remembers more', () => {
    const seen = someLog(9);
    const opened = openTicketForRun(call({ log: seen.fork(4) }).envelope, {
      trust: storyTrust(), key, nowMs: START_MS + 1_000, head: () => ({ size: seen.size, root: seen.root() }),
    });
    expect(opened).toMatchObject({ ok: false, code: 'inconsistent-checkpoint' });
  });
});

describe('reports of a run', () => {
  const { ticket } = call();
  const run = { key, ticket };
  const opened = ({ report }: ReportMessage, publicKey = key.publicKey): Report => openDsse(report, REPORT_TYPE, reportSchema, [callerVerifier(publicKey)]);
  const common = { v: 1, executor: key.id, log: ticket.log, changeId: ticket.changeId, stepId: ticket.stepId, issue: 1 } as const;

  test('are verified with the key of the plan, and name the run', () => {
    const message = claimedReport(run, START_MS);
    expect(reportMessageSchema.parse(message)).toEqual(message);
    expect(opened(message)).toEqual({ kind: 'claimed', ...common, at: formatTime(START_MS) });
  });
  test('do not hold under the key of another run', () => {
    expect(() => opened(claimedReport(run, START_MS), other.publicKey)).toThrow(expect.objectContaining({ code: 'bad-signature' }));
    const forged = claimedReport({ key: { ...other, id: key.id }, ticket }, START_MS);
    expect(() => opened(forged)).toThrow(expect.objectContaining({ code: 'bad-signature' }));
  });
  test.each([
    [{ outcome: 'done', code: null, detail: null }], [{ outcome: 'failed', code: 'exit-3', detail: 'the\u001b[31m rotation\nfailed' }],
  ] as const)('say what the code came to: %j', (acted: Acted) => {
    const message = actedReport(run, acted, START_MS + 5);
    expect(opened(message)).toEqual({
      kind: 'acted', ...common, at: formatTime(START_MS + 5), attempt: 1, outcome: acted.outcome, code: acted.code, detail: acted.detail === null ? null : 'the [31m rotation failed',
      before: null, after: null, byUse: 'notTried', seal: null,
    });
    expect(message).toMatchObject({ objects: [], ciphertext: null, order: null });
  });
});
