/** The ledger's own verdicts, and WORKFLOW among them. Needs the evidence, this code, and the auditor's own trust; nothing else. */
import { verifyLedger, type BundleChecker, type Checkpoint, type EvidenceDisk, type RuleSet, type Verdict, type Verification } from '../../ledger/index.ts';
import type { Proven } from '../protocol/dsse.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import { formatTime } from '../protocol/values.ts';
import type { AdoptionFindings } from './check-adoption.ts';
import { checkAgainstOld, untold, type AgainstOld, type OldLedger } from './check-old-ledger.ts';
import { lookedOn, type Onlooker } from './onlooker.ts';
import { openPopulation, type Population, type PopulationRow } from './population.ts';
import { uncheckedFor } from './erased.ts';
import { withErasedList, type ErasedOnRecord } from './erased-list.ts';
import { openReplay, type Replay, type Replayer, type ReplayFindings } from './replay.ts';
import { replayVerdict, unprovenByReplay, whyNoReplay } from './replay-verdict.ts';
import { KEPT_MAX, openWorkflow, type WorkflowFindings, type WorkflowOptions } from './workflow.ts';
import type { Violation, ViolationCode } from './violation.ts';

export interface VerifyEvidenceOptions {
  readonly disk: EvidenceDisk;
  /** The folder that holds `checkpoint`, `tile/` and `objects/`. */
  readonly directory: string;
  /** null: nobody's signature is believed. */
  readonly trust: Trust | null;
  /** Whether `trust` is a whole folder. A lone `trust.policy` says whose checkpoints to believe, and nothing of tickets, executors and floors. */
  readonly wholeFolder: boolean;
  readonly pinned?: string | null;
  readonly minSize?: number;
  readonly graceMs?: number;
  readonly asOfMs?: number | null;
  /** The auditor takes effects under observe as they are: WORKFLOW may hold beside them. */
  readonly acceptObserved?: boolean;
  /** The ledger that this one goes on for, where the auditor has it. */
  readonly old?: OldLedger;
  /** Whether to list the changes, which takes memory for each. */
  readonly listChanges?: boolean;
  /** Opens whoever looks on, up to that checkpoint: anew for each reading, where a ledger that is being written is read again. */
  readonly onlooker?: (claimed: Checkpoint) => Onlooker;
  /** Runs recorded policy; left out: REPLAY is not asked. */
  readonly replayer?: Replayer;
  readonly progress?: (done: number, size: number) => void;
  readonly signal?: AbortSignal;
  /** Checks bundles, and the signatures in them, ahead of what is verified here: other threads. What is found is the same without it. */
  readonly ahead?: { readonly checker: BundleChecker; readonly proven: Proven };
}

export interface EvidenceVerification extends Verification {
  /** null where WORKFLOW was not looked at, or the records do not hold. */
  readonly workflow: WorkflowFindings | null;
  /** The changes that WORKFLOW is about; null where it was not looked at, or nobody asked for the list. */
  readonly population: readonly PopulationRow[] | null;
  /** null where nothing was replayed, or the records do not hold. */
  readonly replay: ReplayFindings | null;
  /** The first of what was erased on record; `objects.erased` counts all of it. */
  readonly erased: readonly ErasedOnRecord[];
}

/** @throws what the disk throws; LedgerError for a `pinned` checkpoint that is itself no good; the reason of `signal` once it is aborted */
export async function verifyEvidence(options: VerifyEvidenceOptions): Promise<EvidenceVerification> {
  const { trust, wholeFolder, replayer } = options;
  const seen: { findings: WorkflowFindings | null; population: Population | null; replay: ReplayFindings | null; erased: readonly ErasedOnRecord[] } = { findings: null, population: null, replay: null, erased: [] };
  const noReplay = whyNoReplay(trust, wholeFolder, replayer !== undefined);
  const replays: Replay[] = [];
  const rules = (origin: string, claimed: Checkpoint): RuleSet => {
    const onlooker = options.onlooker?.(claimed);
    const all = withErasedList(rulesOf(origin, onlooker), (found) => {
      seen.erased = found;
    });
    return onlooker === undefined ? all : lookedOn(all, onlooker);
  };
  const rulesOf = (origin: string, onlooker: Onlooker | undefined): RuleSet => {
    seen.findings = null;
    seen.replay = null;
    seen.erased = [];
    const population = (seen.population = options.listChanges === true ? openPopulation() : null);
    if (trust === null || !wholeFolder) return notReplayed(withoutTrust(trust === null ? 'no trust was given' : 'no trust folder'), noReplay!);
    const replay = noReplay !== null || replayer === undefined ? null : openReplay(trust, replayer, true);
    if (replay !== null) replays.push(replay);
    const workflow = workflowRules(
      {
        trust, origin, proven: options.ahead?.proven ?? null, ...(options.graceMs === undefined ? {} : { graceMs: options.graceMs }), ...(options.asOfMs === undefined ? {} : { asOfMs: options.asOfMs }),
        ...(options.acceptObserved === undefined ? {} : { acceptObserved: options.acceptObserved }),
        ...watching(population, onlooker), ...(replay === null ? {} : { followed: (event, before, firstSeq) => replay.followed(event, before, firstSeq) }),
      },
      (found) => {
        seen.findings = found;
      },
    );
    return replay === null ? notReplayed(workflow, noReplay!) : withReplay(workflow, replay, (found) => {
      seen.replay = found;
    });
  };
  const verification = inOrder(await verifying(options, rules).finally(() => Promise.all(replays.map((replay) => replay.close()))));
  const { findings, replay, erased } = seen;
  const population = findings === null ? null : (seen.population?.rows() ?? null);
  const against = options.old === undefined || findings === null || trust === null ? null : await againstOld(options.old, findings, trust);
  const unproven = replay === null || replay.same === 0 ? [] : [unprovenByReplay(replay)];
  if (against === null || findings === null) return { ...withUnproven(verification, findings, trust, null, unproven), workflow: findings, population, replay, erased };
  const found: WorkflowFindings = withFaults(findings, against);
  const judged = { ...verification, verdicts: verification.verdicts.map((verdict) => (verdict.name === 'WORKFLOW' ? workflowVerdict(found, against) : verdict)) };
  return { ...withUnproven(judged, found, trust, against, unproven), workflow: found, population, replay, erased };
}

/** What WORKFLOW tells whoever lists its changes, and whoever looks on. */
export function watching(population: Population | null, onlooker: Onlooker | undefined): Pick<WorkflowOptions, 'onChange' | 'onViolation'> {
  if (onlooker === undefined) return population === null ? {} : { onChange: population.follow };
  return {
    onChange(after, event, seq) {
      population?.follow(after, event, seq);
      onlooker.follow(after, event, seq);
    },
    onViolation: onlooker.violation,
  };
}

function verifying(options: VerifyEvidenceOptions, rules: (origin: string, claimed: Checkpoint) => RuleSet): Promise<Verification> {
  const { trust } = options;
  return verifyLedger({
    disk: options.disk, directory: options.directory, trust: trust?.policy ?? null, rules, pinned: options.pinned ?? null,
    ...(options.minSize === undefined ? {} : { minSize: options.minSize }),
    ...(options.progress === undefined ? {} : { progress: options.progress }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.ahead === undefined ? {} : { checker: options.ahead.checker }),
  });
}

/** REPLAY stands after TIME, which the ledger gives after all that rules say. */
function inOrder(verification: Verification): Verification {
  const { verdicts } = verification;
  const replay = verdicts.filter(({ name }) => name === 'REPLAY');
  return { ...verification, verdicts: verdicts.filter(({ name }) => name !== 'REPLAY').flatMap((verdict) => (verdict.name === 'NOT PROVEN' ? [...replay, verdict] : [verdict])) };
}

/** REPLAY beside WORKFLOW, which tells it of each change. */
function withReplay(workflow: RuleSet, replay: Replay, found: (findings: ReplayFindings) => void): RuleSet {
  return {
    names: [...workflow.names, 'REPLAY'],
    async record(record, readObject) {
      await workflow.record(record, readObject);
      await replay.record(record, readObject);
    },
    async finish() {
      const verdicts = await workflow.finish();
      const findings = await replay.finish();
      found(findings);
      return [...verdicts, replayVerdict(findings)];
    },
  };
}

function notReplayed(rules: RuleSet, why: string): RuleSet {
  return { ...rules, names: [...rules.names, 'REPLAY'], finish: async () => [...(await rules.finish()), { name: 'REPLAY', status: 'notEstablished', message: why }] };
}

async function againstOld(old: OldLedger, { adoption }: WorkflowFindings, trust: Trust): Promise<AgainstOld> {
  return adoption === null ? untold('this ledger goes on for no other') : checkAgainstOld(old, adoption, trust);
}

function withFaults(findings: WorkflowFindings, against: AgainstOld): WorkflowFindings {
  // What is amiss in the records of an adopted change is found in both.
  const isHere = ({ code, changeId }: Violation): boolean => changeId !== null && findings.violations.some((one) => one.code === code && one.changeId === changeId);
  const more = against.violations.filter((one) => !isHere(one));
  return { ...findings, violations: [...more, ...findings.violations].slice(0, KEPT_MAX), violationCount: findings.violationCount + more.length };
}

/** Adds what WORKFLOW, though it may hold, had nobody's word for but that of who is concerned. */
function withUnproven(verification: Verification, found: WorkflowFindings | null, trust: Trust | null, against: AgainstOld | null, more: readonly string[]): Verification {
  if (found === null) return verification;
  const notProven = [...verification.notProven.map((item) => (item === UNSEEN ? unseenSince(found, trust) : item)), ...unprovenIn(found, against), ...more];
  const verdicts = verification.verdicts.map((verdict) => (verdict.name === 'NOT PROVEN' ? { ...verdict, message: notProven.join('; ') } : verdict));
  return { ...verification, notProven, verdicts };
}

/** What the ledger's own verdicts say of what nobody recorded; here it is known when somebody last looked. */
export const UNSEEN = 'changes made outside Countersign since the last reconcile';

function unseenSince({ compared }: WorkflowFindings, trust: Trust | null): string {
  const trusted = [...(trust?.executors.values() ?? [])].flatMap(({ connectors }) => connectors);
  const connectors = [...new Set([...trusted, ...compared.keys()])].sort().map((connector) => {
    const last = compared.get(connector);
    return last === undefined ? `${connector} never` : `${connector} at ${formatTime(last.atMs)}${last.complete ? '' : ', not to its end'}`;
  });
  return connectors.length === 0 ? UNSEEN : `${UNSEEN}: ${connectors.join('; ')}`;
}

export function unprovenIn({ counts, counts: { selfReported, ambiguous }, uncheckedScopes, standInReviews, erasedPlans, erasedStates, erasedDisclosures, adoption }: WorkflowFindings, against: AgainstOld | null): string[] {
  return [
    ...(selfReported === 0 ? [] : [`what ${selfReportedBy(selfReported)} did: no executor has looked`]),
    ...(ambiguous === 0 ? [] : [`whether ${plural(ambiguous, 'change')} of ambiguous outcome ${ambiguous === 1 ? 'was' : 'were'} made`]),
    ...(counts.observed === 0 ? [] : [observedIn(counts)]),
    ...(uncheckedScopes === 0 ? [] : [`whether ${plural(uncheckedScopes, 'decision')} that ${uncheckedScopes === 1 ? 'was' : 'were'} not enforced had a scope on record: the facts are not here`]),
    ...(standInReviews === 0 ? [] : [`that nobody who was asked was left to review ${plural(standInReviews, 'broken glass')}, which security reviewed`]),
    ...(erasedPlans === 0 ? [] : [`what ${plural(erasedPlans, 'erased plan')} said`]),
    ...(erasedStates === 0 ? [] : [`what ${plural(erasedStates, 'erased state')} said`]),
    ...(erasedDisclosures === 0 ? [] : [`what people wrote in ${plural(erasedDisclosures, 'record')}: erased`]),
    ...(adoption === null ? [] : unprovenOf(adoption, against)),
  ];
}

/** What no adoption can show by itself: the first is for the old ledger, the second for nobody. */
function unprovenOf({ origin, size, ahead, unwitnessed }: AdoptionFindings, against: AgainstOld | null): string[] {
  const lost = ahead.map(({ by, size: seen }) => `${by} has seen ${seen}`).join(', ');
  return [
    ...(against?.unknown === null ? [] : [`that every change which was open after ${size} records of ${origin} was adopted, to its last record, and every lock that stood: that ledger would tell (--old-ledger)`]),
    ...unwitnessed,
    `what ${origin} recorded after them${lost === '' ? '' : `: ${lost}`}`,
  ];
}

/** `3 effects under observe until 2027-01-15T00:00:00.000Z, not enforced`. */
function observedIn({ observed, observedUntilMs }: WorkflowFindings['counts']): string {
  return `${plural(observed, 'effect')} under observe until ${formatTime(observedUntilMs ?? 0)}, not enforced`;
}

const selfReportedBy = (count: number): string => `${plural(count, 'change')} self-reported by ${count === 1 ? 'its caller' : 'their callers'}`;

function withoutTrust(why: string): RuleSet {
  return { names: ['WORKFLOW'], record: () => undefined, finish: () => [{ name: 'WORKFLOW', status: 'notEstablished', message: why }] };
}

/** WORKFLOW as a rule set of the ledger's. `found` gets everything that the one line of the verdict leaves out. */
export function workflowRules(options: WorkflowOptions, found: (findings: WorkflowFindings) => void = () => undefined): RuleSet {
  const workflow = openWorkflow(options);
  return {
    names: ['WORKFLOW'],
    record: (record, readObject) => workflow.record(record, readObject),
    async finish() {
      const findings = await workflow.finish();
      found(findings);
      return [workflowVerdict(findings)];
    },
  };
}

export function workflowVerdict(findings: WorkflowFindings, against: AgainstOld | null = null): Verdict {
  const { adoption, violationCount } = findings;
  // Whoever does not know the old log may know very well what the new one broke by itself.
  const first = findings.violations.find((one) => adoption?.unknown == null || isOwn(one, adoption));
  if (!findings.sidecarKnown && findings.counts.changes > 0) return { name: 'WORKFLOW', status: 'notEstablished', message: 'the trust folder lists no ticket key of this log in sidecars.json' };
  if (first !== undefined) {
    const more = violationCount === 1 ? '' : `, and ${plural(violationCount - 1, 'more violation')}`;
    return { name: 'WORKFLOW', status: 'fails', message: `record ${first.seq}: ${first.message} (${first.code})${first.changeId === null ? '' : `, in ${first.changeId}`}${more}`, seq: first.seq };
  }
  if (adoption?.unknown != null) return { name: 'WORKFLOW', status: 'notEstablished', message: adoption.unknown };
  if (against !== null && against.unknown !== null) return { name: 'WORKFLOW', status: 'notEstablished', message: against.unknown };
  const { counts, observedAccepted } = findings;
  const unchecked = [uncheckedFor(findings), unshownIn(findings), counts.observed === 0 || observedAccepted ? null : observedIn(counts)].filter((why) => why !== null);
  if (unchecked.length > 0) return { name: 'WORKFLOW', status: 'notEstablished', message: `${unchecked.join('; ')}; all else holds: ${summary(findings)}` };
  return { name: 'WORKFLOW', status: 'holds', message: `${summary(findings)}${counts.observed === 0 ? '' : `; ${observedIn(counts)}`}` };
}

/** What is not shown, and could have hidden what fails: by which policy, and under what scope something was not enforced. */
function unshownIn({ unshownBundles, unshownUses, uncheckedScopes, uncheckedGrants, counts }: WorkflowFindings): string | null {
  const found = [
    ...(unshownBundles === 0 ? [] : [`${plural(unshownBundles, 'answer')} of policy’s by a bundle that no record which is shown says was in force`]),
    ...(unshownUses === 0 ? [] : [`${plural(unshownUses, 'use')} of standing approvals of which it is not shown that there were not too many, nor any after a revocation`]),
    ...(uncheckedScopes === 0 || counts.observed === 0 ? [] : [`${plural(uncheckedScopes, 'decision')} not enforced whose scope cannot be checked: the facts are not here`]),
    ...(uncheckedGrants === 0 ? [] : [`${plural(uncheckedGrants, 'decision')} by an exception of which it cannot be checked who granted it: the facts are not here`]),
  ];
  return found.length === 0 ? null : found.join('; ');
}

/** Of records about no change: what they carry may be signed with the old log's ticket key. */
const SIGNED_BY_OLD: ReadonlySet<ViolationCode> = new Set<ViolationCode>(['lock-signature', 'order-signature', 'order-mismatch']);

/** Whether a violation is one whatever the log was that is gone on for: it is of no change that was adopted, or of how that was carried over. */
function isOwn({ code, changeId }: Violation, { changes }: AdoptionFindings): boolean {
  if (changeId === null) return !SIGNED_BY_OLD.has(code);
  return !changes.has(changeId) || code === 'adoption-mismatch' || code === 'adopted-late';
}

/** `12 changes: 9 closed, 3 open; 11 grants: 9 taken back (the latest 0.4 s after its end), 2 running; 1 rotation: 1 finished; …`. */
function summary({ counts }: WorkflowFindings): string {
  const late = counts.worstLatenessMs === null ? '' : ` (the latest ${(counts.worstLatenessMs / 1000).toFixed(1)} s after its end)`;
  const held = [
    `${counts.takenBack} taken back${late}`, ...(counts.running === 0 ? [] : [`${counts.running} running`]), ...(counts.standing === 0 ? [] : [`${counts.standing} standing`]),
    ...(counts.extended === 0 ? [] : [`extended ${counts.extended} ${counts.extended === 1 ? 'time' : 'times'}`]),
  ];
  const underWay = counts.rotations - counts.rotated - counts.rolledBack - counts.givenUp;
  const rotated = [
    `${counts.rotated} finished`, ...(counts.rolledBack === 0 ? [] : [`${counts.rolledBack} undone`]),
    ...(counts.givenUp === 0 ? [] : [`${counts.givenUp} given up with both credentials standing`]), ...(underWay === 0 ? [] : [`${underWay} under way`]),
  ];
  return [
    `${plural(counts.changes, 'change')}: ${counts.closed} closed, ${counts.changes - counts.closed} open${counts.adopted === 0 ? '' : `, ${counts.adopted} of them adopted`}`,
    `${plural(counts.grants, 'grant')}: ${held.join(', ')}`,
    ...(counts.rotations === 0 ? [] : [`${plural(counts.rotations, 'rotation')}: ${rotated.join(', ')}`]),
    ...(counts.offboardings === 0 ? [] : [`${plural(counts.offboardings, 'offboarding')}: ${counts.offboarded} finished`]),
    ...(counts.selfReported === 0 ? [] : [selfReportedBy(counts.selfReported)]),
    ...(counts.ambiguous === 0 ? [] : [`${plural(counts.ambiguous, 'change')} of ambiguous outcome`]),
  ].join('; ');
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
