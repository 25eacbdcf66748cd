/** What objects are, by the records that name them, and which may be erased. */
import type { LedgerRecord } from '../../ledger/index.ts';
import { DISCLOSING } from './prose.ts';

/** What an object is, by the record that names it first. `disclosure`: what somebody wrote. `adopted` and `bundle` are never erased. */
export const OBJECT_KINDS = ['policyInput', 'facts', 'plan', 'state', 'page', 'disclosure', 'adopted', 'bundle'] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];
export const ERASABLE_KINDS = ['policyInput', 'facts', 'plan', 'state', 'page', 'disclosure'] as const satisfies readonly ObjectKind[];
export type ErasableKind = (typeof ERASABLE_KINDS)[number];
/** What is erased of a change unless it is said otherwise: its facts are those of others as well. */
export const KINDS_BY_DEFAULT: readonly ErasableKind[] = ['policyInput', 'plan', 'state', 'disclosure'];
/** Objects in one record. */
export const ERASED_MAX = 512;

/** The objects that a record names, and the facts that it was decided on. Whatever its body is: that is for others to judge. */
export function namedBy({ type, body, objects }: LedgerRecord): [string, ObjectKind][] {
  const { input, facts } = (isObject(body['provenance']) ? body['provenance'] : {}) as { readonly input?: unknown; readonly facts?: unknown };
  const parts = type === 'change.adopted' && Array.isArray(body['parts']) ? (body['parts'] as readonly unknown[]) : [];
  const kindOf = (digest: string): ObjectKind => {
    if (parts.includes(digest)) return 'adopted';
    if (digest === input) return 'policyInput';
    return DISCLOSING.has(type) ? 'disclosure' : (KIND_OF[type] ?? 'plan');
  };
  const decidedOn = Array.isArray(facts) ? (facts as readonly unknown[]).filter((digest): digest is string => typeof digest === 'string') : [];
  return [...objects.map((digest): [string, ObjectKind] => [digest, kindOf(digest)]), ...decidedOn.map((digest): [string, ObjectKind] => [digest, 'facts'])];
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const KIND_OF: Readonly<Record<string, ObjectKind>> = {
  'state.read': 'state', 'step.succeeded': 'state', 'step.failed': 'state', 'lease.ended': 'state', 'facts.loaded': 'facts', 'bundle.activated': 'bundle', 'bundle.proposed': 'bundle', 'discovery.read': 'page',
};
