/** What this system answers to each operation of the webhook protocol (docs/connectors/webhook.md), written from that page alone. */
import { held, isAlive, isKey, PRIVILEGES, type Account, type Accounts, type Grant, type Key } from './accounts.ts';

export interface About {
  readonly action: string;
  readonly account: string;
  readonly other?: string;
  readonly privileges: readonly string[];
  readonly clientToken: string;
  /** Of an `extend`: what had been done. */
  readonly gave?: 'provision' | 'grant';
}

export interface Request {
  readonly v: 1;
  readonly operation: string;
  readonly sentAt: string;
  readonly notAfter: string;
  readonly query?: About & { readonly target: string };
  readonly step?: About & { readonly target: string };
  readonly order?: About & { readonly target: string };
  readonly validUntil?: string | null;
  readonly secret?: string | null;
  readonly endSessions?: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** Refused: nothing was changed. `code`: of HTTP. */
export class Refusal extends Error {
  readonly code: number;
  constructor(message: string, code = 422) {
    super(message);
    this.name = 'Refusal';
    this.code = code;
  }
}

const TARGET = 'orders';
const NAME_LENGTH_MAX = 80;

const stated = (expiry: 'native' | 'external', endsSessions: boolean): Json => ({ expiry, endsSessions, residualMs: 0, findable: true });
/** Privileges are looked up at each request, so that a session has and loses them at once; keys that go take their sessions along. */
export const ACTIONS: Json = {
  provision: stated('native', true), grant: stated('native', false), extend: stated('native', false), revoke: stated('external', false),
  stage: stated('external', true), cutover: stated('external', false), retire: stated('external', true), disable: stated('external', true),
};

/** The answer, and whether something was changed that must be on disk before it is given. @throws Refusal */
export function answer(accounts: Accounts, request: Request, nowMs: number): { readonly body: Json; readonly changed: boolean } {
  if (request.operation === 'describe') return { body: { v: 1, actions: ACTIONS }, changed: false };
  const about = request.query ?? request.step ?? request.order;
  if (about === undefined || about.target !== TARGET) throw new Refusal(`this system has one target, ${TARGET}`);
  const { account: name } = about;
  // Also keeps the names of keys, `<account>#<client token>`, within what a plan can say.
  if (name.length > NAME_LENGTH_MAX + 40 || accountOf(about).length > NAME_LENGTH_MAX || /[\p{Cc}\p{Cs}]/u.test(name)) {
    throw new Refusal(`an account has a name of at most ${NAME_LENGTH_MAX} characters, none of them control characters`);
  }
  switch (request.operation) {
    case 'read':
      return { body: { v: 1, ...read(accounts, about, nowMs) }, changed: false };
    case 'probe':
      return { body: { v: 1, found: isApplied(accounts, about, request.validUntil ?? null, nowMs) ? 'applied' : 'absent' }, changed: false };
    case 'tryUse':
      return { body: { v: 1, byUse: tryUse(accounts, about, request.secret ?? null, nowMs) }, changed: false };
    case 'revoke':
      accounts.ended.set(about.clientToken, request.sentAt);
      return { body: { v: 1, outcome: takeBack(accounts, about) }, changed: true };
    case 'apply': {
      // What was asked before it was taken back, and comes after that.
      if (request.sentAt <= (accounts.ended.get(about.clientToken) ?? '')) throw new Refusal('this was taken back after it was asked for');
      const waitsFor = apply(accounts, about, request, nowMs);
      return waitsFor === null ? { body: { v: 1, outcome: 'done' }, changed: true } : { body: { v: 1, outcome: 'notYet', reason: waitsFor }, changed: false };
    }
    default:
      throw new Refusal('no such operation', 400);
  }
}

/** Of a key, the account before its last `#`. */
function accountOf({ action, account }: About): string {
  return action === 'stage' || action === 'cutover' || action === 'retire' ? account.slice(0, Math.max(0, account.lastIndexOf('#'))) : account;
}

/** `<account>#<id, or the client token it is made for>`. */
function keyNamed(account: Account | null, name: string): Key | null {
  const id = name.slice(name.lastIndexOf('#') + 1);
  return account?.keys.find((key) => key.id === id || key.token === id) ?? null;
}

function read(accounts: Accounts, about: About, nowMs: number): Json {
  const account = accounts.named(accountOf(about));
  const whole = { exists: account !== null, held: account === null ? [] : held(account, nowMs) };
  const canLogin = account === null ? null : !account.disabled;
  switch (about.action) {
    case 'provision':
      return { ...whole, touched: { account: account?.id ?? null } };
    case 'extend':
      givenFor(accounts, about, nowMs);
      return { ...whole, touched: { account: account?.id ?? null, canLogin } };
    case 'rotate': {
      const [current, ...more] = account?.keys ?? [];
      if (account === null || current === undefined) throw new Refusal('there is no such account, or it has no key');
      if (more.length > 0) throw new Refusal('several keys of the account are in use, and a rotation needs one');
      return {
        ...whole, seen: { sessions: accounts.sessionsOf(current.id) },
        touched: {
          overlap: 'twin', role: account.id, currentName: `${account.name}#${current.id}`, current: current.id, currentCanLogin: true,
          nextName: `${account.name}#${about.clientToken}`, next: null, privilege: `account:${account.name}`,
        },
      };
    }
    case 'stage':
    case 'cutover':
    case 'retire': {
      const [mine, other] = [keyNamed(account, about.account), keyNamed(account, about.other ?? '')];
      const [current, next] = about.action === 'retire' ? [mine, other] : [other, mine];
      const state = { exists: mine !== null, held: mine === null ? [] : [`account:${account?.name ?? ''}`], seen: { sessions: current === null ? 0 : accounts.sessionsOf(current.id) } };
      const both = { role: account?.id ?? null, current: current?.id ?? null };
      return { ...state, touched: about.action === 'stage' ? { ...both, next: next?.id ?? null } : about.action === 'retire' ? { ...both, currentCanLogin: current !== null } : both };
    }
    default:
      return { ...whole, touched: { account: account?.id ?? null, canLogin } };
  }
}

/** What it waits for; null once it is done. @throws Refusal */
function apply(accounts: Accounts, about: About, { secret = null, validUntil = null, endSessions = false }: Request, nowMs: number): string | null {
  const { action, clientToken } = about;
  const name = accountOf(about);
  const account = accounts.named(name);
  const unknown = about.privileges.find((privilege) => !PRIVILEGES.includes(privilege) && privilege !== `account:${name}`);
  if (unknown !== undefined) throw new Refusal('there is no such privilege');
  const needed = (): string => {
    if (secret === null) throw new Refusal('a secret is needed', 400);
    return secret;
  };
  switch (action) {
    case 'provision': {
      if (account !== null && account.token !== clientToken) throw new Refusal('there is an account of that name');
      if (account !== null) return alreadyThere(account.keys.find(({ token }) => token === clientToken), needed());
      const made = accounts.add(name, clientToken);
      made.privileges = [...about.privileges];
      accounts.addKey(made, needed(), clientToken, validUntil);
      return null;
    }
    case 'grant':
      if (account === null) throw new Refusal('there is no such account');
      account.grants = [...account.grants.filter(({ token }) => token !== clientToken), { token: clientToken, privileges: about.privileges, validUntil }];
      return null;
    case 'extend': {
      const given = givenFor(accounts, about, nowMs);
      // Never an earlier one: that is for an order to bring.
      if (!endsNoEarlier(given, validUntil)) given.validUntil = validUntil;
      return null;
    }
    case 'revoke':
      if (account === null) throw new Refusal('there is no such account');
      account.privileges = account.privileges.filter((privilege) => !about.privileges.includes(privilege));
      account.grants = account.grants.map((grant) => ({ ...grant, privileges: grant.privileges.filter((privilege) => !about.privileges.includes(privilege)) }));
      return null;
    case 'stage': {
      const current = keyNamed(account, about.other ?? '');
      if (account === null || current === null) throw new Refusal('the key in use is not there');
      const staged = keyNamed(account, about.account);
      if (staged !== null) return alreadyThere(staged, needed());
      accounts.addKey(account, needed(), clientToken, current.validUntil);
      return null;
    }
    case 'cutover':
    case 'retire': {
      const [mine, other] = [keyNamed(account, about.account), keyNamed(account, about.other ?? '')];
      const [current, next] = action === 'retire' ? [mine, other] : [other, mine];
      if (next === null) throw new Refusal('the new key is not there');
      const open = current === null ? 0 : accounts.sessionsOf(current.id);
      if (open > 0 && !endSessions) return `${open} sessions of the old key`;
      if (action === 'retire' && account !== null && current !== null) accounts.removeKey(account, current);
      return null;
    }
    case 'disable':
      if (account === null) return null;
      for (const key of account.keys) accounts.endSessions(key.id);
      Object.assign(account, { disabled: true, keys: [], privileges: [], grants: [] });
      return null;
    default:
      throw new Refusal(`${action} is not done here`);
  }
}

/** Asked twice, done once: the same secret is no second effect, and another one is not taken for it. */
function alreadyThere(key: Key | undefined, secret: string): null {
  if (key === undefined || !isKey(key, secret)) throw new Refusal('it is there already, with another secret');
  return null;
}

/** The key or the grant that was made for the client token, while it gives access: what is over gets no later end. @throws Refusal */
function givenFor(accounts: Accounts, about: About, nowMs: number): Key | Grant {
  const given = findGiven(accounts, about, nowMs);
  if (given === null) throw new Refusal('what was to end later is not there any more');
  return given;
}

function findGiven(accounts: Accounts, { account: name, clientToken, gave }: About, nowMs: number): Key | Grant | null {
  const account = accounts.named(name);
  if (account === null || account.disabled) return null;
  const made: (Key | Grant)[] = gave === 'grant' ? account.grants : account.token === clientToken ? account.keys : [];
  return made.find(({ token, validUntil }) => token === clientToken && isAlive(validUntil, nowMs)) ?? null;
}

function endsNoEarlier({ validUntil }: Key | Grant, wanted: string | null): boolean {
  return validUntil === null || (wanted !== null && Date.parse(validUntil) >= Date.parse(wanted));
}

function isApplied(accounts: Accounts, about: About, validUntil: string | null, nowMs: number): boolean {
  const { action, clientToken, privileges } = about;
  const account = accounts.named(accountOf(about));
  switch (action) {
    case 'provision':
      return accounts.accounts.some(({ token, keys }) => token === clientToken && keys.some((key) => key.token === clientToken));
    case 'grant':
      return accounts.accounts.some(({ grants }) => grants.some(({ token }) => token === clientToken));
    case 'extend': {
      const given = findGiven(accounts, about, nowMs);
      return given !== null && endsNoEarlier(given, validUntil);
    }
    case 'revoke':
      return account === null || !held(account, nowMs).some((privilege) => privileges.includes(privilege));
    case 'stage':
      return account?.keys.some(({ token }) => token === clientToken) ?? false;
    case 'retire':
      return keyNamed(account, about.account) === null;
    case 'disable':
      return account === null || account.disabled;
    default:
      return false;
  }
}

/** As its owner will: by logging in. */
function tryUse(accounts: Accounts, about: About, secret: string | null, nowMs: number): 'works' | 'fails' | 'notTried' {
  const name = accountOf(about);
  const account = accounts.named(name);
  if (about.action === 'extend') return findGiven(accounts, about, nowMs) === null ? 'fails' : 'notTried';
  if (about.action === 'grant') return account !== null && about.privileges.every((privilege) => held(account, nowMs).includes(privilege)) ? 'notTried' : 'fails';
  if (secret === null || (about.action !== 'provision' && about.action !== 'stage')) return 'notTried';
  const session = accounts.logIn(name, secret, nowMs);
  const may = session === null ? null : accounts.may(session, nowMs);
  if (session !== null) accounts.logOut(session);
  return may !== null && (about.action === 'stage' || about.privileges.every((privilege) => may.includes(privilege))) ? 'works' : 'fails';
}

function takeBack(accounts: Accounts, about: About): 'done' | 'already-absent' | 'mismatch' {
  const { action, clientToken } = about;
  switch (action) {
    case 'provision': {
      // Found by the client token, whatever the account is called by now.
      const made = accounts.accounts.find(({ token }) => token === clientToken);
      if (made !== undefined) accounts.remove(made);
      if (accounts.named(about.account) !== null) return 'mismatch';
      return made === undefined ? 'already-absent' : 'done';
    }
    case 'grant': {
      const holder = accounts.accounts.find(({ grants }) => grants.some(({ token }) => token === clientToken));
      if (holder === undefined) return 'already-absent';
      holder.grants = holder.grants.filter(({ token }) => token !== clientToken);
      return 'done';
    }
    case 'stage': {
      const holder = accounts.accounts.find(({ keys, token }) => token !== clientToken && keys.some((key) => key.token === clientToken));
      const key = holder?.keys.find(({ token }) => token === clientToken);
      if (holder === undefined || key === undefined) return 'already-absent';
      accounts.removeKey(holder, key);
      return 'done';
    }
    default:
      throw new Refusal('that cannot be taken back', 400);
  }
}
