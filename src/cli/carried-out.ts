/** What became of revoke orders, told alike by every command that hands them to an executor. */
import type { TransportError } from '../engine/ports.ts';
import { openDsse } from '../protocol/dsse.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { reportSchema, REPORT_TYPE, type RevokedReport } from '../protocol/signed.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { EXIT, type ExitCode } from './exit.ts';
import type { Reported } from './order-executor.ts';
import { plain, type Output } from './output.ts';

export interface Sent {
  readonly changeId: string;
  readonly executor: string;
  /** What the executor reports; `accepted` while it has reported nothing; why nobody has the order. */
  readonly outcome: RevokedReport['outcome'] | 'accepted' | TransportError['code'];
  readonly detail: string | null;
}

/** @param trust whose reports are believed; null where nobody can say */
export function outcomeOf(about: Pick<Sent, 'changeId' | 'executor'>, reported: Reported | null, trust: Trust | null): Sent {
  if (reported === null) return { ...about, outcome: 'accepted', detail: 'the executor holds the order and has not reported yet' };
  const { outcome, detail } = reported.report;
  return { ...about, outcome, detail: isSigned(trust, about.executor, reported) ? detail : 'its signature could not be checked: no trust folder here knows the executor' };
}

/** Whether the report is that executor's own. */
function isSigned(trust: Trust | null, id: string, { envelope, report }: Reported): boolean {
  const executor = trust?.executors.get(id);
  if (executor === undefined || report.executor !== id) return false;
  try {
    openDsse(envelope, REPORT_TYPE, reportSchema, [executor.key]);
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

const isGone = ({ outcome }: Sent): boolean => outcome === 'done' || outcome === 'already-absent';

/** A line for each, and the exit code that they come to. */
export function tellSent(out: Output, sent: readonly Sent[]): ExitCode {
  for (const one of sent) out.line(`${one.changeId} ${isGone(one) ? out.good(one.outcome) : out.bad(one.outcome)} by ${one.executor}${one.detail === null ? '' : `: ${plain(one.detail)}`}`);
  if (sent.some(({ outcome }) => outcome === 'unreachable')) return EXIT.io;
  if (sent.some(({ outcome }) => outcome === 'rejected' || outcome === 'mismatch')) return EXIT.failed;
  return sent.every(isGone) ? EXIT.ok : EXIT.pending;
}
