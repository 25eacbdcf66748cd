/** Takes in what executors report. A report is acknowledged only when all that it says is durable here. */
import { digestOf, parseStrict } from '../../ledger/index.ts';
import { logOf } from '../change/derive.ts';
import { anyReportSchema } from '../protocol/discovery.ts';
import { openDsse } from '../protocol/dsse.ts';
import type { ReportMessage } from '../protocol/envelope.ts';
import { targetStateSchema, type TargetState } from '../protocol/plan.ts';
import { placeOf } from '../protocol/request.ts';
import { REPORT_TYPE, type Report } from '../protocol/signed.ts';
import { spentBy } from './clearing.ts';
import type { EngineContext } from './engine.ts';
import type { Spent } from './ports.ts';
import { heardTurnedAway } from './turned-away.ts';

/**
 * Records a report that `audience` sent; resolves when it is durable and may be forgotten over there.
 *
 * @throws ProtocolError for a report that its executor did not sign, or that is about another log; nothing was recorded, and it is not acknowledged
 */
export async function receiveReport(context: EngineContext, audience: string, message: ReportMessage): Promise<void> {
  const { store, trust, log, logger, deliveries } = context;
  const executor = trust.executors.get(audience);
  if (executor === undefined) throw new Error(`no executor ${audience} in the trust folder`);
  const report = openDsse(message.report, REPORT_TYPE, anyReportSchema, [executor.key]);
  // What was given under a log that this one has adopted is reported under that.
  const about = report.kind === 'discovered' ? log.logId : logOf(report.changeId);
  if (report.executor !== audience || report.log !== about || !store.logs().has(about)) throw new Error(`a report of ${report.executor} for log ${report.log} came from ${audience}`);
  if (report.kind === 'discovered') {
    await context.discoveries.receive(context, report, message);
    return clear(context, spentBy(audience, report, message, null));
  }
  const state = await store.load(report.changeId);
  if (state === undefined) throw new Error(`a report about ${report.changeId}, which this log does not know`);
  const states = statesOf(message);
  const fetched = state.delivery !== null && state.delivery.status !== 'sealed';
  if (report.kind === 'acted' && report.seal !== null && placeOf(report.seal.recipient) === null && !fetched) await keepSecret(report.seal.ciphertext, message.ciphertext, deliveries);

  // Keeping the secret took time, in which a change at rest may have left memory.
  await store.load(report.changeId);
  const applied = store.apply(report.changeId, { type: 'recordReport', report, envelope: message.report, states, order: message.order });
  if (!applied.ok) throw new Error(`report not recorded (${applied.code}): ${applied.message}`);
  if (report.kind === 'acted' && report.outcome === 'refused') heardTurnedAway(context, audience, state, state.act?.issue === report.issue ? state.act.seq : 0, report.code ?? '');
  await store.durable();
  clear(context, spentBy(audience, report, message, (await store.load(report.changeId))!));
  logger.info({ changeId: report.changeId, kind: report.kind, outcome: outcomeOf(report), recorded: applied.events.length }, 'report received');
}

/** Nobody waits for it. */
function clear({ outbox }: EngineContext, spent: readonly Spent[]): void {
  for (const what of spent) outbox?.spent(what);
}

function outcomeOf(report: Report): string {
  return report.kind === 'claimed' ? 'claimed' : report.outcome;
}

export function statesOf(message: ReportMessage): Map<string, TargetState> {
  const states = new Map<string, TargetState>();
  for (const text of message.objects) {
    const bytes = Buffer.from(text, 'utf8');
    states.set(digestOf(bytes), targetStateSchema.parse(parseStrict(bytes)));
  }
  return states;
}

/** The sealed secret is durable here before the executor, which still has it, may forget it. */
async function keepSecret(digest: string, ciphertext: string | null, deliveries: EngineContext['deliveries']): Promise<void> {
  if (ciphertext === null) throw new Error('the report names a sealed secret and does not carry it');
  const bytes = Buffer.from(ciphertext, 'base64');
  if (digestOf(bytes) !== digest) throw new Error('the sealed secret is not the one that the report names');
  await deliveries.put(digest, bytes);
}
