/** A target in memory that behaves as targets do: it loses answers, hangs, and refuses what is there already. For tests of the worker. */
import { TargetError, type ApplyInput, type Connector, type StateWithoutSalt } from '../../src/executor/connector.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Query } from '../../src/protocol/signed.ts';
import { BEFORE } from './envelopes.ts';
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
}

export function memoryTarget(clock: FakeClock): MemoryTarget {
  const fates = new Map<Operation, Fate[]>();
  const standing = new Map<Operation, Fate>();
  const accounts = new Map<string, Account>();
  const calls: Operation[] = [];
  const secrets: string[] = [];
  const own = clock.port();

  const applyNow = ({ step, secret, validUntil }: Omit<ApplyInput, 'signal'>): void => {
    if (step.action === 'revoke') {
      accounts.delete(step.account);
      return;
    }
    if (accounts.has(step.account)) throw new TargetError('rejected', 'an account of this name is there');
    accounts.set(step.account, { token: step.clientToken, secret, validUntil });
    if (secret !== null) secrets.push(secret);
  };
  const target: MemoryTarget = {
    accounts, calls, secrets, watch: () => undefined, touched: { ...BEFORE },
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
              effect();
            });
            throw new TargetError('ambiguous', 'connection lost');
          case 'throws':
            throw new RangeError('a fault of the connector itself');
        }
      };
      const isThere = (step: Pick<PlanStep, 'account' | 'clientToken'>): boolean => accounts.get(step.account)?.token === step.clientToken;
      return {
        describe: () => ({ expiry: 'external', endsSessions: true, residualMs: 0, findable: true }),
        read: (query: Query) => call<StateWithoutSalt>('read', () => ({
          connector: query.connector, target: query.target, account: query.account, exists: accounts.has(query.account),
          touched: accounts.has(query.account) ? { account: 'present' } : target.touched, held: accounts.has(query.account) ? [...query.privileges] : [],
        })),
        apply: ({ step, secret, validUntil }) => call('apply', () => applyNow({ step, secret, validUntil })),
        probe: (step) => call('probe', () => (step.action === 'revoke' ? !accounts.has(step.account) : isThere(step)) ? 'applied' : 'absent'),
        tryUse: (step, secret) => call('tryUse', () => (secret === null ? 'notTried' : accounts.get(step.account)?.secret === secret ? 'works' : 'fails')),
        revoke: (order) => call('revoke', () => {
          const account = accounts.get(order.account);
          if (account === undefined) return 'already-absent';
          if (account.token !== order.clientToken) return 'mismatch';
          accounts.delete(order.account);
          return 'done';
        }),
        close: () => Promise.resolve(),
      };
    },
  };
  return target;
}
