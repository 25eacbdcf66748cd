/**
 * Tokens of OpenBao 2 (and Vault) as what is given: a `provision` makes one with the policies that were approved, for as long as its lease.
 *
 * The server chooses the token, and ends it by itself. What else there is to know is in `docs/connectors/openbao-issued.md`.
 */
import { z } from 'zod';
import { TargetError, type ApplyInput, type Connector, type Issued, type StateWithoutSalt } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import { parseAddress, type OpenBaoAddress } from './address.ts';
import { checkPolicies, policyDigest } from './catalog.ts';
import { describeToken } from './describe-issued.ts';
import { secondsUntil } from './give.ts';
import { NoAnswer, openWire } from '../../openbao/wire.ts';
import { allowedPaths, areInForce, type AllowedPaths } from './in-force.ts';
import { endTokensOfChange, makeToken, tokensOf, tokensOfAccount } from './made-tokens.ts';
import { checkRoleName, formatPolicy, parsePolicy } from './names.ts';
import { withSession, type Session } from './session.ts';

export interface OpenBaoTokenOptions {
  /** The connector's id, as in plans. */
  readonly id: string;
  readonly connection: OpenBaoAddress;
  /** Epoch ms. */
  readonly nowMs?: () => number;
}

/** The connector's one target: where tokens are made. */
const MOUNT = 'token';

/** A connector to the tokens of one server. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed address */
export function openbaoTokenConnector({ id, connection: address, nowMs = Date.now }: OpenBaoTokenOptions): Connector {
  parseAddress(address);
  const asAdmin = <T>(target: string, signal: AbortSignal, use: (session: Session) => Promise<T>): Promise<T> => {
    if (target !== MOUNT) return Promise.reject(new TargetError('rejected', `connector ${id} has one target, ${MOUNT}`));
    return withSession({ address, mount: MOUNT, secrets: [] }, signal, use);
  };

  return {
    describe: describeToken,
    read: (query, signal) => asAdmin(query.target, signal, (session) => readToken(session, id, query)),
    apply: (input) => Promise.reject(notMadeHere(input.step.action)),
    issue: (input) => asAdmin(input.step.target, input.signal, (session) => issueToken(session, input, nowMs())),
    probe: (step, signal) => asAdmin(step.target, signal, async (session) => ((await tokensOf(session, step.clientToken)).length > 0 ? 'applied' : 'absent')),
    async tryUse(step, secret, signal) {
      if (secret === null || step.action !== 'provision') return 'notTried';
      const policies = step.privileges.map(parsePolicy);
      return tryToken(address, secret, policies, await asAdmin(step.target, signal, (session) => allowedPaths(session, policies)), signal);
    },
    revoke: (order, signal) => asAdmin(order.target, signal, async (session) => ((await endTokensOfChange(session, order.clientToken)) ? 'done' : 'already-absent')),
    close: () => Promise.resolve(),
  };
}

/** A token is given and taken back whole. */
export function notMadeHere(action: PlanStep['action']): TargetError {
  return new TargetError('rejected', `what is issued here is given whole and taken back whole: a ${action} is not made`);
}

/** Seconds that it may live. @throws TargetError `rejected` for standing access: what is issued here always ends */
export function lifeOf({ step, validUntil }: ApplyInput, nowMs: number): number {
  if (step.action !== 'provision') throw notMadeHere(step.action);
  if (validUntil === null) throw new TargetError('rejected', 'what is issued here always ends: the change must say when');
  return secondsUntil(Date.parse(validUntil), nowMs);
}

async function readToken(session: Session, connector: string, { target, account, action, privileges }: Query): Promise<StateWithoutSalt> {
  if (action !== 'provision') throw notMadeHere(action === 'rotate' ? 'replace' : action);
  const tokens = await tokensOfAccount(session, checkRoleName(account));
  const policies: Record<string, string | null> = {};
  for (const privilege of privileges) policies[privilege] = await policyDigest(session, parsePolicy(privilege));
  const held = tokens.flatMap((token) => token.policies).filter((name) => name !== 'default').map(formatPolicy);
  return { connector, target, account, exists: tokens.length > 0, held: [...new Set(held)].sort(), touched: { account: tokens[0]?.accessor ?? null, ...policies } };
}

async function issueToken(session: Session, input: ApplyInput, nowMs: number): Promise<Issued> {
  const { account, clientToken, privileges } = input.step;
  const policies = privileges.map(parsePolicy);
  const lifeSeconds = lifeOf(input, nowMs);
  await checkPolicies(session, policies);
  if ((await tokensOfAccount(session, checkRoleName(account))).length > 0) throw new TargetError('rejected', 'a token of that account is there');
  const { token } = await makeToken(session, clientToken, policies, { account }, lifeSeconds);
  return { secret: token };
}

const lookupSchema = z.object({ data: z.object({ policies: z.array(z.string()) }) });

/** Asks the server whose token it is. @throws TargetError `unreachable` when it cannot be known */
async function tryToken(address: OpenBaoAddress, token: string, policies: readonly string[], paths: readonly AllowedPaths[], signal: AbortSignal): Promise<'works' | 'fails'> {
  const wire = openWire(parseAddress(address), address.ca);
  const namespace = address.namespace === undefined ? {} : { 'x-vault-namespace': address.namespace };
  try {
    const headers = { 'x-vault-request': 'true', 'x-vault-token': token, ...namespace };
    const answer = await wire.send('GET', '/v1/auth/token/lookup-self', headers, undefined, signal);
    if (answer.status === 403) return 'fails';
    const seen = lookupSchema.safeParse(answer.body);
    if (answer.status !== 200 || !seen.success) throw new TargetError('unreachable', `HTTP ${String(answer.status)} to looking up the token`);
    const listed = policies.every((policy) => seen.data.data.policies.includes(policy));
    return listed && (await areInForce(wire, headers, paths, signal)) ? 'works' : 'fails';
  } catch (error) {
    // The message is the code of a network error: nothing that was sent is in it.
    if (error instanceof NoAnswer) throw new TargetError('unreachable', `no answer: ${error.message}`);
    throw error;
  } finally {
    wire.close();
  }
}
