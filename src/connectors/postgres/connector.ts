/**
 * PostgreSQL 14 and later as a target: accounts, grants to accounts, taking either back, rotating an account's secret, and shutting it out.
 *
 * The vocabulary, the guarantees and their limits are in `docs/connectors/postgres.md`.
 */
import { randomBytes as systemRandomBytes } from 'node:crypto';
import { TargetError } from '../../executor/connector.ts';
import type { ApplyInput, Connector } from '../../executor/connector.ts';
import type { LentAction, PlanStep } from '../../protocol/plan.ts';
import type { Query } from '../../protocol/signed.ts';
import { parseConnectionString } from './address.ts';
import type { PostgresAddress } from './address.ts';
import { describe } from './describe.ts';
import { disableAccount } from './disable.ts';
import { discoverRoles } from './discover.ts';
import { extendAccess, isExtended } from './extend.ts';
import { grantThroughHolder, provisionAccount } from './give.ts';
import type { Gift } from './give.ts';
import { checkRoleName, parsePrivilege } from './privilege.ts';
import { checkCutover, replaceSecret, retireLogin, stageLogin } from './rotate.ts';
import { SALT_BYTES, scramVerifier } from './scram.ts';
import { withSession } from './session.ts';
import type { Login, Session } from './session.ts';
import { awaitAttempts } from './sessions.ts';
import { isApplied, readState } from './state.ts';
import { takeBackAccount, takeBackGrant, takeBackStaged } from './take-back.ts';
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
type About = Pick<Query, 'target' | 'account' | 'other' | 'privileges' | 'clientToken'>;

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
      other: about.other === undefined ? null : checkRoleName(about.other),
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

    discover: async (query, signal) => withSession(admin(), signal, (session) => discoverRoles(session, address.database, query)),

    async apply(input) {
      const { signal } = input;
      const gift = giftOf(input.step);
      const withSecret = (use: (session: Session, verifier: string) => Promise<void>): Promise<void> => {
        const secret = secretOf(input);
        const verifier = scramVerifier(secret, randomBytes(SALT_BYTES));
        return withSession(admin([secret, verifier]), signal, (session) => use(session, verifier));
      };
      switch (input.step.action) {
        case 'provision':
          return withSecret((session, verifier) => provisionAccount(session, gift, verifier, input.validUntil));
        case 'stage':
          return withSecret((session, verifier) => stageLogin(session, gift, verifier, input.validUntil));
        case 'replace':
          return withSecret((session, verifier) => replaceSecret(session, gift, verifier));
        case 'grant':
          return withSession(admin(), signal, (session) => grantThroughHolder(session, gift));
        case 'extend':
          return withSession(admin(), signal, (session) => extendAccess(session, gift, gaveOf(input.step), input.validUntil));
        case 'revoke':
          return withSession(admin(), signal, (session) => withdrawPrivileges(session, gift));
        case 'cutover':
          return withSession(admin(), signal, (session) => checkCutover(session, gift, input.endSessions));
        case 'retire':
          return withSession(admin(), signal, (session) => retireLogin(session, gift, input.endSessions));
        case 'disable':
          return withSession(admin(), signal, (session) => disableAccount(session, gift));
        case 'call':
          throw new TargetError('rejected', "a call is made by its caller's own code");
      }
    },

    async probe(step, signal, validUntil = null) {
      const gift = giftOf(step);
      return withSession(admin(), signal, async (session) => {
        await awaitAttempts(session, gift.clientToken);
        const applied = step.action === 'extend' ? isExtended(session, gift, gaveOf(step), validUntil) : isApplied(session, step.action, gift);
        return (await applied) ? 'applied' : 'absent';
      });
    },

    async tryUse(step, secret, signal) {
      const gift = giftOf(step);
      switch (step.action) {
        case 'provision':
        case 'stage':
        case 'replace': {
          if (secret === null) return 'notTried';
          const login: Login = { address: { ...address, user: gift.account, password: secret }, as: 'credential', statementTimeoutMs, secrets: [secret] };
          return tryCredential(login, gift.privileges, signal);
        }
        case 'grant':
        case 'extend': {
          // Its credential is not ours to use; that the privileges are in force can be read.
          const inForce = await withSession(admin(), signal, (session) => allInForce(session, gift.account, gift.privileges));
          return inForce === 'works' ? 'notTried' : 'fails';
        }
        case 'revoke':
        case 'cutover':
        case 'retire':
        case 'disable':
        case 'call':
          return 'notTried';
      }
    },

    async revoke(order, signal) {
      const gift = giftOf(order);
      return withSession(admin(), signal, (session) => {
        switch (order.action) {
          case 'provision':
            return takeBackAccount(session, gift.account, gift.clientToken);
          case 'grant':
            return takeBackGrant(session, gift.account, gift.clientToken);
          case 'stage':
            return takeBackStaged(session, gift.account, gift.clientToken);
        }
      });
    },

    async close() {
      // Connections live as long as the call that opened them.
    },
  };
}

function gaveOf(step: Pick<PlanStep, 'gave'>): LentAction {
  if (step.gave === undefined) throw new TargetError('rejected', 'an extension that does not say what it extends');
  return step.gave;
}

function secretOf(input: ApplyInput): string {
  if (input.secret === null) throw new RangeError(`a ${input.step.action} needs a secret`);
  return input.secret;
}
