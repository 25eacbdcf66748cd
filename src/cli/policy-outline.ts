/** The outline of the sources that `policy/checks/rules` judges: of each rule its METADATA and, for each literal, what it reads and uses. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demandOpa, type OpaCommand } from './opa.ts';
import { filesBelow, POLICY_ROOTS } from './policy-build.ts';

export interface OutlinedLiteral {
  readonly negated: boolean;
  /** A comparison, membership or function, whose arguments must be there. */
  readonly call: boolean;
  /** What it reads of the question and of data that is no rule: `input.held`, `data.limits.rankMin`. */
  readonly reads: readonly string[];
  /** The rules that it uses, by package and name. */
  readonly uses: readonly string[];
}

export interface OutlinedRule {
  /** Package and name, as in a reason: `access.lease.deny`. Rules of several bodies are here several times. */
  readonly id: string;
  readonly name: string;
  /** Below `policy/`. */
  readonly file: string;
  readonly isDefault: boolean;
  /** Of a constant rule; else null. */
  readonly value: unknown;
  /** Whether it says what `lib.said` makes of its METADATA. */
  readonly speaks: boolean;
  readonly description: string;
  readonly custom: Readonly<Record<string, unknown>>;
  readonly literals: readonly OutlinedLiteral[];
}

interface Term {
  readonly type: string;
  readonly value: unknown;
}
interface Rule {
  readonly default?: boolean;
  readonly head: { readonly ref: readonly Term[]; readonly value?: Term };
  readonly annotations?: readonly { readonly description?: string; readonly custom?: Readonly<Record<string, unknown>> }[];
  readonly body: readonly { readonly negated?: boolean; readonly terms: unknown }[];
  readonly else?: Rule;
}
interface Module {
  readonly package: { readonly path: readonly Term[] };
  readonly imports?: readonly { readonly path: Term; readonly alias?: string }[];
  readonly rules?: readonly Rule[];
}

/** @throws PolicyToolError `opa-failed` on a file that cannot be parsed */
export async function outlinePolicy(opa: OpaCommand, policy: string): Promise<readonly OutlinedRule[]> {
  const files = (await Promise.all(POLICY_ROOTS.map((root) => filesBelow(policy, root)))).flat().filter((file) => file.endsWith('.rego') && !file.endsWith('_test.rego')).sort();
  const outlines: OutlinedRule[] = [];
  for (const file of files) outlines.push(...outlineModule(file, JSON.parse(await demandOpa(opa, ['parse', '--format', 'json', file], policy)) as Module));
  return outlines;
}

/** What `policy/checks/rules` denies of these rules, a line each. @throws PolicyToolError `opa-failed` */
export async function judgeOutline(opa: OpaCommand, policy: string, rules: readonly OutlinedRule[]): Promise<readonly string[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'countersign-outline-'));
  try {
    const input = join(scratch, 'outline.json');
    await writeFile(input, JSON.stringify({ rules }));
    const stdout = await demandOpa(opa, ['eval', '--format', 'json', '-d', 'checks/rules', '--ignore', '*_test.rego', '-i', input, 'data.checks.rules.deny'], policy);
    const { result } = JSON.parse(stdout) as { result: { expressions: { value: { code: string; rule: string; file: string; message: string }[] }[] }[] };
    return (result[0]?.expressions[0]?.value ?? [{ code: 'undefined', rule: 'checks.rules.deny', file: 'checks/rules', message: 'gave no answer' }]).map(({ code, rule, file, message }) => `${file}: ${rule}: ${code}: ${message}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

export function outlineModule(file: string, module: Module): OutlinedRule[] {
  const own = module.package.path.slice(1).map(({ value }) => String(value)).join('.');
  const aliases = new Map((module.imports ?? []).map(({ path, alias }) => {
    const names = (path.value as Term[]).map(({ value }) => String(value));
    return [alias ?? names.at(-1)!, names] as const;
  }));
  const rules = module.rules ?? [];
  const local = new Set(rules.map((rule) => String(rule.head.ref[0]!.value)));
  const resolve = (names: readonly string[]): readonly string[] => (aliases.has(names[0]!) ? [...aliases.get(names[0]!)!, ...names.slice(1)] : local.has(names[0]!) ? ['data', ...own.split('.'), ...names] : names);
  const outline = (rule: Rule, of: Rule): OutlinedRule[] => {
    const name = String(of.head.ref[0]!.value);
    const annotations = of.annotations?.[0];
    const headRefs = refsIn(rule.head, resolve);
    const literals = rule.body.map(({ negated, terms }) => ({ negated: negated === true, call: Array.isArray(terms), ...sorted(refsIn(terms, resolve)) }));
    return [
      {
        id: `${own}.${name}`, name, file, isDefault: rule.default === true, value: constantOf(rule.head.value), speaks: headRefs.includes('data.lib.said'),
        description: annotations?.description ?? '', custom: annotations?.custom ?? {},
        literals: [...literals, { negated: false, call: false, ...sorted(headRefs) }],
      },
      ...(rule.else === undefined ? [] : outline({ ...rule.else, head: { ...rule.else.head, ref: of.head.ref } }, of)),
    ];
  };
  return rules.flatMap((rule) => outline(rule, rule));
}

function constantOf(value: Term | undefined): unknown {
  return value !== undefined && ['boolean', 'string', 'null', 'number'].includes(value.type) ? value.value : null;
}

/** Packages; what else is below `data` is no rule. */
const PACKAGES = new Set(['access', 'workflow', 'lib']);

function sorted(refs: readonly string[]): Pick<OutlinedLiteral, 'reads' | 'uses'> {
  const isRule = (ref: string): boolean => ref.startsWith('data.') && PACKAGES.has(ref.split('.')[1] ?? '');
  return {
    reads: refs.filter((ref) => ref.startsWith('input.') || (ref.startsWith('data.') && !isRule(ref))),
    uses: refs.filter(isRule).map((ref) => ref.slice('data.'.length)),
  };
}

/** Every name that is referred to anywhere in it, as far as it is spelled out. */
function refsIn(node: unknown, resolve: (names: readonly string[]) => readonly string[]): string[] {
  if (typeof node !== 'object' || node === null) return [];
  if (Array.isArray(node)) return node.flatMap((inner) => refsIn(inner, resolve));
  const { type, value } = node as Partial<Term>;
  if (type === 'var') return [resolve([String(value)]).join('.')];
  if (type === 'ref' && Array.isArray(value)) {
    const [head, ...rest] = value as Term[];
    const end = rest.findIndex((part) => part.type !== 'string');
    const spelled = end === -1 ? rest : rest.slice(0, end);
    const inner = end === -1 ? [] : rest.slice(end);
    return [resolve([String(head!.value), ...spelled.map((part) => String(part.value))]).join('.'), ...refsIn(inner, resolve)];
  }
  return Object.entries(node).filter(([key]) => key !== 'annotations' && key !== 'ref').flatMap(([, inner]) => refsIn(inner, resolve));
}
