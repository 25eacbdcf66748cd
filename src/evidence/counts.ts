/** How many of what a ledger tells of: the figures in the verdict's one line. */
import type { ChangeEvent } from '../change/events.ts';
import { isPastCutover } from '../change/state.ts';
import { parseTime } from '../protocol/values.ts';
import { callerOf } from '../protocol/request.ts';
import { isRotated, type Audited } from './audited.ts';

export interface WorkflowCounts {
  readonly changes: number;
  readonly closed: number;
  /** Of the changes, those that were begun under an earlier log. */
  readonly adopted: number;
  /** Effects that gave access, and those of them that were taken back. */
  readonly grants: number;
  readonly takenBack: number;
  /** Leases whose access is there and whose end has not come. */
  readonly running: number;
  /** Access without an end, still there. */
  readonly standing: number;
  /** Leases that were given a later end, each time that they were. */
  readonly extended: number;
  /** New credentials that took an old one's place or were to, those whose old one is gone, and those that were undone. */
  readonly rotations: number;
  readonly rotated: number;
  readonly rolledBack: number;
  /** Of those, given up after the cutover: old and new credential both stand. */
  readonly givenUp: number;
  /** Offboardings that began, and those of which every item is gone. */
  readonly offboardings: number;
  readonly offboarded: number;
  /** Changes of which nobody but the caller that made them has said what they did. */
  readonly selfReported: number;
  /** Changes of which nobody has said whether they were made. */
  readonly ambiguous: number;
  /** Changes that went ahead under observe, whatever policy said of them, and until when the last of that was so, in epoch ms; null where none did. */
  readonly observed: number;
  readonly observedUntilMs: number | null;
  readonly approvals: number;
  /** The latest that access ended after its lease did, in ms; null where no lease has come to its end. */
  readonly worstLatenessMs: number | null;
}

export interface Counting {
  /** Takes one record of a change that was `before` and is now `after`. */
  take(before: Audited | null, after: Audited, event: ChangeEvent): void;
  /** A lease ended so long after its time; negative for before. */
  ended(latenessMs: number): void;
  closed(): void;
  /** A change was adopted, open or not. */
  adopted(): void;
  /** @param overdue changes whose access should be gone: neither running nor standing */
  finish(open: Iterable<Audited>, overdue: ReadonlySet<string>): WorkflowCounts;
}

export function openCounting(): Counting {
  const counts = {
    changes: 0, closed: 0, adopted: 0, extended: 0, grants: 0, takenBack: 0, rotations: 0, rotated: 0, rolledBack: 0, givenUp: 0, offboardings: 0, offboarded: 0, selfReported: 0, approvals: 0, observed: 0,
    observedUntilMs: null as number | null,
    worstLatenessMs: null as number | null,
  };
  return {
    take(before, after, event) {
      if (before === null) counts.changes += 1;
      if (after.observed && before?.observed === false) counts.observed += 1;
      const observed = event.type === 'step.authorised' && event.body.kind === 'act' ? after.state.decision?.observed : undefined;
      if (observed !== undefined) counts.observedUntilMs = Math.max(counts.observedUntilMs ?? 0, parseTime(observed.until));
      switch (event.type) {
        case 'approval.recorded':
          counts.approvals += 1;
          break;
        case 'step.succeeded':
          if (gives(after)) counts.grants += 1;
          if (putsInPlace(after)) counts.rotations += 1;
          // Heard of after it was called off: nobody looks at the target any more.
          if (isCalled(after) && after.state.name === 'withdrawn') counts.selfReported += 1;
          break;
        case 'step.failed':
          if (isCalled(after) && after.answered && before?.answered === false) counts.selfReported += 1;
          break;
        case 'entitlement.verified':
          if (isCalled(after) && !after.seen) counts.selfReported += 1;
          if (!isCalled(after) && isRotated(after)) counts.rotated += 1;
          break;
        case 'change.withdrawn':
          if (isPastCutover(after.state)) counts.givenUp += 1;
          break;
        case 'lease.extended':
          counts.extended += 1;
          break;
        case 'lease.ended':
          if (before?.state.ended !== null) break;
          if (gives(after) && after.state.result !== null) counts.takenBack += 1;
          if (after.given?.step.action === 'stage' && wasPutInPlace(after) && after.state.name !== 'revoked') counts.rolledBack += 1;
          break;
        case 'policy.decided':
          if (isCase(after) && before?.state.name === 'scheduled' && after.state.name === 'executing') counts.offboardings += 1;
          break;
        case 'item.settled':
          if (isCase(after) && after.state.name === 'done') counts.offboarded += 1;
          break;
        default:
          break;
      }
    },
    ended(latenessMs) {
      if (latenessMs >= 0) counts.worstLatenessMs = Math.max(counts.worstLatenessMs ?? 0, latenessMs);
    },
    closed() {
      counts.closed += 1;
    },
    adopted() {
      counts.adopted += 1;
    },
    finish(open, overdue) {
      const left = { closed: counts.closed, running: 0, standing: 0, selfReported: counts.selfReported, ambiguous: 0 };
      for (const audited of open) {
        const { state } = audited;
        if (isRotated(audited) || isGivenUp(audited)) left.closed += 1;
        if (isCalled(audited) && state.result !== null && state.verification === null && !audited.seen) left.selfReported += 1;
        if (isUnknown(audited)) left.ambiguous += 1;
        if (overdue.has(state.changeId) || state.result === null || state.ended !== null) continue;
        if (state.lease !== null) left.running += 1;
        else if (gives(audited)) left.standing += 1;
      }
      return { ...counts, ...left };
    },
  };
}

/** Whether the change's effect is access that somebody has from then on. */
function gives({ ticket }: Audited): boolean {
  return ticket?.step.action === 'provision' || ticket?.step.action === 'grant';
}

/** Whether the step under way makes a credential that is to take another's place. */
function putsInPlace({ ticket }: Audited): boolean {
  return ticket?.step.action === 'stage' || ticket?.step.action === 'replace';
}

const wasPutInPlace = ({ state }: Audited): boolean => state.finished.length > 0 || state.result?.outcome === 'done';
const isCalled = ({ state }: Audited): boolean => callerOf(state.request) !== null;
const isCase = ({ state }: Audited): boolean => state.request.kind === 'offboard';

/** Mode `caller`: whether somebody has called it off of whose code nothing is known. It is over, and what its run may still say is looked at all the same. */
function isGivenUp(audited: Audited): boolean {
  return audited.state.name === 'withdrawn' && isCalled(audited) && isUnknown(audited);
}

/** Whether it was said that the outcome is not known, and nothing since. */
function isUnknown({ state, answered, withoutEffect }: Audited): boolean {
  return (state.silent || state.ambiguousAttempt > 0) && state.result === null && state.ended === null && !answered && !withoutEffect;
}
