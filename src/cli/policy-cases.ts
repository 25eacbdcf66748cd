/** `policy/testcases/*.json`: questions and what is expected of the answers, readable without Rego or TypeScript. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ENTRYPOINTS } from '../pdp/bundle.ts';

const caseSchema = z.strictObject({
  title: z.string(),
  /** Laid over the file's base: objects are merged, everything else is replaced, by null too. */
  patch: z.record(z.string(), z.json()),
  /** The decision's or verification's effect; for `access/schedule` whether it names a window, for `access/reconcile` whether it proposes a change. */
  effect: z.union([z.enum(['deny', 'needsApproval', 'allow', 'keep', 'revoke', 'finding', 'accept', 'refuse']), z.boolean()]),
  /** The codes of all reasons, sorted. */
  codes: z.array(z.string()).min(1),
  /** More of the answer, by JSON pointer. */
  where: z.record(z.string(), z.json()).optional(),
});
const caseFileSchema = z.strictObject({ entrypoint: z.enum(ENTRYPOINTS), base: z.record(z.string(), z.json()), cases: z.array(caseSchema).min(1) });

export interface PolicyCase extends z.infer<typeof caseSchema> {
  readonly input: Record<string, unknown>;
}

/** @throws ZodError or SyntaxError on a file of any other form */
export function readCases(text: string): { entrypoint: (typeof ENTRYPOINTS)[number]; cases: readonly PolicyCase[] } {
  const file = caseFileSchema.parse(JSON.parse(text));
  return { entrypoint: file.entrypoint, cases: file.cases.map((one) => ({ ...one, input: overlay(file.base, one.patch) })) };
}

type Members = Record<string, unknown>;
const isMembers = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `base` with `patch` laid over it: Rego's `object.union`. Neither is changed. */
export function overlay(base: Members, patch: Members): Members {
  const merged: Members = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const under = merged[key];
    merged[key] = isMembers(under) && isMembers(value) ? overlay(under, value) : value;
  }
  return merged;
}

export interface Expected {
  readonly effect: string | boolean;
  readonly codes: readonly string[];
  readonly where: Readonly<Record<string, unknown>>;
}

export function expectedOf(one: PolicyCase): Expected {
  return { effect: one.effect, codes: one.codes, where: one.where ?? {} };
}

/** What of the expectation an answer does not meet; empty when it meets all. */
export function misses(answer: unknown, expected: Expected): string[] {
  if (!isMembers(answer)) return ['there is no answer'];
  const found: string[] = [];
  const compare = (name: string, actual: unknown, due: unknown): void => {
    if (!isDeepStrictEqual(actual, due)) found.push(`${name} is ${JSON.stringify(actual)}, not ${JSON.stringify(due)}`);
  };
  compare('effect', 'effect' in answer ? answer['effect'] : 'propose' in answer ? answer['propose'] !== null : isMembers(answer['window']), expected.effect);
  const reasons = Array.isArray(answer['reasons']) ? (answer['reasons'] as { code: string }[]) : [];
  compare('codes', reasons.map((reason) => reason.code).sort(), expected.codes);
  for (const [pointer, due] of Object.entries(expected.where)) compare(pointer, at(answer, pointer), due);
  return found;
}

function at(value: unknown, pointer: string): unknown {
  return pointer.split('/').slice(1).reduce<unknown>((inner, key) => (isMembers(inner) ? inner[key] : undefined), value);
}
