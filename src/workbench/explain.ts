/** Why policy answered as it did: what each rule that spoke is there for, what it did, and what of the question was not there. */
import type { z } from 'zod';

/** The METADATA of a rule, as the sources have it. */
export interface RuleMetadata {
  readonly code: string;
  readonly title: string;
  readonly description: string;
  readonly solution?: string | undefined;
  readonly controls: readonly { readonly framework: string; readonly id: string }[];
  readonly rule: string;
  readonly file: string;
}

/** What a rule does to a change, strictest first; `beside` only says something. */
export const WEIGHTS = ['denies', 'needsApproval', 'permits', 'beside'] as const;
export type Weight = (typeof WEIGHTS)[number];

export interface ExplainedReason {
  readonly code: string;
  readonly rule: string;
  readonly message: string;
  readonly does: Weight;
  /** null where the sources at hand have no such rule. */
  readonly metadata: Omit<RuleMetadata, 'code' | 'rule'> | null;
}

export interface InputSeen {
  /** Members that the question must have and has not, by JSON pointer. */
  readonly missing: readonly string[];
  /** Members that are there in another form, or that no question has. */
  readonly malformed: readonly { readonly pointer: string; readonly message: string }[];
  /** Members that say that there is nothing: `null`. */
  readonly absent: readonly string[];
}

export interface Explanation {
  /** The strictest of what was said: it holds. null for what has no effect, such as a window. */
  readonly strictest: Weight | null;
  /** Strictest first. */
  readonly reasons: readonly ExplainedReason[];
  readonly input: InputSeen;
}

const DOES: Readonly<Record<string, Weight>> = { deny: 'denies', unexplained: 'denies', pending: 'needsApproval', permit: 'permits' };

/** What the rule of a reason does: its name's last word says so. */
export function weightOf(rule: string): Weight {
  return DOES[rule.slice(rule.lastIndexOf('.') + 1)] ?? 'beside';
}

export function explain(answer: { readonly reasons: readonly { readonly code: string; readonly message: string; readonly rule: string }[] }, metadata: readonly RuleMetadata[], input: InputSeen): Explanation {
  const known = new Map(metadata.map((one) => [JSON.stringify([one.rule, one.code]), one]));
  const reasons = answer.reasons.map(({ code, message, rule }): ExplainedReason => {
    const found = known.get(JSON.stringify([rule, code]));
    const { title, description, solution, controls, file } = found ?? {};
    return {
      code, rule, message, does: weightOf(rule),
      metadata: found === undefined ? null : { title: title!, description: description!, ...(solution === undefined ? {} : { solution }), controls: controls!, file: file! },
    };
  }).sort((a, b) => WEIGHTS.indexOf(a.does) - WEIGHTS.indexOf(b.does));
  const strictest = reasons[0]?.does ?? null;
  return { strictest: strictest === 'beside' ? null : strictest, reasons, input };
}

/** What the schema of a question finds wrong with an input, and where that says that there is nothing. */
export function lookAt(input: unknown, schema: z.ZodType): InputSeen {
  const missing: string[] = [];
  const malformed: { pointer: string; message: string }[] = [];
  for (const issue of schema.safeParse(input).error?.issues ?? []) {
    if (at(input, issue.path) === undefined && issue.path.length > 0) missing.push(pointerOf(issue.path));
    else malformed.push({ pointer: pointerOf(issue.path), message: issue.message });
  }
  return { missing, malformed, absent: nullsIn(input) };
}

const POINTERS_MAX = 256;
const DEPTH_MAX = 32;

function nullsIn(value: unknown): string[] {
  const found: string[] = [];
  const visit = (inner: unknown, path: readonly PropertyKey[]): void => {
    if (found.length >= POINTERS_MAX || path.length > DEPTH_MAX) return;
    if (inner === null) found.push(pointerOf(path));
    else if (typeof inner === 'object') for (const [key, member] of Object.entries(inner)) visit(member, [...path, key]);
  };
  visit(value, []);
  return found;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => (typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined), value);
}

function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
