/**
 * A target or an entitlement as one text, for where a resource has an id and nothing else (AuthZEN): `pg-main/app` and `pg-main/app/role:deploy`, with
 * the scope behind it where there is one. `%` and `/` within a part are written `%25` and `%2F`, and nothing else is, so that there is one spelling.
 */
import { connectorIdSchema, entitlementSchema, plainTextSchema, type Entitlement } from './values.ts';

const encodePart = (part: string): string => part.replaceAll('%', '%25').replaceAll('/', '%2F');
const decodePart = (part: string): string | null => (/%(?!25|2F)/.test(part) ? null : part.replaceAll('%2F', '/').replaceAll('%25', '%'));

export function formatEntitlementId({ connector, target, privilege, scope }: Entitlement): string {
  return [connector, target, privilege, ...(scope === undefined ? [] : [scope])].map(encodePart).join('/');
}

/** null for any other text. */
export function parseEntitlementId(id: string): Entitlement | null {
  const parts = partsOf(id);
  if (parts === null || parts.length < 3 || parts.length > 4) return null;
  const [connector, target, privilege, scope] = parts;
  return entitlementSchema.safeParse({ connector, target, privilege, ...(scope === undefined ? {} : { scope }) }).data ?? null;
}

export function formatTargetId({ connector, target }: { readonly connector: string; readonly target: string }): string {
  return [connector, target].map(encodePart).join('/');
}

/** null for any other text. */
export function parseTargetId(id: string): { connector: string; target: string } | null {
  const parts = partsOf(id);
  const [connector, target] = parts ?? [];
  if (parts?.length !== 2 || !connectorIdSchema.safeParse(connector).success || !plainTextSchema(128).safeParse(target).success) return null;
  return { connector: connector!, target: target! };
}

function partsOf(id: string): string[] | null {
  const parts = id.split('/').map(decodePart);
  return parts.some((part) => part === null) ? null : (parts as string[]);
}
