/** Why a change failed, from what was signed about its steps: a view holds only how it ended. */
import type { Client } from '../client/index.ts';
import { readPayload } from '../protocol/dsse.ts';
import { reportSchema, type Dsse } from '../protocol/signed.ts';

export interface Failure {
  readonly record: number;
  readonly outcome: string;
  readonly code: string | null;
  readonly detail: string | null;
}

const ENDS_BADLY = ['step.failed', 'step.refused', 'step.ambiguous'];

/** What was reported of the last step that did not succeed; null where nothing can be read of it. Never rejects. */
export async function failureOf(client: Client, id: string): Promise<Failure | null> {
  try {
    const { records } = await client.evidence(id);
    const last = records.findLast(({ type }) => ENDS_BADLY.includes(type));
    if (last === undefined) return null;
    const report = readPayload((last.body as { report: Dsse }).report, reportSchema);
    return report.kind === 'acted' || report.kind === 'read' ? { record: last.seq, outcome: report.outcome, code: report.code, detail: report.detail } : null;
  } catch {
    return null;
  }
}
