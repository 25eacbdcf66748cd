/**
 * Whether policies that a token is listed to have are in force: the server is asked, as the token's bearer, what it may do at paths that they name.
 * A list is written at once; what it lists may be followed a moment later, or by another node of a cluster.
 */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { pathOf } from './address.ts';
import type { Wire } from '../../openbao/wire.ts';
import type { Session } from './session.ts';

/** Paths at which a policy allows something, as far as its text tells: none where they depend on who asks. Null for a policy that is not there. */
export type AllowedPaths = readonly string[] | null;

export async function allowedPaths(session: Session, policies: readonly string[]): Promise<readonly AllowedPaths[]> {
  const texts = await Promise.all(policies.map((name) => session.get(`sys/policies/acl/${pathOf(name)}`, z.object({ policy: z.string() }))));
  return texts.map((text) => (text === null ? null : pathsIn(text.policy)));
}

const PATHS_MAX = 32;
const capabilitiesSchema = z.object({ data: z.record(z.string(), z.json()) });

/**
 * True where every policy is there and each that names paths lets the bearer do something at one of them; also where the bearer may not ask.
 * @throws TargetError `unreachable` when it cannot be known now
 */
export async function areInForce(wire: Wire, headers: Readonly<Record<string, string>>, paths: readonly AllowedPaths[], signal: AbortSignal): Promise<boolean> {
  if (paths.includes(null)) return false;
  const asked = [...new Set(paths.flatMap((ofOne) => ofOne ?? []))];
  if (asked.length === 0) return true;
  const { status, body } = await wire.send('POST', '/v1/sys/capabilities-self', headers, { paths: asked }, signal);
  if (status === 403) return true;
  const answer = capabilitiesSchema.safeParse(body);
  if (status !== 200 || !answer.success) throw new TargetError('unreachable', `HTTP ${String(status)} to asking what a token may do`);
  const may = (path: string): boolean => {
    const capabilities = answer.data.data[path];
    return Array.isArray(capabilities) && capabilities.length > 0 && !capabilities.includes('deny');
  };
  return paths.every((ofOne) => ofOne !== null && (ofOne.length === 0 || ofOne.some(may)));
}

/** Of a policy in HCL or JSON. A rule that denies, or whose path is filled in for each bearer, tells nothing. */
export function pathsIn(policy: string): string[] {
  const text = policy.replace(/^\s*(?:#|\/\/).*$/gm, '');
  const rules = [...text.matchAll(/"([^"\n]+)"\s*[:=]?\s*\{/g)];
  const paths: string[] = [];
  for (const [n, rule] of rules.entries()) {
    const body = text.slice(rule.index, rules[n + 1]?.index);
    const [, listed] = /"?capabilities"?\s*[=:]\s*\[([^\]]*)\]/.exec(body) ?? [];
    if (listed !== undefined && /"\w/.test(listed) && !listed.includes('"deny"') && !rule[1]!.includes('{{')) paths.push(rule[1]!);
  }
  return paths.slice(0, PATHS_MAX);
}
