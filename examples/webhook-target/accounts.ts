/**
 * A small system of one's own: accounts with keys, privileges and sessions, in one file. Nothing here knows of Countersign but by the client
 * token, which marks what was made for it.
 */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

export const PRIVILEGES: readonly string[] = ['orders:read', 'orders:write'];

export interface Key {
  readonly id: string;
  /** What it was made for; null for a key that somebody else made. */
  readonly token: string | null;
  readonly salt: string;
  readonly hash: string;
  validUntil: string | null;
}

export interface Grant {
  readonly token: string;
  readonly privileges: readonly string[];
  validUntil: string | null;
}

export interface Account {
  /** Never given twice, unlike the name. */
  readonly id: string;
  readonly name: string;
  readonly token: string | null;
  disabled: boolean;
  keys: Key[];
  privileges: string[];
  grants: Grant[];
}

interface Kept {
  /** Arrays, not objects: a name such as `__proto__` is a name like any other. */
  readonly accounts: Account[];
  /** Client tokens that were taken back, and when that was asked. */
  readonly ended: [token: string, sentAt: string][];
  /** Messages that have come, until they would be refused as too late. */
  readonly seen: [id: string, notAfter: string][];
}

interface Session {
  readonly account: string;
  readonly key: string;
}

export class Accounts {
  readonly path: string;
  accounts: Account[] = [];
  readonly ended = new Map<string, string>();
  readonly seen = new Map<string, string>();
  /** In memory: whoever is logged in when the system stops logs in again. */
  private readonly sessions = new Map<string, Session>();

  private constructor(path: string) {
    this.path = path;
  }

  static async open(path: string): Promise<Accounts> {
    const opened = new Accounts(path);
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    });
    if (text === null) return opened;
    const kept = JSON.parse(text) as Kept;
    opened.accounts = kept.accounts;
    for (const [token, sentAt] of kept.ended) opened.ended.set(token, sentAt);
    for (const [id, notAfter] of kept.seen) opened.seen.set(id, notAfter);
    return opened;
  }

  /** All of it is on disk, or what was there before. */
  async save(): Promise<void> {
    const kept: Kept = { accounts: this.accounts, ended: [...this.ended], seen: [...this.seen] };
    const next = `${this.path}.next`;
    const file = await open(next, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(kept));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, this.path);
    const directory = await open(dirname(this.path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  named(name: string): Account | null {
    return this.accounts.find((account) => account.name === name) ?? null;
  }

  add(name: string, token: string | null): Account {
    const account: Account = { id: newId(), name, token, disabled: false, keys: [], privileges: [], grants: [] };
    this.accounts.push(account);
    return account;
  }

  remove(account: Account): void {
    this.accounts = this.accounts.filter((other) => other !== account);
    for (const key of account.keys) this.endSessions(key.id);
  }

  addKey(account: Account, secret: string, token: string | null, validUntil: string | null): void {
    const salt = randomBytes(16).toString('hex');
    account.keys.push({ id: newId(), token, salt, hash: hashOf(secret, salt), validUntil });
  }

  removeKey(account: Account, key: Key): void {
    account.keys = account.keys.filter((other) => other !== key);
    this.endSessions(key.id);
  }

  endSessions(key: string): boolean {
    const ended = [...this.sessions].filter(([, session]) => session.key === key);
    for (const [session] of ended) this.sessions.delete(session);
    return ended.length > 0;
  }

  sessionsOf(key: string): number {
    return [...this.sessions.values()].filter((session) => session.key === key).length;
  }

  /** The session that the secret opens, or null. */
  logIn(name: string, secret: string, nowMs: number): string | null {
    const account = this.named(name);
    if (account === null || account.disabled) return null;
    const key = account.keys.find((one) => isAlive(one.validUntil, nowMs) && isKey(one, secret));
    if (key === undefined) return null;
    const session = randomBytes(24).toString('base64url');
    this.sessions.set(session, { account: account.id, key: key.id });
    return session;
  }

  logOut(session: string): void {
    this.sessions.delete(session);
  }

  /** What the session may do now; null where there is none, or none any more. */
  may(session: string, nowMs: number): readonly string[] | null {
    const found = this.sessions.get(session);
    const account = this.accounts.find(({ id }) => id === found?.account);
    const key = account?.keys.find(({ id }) => id === found?.key);
    if (account === undefined || key === undefined || account.disabled || !isAlive(key.validUntil, nowMs)) return null;
    return held(account, nowMs);
  }
}

export function held(account: Account, nowMs: number): string[] {
  const lent = account.grants.filter(({ validUntil }) => isAlive(validUntil, nowMs)).flatMap(({ privileges }) => privileges);
  return [...new Set([...account.privileges, ...lent])].sort();
}

export function isKey({ salt, hash }: Key, secret: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(secret, salt), 'hex'), Buffer.from(hash, 'hex'));
}

export function isAlive(validUntil: string | null, nowMs: number): boolean {
  return validUntil === null || nowMs < Date.parse(validUntil);
}

function newId(): string {
  return randomBytes(8).toString('hex');
}

/** Secrets are 32 random bytes: nobody guesses them, and the cost can be small. */
function hashOf(secret: string, salt: string): string {
  return scryptSync(secret, salt, 32, { N: 1024 }).toString('hex');
}
