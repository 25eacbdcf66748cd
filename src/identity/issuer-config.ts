/** `identity.issuers[]`: whose tokens are taken, by which keys, and whom their claims stand for. What is not written here stands for nobody. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { teamIdSchema } from '../facts/schemas.ts';
import { ISSUER_CHARS_MAX, SUBJECT_CHARS_MAX } from '../protocol/authentication.ts';
import { nhiIdSchema, plainTextSchema } from '../protocol/values.ts';
import { mayConnect } from '../webhook/address.ts';
import { ROLES, type Role } from './tokens.ts';

/** Asymmetric ones only: an algorithm by which whoever verifies could sign is none that says who signed. @see RFC 8725 §3.1 */
export const TOKEN_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const;

/** Those that a machine identity may have: it never approves, and never erases. */
const MACHINE_ROLES = ['caller', 'operator', 'auditor'] as const satisfies readonly Role[];

const rolesSchema = z.array(z.enum(ROLES)).max(ROLES.length);
const machineRoles = z.array(z.enum(MACHINE_ROLES)).min(1).max(MACHINE_ROLES.length).default(['caller']);
const claimText = plainTextSchema(SUBJECT_CHARS_MAX);
const rules = <T extends z.ZodType>(rule: T): z.ZodArray<T> => z.array(rule).min(1).max(1_000);

const githubRule = z
  .strictObject({
    nhi: nhiIdSchema,
    /** `owner/name`. */
    repository: claimText,
    /** Ids that stay when a name is given to somebody else. */
    repositoryId: claimText.optional(),
    repositoryOwnerId: claimText.optional(),
    environment: claimText.optional(),
    /** `refs/heads/main`. */
    ref: claimText.optional(),
    /** The `workflow_ref`: `owner/name/.github/workflows/rotate.yml@refs/heads/main`. */
    workflow: claimText.optional(),
    /** Left out: any but those that strangers can begin: of pull requests, issues, discussions, forks, stars and wikis, and what runs after another run. */
    event: claimText.optional(),
  })
  .refine(({ environment, ref }) => environment !== undefined || ref !== undefined, 'say environment or ref: a whole repository is whoever may push a branch to it');

const mappingSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('person'),
    /** Whose value the directory has as one of a person's `logins`. `email` counts where `email_verified` is true. */
    claim: plainTextSchema(64).default('sub'),
    /** Of everybody who comes with a token of this issuer. */
    roles: rolesSchema.default([]),
    /** And of the members of teams of the directory. */
    teams: z.array(z.strictObject({ team: teamIdSchema, roles: rolesSchema.min(1) })).max(16).default([]),
  }),
  z.strictObject({ kind: z.literal('github-actions'), roles: machineRoles, rules: rules(githubRule) }),
  z.strictObject({ kind: z.literal('kubernetes'), roles: machineRoles, rules: rules(z.strictObject({ nhi: nhiIdSchema, namespace: claimText, serviceAccount: claimText })) }),
  z.strictObject({ kind: z.literal('spiffe'), roles: machineRoles, rules: rules(z.strictObject({ nhi: nhiIdSchema, id: claimText.startsWith('spiffe://') })) }),
]);

const jwksSchema = z
  .strictObject({
    /** Read again as often as a URL is asked again. */
    file: plainTextSchema(1024).optional(),
    url: plainTextSchema(2048).optional(),
    /** PEM of the authorities, or of the very certificate, to believe there instead of the system's. */
    caFile: plainTextSchema(1024).optional(),
    /** Lets `url` be at a loopback or private address. */
    allowPrivate: z.boolean().default(false),
    /** Keys are asked for again after this long. */
    refreshSeconds: z.int().min(30).max(86_400).default(300),
    /** How long they count while nobody answers. */
    keepSeconds: z.int().min(30).max(604_800).default(3_600),
  })
  .superRefine(({ file, url, caFile, allowPrivate, refreshSeconds, keepSeconds }, context) => {
    if ((file === undefined) === (url === undefined)) context.addIssue({ code: 'custom', message: 'say file or url, and not both' });
    if (url === undefined && caFile !== undefined) context.addIssue({ code: 'custom', message: 'is for a url', path: ['caFile'] });
    if (keepSeconds < refreshSeconds) context.addIssue({ code: 'custom', message: 'is shorter than refreshSeconds', path: ['keepSeconds'] });
    const trouble = url === undefined ? null : urlTrouble(url, allowPrivate);
    if (trouble !== null) context.addIssue({ code: 'custom', message: trouble, path: ['url'] });
  });

const issuerSchema = z
  .strictObject({
    /** The `iss` of its tokens, to the letter; of a SPIFFE trust domain whose tokens have none, `spiffe://<trust domain>`. */
    issuer: plainTextSchema(ISSUER_CHARS_MAX).refine((text) => /^(https|spiffe):\/\/[^/?#\s]/.test(text), 'https://… or spiffe://…'),
    /** What its tokens must be for: a name of this sidecar that is no other service's. */
    audience: plainTextSchema(512),
    algorithms: z.array(z.enum(TOKEN_ALGORITHMS)).min(1).max(TOKEN_ALGORITHMS.length),
    /** `typ` that the header must have. Left out: none, `JWT`, `at+jwt` or `JOSE`. */
    typ: plainTextSchema(64).optional(),
    jwks: jwksSchema,
    clockToleranceSeconds: z.int().min(0).max(300).default(30),
    /** A token that is good for longer from now on is refused. */
    lifetimeSeconds: z.int().min(60).max(31_536_000).default(86_400),
    mapping: mappingSchema,
    /** Machine identities that act for others, by the `sub` (and `iss`, where it is another's) that they have in `act`. */
    actors: z.array(z.strictObject({ nhi: nhiIdSchema, subject: claimText, issuer: plainTextSchema(ISSUER_CHARS_MAX).optional() })).max(1_000).default([]),
  })
  .superRefine(({ issuer, mapping }, context) => {
    if (issuer.startsWith('spiffe:') && (mapping.kind !== 'spiffe' || !/^spiffe:\/\/[a-z0-9._-]+$/.test(issuer))) {
      context.addIssue({ code: 'custom', message: 'spiffe://<trust domain>, and its mapping is of kind spiffe', path: ['issuer'] });
    }
  });
export type IssuerConfig = z.infer<typeof issuerSchema>;

export const identitySchema = z
  .strictObject({
    /** Whose tokens are taken beside those of the file `tokens`. */
    issuers: z
      .array(issuerSchema)
      .max(32)
      .refine((all) => new Set(all.map(({ issuer }) => issuer)).size === all.length, 'an issuer is listed twice')
      .default([]),
  })
  .prefault({});
export type IdentityConfig = z.infer<typeof identitySchema>;

function urlTrouble(text: string, allowPrivate: boolean): string | null {
  if (!URL.canParse(text)) return 'not a URL';
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (protocol !== 'https:') return 'must be https';
  if (username !== '' || password !== '' || hash !== '') return 'holds a user, a password or a fragment';
  const address = hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) !== 0 && !mayConnect(address, allowPrivate)) return mayConnect(address, true) ? 'a private address, and allowPrivate does not say so' : 'an address that nothing is sent to';
  return null;
}
