/**
 * A home-made system as a target: a receiver of signed requests does there what a connector does elsewhere.
 *
 * The protocol, the guarantees and their limits are in `docs/connectors/webhook.md`.
 */
import { randomBytes as systemRandomBytes } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { TargetError } from '../../executor/connector.ts';
import type { Connector, Described } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import type { PostOptions } from '../../webhook/signed-post.ts';
import { mayReach, parseAddress } from './address.ts';
import type { WebhookAddress } from './address.ts';
import { openExchange } from './exchange.ts';
import type { WebhookAnswer } from './protocol.ts';

export interface WebhookOptions extends WebhookAddress {
  /** The connector's id, as in plans. */
  readonly id: string;
  /** `whsec_…`, one or two: each signs, so that the receiver can change from one to the next. Asked for each request. */
  readonly signingSecrets: () => Promise<readonly string[]>;
  readonly clock: PostOptions['clock'];
  readonly userAgent: string;
  /** For one request; shorter than the worker's own deadline, 15 s, so that what comes later is refused by its `notAfter`. */
  readonly timeoutMs?: number;
  readonly ca?: string | undefined;
  /** For the ids of messages. */
  readonly randomBytes?: (size: number) => Uint8Array;
  readonly lookup?: LookupFunction;
}

type Actions = WebhookAnswer<'describe'>['actions'];
/** What an `extend` extends. */
type Given = Pick<PlanStep, 'target' | 'account' | 'privileges' | 'clientToken' | 'gave'>;

/** Of a receiver that does not state it: what only a revoke ends has no end there that could move. */
function lookedAt({ provision, grant }: Actions): Described | null {
  return provision?.expiry === 'external' || grant?.expiry === 'external' ? { expiry: 'external', endsSessions: false, residualMs: 0, findable: true } : null;
}

/** A connector to one receiver. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed or forbidden address */
export function webhookConnector(options: WebhookOptions): Connector {
  const { id, signingSecrets, clock, userAgent, timeoutMs = 10_000, ca, lookup, randomBytes = systemRandomBytes } = options;
  const url = parseAddress(options);
  const { ask } = openExchange({ url, signingSecrets, clock, userAgent, timeoutMs, ca, lookup, randomBytes, mayConnect: mayReach(url, options.allowPrivate ?? false) });
  let actions: Actions | null = null;

  const describe = (action: PlanStep['action']): Described | null => {
    if (action === 'call' || actions === null) return null;
    return actions[action] ?? (action === 'extend' ? lookedAt(actions) : null);
  };
  /** Asked before the first action, and again where the receiver did none of these then: it may have learned. Taking back does not wait for it. */
  const mustDo = async (oneOf: readonly PlanStep['action'][], signal: AbortSignal): Promise<void> => {
    const isStated = (): boolean => oneOf.some((action) => describe(action) !== null);
    if (isStated()) return;
    ({ actions } = await ask('describe', {}, signal));
    if (!isStated()) throw new TargetError('rejected', `the receiver does not state that it does ${oneOf.join(' or ')}`);
  };

  /** Whether nothing at the receiver has to change for a later end: what is to end later is looked at. @throws TargetError `rejected` where it ends by itself, and is not said to end later */
  const isLookedAt = async ({ action, gave }: Pick<Query, 'action' | 'gave'>, signal: AbortSignal): Promise<boolean> => {
    if (action !== 'extend') return false;
    await mustDo(['extend'], signal);
    if (actions?.extend !== undefined) return false;
    if (gave === undefined || actions?.[gave]?.expiry !== 'external') throw new TargetError('rejected', 'the receiver ends this by itself, and does not state that it does extend');
    return true;
  };
  const isThere = async ({ target, account, privileges, clientToken, gave }: Given, signal: AbortSignal): Promise<boolean> =>
    (await ask('probe', { step: { action: gave!, connector: id, target, account, privileges, clientToken } }, signal)).found === 'applied';
  const mustBeThere = async (given: Given, signal: AbortSignal): Promise<void> => {
    if (!(await isThere(given, signal))) throw new TargetError('rejected', 'what was to end later is not there any more');
  };

  return {
    describe,

    async read(query, signal) {
      const { action, target, account } = query;
      if (await isLookedAt(query, signal)) {
        await mustBeThere(query, signal);
        const { gave, ...rest } = query;
        const { v: _, ...state } = await ask('read', { query: { ...rest, action: gave! } }, signal);
        return { connector: id, target, account, ...state };
      }
      // A rotation is done by twins or in place: which of them, the answer says. What a caller's own code does, the receiver need not do.
      if (action !== 'call') await mustDo(action === 'rotate' ? ['stage', 'replace'] : [action], signal);
      const { v: _, ...state } = await ask('read', { query }, signal);
      return { connector: id, target, account, ...state };
    },

    async apply({ step, validUntil, secret, endSessions, signal }) {
      if (await isLookedAt(step, signal)) return mustBeThere(step, signal);
      await mustDo([step.action], signal);
      const answer = await ask('apply', { step, validUntil, secret, endSessions }, signal);
      if (answer.outcome !== 'done') throw new TargetError(answer.outcome, answer.reason);
    },

    async probe({ action, target, account, other, privileges, clientToken, gave }, signal, validUntil) {
      const step = { action, connector: id, target, account, ...(other === undefined ? {} : { other }), privileges, clientToken, ...(gave === undefined ? {} : { gave }) };
      if (await isLookedAt(step, signal)) return (await isThere(step, signal)) ? 'applied' : 'absent';
      return (await ask('probe', { step, ...(action === 'extend' ? { validUntil: validUntil ?? null } : {}) }, signal)).found;
    },

    async tryUse(step, secret, signal) {
      if (await isLookedAt(step, signal)) return (await isThere(step, signal)) ? 'notTried' : 'fails';
      return (await ask('tryUse', { step, secret }, signal)).byUse;
    },

    async revoke({ action, target, account, privileges, clientToken }, signal) {
      return (await ask('revoke', { order: { action, connector: id, target, account, privileges, clientToken } }, signal)).outcome;
    },

    async close() {
      // Connections live as long as the request that opened them.
    },
  };
}
