/**
 * Whom the claims of a token stand for, by the issuer's rules: exact, every one of them, and nobody where there is none.
 *
 * Pure; the token has been verified. What is missing is said in the words of the configuration, never in those of the token.
 */
import type { Directory } from '../facts/schemas.ts';
import { personOfLogin } from './canonical-person.ts';
import type { IssuerConfig } from './issuer-config.ts';
import type { Role } from './tokens.ts';

export type Claims = Readonly<Record<string, unknown>>;
export type Mapped = { readonly principal: string; readonly roles: readonly Role[] } | { readonly missing: string };

type Mapping<K extends IssuerConfig['mapping']['kind']> = Extract<IssuerConfig['mapping'], { kind: K }>;
type GithubRule = Mapping<'github-actions'>['rules'][number];

/** Whom a token of `issuer` with these claims is about. */
export function mapClaims({ issuer, mapping }: IssuerConfig, claims: Claims, directory: Directory): Mapped {
  switch (mapping.kind) {
    case 'person':
      return mapPerson(issuer, mapping, claims, directory);
    case 'github-actions':
      return machine(mapping, mapping.rules.filter((rule) => githubMatches(rule, claims)), 'no rule has its repository, environment, ref, workflow and event');
    case 'kubernetes':
      return machine(mapping, mapping.rules.filter((rule) => claims['sub'] === `system:serviceaccount:${rule.namespace}:${rule.serviceAccount}`), 'no rule has its namespace and service account');
    case 'spiffe':
      return machine(mapping, mapping.rules.filter((rule) => claims['sub'] === rule.id), 'no rule has its SPIFFE ID');
  }
}

/** Whom an entry of an act chain is: one of `actors`, or, where it is an account at the token's own issuer, whom a token of its own would be about. */
export function mapActor(config: IssuerConfig, actor: Claims, directory: Directory): Mapped {
  const issuer = actor['iss'] ?? config.issuer;
  const listed = config.actors.filter((one) => one.subject === actor['sub'] && (one.issuer ?? config.issuer) === issuer);
  if (listed.length > 0) return machine({ roles: ['caller'] }, listed, '');
  return issuer === config.issuer ? mapClaims(config, actor, directory) : { missing: 'no actor of another issuer has this subject' };
}

function mapPerson(issuer: string, { claim, roles, teams }: Mapping<'person'>, claims: Claims, directory: Directory): Mapped {
  const value = claims[claim];
  if (typeof value !== 'string' || value === '') return { missing: `it has no claim ${claim}` };
  if (claim === 'email' && claims['email_verified'] !== true) return { missing: 'its issuer has not verified the email' };
  const person = personOfLogin(directory, issuer, value);
  if ('missing' in person) return { missing: `${claim}: ${person.missing}` };
  const ofTeams = teams.filter(({ team }) => directory.teams.some((one) => one.id === team && one.members.includes(person.id))).flatMap((one) => one.roles);
  return { principal: person.id, roles: [...roles, ...ofTeams] };
}

/**
 * Whoever has an account there can begin these, at a public repository: by a pull request, an issue, a comment, a fork, a star, or an edit of its wiki; and what follows
 * on a run that was begun so.
 */
const STRANGERS_BEGIN = /^(?:pull_request|issue|discussion|workflow_run$|fork$|watch$|gollum$)/;

/** What a rule does not name is not looked at; but an event that a stranger can bring about must be named. */
function githubMatches(rule: GithubRule, claims: Claims): boolean {
  const event = claims['event_name'];
  const wanted: readonly (readonly [string | undefined, string])[] = [
    [rule.repository, 'repository'], [rule.repositoryId, 'repository_id'], [rule.repositoryOwnerId, 'repository_owner_id'], [rule.environment, 'environment'],
    [rule.ref, 'ref'], [rule.workflow, 'workflow_ref'], [rule.event, 'event_name'],
  ];
  if (rule.event === undefined && (typeof event !== 'string' || STRANGERS_BEGIN.test(event))) return false;
  return wanted.every(([value, claim]) => value === undefined || claims[claim] === value);
}

function machine({ roles }: { readonly roles: readonly Role[] }, matching: readonly { readonly nhi: string }[], none: string): Mapped {
  const [nhi, ...others] = new Set(matching.map((rule) => rule.nhi));
  if (nhi === undefined) return { missing: none };
  if (others.length > 0) return { missing: 'rules for several identities match it' };
  return { principal: nhi, roles };
}
