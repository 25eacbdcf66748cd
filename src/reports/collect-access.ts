/** Which access each step gave or took, and when that was recorded. */
import type { ChangeEvent } from '../change/events.ts';
import type { Audited } from '../evidence/audited.ts';
import { entitlementsOf } from '../protocol/request.ts';
import { parseTime } from '../protocol/values.ts';
import type { Collected } from './collect-changes.ts';
import type { Access, At, Taking } from './facts.ts';

export interface Accesses {
  follow(change: Collected, after: Audited, event: ChangeEvent, seq: number): void;
  readonly given: readonly Access[];
  readonly taken: readonly Taking[];
}

/** What makes a login or lends access: an extension only moves an end, and a new secret gives nobody anything more. */
const GIVING: ReadonlySet<string> = new Set(['provision', 'grant', 'stage']);

export function openAccesses(): Accesses {
  const given: { -readonly [K in keyof Access]: Access[K] }[] = [];
  const taken: Taking[] = [];
  /** Of changes whose access may be there. */
  const open = new Map<string, (typeof given)[number][]>();
  const opened = (change: Collected, after: Audited, at: At): void => {
    const step = after.ticket?.step;
    if (step === undefined || !GIVING.has(step.action)) return;
    const those = open.get(change.change) ?? [];
    if (those.some(({ stepId }) => stepId === step.stepId)) return;
    const access = {
      change: change.change, subject: change.subject, connector: step.connector, target: step.target, account: step.account, privileges: step.privileges, stepId: step.stepId, authorised: at,
      approvals: change.approvals, glass: change.glass === null ? null : { by: change.glass.by, seq: change.glass.seq }, observed: change.observed === null ? null : { scope: change.observed.scope, seq: change.observed.seq },
      given: null, nothing: null, gone: null, ends: [],
    };
    given.push(access);
    open.set(change.change, [...those, access]);
  };
  return {
    given, taken,
    follow(change, after, event, seq) {
      const at = { atMs: event.atMs, seq };
      const those = open.get(change.change) ?? [];
      const current = those.find(({ stepId }) => stepId === after.ticket?.stepId);
      switch (event.type) {
        case 'step.authorised':
          if (event.body.kind !== 'act') break;
          opened(change, after, at);
          if (event.body.lease !== null) endsAt(open.get(change.change) ?? [], at, event.body.lease.endsAt);
          break;
        case 'step.succeeded':
          if (current !== undefined) current.given ??= at;
          taken.push(...takenBy(change, after, at));
          break;
        case 'step.failed':
        case 'step.refused':
          if (after.withoutEffect) for (const one of those) if (one.given === null) one.nothing ??= at;
          break;
        case 'lease.activated':
        case 'lease.extended':
          endsAt(those, at, event.body.endsAt);
          break;
        case 'lease.ended':
          for (const one of those) one.gone ??= at;
          open.delete(change.change);
          break;
        default:
          break;
      }
    },
  };
}

function endsAt(those: readonly { ends: Access['ends'] }[], at: At, text: string): void {
  const endsAtMs = parseTime(text);
  for (const one of those) if (one.ends.at(-1)?.endsAtMs !== endsAtMs) one.ends = [...one.ends, { ...at, endsAtMs }];
}

/** What a step that is done took: of a caller's own code, what was asked for. */
function takenBy({ change, subject, kind }: Collected, { ticket, state }: Audited, at: At): Taking[] {
  if (ticket === null) return [];
  const { action, connector, target, account, privileges } = ticket.step;
  const common = { ...at, change, subject, connector, target, account };
  if (action === 'retire' || action === 'disable' || (action === 'call' && kind === 'disable')) return [{ ...common, privileges: null }];
  if (action === 'revoke') return [{ ...common, privileges }];
  return action === 'call' && kind === 'revoke' ? [{ ...common, privileges: entitlementsOf(state.request).map(({ privilege }) => privilege) }] : [];
}
