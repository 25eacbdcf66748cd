/**
 * A target in memory, and the connector to it. It outlives every process, forgets nothing for the oracle, and is no friend: a second
 * `apply` makes a second credential, answers get lost before and after the effect, and others change accounts too.
 */
import { TargetError, type ApplyInput, type Connector, type DiscoveredEntries, type StateWithoutSalt } from '../../src/executor/connector.ts';
import type { Found, FoundAccount } from '../../src/protocol/discovery.ts';
import type { PlanStep } from '../../src/protocol/plan.ts';
import type { Query } from '../../src/protocol/signed.ts';
import type { Rng } from './rng.ts';
import type { Process, Scheduler } from './scheduler.ts';
import { createSimLogins, LOGIN_ACTIONS, type SimLogins } from './sim-logins.ts';

/** Something that gives access: a credential of a provisioned account or of a login, or a privilege granted to one that exists. */
export interface Access {
  readonly id: number;
  readonly kind: 'provision' | 'grant' | 'stage' | 'replace';
  readonly stepId: string;
  readonly token: string;
  readonly target: string;
  readonly account: string;
  readonly privileges: readonly string[];
  readonly secret: string | null;
  readonly givenAtMs: number;
  /** When the executor sent what had this effect. */
  readonly sentAtMs: number;
  /** When the target ends it by itself, where it does. */
  validUntilMs: number;
  endedAtMs: number | null;
}

interface Account {
  nativeId: number;
  /** Whose provision made it; null: it was there, or someone else made it. */
  readonly token: string | null;
  /** Nobody else changes it. */
  readonly isSteady: boolean;
  /** Privileges that no lease gave. */
  readonly own: Set<string>;
}

/** What goes wrong in one call: nothing; the request or the answer is lost; it takes too long; the target says no; it can't be reached. */
export type TargetFault = 'none' | 'lostBefore' | 'lostAfter' | 'hangs' | 'rejected' | 'unreachable';

export interface TargetOptions {
  readonly connector: string;
  readonly target: string;
  /** Whether the target ends access itself at `validUntil`. */
  readonly nativeExpiry: boolean;
  /** After so long no effect of a call can still happen, whatever became of the caller, in ms. */
  readonly effectDeadlineMs: number;
  readonly onGive: (access: Access) => void;
  /** Called when access was given a later end. */
  readonly onExtend: (access: Access, step: PlanStep, sentAtMs: number) => void;
  /** Called when it is told that an extension is there, by a target that ends nothing itself. */
  readonly onSeenExtended: (access: Access, step: Pick<PlanStep, 'stepId'>) => void;
  /** Called when a step that gives nothing was done: a cutover, or something taken away. */
  readonly onDone: (step: PlanStep, sentAtMs: number) => void;
}

export interface SimTarget {
  connector(process: Process): Connector;
  setFault(fault: (operation: string) => TargetFault): void;
  addAccount(target: string, account: string, privileges: readonly string[], isSteady?: boolean): void;
  readonly logins: SimLogins;
  /** The caller's own code sets a secret, and nobody gives it access by that. */
  setSecret(account: string, secret: string): void;
  /** Everything that was ever given. */
  readonly given: readonly Access[];
  live(token: string): readonly Access[];
  /** Whether this secret opens anything now. */
  opens(secret: string): boolean;
  /** Someone else changes an account of this target. */
  drift(): void;
  /** Someone else deletes a provisioned account and makes one of the same name. */
  recreate(): void;
  /** Someone tidies up what `recreate` left. */
  removeForeign(): void;
  /** Someone else makes a login that nobody knows, or removes it again. */
  plant(target: string, account: string): void;
  uproot(account: string): void;
  /** Someone else takes what a lease gave: its client token; null where there is none. */
  drop(): string | null;
  /** Someone puts back what a lease gave and what was taken back, as a restored backup does: its client token; null where there is none. */
  resurrect(): string | null;
}

export function createSimTarget(scheduler: Scheduler, rng: Rng, options: TargetOptions): SimTarget {
  const accounts = new Map<string, Account>();
  const given: Access[] = [];
  const planted = new Set<string>();
  let fault: (operation: string) => TargetFault = () => 'none';
  let nextId = 1;
  const logins = createSimLogins(() => nextId++);

  const keyOf = (target: string, account: string): string => JSON.stringify([target, account]);
  const live = (token: string): Access[] => given.filter((access) => access.token === token && access.endedAtMs === null);
  const end = (access: Access): void => {
    access.endedAtMs ??= scheduler.nowMs();
  };
  const heldBy = (target: string, name: string): string[] => {
    const account = accounts.get(keyOf(target, name));
    if (account === undefined) return [];
    const leased = given.filter((access) => access.target === target && access.account === name && access.endedAtMs === null).flatMap((access) => access.privileges);
    return [...new Set([...account.own, ...leased])].sort();
  };
  /** Logins that were staged or renewed and lost what they had got by it. */
  const endUseless = (): void => {
    for (const access of given) if (access.endedAtMs === null && (access.kind === 'stage' || access.kind === 'replace') && !logins.opens(access.secret ?? '')) end(access);
  };
  const give = (input: ApplyInput, kind: Access['kind'], sentAtMs: number): void => {
    const { step } = input;
    const access: Access = {
      id: nextId++, kind, stepId: step.stepId, token: step.clientToken, target: step.target, account: step.account, privileges: step.privileges,
      secret: kind === 'grant' ? null : input.secret, givenAtMs: scheduler.nowMs(), sentAtMs, validUntilMs: Infinity, endedAtMs: null,
    };
    given.push(access);
    expire(access, input.validUntil);
    options.onGive(access);
  };
  /** The target ends it by itself then, unless it has a later end by that time. */
  const expire = (access: Access, validUntil: string | null): void => {
    if (!options.nativeExpiry || validUntil === null) return;
    access.validUntilMs = Date.parse(validUntil);
    scheduler.after(access.validUntilMs - scheduler.nowMs(), `${options.connector} ends ${access.token} itself`, () => {
      if (access.validUntilMs <= scheduler.nowMs()) end(access);
    });
  };
  const lentBy = (token: string): Access => {
    const [access] = live(token);
    if (access === undefined) throw new TargetError('rejected', 'what was to end later is not there any more');
    return access;
  };

  const apply = (input: ApplyInput, sentAtMs: number): void => {
    const { step } = input;
    const key = keyOf(step.target, step.account);
    const account = accounts.get(key);
    switch (step.action) {
      case 'provision':
        if (account !== undefined && account.token !== step.clientToken) throw new TargetError('rejected', 'an account of this name exists');
        if (account === undefined) accounts.set(key, { nativeId: nextId++, token: step.clientToken, isSteady: false, own: new Set() });
        return give(input, 'provision', sentAtMs);
      case 'grant':
        if (account === undefined) throw new TargetError('rejected', 'no such account');
        return give(input, 'grant', sentAtMs);
      case 'extend': {
        const access = lentBy(step.clientToken);
        expire(access, input.validUntil);
        return options.onExtend(access, step, sentAtMs);
      }
      case 'revoke':
        for (const privilege of step.privileges) account?.own.delete(privilege);
        for (const access of given) {
          if (access.target === step.target && access.account === step.account && access.privileges.some((one) => step.privileges.includes(one))) end(access);
        }
        break;
      case 'stage':
      case 'replace':
        logins.apply(input);
        endUseless();
        return give(input, step.action, sentAtMs);
      case 'disable':
        account?.own.clear();
        for (const access of given) if (access.target === step.target && access.account === step.account) end(access);
        logins.apply(input);
        break;
      case 'cutover':
      case 'retire':
      case 'call':
        logins.apply(input);
    }
    endUseless();
    options.onDone(step, sentAtMs);
  };
  const read = (query: Query): StateWithoutSalt => {
    const account = accounts.get(keyOf(query.target, query.account));
    const held = logins.heldByTwin(query.account) ?? heldBy(query.target, query.account);
    const about = { connector: options.connector, target: query.target, account: query.account, exists: account !== undefined || logins.has(query.account), held };
    if (query.action === 'extend') return { ...about, touched: { lent: lentBy(query.clientToken).id } };
    if (LOGIN_ACTIONS.has(query.action)) return { ...about, ...logins.look(query, (name) => accounts.get(keyOf(query.target, name))?.nativeId ?? null) };
    const touched = query.action === 'provision' ? { exists: account !== undefined }
      : { nativeId: account?.nativeId ?? null, held: query.privileges.filter((privilege) => held.includes(privilege)) };
    return { ...about, touched };
  };
  const probe = (step: Pick<PlanStep, 'action' | 'target' | 'account' | 'privileges' | 'clientToken'>, validUntil: string | null): 'applied' | 'absent' => {
    if (step.action === 'extend') {
      const extended = live(step.clientToken).find((access) => access.validUntilMs >= Date.parse(validUntil ?? ''));
      if (extended !== undefined && !options.nativeExpiry && 'stepId' in step) options.onSeenExtended(extended, step as PlanStep);
      return extended === undefined ? 'absent' : 'applied';
    }
    if (LOGIN_ACTIONS.has(step.action)) return logins.isApplied(step) ? 'applied' : 'absent';
    if (step.action !== 'revoke') return live(step.clientToken).length > 0 ? 'applied' : 'absent';
    return heldBy(step.target, step.account).some((privilege) => step.privileges.includes(privilege)) ? 'absent' : 'applied';
  };
  const revoke = (order: Parameters<Connector['revoke']>[0]): 'done' | 'already-absent' | 'mismatch' => {
    if (order.action === 'stage') {
      const outcome = logins.takeBack(order);
      endUseless();
      return outcome;
    }
    const key = keyOf(order.target, order.account);
    const account = accounts.get(key);
    if (order.action === 'provision' && account !== undefined && account.token !== order.clientToken) return 'mismatch';
    const ours = live(order.clientToken);
    ours.forEach(end);
    const removed = order.action === 'provision' && accounts.delete(key);
    return ours.length > 0 || removed ? 'done' : 'already-absent';
  };

  const discover = (): DiscoveredEntries => {
    const accountOf = (name: string, nativeId: number, edit: Partial<FoundAccount>): FoundAccount => ({
      kind: 'account', key: `account ${name}`, account: name, nativeId: String(nativeId), canLogin: false, isOwn: false, endsAt: null, held: [], heldLeftOut: 0, marks: [], credentials: [],
      credentialsLeftOut: 0, sessions: null, lastUsedAt: null, ...edit,
    });
    const entries: Found[] = [];
    for (const [key, { nativeId, token, own }] of accounts) {
      const [, name] = JSON.parse(key) as [string, string];
      const made = token === null ? [] : live(token);
      // Who made it of the same name can log in; so can whoever was planted.
      const others = own.has('foreign') || planted.has(name);
      entries.push(accountOf(name, nativeId, {
        canLogin: token === null ? others || (logins.has(name) && logins.working(name).length > 0) : made.length > 0,
        held: [...new Set([...own, ...made.flatMap(({ privileges }) => privileges)])].sort(), marks: token === null ? [] : [{ clientToken: token, what: 'made' }],
      }));
    }
    for (const { name, nativeId, twinOf, canLogin, secret, isMember, token } of logins.all()) {
      if (twinOf === null) continue;
      entries.push(accountOf(name, nativeId, { canLogin: canLogin && secret !== null, held: isMember ? [`role:${twinOf}`] : [], marks: token === null ? [] : [{ clientToken: token, what: 'made' }] }));
    }
    for (const { kind, token, account, privileges, endedAtMs } of given) {
      const known = entries.some((entry) => entry.kind === 'grant' && entry.clientToken === token);
      if (kind !== 'grant' || endedAtMs !== null || known) continue;
      entries.push({ kind: 'grant', key: `grant ${token}`, clientToken: token, nativeId: token, accounts: [account], accountsLeftOut: 0, held: [...privileges], heldLeftOut: 0 });
    }
    return { target: options.target, entries, next: null };
  };

  const connector = (process: Process): Connector => {
    /** The effect belongs to the target: it happens, or not, whatever becomes of the caller; the answer belongs to the caller. */
    const call = <T>(operation: string, effect: (sentAtMs: number) => T, signal: AbortSignal | null): Promise<T> => {
      const label = `${process.node} → ${options.connector} ${operation}`;
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(new TargetError('ambiguous', 'aborted before it was sent'));
          return;
        }
        const fate = fault(operation);
        const startedMs = scheduler.nowMs();
        const answer = (settle: () => void): void => void scheduler.call(process, `${label}: answer`, rng.between(0, 4), settle);
        // What was sent and not answered may have happened; what was not sent has not.
        const fail = (kind: TargetError['kind'], message: string): void => answer(() => reject(new TargetError(kind, message)));
        signal?.addEventListener('abort', () => reject(new TargetError('ambiguous', 'no answer by the deadline')), { once: true });
        if (fate === 'unreachable') return fail('unreachable', 'simulated: no route');
        if (fate === 'rejected') return fail('rejected', 'simulated: permission denied');
        const delay = fate === 'hangs' ? rng.between(100, 2 * options.effectDeadlineMs) : rng.between(0, 8);
        scheduler.after(delay, `${label}${fate === 'none' ? '' : ` (${fate})`}`, () => {
          const sent = process.alive || rng.chance(0.7);
          if (!sent || signal?.aborted === true || scheduler.nowMs() - startedMs > options.effectDeadlineMs || fate === 'lostBefore') {
            if (fate === 'lostBefore') fail('ambiguous', 'simulated: connection lost');
            return;
          }
          try {
            const value = effect(startedMs);
            if (fate === 'hangs') return;
            if (fate === 'lostAfter') fail('ambiguous', 'simulated: connection lost');
            else answer(() => resolve(value));
          } catch (error) {
            if (!(error instanceof TargetError)) throw error;
            fail(error.kind, error.message);
          }
        });
      });
    };
    return {
      describe: (action) => ({ expiry: options.nativeExpiry && action !== 'revoke' ? 'native' : 'external', endsSessions: true, residualMs: 0, findable: true }),
      read: (query, signal) => call('read', () => read(query), signal),
      discover: (_query, signal) => call('discover', discover, signal),
      apply: (input) => call('apply', (sentAtMs) => apply(input, sentAtMs), input.signal),
      probe: (step, signal, validUntil = null) => call('probe', () => probe(step, validUntil), signal),
      tryUse: (step, secret, signal) => call('tryUse', () => {
        if (secret === null || step.action === 'grant' || step.action === 'extend') return 'notTried';
        return given.some((access) => access.endedAtMs === null && access.secret === secret) ? 'works' : 'fails';
      }, signal),
      revoke: (order, signal) => call('revoke', () => revoke(order), signal),
      close: async () => undefined,
    };
  };

  return {
    connector,
    setFault(next) {
      fault = next;
    },
    addAccount(target, account, privileges, isSteady = false) {
      accounts.set(keyOf(target, account), { nativeId: nextId++, token: null, isSteady, own: new Set(privileges) });
    },
    logins,
    setSecret(account, secret) {
      logins.setSecret(account, secret);
      endUseless();
    },
    given,
    live,
    opens: (secret) => given.some((access) => access.secret === secret && access.endedAtMs === null),
    drift() {
      const account = rng.pick([...accounts.values()].filter(({ isSteady }) => !isSteady));
      const privilege = rng.pick(['table:public.orders:SELECT', 'table:public.invoices:SELECT', 'schema:public:USAGE']);
      if (!account.own.delete(privilege)) account.own.add(privilege);
    },
    recreate() {
      for (const [key, account] of accounts) {
        if (account.token === null) continue;
        accounts.set(key, { nativeId: nextId++, token: null, isSteady: false, own: new Set(['foreign']) });
        for (const access of given) if (access.token === account.token) end(access);
        return;
      }
    },
    plant(target, account) {
      planted.add(account);
      accounts.set(keyOf(target, account), { nativeId: nextId++, token: null, isSteady: true, own: new Set(['role:deploy']) });
    },
    uproot(account) {
      for (const key of accounts.keys()) if ((JSON.parse(key) as string[])[1] === account) accounts.delete(key);
    },
    drop() {
      const running = given.filter(({ kind, endedAtMs }) => kind === 'grant' && endedAtMs === null);
      if (running.length === 0) return null;
      const { token } = rng.pick(running);
      live(token).forEach(end);
      return token;
    },
    resurrect() {
      const over = given.filter(({ kind, token }) => kind === 'grant' && live(token).length === 0);
      if (over.length === 0) return null;
      const access = rng.pick(over);
      given.push({ ...access, id: nextId++, endedAtMs: null });
      return access.token;
    },
    removeForeign() {
      for (const [key, account] of accounts) if (account.own.has('foreign')) accounts.delete(key);
    },
  };
}
