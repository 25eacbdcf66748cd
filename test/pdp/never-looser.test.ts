/** Whatever a decision rests on may be lost, or be of another form: what is denied stays denied, and what people must approve stays theirs. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCases, type PolicyCase } from '../../src/cli/policy-cases.ts';
import { readPolicyCodes } from '../../src/cli/policy-codes.ts';
import { readBundle, type Entrypoint } from '../../src/pdp/bundle.ts';
import { createEvaluator, type Evaluator } from '../../src/pdp/evaluator.ts';
import { approversNamed, isSatisfied, PROOF_CLASSES, type Decision } from '../../src/protocol/decision.ts';
import { BUNDLE, ROOT } from './support.ts';

type Tree = Record<string, unknown>;
type Spoil = (value: unknown) => unknown;
const LEFT_OUT: Spoil = () => undefined;
/** Of a type that nothing in a question or among the limits has at that place. */
const OTHER_TYPE: Spoil = (value) => (value === null ? { spoilt: true } : Array.isArray(value) ? 'spoilt' : [[]]);

const { image } = await readBundle(BUNDLE);
const policy = createEvaluator(image);
const files = readdirSync(join(ROOT, 'policy', 'testcases')).map((name) => ({ name, ...readCases(readFileSync(join(ROOT, 'policy', 'testcases', name), 'utf8')) }));

/** Every member of every object in it, as a path; array elements are looked into. */
function members(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [...(Array.isArray(value) ? [] : [[...path, key]]), ...members(inner, [...path, key])]);
}

function spoilt(whole: Tree, path: readonly string[], spoil: Spoil): Tree {
  const copy = structuredClone(whole);
  const parent = path.slice(0, -1).reduce<Tree>((inner, key) => inner[key] as Tree, copy);
  const last = path.at(-1)!;
  const value = spoil(parent[last]);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return copy;
}

const STRICTNESS = ['allow', 'needsApproval', 'deny'];
/** An answer of `access/decide`, or of `access/verify`, which has no obligations. */
type Answer = Pick<Decision, 'effect'> & Partial<Decision>;

/** How the second answer asks for less than the first; null where it does not. */
function looser(before: Answer, after: Answer): string | null {
  if (STRICTNESS.indexOf(after.effect) < STRICTNESS.indexOf(before.effect)) return `${before.effect} became ${after.effect}`;
  const [due, asked] = [before.obligations, after.obligations];
  if (before.effect === 'deny' || after.effect === 'deny' || due === undefined || asked === undefined) return null;
  if (PROOF_CLASSES.indexOf(asked.proofClass) < PROOF_CLASSES.indexOf(due.proofClass)) return 'a weaker proof of approvals';
  if (due.notBefore !== undefined && asked.notBefore === undefined) return 'a freeze is not waited for';
  if (due.maxLeaseSeconds !== null && (asked.maxLeaseSeconds === null || asked.maxLeaseSeconds > due.maxLeaseSeconds)) return 'a longer lease';
  const [was, is] = [due.breakGlass, asked.breakGlass];
  if (before.effect === 'needsApproval' && is !== undefined && (was === undefined || is.maxLeaseSeconds > was.maxLeaseSeconds || is.reviewWithinSeconds > was.reviewWithinSeconds)) return 'a glass that may be broken further';
  if (before.effect === 'needsApproval' && (asked.rejections ?? 1) > (due.rejections ?? 1)) return 'more people must reject it';
  if (before.effect === 'allow' || JSON.stringify(due.approvers) === JSON.stringify(asked.approvers)) return null;
  const people = [...new Set([...approversNamed(due.approvers), ...approversNamed(asked.approvers)])];
  for (let chosen = 0; chosen < 1 << people.length; chosen += 1) {
    const approved = new Set(people.filter((_, bit) => ((chosen >> bit) & 1) === 1));
    if (isSatisfied(asked.approvers ?? { anyOf: [] }, approved) && !isSatisfied(due.approvers ?? { anyOf: [] }, approved)) return `approved by ${[...approved].join(' and ')}`;
  }
  return null;
}

const TAKES_AWAY = new Set(['revoke', 'disable', 'offboard']);
/** Who takes back what is decided by whom it can be asked of: where no owner is known any more security approves, so that it goes on. */
const isTakingBack = (input: Tree): boolean => TAKES_AWAY.has((input['change'] as { kind?: string } | undefined)?.kind ?? '');

function ask(evaluator: Evaluator, entrypoint: Entrypoint, input: Tree): Answer {
  return evaluator.evaluate(entrypoint, JSON.stringify(input)) as Answer;
}

/** May be absent, and then says that there is none: the inventory knows no third party, the catalogue nothing that comes along. */
const SAYS_NONE = /^facts\.(nhi\.thirdParty|catalogue\.entitlements\.\d+\.(conveys|governs))$/;

/** Each way in which the case gets more when something is spoilt. */
function gains(entrypoint: Entrypoint, one: PolicyCase, spoil: Spoil): string[] {
  const before = ask(policy, entrypoint, one.input);
  return members(one.input).filter((path) => spoil !== LEFT_OUT || !SAYS_NONE.test(path.join('.'))).flatMap((path) => {
    const how = looser(before, ask(policy, entrypoint, spoilt(one.input, path, spoil)));
    return how === null || (isTakingBack(one.input) && how.startsWith('approved by')) ? [] : [`${path.join('.')}: ${how}`];
  });
}

describe.each(files.filter(({ entrypoint }) => entrypoint === 'access/decide' || entrypoint === 'access/verify'))('$name', ({ entrypoint, cases }) => {
  const held = cases.filter(({ effect }) => effect !== 'allow');
  test.each(held.map((one) => [one.title, one] as const))('%s: whatever is left out of the question', (_title, one) => {
    expect(gains(entrypoint, one, LEFT_OUT)).toEqual([]);
  });

  test.each(held.filter(({ effect }) => effect === 'deny').map((one) => [one.title, one] as const))('%s: whatever in the question is of another type', (_title, one) => {
    expect(gains(entrypoint, one, OTHER_TYPE)).toEqual([]);
  });
});

const approvals = files.filter(({ entrypoint }) => entrypoint === 'workflow/accept').flatMap(({ cases }) => cases);
test.each(approvals.filter(({ effect }) => effect === 'refuse').map((one) => [one.title, one] as const))('%s: refused, whatever is left out of the question or of another type', (_title, one) => {
  const accepted = members(one.input).flatMap((path) => [LEFT_OUT, OTHER_TYPE].map((spoil) => [path.join('.'), ask(policy, 'workflow/accept', spoilt(one.input, path, spoil)).effect as string]));
  expect(accepted.filter(([, effect]) => effect !== 'refuse')).toEqual([]);
});

test('a question that lacks something has an answer all the same', () => {
  for (const { entrypoint, cases } of files.filter((file) => file.entrypoint === 'access/schedule' || file.entrypoint === 'access/reconcile')) {
    for (const one of cases) for (const path of members(one.input)) expect(ask(policy, entrypoint, spoilt(one.input, path, LEFT_OUT))).toBeTypeOf('object');
  }
});

const decides = files.filter(({ entrypoint }) => entrypoint === 'access/decide').flatMap((file) => file.cases);
const codes = (await readPolicyCodes(ROOT)).map(({ code }) => code);

/** The case with an exception from every rule that there is, whose owner nobody is asked for otherwise. */
function excepted(one: PolicyCase): Tree {
  const input = structuredClone(one.input) as { nowMs: number; change: { subject: string }; facts: Tree & { directory: { people: object[] } } };
  input.facts.directory.people.push({ id: 'person:xenia', name: 'Xenia', active: true, linked: [] });
  input.facts['exceptions'] = codes.map((rule) => ({ id: rule, rule, subject: input.change.subject, owner: 'person:xenia', fromMs: input.nowMs - 1, untilMs: input.nowMs + 89 * 86_400_000 }));
  return input;
}

test('with an exception from every rule nothing that is denied is allowed, and what is not denied is as it was', () => {
  const letThrough = decides.filter((one) => !('exceptions' in (one.input['facts'] as Tree)) && !('observe' in (one.input['facts'] as Tree))).flatMap((one) => {
    const [before, after] = [ask(policy, 'access/decide', one.input), ask(policy, 'access/decide', excepted(one))];
    const taken = after.exceptions?.map(({ rule }) => rule) ?? [];
    if (before.effect !== 'deny' || taken.length === 0) {
      expect(after, one.title).toEqual(before);
      return [];
    }
    expect(after.effect, one.title).not.toBe('allow');
    if (after.effect === 'deny') return [];
    const { approvers } = after.obligations!;
    const others = approversNamed(approvers).filter((person) => person !== 'person:xenia');
    expect(isSatisfied(approvers!, new Set(others)), `${one.title}: without the owner of the exception`).toBe(false);
    for (const alone of others) expect(isSatisfied(approvers!, new Set(['person:xenia', alone])), `${one.title}: by ${alone} alone`).toBe(false);
    return before.reasons!.map(({ code }) => code);
  });
  expect([...new Set(letThrough)].sort()).toEqual(EXCEPTABLE);
});

/** What people may let through for a time; anything else is in `access.exceptions.untouchable`. */
const EXCEPTABLE = [
  'credential-too-long', 'environment-mismatch', 'exceeds-purpose', 'human-use', 'lease-too-long', 'purpose-not-declared', 'third-party-critical', 'toxic-combination',
];

test('of every rule that denies a change it is said whether an exception may be made from it', async () => {
  const denying = (await readPolicyCodes(ROOT)).filter(({ rule }) => /\.(deny|unexplained)$/.test(rule) && !rule.startsWith('access.verification.') && !rule.startsWith('workflow.acceptance.'));
  const untouchable = /^untouchable := \{([^}]+)\}/m.exec(readFileSync(join(ROOT, 'policy', 'access', 'exceptions', 'exceptions.rego'), 'utf8'))![1]!;
  const named = [...untouchable.matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
  expect(denying.filter(({ exceptable }) => exceptable === true).map(({ code }) => code)).toEqual(EXCEPTABLE);
  expect([...EXCEPTABLE, ...named].sort()).toEqual([...denying.map(({ code }) => code), 'unlabelled'].sort());
});

test('an exception that is not whole takes nothing away', () => {
  const one = decides.find(({ title }) => title === EXCEPTED)!;
  for (const member of ['id', 'rule', 'subject', 'owner', 'fromMs', 'untilMs']) {
    for (const spoil of [LEFT_OUT, OTHER_TYPE, () => null, () => ({})]) {
      expect(ask(policy, 'access/decide', spoilt(one.input, ['facts', 'exceptions', '0', member], spoil)).effect, member).toBe('deny');
    }
  }
});
const EXCEPTED = 'More than the purpose needs, by an exception that holds';

/** The case under a scope of everything, whose owner nobody is asked for otherwise. */
function underObserve(one: PolicyCase): Tree {
  const input = excepted(one) as { nowMs: number; facts: Tree };
  delete input.facts['exceptions'];
  input.facts['observe'] = [{ id: 'all', owner: 'person:xenia', fromMs: input.nowMs - 1, untilMs: input.nowMs + 89 * 86_400_000, environments: null, connectors: null, prefixes: ['nhi:'] }];
  return input;
}

test('under observe of everything what is let through says what policy says of it, and what it may not touch is as it was', () => {
  const touched = decides.filter((one) => !('exceptions' in (one.input['facts'] as Tree)) && !('observe' in (one.input['facts'] as Tree))).flatMap((one) => {
    const [before, after] = [ask(policy, 'access/decide', one.input), ask(policy, 'access/decide', underObserve(one))];
    if (after.observed === undefined) {
      expect(after, one.title).toEqual(before);
      return [];
    }
    expect(before.effect, one.title).not.toBe('allow');
    expect(after, one.title).toMatchObject({ effect: 'allow', observed: { effect: before.effect, reasons: before.reasons } });
    expect((one.input['change'] as { leaseSeconds: unknown }).leaseSeconds, one.title).toBeTypeOf('number');
    return before.effect === 'deny' ? before.reasons!.map(({ code }) => code) : [];
  });
  expect([...new Set(touched)].sort()).toEqual(OBSERVABLE);
});

/** What a lease may be denied for and be given all the same. The cases of the one left out are rotations. */
const OBSERVABLE = EXCEPTABLE.filter((code) => code !== 'environment-mismatch');

test('a scope that is not whole lets nothing through', () => {
  const one = decides.find(({ title }) => title === 'More than the purpose needs, under observe')!;
  for (const member of ['id', 'owner', 'fromMs', 'untilMs', 'environments', 'connectors', 'prefixes']) {
    for (const spoil of [LEFT_OUT, OTHER_TYPE, () => ({})]) {
      expect(ask(policy, 'access/decide', spoilt(one.input, ['facts', 'observe', '0', member], spoil)).effect, member).toBe('deny');
    }
  }
});

const data = JSON.parse(image.data) as Tree;
test('there is something to decide by', () => {
  expect(members(data).length).toBeGreaterThan(20);
});

test.each([
  ['left out', LEFT_OUT],
  ['of another type', OTHER_TYPE],
] as const)('whatever limit is %s', { timeout: 30_000 }, (_how, spoil) => {
  const cases = files.filter(({ entrypoint }) => entrypoint === 'access/decide').flatMap((file) => file.cases);
  const before = cases.map((one) => ask(policy, 'access/decide', one.input));
  const gained = members(data).flatMap((path) => {
    const without = createEvaluator({ ...image, data: JSON.stringify(spoilt(data, path, spoil)) });
    return cases.flatMap((one, index) => {
      const how = looser(before[index]!, ask(without, 'access/decide', one.input));
      return how === null ? [] : [`${path.join('.')}: ${one.title}: ${how}`];
    });
  });
  expect(gained).toEqual([]);
});
