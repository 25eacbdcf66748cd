/** `/v1/standing-approvals`: templates that people have signed, by which plans within them are approved. Who may give or revoke one, the engine decides. */
import { isInForce, type StandingApproval } from '../engine/standing-approvals.ts';
import type { Facts } from '../facts/load.ts';
import type { Authenticated } from '../identity/tokens.ts';
import { formatTime } from '../protocol/values.ts';
import { requireForItself } from './authorise.ts';
import type { Handlers } from './call.ts';
import { unwrap, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import { isAbout, pageOf } from './paged.ts';
import type { StandingApprovalView, StandingQuery } from './schemas.ts';
import { maySeeNhi } from './visibility.ts';

export function standingApprovalHandlers(context: SidecarContext): Handlers<'giveStandingApproval' | 'listStandingApprovals' | 'revokeStandingApproval'> {
  const { engine } = context;
  return {
    async giveStandingApproval({ by, body: { statement, reason, salt, signature, passkey } }) {
      const proof = passkey === undefined ? { ssh: signature! } : { passkey };
      return { status: 201, body: viewOf(unwrap(await engine.giveStanding(by.principal, { statement, reason, salt, proof }))) };
    },
    async listStandingApprovals({ by, query }) {
      const [facts, nowMs] = [context.facts(), engine.nextAtMs()];
      const seen = engine.standings().filter((one) => maySee(by, one, facts));
      const isAfter = query.order === undefined ? isYounger : isOlder;
      const wanted = seen.filter((one) => isWanted(one, query, nowMs)).sort((a, b) => (isAfter(keyOf(a), keyOf(b)) ? 1 : -1));
      const { page, next } = pageOf(wanted, keyOf, query, isAfter);
      return { status: 200, body: { log: context.log.logId, principal: by.principal, passkeys: engine.passkeys(by.principal), standingApprovals: page.map(viewOf), next, count: wanted.length, all: seen.length } };
    },
    async revokeStandingApproval({ by, params, body }) {
      requireForItself(by);
      const one = engine.standings().find(({ approvalId }) => approvalId === params['id']);
      // The same words for one that is not there and for one that is none of the caller's business.
      if (one === undefined || !maySee(by, one, context.facts())) throw new Problem('no-such-standing-approval', 'no standing approval of this id');
      return { status: 200, body: viewOf(unwrap(await engine.revokeStanding(by.principal, one.approvalId, body.reason))) };
    },
  };
}

/** Who gave it, and whoever may see its identity. */
function maySee(by: Authenticated, { statement: { approver, subject } }: StandingApproval, facts: Facts): boolean {
  return by.principal === approver || maySeeNhi(by, subject, facts);
}

function isWanted(one: StandingApproval, { q, state }: StandingQuery, nowMs: number): boolean {
  const { approvalId, statement: { approver, subject, connector, target, privileges } } = one;
  return (state === undefined || (state === 'inForce') === isInForce(one, nowMs)) && isAbout(q, [approvalId, approver, subject, connector, target, ...privileges]);
}

const keyOf = ({ atMs, approvalId }: StandingApproval): string => `${formatTime(atMs)} ${approvalId}`;
const isYounger = (key: string, other: string): boolean => key > other;
const isOlder = (key: string, other: string): boolean => key < other;

function viewOf({ approvalId, statement, proofClass, atMs, used, revoked }: StandingApproval): StandingApprovalView {
  return { approvalId, statement, proofClass, used, at: formatTime(atMs), revoked: revoked === null ? null : { by: revoked.by, reason: revoked.reason, at: formatTime(revoked.atMs) } };
}
