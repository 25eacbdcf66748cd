/** Every gap that the facts of a verification show, kind by kind. */
import { meets, PROOF_CLASSES, type ProofClass } from '../protocol/decision.ts';
import { plain } from '../protocol/plain.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { Given } from './given.ts';
import type { At, ReportChange } from './facts.ts';
import { faultsOf, placeWords, plural, spanWords } from './words.ts';

/** What is looked for, in the order in which it is told. */
export const GAPS = {
  fault: 'violation of the workflow',
  'late-end': 'access that ended late',
  overdue: 'access that is past its end',
  'review-overdue': 'review of a broken glass that is late',
  'not-enforced': 'effect under observe',
  exception: 'denial taken away by an exception',
  'weaker-proof': 'approval by a session, of somebody with a key',
  'self-reported': 'effect that nobody but its caller saw',
  finding: 'finding that is open',
  outside: 'found outside what is recorded',
  'not-looked-at': 'connector not looked at',
  reopened: 'ledger opened again',
  silence: 'nothing recorded for more than a day',
  amiss: 'trouble with ledger, bus or policy',
  erased: 'objects erased',
  'not-established': 'verdict that is not established',
} as const;
export type GapKind = keyof typeof GAPS;

export interface Gap {
  readonly kind: GapKind;
  readonly fromMs: number;
  /** null: a moment. */
  readonly toMs: number | null;
  /** It is of the evidence as a whole, whatever time is asked for. */
  readonly isLasting?: true;
  readonly about: string;
  readonly what: string;
  readonly records: readonly number[];
  readonly faults: readonly string[];
}

/** Access that was gone so much after it was due is called late: what healthy executors stay well below. */
export const LATE_MS = 1_000;
/** A connector that was not looked at for longer is said to be so. */
const LOOKED_AT_MS = 86_400_000;

export function findGaps(given: Given): Gap[] {
  const found = [...ofWorkflow(given), ...given.facts.changes.flatMap((change) => ofChange(change, given)), ...ofTargets(given), ...ofLedger(given), ...ofVerdicts(given)];
  const order = Object.keys(GAPS);
  return found.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.fromMs - b.fromMs);
}

/** What is wrong with records of no change, or with a change that was not followed. */
function ofWorkflow({ facts, asOfMs }: Given): Gap[] {
  const changes = new Map(facts.changes.map((change) => [change.change, change]));
  return facts.violations.map(({ changeId, code, message, seq }) => ({
    kind: 'fault', fromMs: changes.get(changeId ?? '')?.firstAtMs ?? facts.records.first?.atMs ?? asOfMs, toMs: null, about: changeId ?? '', what: `${message} (${code})`, records: [seq], faults: [],
  }));
}

function ofChange(change: ReportChange, { asOfMs, trust }: Given): Gap[] {
  const { ended, dueMs, glass, observed, exceptions, approvals, selfReported, effect, findings } = change;
  const gap = (kind: GapKind, fromMs: number, toMs: number | null, what: string, records: readonly number[]): Gap => ({ kind, fromMs, toMs, about: aboutOf(change), what, records, faults: faultsOf(change) });
  const by = (seqs: readonly (number | undefined)[]): number[] => seqs.filter((seq) => seq !== undefined);
  return [
    ...(ended !== null && dueMs !== null && (ended.lateMs ?? 0) > LATE_MS ? [gap('late-end', dueMs, dueMs + ended.lateMs!, `gone ${spanWords(ended.lateMs!)} after it was due`, by([change.ends?.seq, ended.seq]))] : []),
    ...(ended === null && dueMs !== null && dueMs < asOfMs && change.authorised !== null && !change.withoutEffect ? [gap('overdue', dueMs, asOfMs, 'nobody has reported that it is gone', by([change.authorised.seq, change.ends?.seq]))] : []),
    ...(glass !== null && (glass.review?.atMs ?? asOfMs) > glass.reviewByMs ? [gap('review-overdue', glass.reviewByMs, glass.review?.atMs ?? asOfMs, `${glass.by} broke the glass; ${glass.review === null ? 'nobody has reviewed it' : `${glass.review.by} reviewed it late`}`, by([glass.seq, glass.review?.seq]))] : []),
    ...(observed === null ? [] : [gap('not-enforced', effect?.atMs ?? change.lastAtMs, null, `scope ${observed.scope} of ${observed.owner}, until ${observed.until}: what policy said was not enforced`, by([change.decision?.seq, observed.seq]))]),
    ...exceptions.map(({ id, rule, owner, until, seq }) => gap('exception', change.authorised?.atMs ?? change.firstAtMs, null, `${id} of ${owner}, until ${until}, took ${rule} away`, [seq])),
    ...approvals.flatMap(({ person, proofClass, seq }) => {
      const could = strongestOf(trust, person, change.authorised?.atMs ?? change.lastAtMs);
      return proofClass === 'session' && could !== 'session' ? [gap('weaker-proof', change.authorised?.atMs ?? change.lastAtMs, null, `${person} approved by a session, and could by ${could}: the sidecar’s word alone says that it was they`, [seq])] : [];
    }),
    ...(selfReported && effect !== null ? [gap('self-reported', effect.atMs, null, 'its caller says what it did, and no executor has looked', [effect.seq])] : []),
    ...[...findings].map(([code, { atMs, seq, message }]) => gap('finding', atMs, asOfMs, `${code}: ${message}`, [seq])),
  ];
}

const aboutOf = (change: ReportChange): string => plain(`${change.change}: ${change.kind} for ${change.subject}${change.connector === null ? '' : ` at ${placeWords(change)}`}`);

/** The strongest class of proof that the person had a key for then, by the auditor's own trust. */
export function strongestOf({ signers, passkeys }: Pick<Trust, 'signers' | 'passkeys'>, person: string, atMs: number): ProofClass {
  const valid = (one: { readonly person: string; readonly validFromMs: number; readonly validUntilMs: number }): boolean => one.person === person && one.validFromMs <= atMs && atMs < one.validUntilMs;
  const had: ProofClass[] = [...([...passkeys.values()].some(valid) ? ['passkey' as const] : []), ...([...signers.values()].some(valid) ? ['ssh' as const] : []), 'session'];
  return had.reduce((best, one) => (meets(one, best) ? one : best), PROOF_CLASSES[0]);
}

function ofTargets({ facts, trust, asOfMs, verification }: Given): Gap[] {
  const beganMs = facts.records.first?.atMs ?? asOfMs;
  const outside = facts.outside.map(({ found, atMs, seq, cleared }): Gap => ({
    kind: 'outside', fromMs: atMs, toMs: cleared?.atMs ?? asOfMs, about: `${found.nhi ?? found.account} at ${placeWords(found)}`, what: `${found.code}: ${found.message}${cleared === null ? '' : '; it is as it is recorded again'}`,
    records: [seq, ...(cleared === null ? [] : [cleared.seq])], faults: [],
  }));
  // In a pack, comparisons may be outside of it.
  if ('pack' in verification) return outside;
  const connectors = [...new Set([...[...trust.executors.values()].flatMap((executor) => executor.connectors), ...facts.compared.keys()])].sort();
  const unseen = connectors.flatMap((connector): Gap[] => {
    const looks = (facts.compared.get(connector) ?? []).filter(({ complete }) => complete);
    const points: readonly (At | null)[] = [facts.records.first, ...looks, null];
    return points.slice(0, -1).flatMap((from, n) => {
      const to = points[n + 1] ?? null;
      const [fromMs, toMs] = [from?.atMs ?? beganMs, to?.atMs ?? asOfMs];
      // Since the last time is always told: whatever was changed there since then is not known.
      if (to !== null && toMs - fromMs <= LOOKED_AT_MS) return [];
      const isFirst = n === 0;
      return [{
        kind: 'not-looked-at', fromMs, toMs, about: connector, records: [...(from === null ? [] : [from.seq]), ...(to === null ? [] : [to.seq])], faults: [],
        what: to !== null ? 'not looked at as a whole in between' : isFirst ? 'never looked at as a whole' : 'not looked at as a whole since',
      }];
    });
  });
  return [...outside, ...unseen];
}

function ofLedger({ facts, verification }: Given): Gap[] {
  const none = { faults: [], about: '' };
  return [
    ...facts.reopened.map(({ before, opened }): Gap => ({ ...none, kind: 'reopened', fromMs: before.atMs, toMs: opened.atMs, what: 'the last record before, and the one by which it was opened again', records: [before.seq, opened.seq] })),
    ...facts.silences.map(({ before, after }): Gap => ({ ...none, kind: 'silence', fromMs: before.atMs, toMs: after.atMs, what: 'no record in between says that anything ran', records: [before.seq, after.seq] })),
    ...facts.amiss.map(({ atMs, seq, type, text }): Gap => ({ ...none, kind: 'amiss', fromMs: atMs, toMs: null, what: `${type}: ${text}`, records: [seq] })),
    ...facts.erasures.map(({ atMs, seq, objects }): Gap => ({
      ...none, kind: 'erased', fromMs: atMs, toMs: null, what: `${plural(objects, 'object')}, so that what they said cannot be shown`,
      records: [seq, ...verification.erased.filter((one) => one.seq === seq).map(({ namedBy }) => namedBy)],
    })),
  ];
}

/** Verdicts that do not hold and are no failure: what was not looked at, or cannot be. They are of the evidence as a whole. */
function ofVerdicts({ facts, verification, asOfMs }: Given): Gap[] {
  const { first, last } = facts.records;
  const whole = { fromMs: first?.atMs ?? asOfMs, toMs: last?.atMs ?? asOfMs, isLasting: true as const, records: [first, last].flatMap((one) => (one === null ? [] : [one.seq])), faults: [] };
  return [
    ...verification.verdicts.filter(({ name, status }) => name !== 'NOT PROVEN' && status === 'notEstablished').map(({ name, message }): Gap => ({ ...whole, kind: 'not-established', about: name, what: message })),
    ...(verification.replay?.unreplayed ?? []).map(({ count, message }): Gap => ({ ...whole, kind: 'not-established', about: 'REPLAY', what: `${plural(count, 'decision')} not run again: ${message}` })),
  ];
}

