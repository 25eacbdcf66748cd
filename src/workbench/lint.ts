/** What is wrong with the Rego of a policy, from its text alone: rules that could not say why, controls that there are not, what could answer otherwise tomorrow. */
import { parse } from 'yaml';
import { z } from 'zod';

export interface LintFinding {
  readonly code: LintCode;
  /** Below `policy/`. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

export const LINT_CODES = [
  /** A rule that speaks has no METADATA right above it. */
  'no-metadata',
  /** METADATA that is no YAML, or of another form. */
  'malformed-metadata',
  'no-code',
  'no-message',
  /** What denies says what to do about it. */
  'no-solution',
  'no-controls',
  /** A control that `controls/frameworks.yaml` does not list. */
  'unknown-control',
  /** Two rules with one code. */
  'code-twice',
  /** No unit test and no case names the code. */
  'no-test',
  /** A rule that denies, permits or asks for approval in words of its own: nobody is told which rule it was. */
  'not-said',
  /** A built-in whose answer depends on more than its arguments. */
  'non-deterministic',
  /** Below `overlays/`, a file of another package: it could permit what the baseline does not. */
  'loosens',
  /** Below `overlays/`, a `deny` that is not the team's own: it would deny nothing, and nobody would be told. */
  'not-heard',
] as const;
export type LintCode = (typeof LINT_CODES)[number];

export interface PolicyText {
  /** Below `policy/`. */
  readonly file: string;
  readonly text: string;
}

export interface PolicyTexts {
  /** Every `.rego` that is compiled or tests what is. */
  readonly rego: readonly PolicyText[];
  /** `testcases/*.json`. */
  readonly cases: readonly PolicyText[];
  /** `controls/frameworks.yaml`; null: there is none. */
  readonly frameworks: string | null;
  /** `capabilities.json`; null: there is none. */
  readonly capabilities: string | null;
}

/** Names of rules that policy's answers are made of. */
const SPEAKING: ReadonlySet<string> = new Set(['deny', 'permit', 'pending', 'note', 'unexplained', 'revoke', 'disable', 'leave']);
const DENYING: ReadonlySet<string> = new Set(['deny', 'unexplained']);
/** Of OPA's built-ins, those that ask the clock, the network, chance or the machine. */
const NON_DETERMINISTIC = ['http.send', 'io.jwt.decode_verify', 'net.lookup_ip_addr', 'opa.runtime', 'rand.intn', 'time.now_ns', 'uuid.rfc4122'] as const;

const text = z.string().trim().min(1);
const customSchema = z.looseObject({
  code: z.unknown(), message: z.unknown(), solution: z.unknown(),
  controls: z.array(z.looseObject({ framework: z.coerce.string(), id: z.coerce.string() })).optional(),
}).partial();
const CODE = /^[a-z][a-z0-9-]{1,63}$/;

/** In the order of files and lines. */
export function lintPolicy({ capabilities, cases, frameworks, rego }: PolicyTexts): LintFinding[] {
  const findings: LintFinding[] = [];
  const controls = controlsIn(frameworks, findings);
  const tested = new Set([...rego.filter(({ file }) => isTest(file)).flatMap(quotedIn), ...cases.flatMap(quotedIn)]);
  const seen = new Map<string, string>();
  for (const one of rego) {
    findings.push(...builtinsIn(one));
    if (isTest(one.file)) continue;
    findings.push(...overlayIn(one));
    for (const rule of rulesIn(one.text)) {
      if (!rule.said && !SPEAKING.has(rule.name)) continue;
      const at = (code: LintCode, message: string): void => void findings.push({ code, file: one.file, line: rule.line, message: `${rule.name}: ${message}` });
      if (!rule.said) {
        at('not-said', 'it says nothing through lib.said(rego.metadata.chain()), so nobody is told which rule it was');
        continue;
      }
      const code = lintMetadata(rule, controls, at);
      if (code === null) continue;
      const other = seen.get(code);
      if (other !== undefined) at('code-twice', `${code} is the code of another rule as well, in ${other}`);
      else seen.set(code, `${one.file}:${rule.line}`);
      if (!tested.has(code)) at('no-test', `no test and no case names ${code}`);
    }
  }
  findings.push(...capabilitiesOf(capabilities));
  return findings.sort((a, b) => order(a.file, b.file) || a.line - b.line);
}

interface Rule {
  readonly name: string;
  readonly line: number;
  /** The comment right above, without `# `; null where it is no METADATA. */
  readonly metadata: string | null;
  readonly said: boolean;
}

/** Rules that add something to a set, by what is at the beginning of a line: `opa fmt` leaves nothing else there. */
function rulesIn(source: string): Rule[] {
  const rules: Rule[] = [];
  const lines = source.split('\n');
  const bare = withoutWords(source).split('\n');
  for (const [index, line] of bare.entries()) {
    const name = /^([a-z_]\w*) contains /.exec(line)?.[1];
    if (name === undefined) continue;
    let from = index;
    while (from > 0 && lines[from - 1]!.startsWith('#')) from -= 1;
    const comment = lines.slice(from, index);
    const start = comment.lastIndexOf('# METADATA');
    rules.push({ name, line: index + 1, metadata: start === -1 ? null : comment.slice(start + 1).map((one) => one.replace(/^# ?/, '')).join('\n'), said: /\blib\.said\(rego\.metadata\.chain\(\)\)/.test(line) });
  }
  return rules;
}

/** The rule's code; null where it has none. */
function lintMetadata({ metadata, name }: Rule, controls: ReadonlyMap<string, ReadonlySet<string>> | null, at: (code: LintCode, message: string) => void): string | null {
  if (metadata === null) {
    at('no-metadata', 'there is no METADATA right above it');
    return null;
  }
  const custom = customIn(metadata);
  if (custom === null) {
    at('malformed-metadata', 'its METADATA is no YAML with title and custom');
    return null;
  }
  if (!text.safeParse(custom.message).success) at('no-message', 'its METADATA has no message');
  if (DENYING.has(name) && !text.safeParse(custom.solution).success) at('no-solution', 'it denies, and its METADATA does not say what to do (solution)');
  const named = custom.controls ?? [];
  if (named.length === 0) at('no-controls', 'its METADATA names no control that it is evidence for');
  for (const { framework, id } of named) if (controls !== null && controls.get(framework)?.has(id) !== true) at('unknown-control', `${framework} ${id} is not in controls/frameworks.yaml`);
  if (typeof custom.code === 'string' && CODE.test(custom.code)) return custom.code;
  at('no-code', custom.code === undefined ? 'its METADATA has no code' : `its code is not of lower case, digits and hyphens: ${JSON.stringify(custom.code)}`);
  return null;
}

function customIn(metadata: string): z.infer<typeof customSchema> | null {
  try {
    const parsed = z.looseObject({ title: text, custom: customSchema.optional() }).safeParse(parse(metadata));
    return parsed.success ? (parsed.data.custom ?? {}) : null;
  } catch {
    return null;
  }
}

function controlsIn(frameworks: string | null, findings: LintFinding[]): ReadonlyMap<string, ReadonlySet<string>> | null {
  const wrong = (message: string): null => {
    findings.push({ code: 'unknown-control', file: 'controls/frameworks.yaml', line: 1, message });
    return null;
  };
  if (frameworks === null) return wrong('it is not there, so no control is known');
  try {
    const parsed = z.record(z.string(), z.record(z.string(), z.unknown())).safeParse(parse(frameworks));
    return parsed.success ? new Map(Object.entries(parsed.data).map(([framework, ids]) => [framework, new Set(Object.keys(ids))])) : wrong('it does not list the ids of each framework');
  } catch {
    return wrong('it is no YAML');
  }
}

function builtinsIn({ file, text: source }: PolicyText): LintFinding[] {
  return withoutWords(source).split('\n').flatMap((line, index) => NON_DETERMINISTIC
    .filter((name) => new RegExp(`(?<![\\w.])${name.replaceAll('.', '\\.')}\\b`).test(line))
    .map((name) => ({ code: 'non-deterministic' as const, file, line: index + 1, message: `${name} depends on more than its arguments: asked again, it may answer otherwise` })));
}

const capabilitiesSchema = z.looseObject({ builtins: z.array(z.looseObject({ name: z.string(), nondeterministic: z.boolean().optional() })), allow_net: z.array(z.string()).nullish() });

/** What the compiler lets through is what a rule may call. */
function capabilitiesOf(capabilities: string | null): LintFinding[] {
  const found = (message: string): LintFinding[] => [{ code: 'non-deterministic', file: 'capabilities.json', line: 1, message }];
  if (capabilities === null) return found('it is not there: the compiler would let every built-in through');
  let value: unknown;
  try {
    value = JSON.parse(capabilities);
  } catch {
    return found('it is no JSON');
  }
  const parsed = capabilitiesSchema.safeParse(value);
  if (!parsed.success) return found('it is no list of capabilities as opa writes one');
  const { allow_net: hosts, builtins } = parsed.data;
  return [
    ...builtins.filter(({ name, nondeterministic }) => nondeterministic === true || NON_DETERMINISTIC.some((one) => one === name)).flatMap(({ name }) => found(`it lets ${name} through`)),
    ...((hosts ?? []).length === 0 ? [] : found('it lets policy reach hosts (allow_net)')),
  ];
}

/** An overlay is heard by the `deny` of its own package and by nothing else: what a file below `overlays/` would do beside that, or say in vain. */
export function overlayIn({ file, text: source }: PolicyText): LintFinding[] {
  const inside = /^overlays\/([^/]+)\//.exec(file)?.[1];
  if (inside === undefined) return [];
  const own = `overlays.${inside}`;
  const lines = withoutWords(source).split('\n');
  const line = Math.max(0, lines.findIndex((one) => one.startsWith('package ')));
  const name = /^package (\S+)/.exec(lines[line]!)?.[1] ?? 'none';
  if (name !== own && !name.startsWith(`${own}.`)) return [{ code: 'loosens', file, line: line + 1, message: `its package is ${name}, and not ${own}: an overlay tightens, and adds to no other package` }];
  return lines.flatMap((one, index) => {
    const rule = (name === own ? DENY_BELOW.exec(one) : (DENY.exec(one) ?? DENY_BELOW.exec(one)))?.[1];
    return rule === undefined ? [] : [{ code: 'not-heard' as const, file, line: index + 1, message: `${name}.${rule}: it is not heard, so that it denies nothing: only the deny of ${own} is` }];
  });
}

/** Where a rule of that name begins, or one below another name (`pci.deny`). */
const DENY = /^\s*(?:default\s+)?(deny)\b/;
const DENY_BELOW = /^(?:default\s+)?(\w+(?:\.\w+)*\.deny)\b/;

const isTest = (file: string): boolean => file.endsWith('_test.rego');
const quotedIn = ({ text: source }: PolicyText): string[] => [...source.matchAll(/"([a-z][a-z0-9-]{1,63})"/g)].map((match) => match[1]!);
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The same lines without what is in quotes or comments. */
function withoutWords(source: string): string {
  return source.replaceAll(/"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*/g, (words) => words.replaceAll(/[^\n]/g, ' '));
}
