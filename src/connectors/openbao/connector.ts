/**
 * OpenBao 2 (and Vault) as a target: AppRoles, policies lent to them, taking either back, rotating a role's secret-id, and shutting a role out.
 *
 * The vocabulary, the guarantees and their limits are in `docs/connectors/openbao.md`.
 */
import { TargetError } from '../../executor/connector.ts';
import type { ApplyInput, Connector } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import { parseAddress, pathOf } from './address.ts';
import type { OpenBaoAddress } from './address.ts';
import { findRole } from './catalog.ts';
import { describe } from './describe.ts';
import { disableAccount } from './disable.ts';
import { discoverRoles } from './discover.ts';
import { allowedPaths } from './in-force.ts';
import { grantThroughGroup, provisionRole, secondsUntil } from './give.ts';
import type { Gift } from './give.ts';
import { checkRoleName, parsePolicy, parseSecretId } from './names.ts';
import { checkCutover, retireSecretId, stageSecretId, twinsOf } from './rotate.ts';
import { withSession } from './session.ts';
import type { Session } from './session.ts';
import { isApplied, namesOf, readState, requireLent } from './state.ts';
import { takeBackAccount, takeBackGrant, takeBackStaged } from './take-back.ts';
import { tryCredential } from './use.ts';
import { withdrawPolicies } from './withdraw.ts';

export interface OpenBaoOptions {
  /** The connector's id, as in plans. */
  readonly id: string;
  readonly connection: OpenBaoAddress;
  /** Where the AppRole auth method is mounted: the connector's one target. `approle` unless said otherwise. */
  readonly mount?: string;
  /** Epoch ms. */
  readonly nowMs?: () => number;
}

/** A connector to one AppRole mount. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed address or mount */
export function openbaoConnector(options: OpenBaoOptions): Connector {
  const { connection: address, mount = 'approle', nowMs = Date.now } = options;
  parseAddress(address);
  pathOf(mount);

  const asAdmin = <T>(target: string, signal: AbortSignal, use: (session: Session) => Promise<T>, secrets: readonly string[] = []): Promise<T> => {
    if (target !== mount) return Promise.reject(new TargetError('rejected', `connector ${options.id} has one target, ${mount}`));
    return withSession({ address, mount, secrets }, signal, use);
  };

  return {
    describe,

    read: async (query, signal) => asAdmin(query.target, signal, (session) => readState(session, options.id, query, nowMs())),

    discover: async (query, signal) => asAdmin(mount, signal, (session) => discoverRoles(session, mount, query, nowMs())),

    async apply(input) {
      const { step, secret, signal } = input;
      await asAdmin(step.target, signal, async (session) => {
        try {
          await applyStep(session, input, nowMs());
        } catch (error) {
          throw await afterFailure(session, step, error);
        }
      }, secret === null ? [] : [secret]);
    },

    probe: async (step, signal) => asAdmin(step.target, signal, async (session) => ((await isApplied(session, step.action, step)) ? 'applied' : 'absent')),

    async tryUse(step, secret, signal) {
      switch (step.action) {
        case 'provision':
        case 'stage': {
          if (secret === null) return 'notTried';
          const name = step.action === 'stage' ? parseSecretId(step.account).role : checkRoleName(step.account);
          const policies = step.action === 'stage' ? [] : step.privileges.map(parsePolicy);
          const [role, paths] = await asAdmin(step.target, signal, async (session) => [await findRole(session, name), await allowedPaths(session, policies)] as const);
          return role === null ? 'fails' : tryCredential({ address, mount, roleId: role.roleId, secret }, policies, paths, signal);
        }
        case 'grant':
        case 'extend': {
          // Its credential is not ours to use; that the policies are in force can be read.
          const state = await asAdmin(step.target, signal, (session) => readState(session, options.id, step, nowMs()));
          return step.privileges.every((privilege) => state.held.includes(privilege)) ? 'notTried' : 'fails';
        }
        case 'revoke':
        case 'replace':
        case 'cutover':
        case 'retire':
        case 'disable':
        case 'call':
          return 'notTried';
      }
    },

    async revoke(order, signal) {
      return asAdmin(order.target, signal, (session) => {
        switch (order.action) {
          case 'provision':
            return takeBackAccount(session, { account: checkRoleName(order.account), clientToken: order.clientToken });
          case 'grant':
            return takeBackGrant(session, order);
          case 'stage':
            return takeBackStaged(session, parseSecretId(order.account).role, order.clientToken);
        }
      });
    },

    async close() {
      // Connections live as long as the call that opened them.
    },
  };
}

async function applyStep(session: Session, input: ApplyInput, nowMs: number): Promise<void> {
  const { step, endSessions } = input;
  const untilMs = input.validUntil === null ? null : Date.parse(input.validUntil);
  switch (step.action) {
    case 'provision':
      return provisionRole(session, giftOf(step), secretOf(input), untilMs === null ? null : secondsUntil(untilMs, nowMs));
    case 'grant':
      return grantThroughGroup(session, giftOf(step));
    case 'extend':
      return requireLent(session, step);
    case 'revoke':
      return withdrawPolicies(session, giftOf(step));
    case 'disable':
      return disableAccount(session, giftOf(step));
    case 'stage':
      return stageSecretId(session, twinsOf(step, ...namesOf('stage', step)), secretOf(input), untilMs, nowMs);
    case 'cutover':
      return checkCutover(session, twinsOf(step, ...namesOf('cutover', step)), endSessions, nowMs);
    case 'retire':
      return retireSecretId(session, twinsOf(step, ...namesOf('retire', step)), endSessions, nowMs);
    case 'replace':
      throw new TargetError('rejected', 'an AppRole is rotated by twins: old and new secret-id side by side');
    case 'call':
      throw new TargetError('rejected', "a call is made by its caller's own code");
  }
}

/** The failure as the worker is to take it: once something has been changed, not everything was refused. */
async function afterFailure(session: Session, step: PlanStep, error: unknown): Promise<unknown> {
  if (!(error instanceof TargetError) || error.kind === 'ambiguous' || !session.hasWritten()) return error;
  if (step.action === 'provision' && error.kind === 'rejected') {
    // Refused halfway, as where the connector may make roles and no secret-ids: what there is of it goes, and then nothing has changed.
    const undone = await takeBackAccount(session, giftOf(step)).catch(() => 'mismatch' as const);
    if (undone !== 'mismatch') return error;
  }
  return new TargetError('ambiguous', `begun, and not known to be done: ${error.message}`);
}

function giftOf(step: PlanStep): Gift {
  return { account: checkRoleName(step.account), policies: step.privileges.map(parsePolicy), clientToken: step.clientToken };
}

function secretOf(input: ApplyInput): string {
  if (input.secret === null) throw new RangeError(`a ${input.step.action} needs a secret`);
  return input.secret;
}
