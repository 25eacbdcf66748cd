/** Looks on while evidence is verified, and tells each record of it as an OCSF event: memory for what is open, and none for each record. */
import { canonicalBytes, leafHash, type JsonObject, type LedgerRecord } from '../../../ledger/index.ts';
import { isClosed } from '../../evidence/audited.ts';
import type { Onlooker } from '../../evidence/onlooker.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { parseTime } from '../../protocol/values.ts';
import { bodyOf, type Said } from '../body-of.ts';
import { isWithin, type Span } from '../given.ts';
import { eventOf, told, type Told, type ToldLog } from './event.ts';
import { knownAfter, type KnownChange } from './known.ts';
import { changeTold } from './of-change.ts';
import { keptOpen, ledgerTold, type OpenThings } from './of-ledger.ts';

export interface TellOptions {
  readonly log: ToldLog;
  /** This program's. */
  readonly version: string;
  /** Records of this time are told. */
  readonly span: Span;
  /** Takes the next event: nothing of it is to be believed before the verdicts are. */
  readonly take: (event: JsonObject) => void;
}

/** Of each record one event, in the ledger's order; and one for each rule that WORKFLOW finds broken. */
export function toldEvents({ log, version, span, take }: TellOptions): Onlooker {
  const changes = new Map<string, KnownChange>();
  const open: OpenThings = { locks: new Map(), found: new Map() };
  /** How often a rule was found broken of the record that was read last. */
  const broken = new Map<string, number>();
  let lastMs = 0;
  const tell = (record: LedgerRecord, said: Said): Told | null => {
    if (record.change === null) return ledgerTold(said, record.actor, log.logId, open);
    const known = knownAfter(changes.get(record.change) ?? null, said);
    if (known !== null) changes.set(record.change, known);
    return changeTold(said, { change: record.change, actor: record.actor, log: log.logId }, known);
  };
  return {
    record(record) {
      lastMs = parseTime(record.at);
      broken.clear();
      const said = bodyOf(record);
      if (said === null) return;
      try {
        const one = tell(record, said);
        if (one !== null && isWithin(span, lastMs)) {
          const unmapped = { ...one.unmapped, leafHash: `sha256:${Buffer.from(leafHash(canonicalBytes(record))).toString('hex')}` };
          take(eventOf({ ...one, unmapped }, { log, version, seq: record.seq, recordedMs: lastMs, code: record.type, change: record.change }));
        }
      } catch (error) {
        // What a record holds is no ticket, order or report: WORKFLOW says so.
        if (!(error instanceof ProtocolError)) throw error;
      }
      keptOpen(said, open);
    },
    follow(after, { changeId }) {
      // A change of an earlier log is known by what was adopted of it.
      if (!changes.has(changeId)) changes.set(changeId, { request: after.state.request, step: null });
      if (isClosed(after)) changes.delete(changeId);
    },
    violation({ code, seq, changeId, message }) {
      const rule = changeId === null ? code : `${code}/${changeId}`;
      // One record of an adoption tells of many records of the log before.
      const times = (broken.get(`${seq}/${rule}`) ?? 0) + 1;
      broken.set(`${seq}/${rule}`, times);
      const part = times === 1 ? rule : `${rule}/${times}`;
      const found = told('Compliance Finding', 'Create', { finding_info: { uid: `${log.logId}/${seq}/${part}`, title: code, desc: message }, compliance: { status_id: 3, status: 'Fail', control: code, standards: ['Countersign WORKFLOW'] }, is_alert: true }, { severity: 'High' });
      take(eventOf(found, { log, version, seq, part, recordedMs: lastMs, code: 'workflow.violation', change: changeId }));
    },
  };
}
