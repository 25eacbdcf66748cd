/** OCSF objects for who acts, whose access it is and where. What a record does not say is left out. */
import type { JsonObject } from '../../../ledger/index.ts';
import type { Authentication } from '../../protocol/authentication.ts';
import type { Provenance } from '../../protocol/decision.ts';

const OTHER = 99;

/** People and machine identities are users; a sidecar, an executor or a caller's run is an application. */
export function actorOf(principal: string, authentication?: Authentication): JsonObject {
  const kind = kindOf(principal);
  if (!isUser(kind)) return { actor: { app_uid: principal, app_name: kind } };
  return { actor: { user: { ...userOf(principal), ...(authentication === undefined ? {} : { uid_alt: authentication.subject }) }, ...(authentication === undefined ? {} : { idp: { name: authentication.kind, issuer: authentication.issuer } }) } };
}

/** Whoever it is, by the id alone. */
export function userOf(principal: string): JsonObject {
  const kind = kindOf(principal);
  return { uid: principal, ...(isUser(kind) ? USER_TYPES[kind] : {}) };
}

const USER_TYPES = { person: { type_id: 1, type: 'User' }, nhi: { type_id: 4, type: 'Service' } } as const;
const kindOf = (principal: string): string => principal.slice(0, principal.indexOf(':'));
const isUser = (kind: string): kind is keyof typeof USER_TYPES => Object.hasOwn(USER_TYPES, kind);

export interface At {
  readonly connector: string;
  readonly target: string;
}

/** An account at a target. null: nobody knows whose it is, nor whether a person's. */
export function accountOf(subject: string | null, account: string, { connector, target }: At, credential?: string): JsonObject {
  return { ...(subject === null ? {} : userOf(subject)), name: account, domain: `${connector}/${target}`, ...(credential === undefined ? {} : { programmatic_credentials: [{ uid: credential }] }) };
}

export const resourceOf = ({ connector, target }: At): JsonObject => ({ uid: `${connector}/${target}`, name: target, namespace: connector, type: 'target' });

/** What OCSF has no type of its own for. */
export function entityOf(type: string, uid: string, data: JsonObject = {}): JsonObject {
  return { type_id: OTHER, type, uid, ...(Object.keys(data).length === 0 ? {} : { data }) };
}

export const bundleEntity = (bundle: string, revision?: string): JsonObject => ({ type_id: 5, type: 'Policy', uid: bundle, policy: { uid: bundle, name: 'policy bundle', ...(revision === undefined ? {} : { version: revision }) } });

/** What policy answered, and which policy. */
export function authorizations(decision: string, { bundle }: Provenance): JsonObject {
  return { authorizations: [{ decision, ...(bundle === null ? {} : { policy: { uid: bundle, name: 'policy bundle' } }) }] };
}

const ACTIONS = { Allowed: 1, Denied: 2 } as const;
const DISPOSITIONS = { Allowed: 1, Blocked: 2, Approved: 8, Rejected: 25 } as const;

export function disposed(action: keyof typeof ACTIONS, disposition: keyof typeof DISPOSITIONS): JsonObject {
  return { action_id: ACTIONS[action], action, disposition_id: DISPOSITIONS[disposition], disposition };
}
