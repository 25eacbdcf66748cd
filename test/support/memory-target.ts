/** A target in memory that behaves as targets do: it loses answers, hangs, and refuses what is there already. For tests of the worker. */
import { TargetError, type ApplyInput, type Connector, type Issued, type StateWithoutSalt } from '../../src/executor/connector.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Query, RevokeOrder } from '../../src/protocol/signed.ts';
import { BEFORE, ROLE } from './envelopes.ts';
import type { FakeClock } from './fake-clock.ts';

/**
 * What becomes of the next call: `lostAfter` has its effect and loses the answer, `lostBefore` loses the question; `hangs` never answers and
 * has no effect, `hangsDone` never answers and has it; `late` loses the answer at once and has its effect two seconds later.
 */
export type Fate = 'unreachable' | 'rejected' | 'lostAfter' | 'lostBefore' | 'hangs' | 'hangsDone' | 'late' | 'throws';
export type Operation = 'read' | 'apply' | 'probe' | 'tryUse' | 'revoke';

export interface Account {
  readonly token: string | null;
  readonly secret: string | null;
  readonly validUntil: string | null;
  /** Shut out: there, and of no use to anybody. */
  readonly locked?: true;
}

export interface MemoryTarget {
  /** A connection of one run of a program: once it has ended, its calls are never answered. */
  connector(run: { readonly alive: boolean }): Connector;
  /** Fates of the next calls of an operation, in order; afterwards all goes well. */
  will(operation: Operation, ...fates: Fate[]): void;
  /** What an operation does until told otherwise. */
  always(operation: Operation, fate: Fate | null): void;
  readonly accounts: Map<string, Account>;
  /** Calls that were made, in order. */
  readonly calls: readonly Operation[];
  /** Every secret that was ever set, in order. */
  readonly secrets: readonly string[];
  /** Called at every call, before anything happens. */
  watch: (operation: Operation) => void;
  touched: Record<string, string>;
  /** Attributes of a rotation, a replacement or a shut-out that are not what they would be: read in place of the true ones. */
  readonly drift: Record<string, string>;
  /** Whether the target chooses the secret of what it makes. */
  choosesSecrets: boolean;
  /** Open sessions, by login. */
  readonly sessions: Map<string, number>;
  /** Effects that were had, in order: `<action> <account>`. */
  readonly effects: readonly string[];
  /** Whether somebody with the right secret gets in. */
  works(account: string): boolean;
}

/** Actions whose reads tell of logins, as a rotation needs them. */
const OF_LOGINS: ReadonlySet<string> = new Set(['rotate', 'stage', 'cutover', 'retire', 'replace', 'disable', 'call']);

export function memoryTarget(clock: FakeClock): MemoryTarget {
  const fates = new Map<Operation, Fate[]>();
  const standing = new Map<Operation, Fate>();
  const accounts = new Map<string, Account>();
  const calls: Operation[] = [];
  const secrets: string[] = [];
  const own = clock.port();

  const drift: Record<string, string> = {};
  const sessions = new Map<string, number>();
  const effects: string[] = [];

  const works = (account: string): boolean => (accounts.get(account)?.secret ?? null) !== null && accounts.get(account)?.locked !== true;
  const lock = (account: string, token: string | null): void => void accounts.set(account, { token, secret: null, validUntil: null, locked: true });
  const waitForSessions = (account: string, endSessions: boolean): void => {
    const open = sessions.get(account) ?? 0;
    if (open > 0 && !endSessions) throw new TargetError('notYet', `${open} sessions of ${account}`);
  };
  const effectOf = ({ step, secret, validUntil, endSessions }: Omit<ApplyInput, 'signal'>): void => {
    const { account, clientToken: token } = step;
    switch (step.action) {
      case 'revoke':
        accounts.delete(account);
        return;
      case 'provision':
      case 'grant':
        if (accounts.has(account)) throw new TargetError('rejected', 'an account of this name is there');
        accounts.set(account, { token, secret, validUntil });
        return;
      case 'extend': {
        const lent = accounts.get(account);
        if (lent === undefined || lent.token !== token || lent.locked === true) throw new TargetError('rejected', 'what was to end later is not there any more');
        accounts.set(account, { ...lent, validUntil });
        return;
      }
      case 'stage':
        if (works(account)) throw new TargetError('rejected', 'a login of this name is in use');
        accounts.set(account, { token, secret, validUntil });
        return;
      case 'cutover':
        if (!works(account)) throw new TargetError('rejected', `${account} cannot log in`);
        return waitForSessions(step.other ?? '', endSessions);
      case 'retire':
        // Whether anybody else gets in, it does not ask: that is for the worker to see to.
        waitForSessions(account, endSessions);
        sessions.delete(account);
        return lock(account, token);
      case 'replace':
        accounts.set(account, { token, secret, validUntil });
        return;
      case 'disable':
        sessions.delete(account);
        return lock(account, token);
      case 'call':
        throw new TargetError('rejected', 'no target does what a caller does');
    }
  };
  const applyNow = (input: Omit<ApplyInput, 'signal'>): void => {
    effectOf(input);
    effects.push(`${input.step.action} ${input.step.account}`);
    if (input.secret !== null) secrets.push(input.secret);
  };
  const issueNow = (input: Omit<ApplyInput, 'signal'>): Issued => {
    const secret = `chosen-by-the-target-${secrets.length + 1}`;
    if (input.secret !== null) throw new RangeError('a secret was sent to a target that chooses its own');
    applyNow({ ...input, secret });
    return { secret };
  };
  const idOf = (account: string): string | null => (accounts.has(account) ? `id-${account}` : null);
  const canLogin = (account: string): boolean => accounts.has(account) && accounts.get(account)?.locked !== true;
  /** What the read of a rotation, or of one step of it, tells. */
  const loginsOf = ({ action, account, other = '' }: Query): Record<string, string | boolean | null> => {
    if (action === 'rotate' || action === 'stage') return { role: `id-${ROLE}`, current: idOf(other), next: idOf(account) };
    if (action === 'cutover') return { role: `id-${ROLE}`, current: idOf(other) };
    if (action === 'retire') return { role: `id-${ROLE}`, current: idOf(account), currentCanLogin: canLogin(account) };
    return { account: idOf(account), canLogin: canLogin(account) };
  };
  const touchedBy = (query: Query): StateWithoutSalt['touched'] => {
    if (query.action === 'extend') {
      if (accounts.get(query.account)?.token !== query.clientToken) throw new TargetError('rejected', 'what was to end later is not there any more');
      return { lent: `id-${query.account}` };
    }
    if (!OF_LOGINS.has(query.action)) return accounts.has(query.account) ? { account: 'present' } : target.touched;
    const read = loginsOf(query);
    return { ...read, ...Object.fromEntries(Object.entries(drift).filter(([key]) => key in read)) };
  };
  const isApplied = (step: Pick<PlanStep, 'action' | 'account' | 'clientToken'>, validUntil: string | null): boolean => {
    const account = accounts.get(step.account);
    if (step.action === 'extend') return account?.token === step.clientToken && (account.validUntil ?? '') >= (validUntil ?? '');
    if (step.action === 'revoke') return account === undefined;
    if (step.action === 'retire' || step.action === 'disable') return account?.locked === true;
    return account?.token === step.clientToken && account.locked !== true;
  };
  const takeBack = (order: Pick<RevokeOrder, 'action' | 'account' | 'clientToken'>): 'done' | 'already-absent' | 'mismatch' => {
    const account = accounts.get(order.account);
    if (account === undefined) return 'already-absent';
    if (account.token !== order.clientToken) return 'mismatch';
    if (order.action === 'stage') {
      if (account.locked === true) return 'already-absent';
      lock(order.account, order.clientToken);
    } else accounts.delete(order.account);
    effects.push(`revoke ${order.account}`);
    return 'done';
  };
  const target: MemoryTarget = {
    accounts, calls, secrets, sessions, drift, effects, works, watch: () => undefined, touched: { ...BEFORE }, choosesSecrets: false,
    will: (operation, ...next) => void fates.set(operation, [...(fates.get(operation) ?? []), ...next]),
    always(operation, fate) {
      if (fate === null) standing.delete(operation);
      else standing.set(operation, fate);
    },
    connector(run) {
      const call = async <T>(operation: Operation, effect: () => T): Promise<T> => {
        calls.push(operation);
        target.watch(operation);
        const never = new Promise<T>(() => undefined);
        const answer = (value: T): Promise<T> => (run.alive ? Promise.resolve(value) : never);
        if (!run.alive) return never;
        switch (fates.get(operation)?.shift() ?? standing.get(operation)) {
          case undefined:
            return answer(effect());
          case 'unreachable':
            throw new TargetError('unreachable', 'no route to the target');
          case 'rejected':
            throw new TargetError('rejected', 'permission denied');
          case 'lostAfter':
            effect();
            throw new TargetError('ambiguous', 'connection lost');
          case 'lostBefore':
            throw new TargetError('ambiguous', 'connection lost');
          case 'hangsDone':
            effect();
            return never;
          case 'hangs':
            return never;
          case 'late':
            own.after(2_000, () => {
              try {
                effect();
              } catch (error) {
                // Nobody hears what a target says to a call that was given up.
                if (!(error instanceof TargetError)) throw error;
              }
            });
            throw new TargetError('ambiguous', 'connection lost');
          case 'throws':
            throw new RangeError('a fault of the connector itself');
        }
      };
      return {
        describe: () => ({ expiry: 'external', endsSessions: true, residualMs: 0, findable: true, choosesSecret: target.choosesSecrets }),
        read: (query: Query) => call<StateWithoutSalt>('read', () => ({
          connector: query.connector, target: query.target, account: query.account, exists: accounts.has(query.account),
          touched: touchedBy(query), held: accounts.has(query.account) ? [...query.privileges] : [],
        })),
        apply: (input) => call('apply', () => applyNow(input)),
        issue: (input) => call('apply', () => issueNow(input)),
        probe: (step, _signal, validUntil = null) => call('probe', () => (isApplied(step, validUntil) ? 'applied' : 'absent')),
        tryUse: (step, secret) => call('tryUse', () => (secret === null ? 'notTried' : works(step.account) && accounts.get(step.account)?.secret === secret ? 'works' : 'fails')),
        revoke: (order) => call('revoke', () => takeBack(order)),
        close: () => Promise.resolve(),
      };
    },
  };
  return target;
}
