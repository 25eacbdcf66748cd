/** The cookbook: each recipe is in a repository as the page has one made, and `countersign policy test` holds all of them, interpreted and compiled. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exceptionsFileSchema } from '../../src/facts/exceptions.ts';
import { calendarSchema, catalogueSchema } from '../../src/facts/schemas.ts';
import { floorFor } from '../../src/protocol/trust-folder.ts';
import { requirementsFileSchema } from '../../src/protocol/trust.ts';
import { fencesIn, textOf } from '../support/fences.ts';
import { WITHOUT_OPA } from '../support/opa.ts';
import { openDesk, type Desk } from '../support/world.ts';

const page = textOf('docs/policy-cookbook.md');
const files = fencesIn(page).flatMap(({ about, text }) => (about.startsWith('file=') ? [{ file: about.slice('file='.length), text }] : []));
const of = (begins: string): typeof files => files.filter(({ file }) => file.startsWith(begins));
const only = (name: string): unknown => {
  const [block, ...more] = of(name);
  expect(more).toEqual([]);
  return parse(block!.text);
};

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
/** As the page says it: members by name, lists at their end. */
function added(to: unknown, more: unknown): unknown {
  if (Array.isArray(to) && Array.isArray(more)) return [...(to as unknown[]), ...(more as unknown[])];
  if (!isObject(to) || !isObject(more)) return more;
  return { ...to, ...Object.fromEntries(Object.entries(more).map(([name, value]) => [name, added(to[name], value)])) };
}

describe('the policy cookbook', () => {
  let desk: Desk;
  const at = (file: string): string => join(desk.directory, 'shop-policy', file);
  beforeAll(() => (desk = openDesk()));
  afterAll(() => desk.remove());

  it('has a rule and a test of it for each overlay, and names no file twice', () => {
    const rego = of('policy/overlays/').map(({ file }) => file);
    expect(new Set(rego).size).toBe(rego.length);
    const rules = rego.filter((file) => !file.endsWith('_test.rego'));
    expect(rules.length).toBeGreaterThan(9);
    for (const file of rules) expect(rego).toContain(file.replace(/\.rego$/, '_test.rego'));
    // Under each heading something is written down whole.
    const recipes = page.split(/^## /m).slice(1);
    expect(recipes).toHaveLength(17);
    expect(page).toContain('\nSeventeen things ');
    for (const recipe of recipes) expect(fencesIn(recipe).length, recipe.split('\n')[0]).toBeGreaterThan(0);
  });

  it.skipIf(WITHOUT_OPA)('holds by countersign policy lint, test and build, all recipes beside one another', { timeout: 240_000 }, async () => {
    await desk.run('policy', 'init', 'shop-policy', '--team', 'shop');
    // The example goes, as the page has it.
    for (const file of readdirSync(at('policy/overlays/shop'))) rmSync(at(join('policy/overlays/shop', file)));
    for (const { file, text } of of('policy/overlays/')) writeFileSync(at(file), text);
    for (const { file, text } of of('policy/data/')) writeFileSync(at(file), stringify(added(parse(readFileSync(at(file), 'utf8')), parse(text))));
    for (const command of [['lint', 'shop-policy'], ['test', '--root', 'shop-policy'], ['build', '--root', 'shop-policy']]) {
      const { exit, stdout, stderr } = await desk.run('policy', ...command);
      expect(exit, `${command.join(' ')}\n${stdout}${stderr}`).toBe(0);
    }
  });

  it('adds to facts what the sidecar takes', () => {
    const examples = { calendar: calendarSchema, catalogue: catalogueSchema, exceptions: exceptionsFileSchema };
    for (const [name, schema] of Object.entries(examples)) {
      const whole = added(parse(textOf(`examples/facts/${name}.yaml`)), only(`facts/${name}.yaml`));
      expect(schema.safeParse(whole).error, name).toBeUndefined();
    }
  });

  it('has a floor that asks two owners for a passkey, whatever else is asked', () => {
    const whole = requirementsFileSchema.parse(added({ v: 1, floors: [], revokers: [], clockSkewMs: 1_000 }, only('trust/requirements.json')));
    const effect = { connector: 'pg-main', target: 'payroll', privileges: ['table:public.salaries:SELECT'] };
    expect(floorFor(whole, effect)).toMatchObject({ quorum: 2, proofClass: 'passkey', approvers: ['person:ana', 'person:ben', 'person:wei'], maxLeaseSeconds: 3600 });
    expect(floorFor(whole, { ...effect, target: 'app' })).toMatchObject({ quorum: 1, proofClass: 'session' });
  });
});
