/**
 * Logins of a target in memory: standing ones, and the twins that take turns in a rotation. Like the target that they are part of, they are
 * no friend: whether anybody still gets in after a step is for the executor to see to.
 */
import { TargetError, type ApplyInput, type StateWithoutSalt } from '../../src/executor/connector.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Query } from '../../src/protocol/signed.ts';

export interface Login {
  readonly nativeId: number;
  readonly name: string;
  /** The account that it is a twin of; null for an account that logs in itself. */
  readonly twinOf: string | null;
  canLogin: boolean;
  secret: string | null;
  sessions: number;
  isMember: boolean;
  /** Of the change that made it, made it live again, or renewed its secret. */
  token: string | null;
  retiredBy: string | null;
  readonly disabledBy: Set<string>;
}

type Step = Pick<PlanStep, 'action' | 'account' | 'other' | 'privileges' | 'clientToken'>;

/** The logins of one target. What an account holds otherwise is not its business. */
export interface SimLogins {
  add(name: string, twinOf: string | null, sessions?: number): void;
  apply(input: Pick<ApplyInput, 'step' | 'secret' | 'endSessions'>): void;
  /** What the read of a rotation, or of one step of it, tells. */
  look(query: Query, accountId: (name: string) => number | null): Pick<StateWithoutSalt, 'touched' | 'seen'>;
  /** What a twin has for being one; null where no twin is of that name. */
  heldByTwin(name: string): string[] | null;
  has(name: string): boolean;
  isApplied(step: Step): boolean;
  takeBack(order: Step): 'done' | 'already-absent' | 'mismatch';
  /** Whether this secret lets somebody in. */
  opens(secret: string): boolean;
  /** The logins by which somebody with the right secret gets in: the account's own, or its twins. */
  working(account: string): string[];
  /** The caller's own code sets a secret. */
  setSecret(account: string, secret: string): void;
  /** Whoever uses the one uses the other from now on. */
  moveSessions(from: string, to: string): void;
  all(): readonly Readonly<Login>[];
}

/** Actions that are about logins, not about privileges. */
export const LOGIN_ACTIONS: ReadonlySet<string> = new Set(['rotate', 'stage', 'cutover', 'retire', 'replace', 'disable', 'call']);

export function createSimLogins(nextId: () => number): SimLogins {
  const logins = new Map<string, Login>();

  const twinsOf = (account: string): Login[] => [...logins.values()].filter(({ twinOf }) => twinOf === account);
  const worksAs = (login: Login | undefined): boolean => login?.canLogin === true && login.secret !== null;
  const shutOut = (login: Login): void => {
    login.canLogin = false;
    login.secret = null;
    login.sessions = 0;
    login.isMember = false;
  };
  const known = (name: string): Login => {
    const login = logins.get(name);
    if (login === undefined) throw new TargetError('rejected', `no login ${name}`);
    return login;
  };
  const waitForSessions = ({ name, sessions }: Login, endSessions: boolean): void => {
    if (sessions > 0 && !endSessions) throw new TargetError('notYet', `${sessions} sessions of ${name}`);
  };
  const add = (name: string, twinOf: string | null, sessions = 0): Login => {
    const login: Login = { nativeId: nextId(), name, twinOf, canLogin: true, secret: `as it was: ${name}`, sessions, isMember: twinOf !== null, token: null, retiredBy: null, disabledBy: new Set() };
    logins.set(name, login);
    return login;
  };
  const disabled = (account: string): Login[] => [...(logins.has(account) ? [known(account)] : []), ...twinsOf(account)];

  const rotated = (account: string, accountId: number | null): StateWithoutSalt['touched'] => {
    const own = logins.get(account);
    if (own?.canLogin === true) return { overlap: 'none', account: own.nativeId, canLogin: true };
    const [current, ...more] = twinsOf(account).filter(({ canLogin }) => canLogin);
    if (current === undefined || more.length > 0) throw new TargetError('rejected', current === undefined ? 'nothing to rotate' : 'several logins are in use');
    const nextName = current.name === `${account}_a` ? `${account}_b` : `${account}_a`;
    return {
      overlap: 'twin', role: accountId, currentName: current.name, current: current.nativeId, currentCanLogin: true,
      nextName, next: logins.get(nextName)?.nativeId ?? null, privilege: `role:${account}`,
    };
  };

  return {
    add: (name, twinOf, sessions) => void add(name, twinOf, sessions),
    apply({ step, secret, endSessions }) {
      const { account, clientToken: token } = step;
      switch (step.action) {
        case 'stage': {
          if (logins.get(account)?.canLogin === true) throw new TargetError('rejected', `${account} is in use`);
          const login = logins.get(account) ?? add(account, step.privileges[0]!.slice('role:'.length));
          Object.assign(login, { canLogin: true, secret, sessions: 0, isMember: true, token, retiredBy: null });
          return;
        }
        case 'cutover':
          if (!worksAs(logins.get(account)) || logins.get(account)!.token !== token) throw new TargetError('rejected', `${account} cannot take over`);
          return waitForSessions(known(step.other ?? ''), endSessions);
        case 'retire':
          waitForSessions(known(account), endSessions);
          shutOut(known(account));
          known(account).retiredBy = token;
          return;
        case 'replace':
          if (!known(account).canLogin) throw new TargetError('rejected', `${account} cannot log in`);
          Object.assign(known(account), { secret, token });
          return;
        case 'disable':
          for (const login of disabled(account)) {
            shutOut(login);
            login.disabledBy.add(token);
          }
          return;
        default:
          throw new TargetError('rejected', `no target does a ${step.action} to logins`);
      }
    },
    look(query, accountId) {
      const { action, account, other = '', privileges } = query;
      const id = (name: string): number | null => logins.get(name)?.nativeId ?? null;
      const role = accountId((privileges[0] ?? '').slice('role:'.length));
      const sessions = Object.fromEntries([account, other].filter((name) => logins.has(name)).map((name) => [name, known(name).sessions]));
      switch (action) {
        case 'rotate':
          return { touched: rotated(account, accountId(account)) };
        case 'stage':
          return { touched: { role, current: id(other), next: id(account) }, seen: { sessions } };
        case 'cutover':
          return { touched: { role, current: id(other) }, seen: { sessions } };
        case 'retire':
          return { touched: { role, current: id(account), currentCanLogin: logins.get(account)?.canLogin ?? null }, seen: { sessions } };
        default:
          return { touched: { account: id(account) ?? accountId(account), canLogin: logins.get(account)?.canLogin ?? false } };
      }
    },
    heldByTwin(name) {
      const login = logins.get(name);
      return login?.twinOf == null ? null : login.isMember ? [`role:${login.twinOf}`] : [];
    },
    has: (name) => logins.has(name),
    isApplied({ action, account, clientToken }) {
      const login = logins.get(account);
      if (action === 'disable') return disabled(account).length > 0 && disabled(account).every((one) => one.disabledBy.has(clientToken) && !one.canLogin);
      if (action === 'retire') return login?.retiredBy === clientToken && !login.canLogin;
      return login?.token === clientToken && login.canLogin;
    },
    takeBack({ account, clientToken }) {
      const login = logins.get(account);
      if (login === undefined) return 'already-absent';
      if (login.token !== clientToken) return login.canLogin ? 'mismatch' : 'already-absent';
      if (!login.canLogin) return 'already-absent';
      shutOut(login);
      return 'done';
    },
    opens: (secret) => [...logins.values()].some((login) => worksAs(login) && login.secret === secret),
    working: (account) => [...(logins.has(account) ? [known(account)] : twinsOf(account))].filter(worksAs).map(({ name }) => name).sort(),
    setSecret(account, secret) {
      Object.assign(known(account), { secret });
    },
    all: () => [...logins.values()],
    moveSessions(from, to) {
      const [old, next] = [logins.get(from), logins.get(to)];
      if (old === undefined || next?.canLogin !== true) return;
      next.sessions += old.sessions;
      old.sessions = 0;
    },
  };
}
