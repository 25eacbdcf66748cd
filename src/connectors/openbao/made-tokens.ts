/** Tokens that this connector makes itself: for one change, with an end, and found again by the client token in their metadata. */
import { z } from 'zod';
import { MARK } from './catalog.ts';
import type { Session } from './session.ts';
import { endTokens, findTokens, type Token } from './tokens.ts';

/** The keys in a token's metadata, beside the mark. */
export type Remembered = Readonly<Record<string, string>>;

export interface MadeToken {
  /** The token itself: a secret. */
  readonly token: string;
  readonly accessor: string;
}

const madeSchema = z.object({ auth: z.object({ client_token: z.string().min(1), accessor: z.string().min(1) }) });

/**
 * A token without a parent: it outlives the connector's own, and ends by itself after `lifeSeconds`, however it is used.
 * @param policies in force for it, beside `default`; none at all, `default` neither, where it is only to remember something
 * @throws TargetError as of `write`
 */
export async function makeToken(session: Session, clientToken: string, policies: readonly string[], remembered: Remembered, lifeSeconds: number): Promise<MadeToken> {
  const { auth } = await session.make('POST', 'auth/token/create-orphan', {
    policies, no_default_policy: policies.length === 0, meta: { ...remembered, [MARK]: clientToken }, display_name: remembered['account'] ?? clientToken,
    ttl: lifeSeconds, explicit_max_ttl: lifeSeconds, renewable: false, type: 'service',
  }, madeSchema);
  return { token: auth.client_token, accessor: auth.accessor };
}

export function isMarked(token: Token, clientToken: string): boolean {
  return token.meta[MARK] === clientToken;
}

/** What was made for the client token, and is not over. */
export async function tokensOf(session: Session, clientToken: string): Promise<Token[]> {
  return findTokens(session, (token) => isMarked(token, clientToken));
}

/** What was made for an account by this connector. */
export async function tokensOfAccount(session: Session, account: string): Promise<Token[]> {
  return findTokens(session, ({ meta }) => meta[MARK] !== undefined && meta['account'] === account);
}

/** None is left, and that was read. @returns whether there were any. @throws TargetError as of `write` */
export async function endTokensOfChange(session: Session, clientToken: string): Promise<boolean> {
  return endTokens(session, (token) => isMarked(token, clientToken));
}
