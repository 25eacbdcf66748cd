/**
 * Dynamic database credentials of OpenBao 2 (and Vault): a `provision` has the server make a database account, for as long as its lease.
 *
 * The server lists leases without saying whose they are. So the credential is got with a token that is made for it and marked with the client
 * token: it ends with that token, by itself at the end of the lease, or when the token is revoked. A second token, which can do nothing, remembers the
 * id of the database lease, so that its end can be read. What else there is to know is in `docs/connectors/openbao-issued.md`.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalBytes } from '../../../ledger/index.ts';
import { TargetError, type Connector, type Issued, type StateWithoutSalt } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import { parseAddress, pathOf, type OpenBaoAddress } from './address.ts';
import { checkPolicies } from './catalog.ts';
import { describeCredential } from './describe-issued.ts';
import { endTokensOfChange, makeToken, tokensOf, tokensOfAccount } from './made-tokens.ts';
import { checkRoleName } from './names.ts';
import { withSession, type Session } from './session.ts';
import { lifeOf, notMadeHere } from './token-connector.ts';
import type { Token } from './tokens.ts';

export interface OpenBaoDatabaseOptions {
  /** The connector's id, as in plans. */
  readonly id: string;
  readonly connection: OpenBaoAddress;
  /** Where the database engine is mounted: the connector's one target. */
  readonly mount: string;
  /** The ACL policy that lets a token read the credentials of the roles that may be given, and nothing else. */
  readonly policy: string;
  /** Epoch ms. */
  readonly nowMs?: () => number;
}

/** A connector to one database engine. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed address or mount */
export function openbaoDatabaseConnector({ id, connection: address, mount, policy, nowMs = Date.now }: OpenBaoDatabaseOptions): Connector {
  parseAddress(address);
  pathOf(mount);
  const asAdmin = <T>(target: string, signal: AbortSignal, use: (session: Session) => Promise<T>): Promise<T> => {
    if (target !== mount) return Promise.reject(new TargetError('rejected', `connector ${id} has one target, ${mount}`));
    return withSession({ address, mount, secrets: [] }, signal, use);
  };
  /** What the bearer of the token may do. */
  const asBearer = <T>(token: string, signal: AbortSignal, use: (session: Session) => Promise<T>): Promise<T> =>
    withSession({ address: { ...address, token: () => token }, mount, secrets: [] }, signal, use);

  return {
    describe: describeCredential,
    read: (query, signal) => asAdmin(query.target, signal, (session) => readAccount(session, id, query)),
    apply: (input) => Promise.reject(notMadeHere(input.step.action)),
    async issue(input) {
      const { step, signal } = input;
      return asAdmin(step.target, signal, async (session) => {
        const lifeSeconds = lifeOf(input, nowMs());
        const role = roleOf(step);
        await checkPolicies(session, [policy]);
        if ((await roleDigest(session, role)) === null) throw new TargetError('rejected', `there is no such database role: ${role}`);
        if ((await tokensOfAccount(session, checkRoleName(step.account))).some((token) => !isHalf(token))) throw new TargetError('rejected', 'a credential of that account is there');
        // What an attempt before this one has left is no part of this one.
        await endTokensOfChange(session, step.clientToken);
        const { token } = await makeToken(session, step.clientToken, [policy], { account: step.account, role }, lifeSeconds);
        try {
          const made = await asBearer(token, signal, (bearer) => bearer.make('GET', `${bearer.mount}/creds/${encodeURIComponent(role)}`, undefined, credentialSchema));
          await makeToken(session, step.clientToken, [], { account: step.account, role, lease: made.lease_id }, lifeSeconds);
          return issuedOf(made);
        } catch (error) {
          throw await afterFailure(session, step, error);
        }
      });
    },
    probe: (step, signal) => asAdmin(step.target, signal, async (session) => ((await tokensOf(session, step.clientToken)).some((token) => !isHalf(token)) ? 'applied' : 'absent')),
    // The database is not known here, nor a way to it.
    tryUse: () => Promise.resolve('notTried'),
    revoke: (order, signal) => asAdmin(order.target, signal, (session) => takeBack(session, order.clientToken)),
    close: () => Promise.resolve(),
  };
}

const credentialSchema = z.object({ lease_id: z.string().min(1), data: z.object({ username: z.string().min(1), password: z.string().min(1) }) });

/** What is sealed: who to log in as, and how. */
function issuedOf({ data: { username, password } }: z.infer<typeof credentialSchema>): Issued {
  return { secret: JSON.stringify({ username, password }), credential: password };
}

/** The database role in `role:<name>`: a credential has exactly one. @throws TargetError `rejected` */
function roleOf({ privileges }: Pick<PlanStep, 'privileges'>): string {
  const [privilege = '', ...more] = privileges;
  const name = /^role:(.+)$/s.exec(privilege)?.[1];
  if (name === undefined || more.length > 0) throw new TargetError('rejected', 'a database credential has one privilege, role:<name>');
  return checkRoleName(name);
}

/** The one that got the credential: whether the other, which remembers its lease, was made is not known from it. */
function isHalf({ meta }: Token): boolean {
  return meta['lease'] === undefined;
}

const mountSchema = z.object({ accessor: z.string().min(1), type: z.literal('database') });

async function readAccount(session: Session, connector: string, query: Query): Promise<StateWithoutSalt> {
  const { target, account, action } = query;
  if (action !== 'provision') throw notMadeHere(action === 'rotate' ? 'replace' : action);
  const role = roleOf(query);
  const mount = await session.get(`sys/mounts/${session.mount}`, mountSchema);
  if (mount === null) throw new TargetError('rejected', 'no database engine is mounted there');
  const made = (await tokensOfAccount(session, checkRoleName(account))).filter((token) => !isHalf(token));
  return {
    connector, target, account, exists: made.length > 0, held: [...new Set(made.map(({ meta }) => `role:${meta['role'] ?? ''}`))].sort(),
    touched: { account: made[0]?.accessor ?? null, mount: mount.accessor, [`role:${role}`]: await roleDigest(session, role) },
  };
}

/** SHA-256 of the role's definition, statements and all, so that one rewritten since it was approved shows; null if there is no such role. */
async function roleDigest(session: Session, role: string): Promise<string | null> {
  const definition = await session.get(`${session.mount}/roles/${encodeURIComponent(role)}`, z.record(z.string(), z.json()));
  return definition === null ? null : `sha256:${createHash('sha256').update(canonicalBytes(definition)).digest('hex')}`;
}

const LEASE_LOOKS_MS = 100;

/**
 * No token of the client token is left, and no database lease that one of them remembers: the account is gone at the database. That was read.
 * @throws TargetError `ambiguous` while the server has not ended a lease: it goes on trying, and so does whoever calls this
 */
async function takeBack(session: Session, clientToken: string): Promise<'done' | 'already-absent'> {
  const made = await tokensOf(session, clientToken);
  const leases = made.flatMap(({ meta }) => (meta['lease'] === undefined ? [] : [meta['lease']]));
  // The one that got the credential first: with it goes what it got. The other still remembers, should this be cut short.
  for (const token of made) if (isHalf(token)) await session.writeIfThere('auth/token/revoke-accessor', { accessor: token.accessor });
  for (const lease of leases) await untilEnded(session, lease);
  const ended = await endTokensOfChange(session, clientToken);
  return made.length > 0 || ended ? 'done' : 'already-absent';
}

/** Waits a few seconds for what the server does at its own pace. */
async function untilEnded(session: Session, lease: string): Promise<void> {
  // One that outlived its token, which should not be: revoked by itself, and waited for.
  for (let looks = 0; looks < 50; looks += 1) {
    if (!(await isThere(session, lease))) return;
    if (looks === 0) await session.writeIfThere('sys/leases/revoke', { lease_id: lease, sync: true });
    else await new Promise((later) => setTimeout(later, LEASE_LOOKS_MS));
  }
  throw new TargetError('ambiguous', 'the server has not ended the database lease yet');
}

async function isThere(session: Session, lease: string): Promise<boolean> {
  try {
    return (await session.ask('sys/leases/lookup', { lease_id: lease }, z.object({ id: z.string() }))) !== null;
  } catch (error) {
    if (error instanceof TargetError && error.kind === 'rejected' && error.message.includes('invalid lease')) return false;
    throw error;
  }
}

/** The failure as the worker is to take it: what was begun is undone where it was refused, and is `ambiguous` otherwise. */
async function afterFailure(session: Session, { clientToken }: PlanStep, error: unknown): Promise<unknown> {
  if (!(error instanceof TargetError) || error.kind === 'ambiguous') return error;
  const undone = await takeBack(session, clientToken).then(() => true, () => false);
  if (error.kind === 'rejected' && undone) return error;
  return new TargetError('ambiguous', `begun, and not known to be done: ${error.message}`);
}
