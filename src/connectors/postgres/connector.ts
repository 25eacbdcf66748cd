/**
 * PostgreSQL 14 and later as a target: accounts, grants to accounts, and taking either back.
 *
 * The vocabulary, the guarantees and their limits are in `docs/connectors/postgres.md`.
 */
import { randomBytes as systemRandomBytes } from 'node:crypto';
import { TargetError } from '../../executor/connector.ts';
import type { ApplyInput, Connector, Described, StateWithoutSalt } from '../../executor/connector.ts';
import type { PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import { parseConnectionString } from './address.ts';
import type { PostgresAddress } from './address.ts';
import { canUse, findMarked, findRole, heldBy, objectOid } from './catalog.ts';
import type { Role } from './catalog.ts';
import { grantThroughHolder, provisionAccount } from './give.ts';
import type { Gift } from './give.ts';
import { checkRoleName, parsePrivilege } from './privilege.ts';
import { SALT_BYTES, scramVerifier } from './scram.ts';
import { withSession } from './session.ts';
import type { Login, Session } from './session.ts';
import { awaitAttempts } from './sessions.ts';
import { takeBackAccount, takeBackGrant } from './take-back.ts';
import { allInForce, tryCredential } from './use.ts';
import { withdrawPrivileges } from './withdraw.ts';

export interface PostgresOptions {
  /** The connector's id, as in plans. */
  readonly id: string;
  /** `postgresql://user:password@host:port/database`, or its parts. The database is the connector's one target. */
  readonly connection: string | PostgresAddress;
  /** Longest time of one statement at the server; 15 s unless said otherwise. */
  readonly statementTimeoutMs?: number;
  /** For salts. */
  readonly randomBytes?: (size: number) => Uint8Array;
}

/** What a call is about: the fields that steps, queries and orders share. */
type About = Pick<Query, 'target' | 'account' | 'privileges' | 'clientToken'>;

/** A connector to one database. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed connection string */
export function postgresConnector(options: PostgresOptions): Connector {
  const address = typeof options.connection === 'string' ? parseConnectionString(options.connection) : options.connection;
  const statementTimeoutMs = options.statementTimeoutMs ?? 15_000;
  const randomBytes = options.randomBytes ?? systemRandomBytes;

  const admin = (secrets: readonly string[] = []): Login => ({ address, as: 'admin', statementTimeoutMs, secrets });
  const giftOf = (about: About): Gift => {
    if (about.target !== address.database) throw new TargetError('rejected', `connector ${options.id} has one target, ${address.database}`);
    return {
      database: address.database,
      account: checkRoleName(about.account),
      privileges: about.privileges.map(parsePrivilege),
      clientToken: about.clientToken,
    };
  };

  return {
    describe,

    async read(query, signal) {
      const gift = giftOf(query);
      return withSession(admin(), signal, (session) => readState(session, options.id, query, gift));
    },

    async apply(input) {
      const { signal } = input;
      const gift = giftOf(input.step);
      switch (input.step.action) {
        case 'provision': {
          const secret = secretOf(input);
          const verifier = scramVerifier(secret, randomBytes(SALT_BYTES));
          return withSession(admin([secret, verifier]), signal, (session) => provisionAccount(session, gift, verifier, input.validUntil));
        }
        case 'grant':
          return withSession(admin(), signal, (session) => grantThroughHolder(session, gift));
        case 'revoke':
          return withSession(admin(), signal, (session) => withdrawPrivileges(session, gift));
      }
    },

    async probe(step, signal) {
      const gift = giftOf(step);
      return withSession(admin(), signal, async (session) => {
        await awaitAttempts(session, gift.clientToken);
        return (await isApplied(session, step.action, gift)) ? 'applied' : 'absent';
      });
    },

    async tryUse(step, secret, signal) {
      const gift = giftOf(step);
      switch (step.action) {
        case 'provision': {
          if (secret === null) return 'notTried';
          const login: Login = { address: { ...address, user: gift.account, password: secret }, as: 'credential', statementTimeoutMs, secrets: [secret] };
          return tryCredential(login, gift.privileges, signal);
        }
        case 'grant': {
          // Its credential is not ours to use; that the privileges are in force can be read.
          const inForce = await withSession(admin(), signal, (session) => allInForce(session, gift.account, gift.privileges));
          return inForce === 'works' ? 'notTried' : 'fails';
        }
        case 'revoke':
          return 'notTried';
      }
    },

    async revoke(order, signal) {
      const gift = giftOf(order);
      return withSession(admin(), signal, (session) =>
        order.action === 'provision' ? takeBackAccount(session, gift.account, gift.clientToken) : takeBackGrant(session, gift.account, gift.clientToken),
      );
    },

    async close() {
      // Connections live as long as the call that opened them.
    },
  };
}

function describe(action: PlanStep['action']): Described {
  switch (action) {
    case 'provision':
      // VALID UNTIL refuses logins from then on; sessions that are open then are ended by the revoke.
      return { expiry: 'native', endsSessions: true, residualMs: 0, findable: true };
    case 'grant':
      // Sessions stay open, without the access; before 16 they are ended.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
    case 'revoke':
      // It makes nothing that would have to be found: whether it was applied is read from the account itself.
      return { expiry: 'external', endsSessions: false, residualMs: 0, findable: true };
  }
}

async function readState(session: Session, connector: string, query: Query, gift: Gift): Promise<StateWithoutSalt> {
  const role = await findRole(session, gift.account);
  const touched: Record<string, number | boolean | null> = { account: role?.oid ?? null };
  if (query.action !== 'provision') touched['canLogin'] = role?.canLogin ?? null;
  for (const [index, privilege] of gift.privileges.entries()) touched[query.privileges[index]!] = await objectOid(session, privilege);
  const held = role === null ? [] : await heldBy(session, role.oid);
  return { connector, target: query.target, account: query.account, exists: role !== null, touched, held };
}

async function isApplied(session: Session, action: PlanStep['action'], gift: Gift): Promise<boolean> {
  switch (action) {
    case 'provision':
      return (await findMarked(session, gift.clientToken)).some((role) => role.canLogin);
    case 'grant': {
      for (const holder of await findMarked(session, gift.clientToken)) if (await isMember(session, gift.account, holder)) return true;
      return false;
    }
    case 'revoke': {
      const account = await findRole(session, gift.account);
      if (account === null) return true;
      for (const privilege of gift.privileges) {
        const object = await objectOid(session, privilege);
        if (object !== null && (await canUse(session, account.oid, privilege, object, 'member'))) return false;
      }
      return true;
    }
  }
}

async function isMember(session: Session, account: string, holder: Role): Promise<boolean> {
  const rows = await session.query(
    'SELECT 1 FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member WHERE m.roleid = $1::oid AND u.rolname = $2::text LIMIT 1',
    [holder.oid, account],
  );
  return rows.length > 0;
}

function secretOf(input: ApplyInput): string {
  if (input.secret === null) throw new RangeError('a provision needs a secret');
  return input.secret;
}
