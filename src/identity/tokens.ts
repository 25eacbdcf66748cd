/**
 * Bearer tokens of callers and people: a file of digests, so that reading it gives no one away.
 *
 * A token is compared by its SHA-256, with every entry, in constant time. The file belongs to whoever runs the sidecar and to no one else.
 */
import { timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { parseStrict, sha256 } from '../../ledger/index.ts';
import type { Authentication } from '../protocol/authentication.ts';
import { nhiIdSchema, personIdSchema } from '../protocol/values.ts';
import { readPrivateFile } from './private-file.ts';

/**
 * `caller` asks and fetches, `approver` decides, `operator` sees everything, `auditor` sees everything and reads the ledger,
 * `eraser` has objects forgotten, on record.
 * Who may revoke is no role: owners, on call and security may, whatever their token says.
 */
export const ROLES = ['caller', 'approver', 'operator', 'auditor', 'eraser', 'monitor'] as const;
export type Role = (typeof ROLES)[number];

export const tokensFileSchema = z
  .array(
    z.strictObject({
      principal: z.union([personIdSchema, nhiIdSchema]),
      roles: z.array(z.enum(ROLES)).min(1).max(ROLES.length),
      /** SHA-256 of the token's UTF-8 bytes, hex. */
      tokenSha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  )
  .max(10_000);
export type TokensFile = z.infer<typeof tokensFileSchema>;

/** Who a request comes from, once its token has been checked. */
export interface Authenticated {
  readonly principal: string;
  readonly roles: ReadonlySet<Role>;
  /** The rest of the chain in which `principal` acts, whom it is all for last; left out, or empty, where it acts for itself. */
  readonly actsFor?: readonly string[];
  /** Whether it acts with a token that is about somebody, or some account, else. */
  readonly isDelegated?: boolean;
  /** Left out: a token of the file here. */
  readonly authentication?: Authentication;
}

/** Who asks, then everybody it acts for: all of them are those who asked. */
export function requesterOf({ principal, actsFor = [] }: Authenticated): readonly string[] {
  return [principal, ...actsFor];
}

/** A token that would be one, and stands for nobody. `detail` holds nothing of it. */
export interface Refused {
  readonly refused: 'token-refused' | 'token-not-mapped' | 'issuer-unavailable';
  readonly detail: string;
}

export interface Tokens {
  /** null for anything but `Bearer <known token>`. */
  authenticate(authorization: string | undefined): Authenticated | null;
}

/** A new token: 32 bytes of `random`, with a prefix that secret scanners can look for. */
export function newToken(random: (length: number) => Uint8Array): string {
  return `cst_${Buffer.from(random(32)).toString('base64url')}`;
}

export function hashToken(token: string): string {
  return Buffer.from(sha256(Buffer.from(token, 'utf8'))).toString('hex');
}

/** @throws TypeError when one token stands for two principals */
export function makeTokens(file: TokensFile): Tokens {
  const entries = file.map((entry) => ({ digest: Buffer.from(entry.tokenSha256, 'hex'), who: { principal: entry.principal, roles: new Set(entry.roles) } }));
  if (new Set(file.map((entry) => entry.tokenSha256)).size !== file.length) throw new TypeError('a token is listed twice');
  return {
    authenticate(authorization) {
      const match = /^Bearer ([A-Za-z0-9._~+/-]{1,512}=*)$/i.exec(authorization ?? '');
      if (match === null) return null;
      const digest = sha256(Buffer.from(match[1]!, 'utf8'));
      let found: Authenticated | null = null;
      for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry.who;
      return found;
    },
  };
}

/** Reads the tokens file. @throws PrivateFileError when others may read it; TypeError when it is not what it should be */
export async function loadTokens(path: string): Promise<Tokens> {
  const parsed = tokensFileSchema.safeParse(parseStrict(await readPrivateFile(path)));
  if (!parsed.success) throw new TypeError(`${path}: ${parsed.error.issues.map((issue) => `/${issue.path.join('/')}: ${issue.message}`).join('; ')}`);
  return makeTokens(parsed.data);
}
