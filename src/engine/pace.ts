/**
 * How soon the same is done again. What was published waits for its report before it is published once more, and a ticket that was turned
 * down is not issued again at once: each issue is a record. Kept in memory only; whoever forgets it is merely impatient once.
 *
 * Waiting is measured from a moment of this process on, and a clock that was set back ends it: no time in the future holds anything up.
 */
import type { ChangeState, IssuedTicket } from '../change/state.ts';
import type { Work } from '../change/work.ts';
import type { Clock } from './ports.ts';

export interface PaceLimits {
  readonly republishMs: number;
  readonly retryMs: { readonly first: number; readonly longest: number };
}

/** What was turned down this often is asked for ever more slowly, since each issue is a record: retiring a credential is never given up. */
const QUICK_ISSUES = 10;
const SLOW_MS = 300_000;

export interface Pace {
  /** Epoch ms until which this work waits; null: it is due now. */
  notBefore(state: ChangeState, work: Work): number | null;
  /** The work was done. */
  done(state: ChangeState, work: Work): void;
  /** Nothing of the change is done any more. */
  forget(changeId: string): void;
  /** An executor is there again: what was published to it waits no longer. */
  connected(audience: string): void;
}

interface Since {
  readonly key: string;
  readonly atMs: number;
  readonly audience: string | null;
}

export function createPace(clock: Clock, limits: PaceLimits): Pace {
  const published = new Map<string, Since>();
  const refused = new Map<string, Since>();
  const waiting = (since: Since, waitMs: number): number | null => {
    const elapsedMs = clock.nowMs() - since.atMs;
    return elapsedMs >= 0 && elapsedMs < waitMs ? since.atMs + waitMs : null;
  };
  return {
    notBefore(state, work) {
      const spent = spentBy(state, work);
      if (spent !== null) {
        const key = `${spent.stepId} ${spent.issue}`;
        const known = refused.get(state.changeId);
        const since = known?.key === key ? known : { key, atMs: clock.nowMs(), audience: spent.audience };
        refused.set(state.changeId, since);
        return waiting(since, Math.min(limits.retryMs.first * 2 ** Math.min(spent.issue - 1, 16), spent.issue > QUICK_ISSUES ? SLOW_MS : limits.retryMs.longest));
      }
      const key = publicationKey(state, work);
      const last = published.get(state.changeId);
      return key !== null && last?.key === key ? waiting(last, limits.republishMs) : null;
    },
    done(state, work) {
      const key = publicationKey(state, work);
      if (key !== null) published.set(state.changeId, { key, atMs: clock.nowMs(), audience: audienceOf(state) });
    },
    forget(changeId) {
      published.delete(changeId);
      refused.delete(changeId);
    },
    connected(audience) {
      for (const [changeId, publication] of published) if (publication.audience === audience) published.delete(changeId);
    },
  };
}

/** Whom the change's last ticket was for; null where it had none. */
export function audienceOf(state: ChangeState): string | null {
  return state.act?.audience ?? state.read?.audience ?? null;
}

/** The ticket that was turned down and that this work would issue again. */
function spentBy(state: ChangeState, work: Work): IssuedTicket | null {
  if (work.do === 'readAfter') return state.readAfter;
  const ticket = work.do === 'read' ? state.read : work.do === 'dispatch' ? state.act : null;
  return ticket?.spent === true ? ticket : null;
}

/** What must not be sent again at once though the state still asks for it; null for work whose doing changes the state. */
function publicationKey(state: ChangeState, work: Work): string | null {
  switch (work.do) {
    case 'publishRead':
      return `read ${state.read?.issue ?? 0} r${state.revision}`;
    case 'publishReadAfter':
      return `read ${state.readAfter?.issue ?? 0} r${state.revision}`;
    case 'publishAct':
      return `act ${state.act?.stepId ?? ''} ${state.act?.issue ?? 0}`;
    case 'publishRevoke':
      return `revoke ${state.revokes.length}`;
    default:
      return null;
  }
}
