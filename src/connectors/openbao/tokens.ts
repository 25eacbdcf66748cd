/** Tokens that are out: whose they are, and ending them. */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { MARK } from './catalog.ts';
import type { Session } from './session.ts';

export interface Token {
  readonly accessor: string;
  readonly entityId: string;
  /** Where it was made: `auth/approle/login` for a login. */
  readonly path: string;
  readonly meta: Readonly<Record<string, string>>;
  /** The policies it was made with; identity policies come on top and go by themselves. */
  readonly policies: readonly string[];
}

const tokenSchema = z.object({
  accessor: z.string().min(1), entity_id: z.string().nullish(), path: z.string(), meta: z.record(z.string(), z.string()).nullish(), policies: z.array(z.string()).nullish(),
});

/** The server keeps no list by owner, so all are looked at, this many at a time. */
const LOOKUPS_AT_ONCE = 8;

/** The tokens that `isMeant` says yes to. */
export async function findTokens(session: Session, isMeant: (token: Token) => boolean): Promise<Token[]> {
  const left = await session.list('auth/token/accessors');
  const found: Token[] = [];
  const look = async (): Promise<void> => {
    for (let accessor = left.pop(); accessor !== undefined; accessor = left.pop()) {
      // One that has ended meanwhile is no longer there.
      const token = await lookUp(session, accessor);
      if (token === null) continue;
      const seen: Token = { accessor, entityId: token.entity_id ?? '', path: token.path, meta: token.meta ?? {}, policies: token.policies ?? [] };
      if (isMeant(seen)) found.push(seen);
    }
  };
  await Promise.all(Array.from({ length: LOOKUPS_AT_ONCE }, look));
  return found;
}

const TRIES_MAX = 5;

/** Of a token that is just being revoked the server says "permission denied" for a moment: only one that stays so is a refusal. */
async function lookUp(session: Session, accessor: string): Promise<z.infer<typeof tokenSchema> | null> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await session.ask('auth/token/lookup-accessor', { accessor }, tokenSchema);
    } catch (error) {
      if (!(error instanceof TargetError) || error.kind !== 'rejected' || tries === TRIES_MAX) throw error;
      await pause(tries * 50);
    }
  }
}

/** A token that a login to the role made. */
export function isLogin(session: Session, token: Token, role: string): boolean {
  return token.path === `auth/${decodeURIComponent(session.mount)}/login` && token.meta['role_name'] === role;
}

/** A token of the role: a login to it, or one that such a token made. */
export function isOfRole(session: Session, token: Token, role: string, entityId: string | null): boolean {
  return (entityId !== null && token.entityId === entityId) || isLogin(session, token, role);
}

/** The client token in the metadata of the secret-id that the token was got with. */
export function markOf(token: Token): string | null {
  return token.meta[MARK] ?? null;
}

/**
 * None of the tokens that `isMeant` says yes to is left, nor a lease of a secret that they got; and that was read.
 * @returns whether there were any
 * @throws TargetError `ambiguous` where new ones keep coming; as of `write`
 */
export async function endTokens(session: Session, isMeant: (token: Token) => boolean): Promise<boolean> {
  for (let round = 0; round < 5; round += 1) {
    const tokens = await findTokens(session, isMeant);
    if (tokens.length === 0) return round > 0;
    // One may have ended by itself in between, or with its parent.
    for (const { accessor } of tokens) await session.writeIfThere('auth/token/revoke-accessor', { accessor });
  }
  throw new TargetError('ambiguous', 'tokens have been revoked and are still there, or new ones keep coming');
}
