/** What an executor, or a caller's run, has reported: read once, whichever of its kinds is due. */
import { readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import { reportSchema, type Dsse, type Report } from './signed.ts';

/** The report inside, its signature *not* looked at. @throws ProtocolError `malformed` for what is no report, or one of another kind */
export function readReport<K extends Report['kind']>(envelope: Dsse, ...kinds: readonly K[]): Extract<Report, { kind: K }> {
  const report = readPayload(envelope, reportSchema);
  if (!(kinds as readonly string[]).includes(report.kind)) throw new ProtocolError('malformed', `/kind: a report that it is ${report.kind}, where ${kinds.join(' or ')} is due`);
  return report as Extract<Report, { kind: K }>;
}
