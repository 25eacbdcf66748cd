/** Fallback owners: who answers for an identity that names nobody, and that nothing else changes by there being such rules. */
import { describe, expect, it } from 'vitest';
import { canonicalBytes, canonicalText, digestOf } from '../../ledger/index.ts';
import { findItems } from '../../src/engine/offboarding.ts';
import { lintFacts } from '../../src/facts/check.ts';
import { FactsError, parseFacts, type Facts } from '../../src/facts/load.ts';
import { mayRevoke } from '../../src/identity/authority.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import { changeInputSchema } from '../../src/pdp/policy-input.ts';
import { BUNDLE, GRANT, NOW_MS, on, questionOf } from '../pdp/support.ts';

const REST = 'environment: prod, purposes: [deploy-orders], riskTier: medium, custody: vault, humanUse: false, consumers: []';
const OWNED = `  - {id: 'nhi:prod/ci-deployer', owner: person:wei, backupOwner: person:ben, ${REST}, accounts: {pg-main: ci_deployer}}`;
const UNOWNED = `  - {id: 'nhi:prod/ci-deployer', ${REST}, accounts: {pg-main: ci_deployer}}`;
const PEOPLE = ['ana', 'ben', 'wei'].map((name) => `  - {id: person:${name}, name: ${name}, active: true, linked: []}`).join('\n');

function factsOf(nhis: string, rules = '', { directory = `v: 1\npeople:\n${PEOPLE}\nteams:\n  - {id: platform, members: [person:wei, person:ben, person:ana]}\n` } = {}): Facts {
  return parseFacts({
    inventory: { name: 'inventory.yaml', text: `v: 1\nnhis:\n${nhis}\n${rules}` },
    catalogue: { name: 'catalogue.yaml', text: 'v: 1\nentitlements:\n  - {connector: pg-main, target: app, privilege: \'role:deploy\', rank: 40, environment: prod}\npurposes:\n  - {id: deploy-orders, needs: [{connector: pg-main, target: app, privilege: \'role:deploy\'}], maxLeaseSeconds: 3600}\n' },
    directory: { name: 'directory.yaml', text: directory }, usage: null,
  }, NOW_MS);
}
const rules = (...lines: string[]): string => `fallbackOwners:\n${lines.map((line) => `  - ${line}`).join('\n')}\n`;
const ownerOf = (facts: Facts): unknown => {
  const { owner, backupOwner, ownerIsFallback } = facts.inventory.get('nhi:prod/ci-deployer')!;
  return [owner, backupOwner, ownerIsFallback];
};
const refusal = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof FactsError) return error.message;
    throw error;
  }
  return 'taken';
};

describe('an identity without an owner of its own', () => {
  it('is answered for by the rule with the longest prefix, wherever that stands', () => {
    const facts = factsOf(UNOWNED, rules("{prefix: 'nhi:', owner: person:wei}", "{prefix: 'nhi:prod/ci-', owner: person:ana, backupOwner: person:ben}", "{prefix: 'nhi:prod/', owner: person:wei}"));
    expect(ownerOf(facts)).toEqual(['person:ana', 'person:ben', true]);
  });

  it('keeps a backup owner that it names', () => {
    expect(ownerOf(factsOf(UNOWNED.replace(', environment', ', backupOwner: person:wei, environment'), rules("{prefix: 'nhi:', owner: person:ana, backupOwner: person:ben}")))).toEqual(['person:ana', 'person:wei', true]);
  });

  it('is a team’s first two active members’', () => {
    expect(ownerOf(factsOf(UNOWNED, rules("{prefix: 'nhi:', team: platform}")))).toEqual(['person:wei', 'person:ben', true]);
    const directory = `v: 1\npeople:\n${PEOPLE.replace('name: wei, active: true', 'name: wei, active: false')}\nteams:\n  - {id: platform, members: [person:wei, person:ben, person:ana]}\n`;
    expect(ownerOf(factsOf(UNOWNED, rules("{prefix: 'nhi:', team: platform}"), { directory }))).toEqual(['person:ben', 'person:ana', true]);
  });

  it('is nobody’s where the team has nobody, which is warned of and keeps no change of the directory out', () => {
    const directory = `v: 1\npeople:\n${PEOPLE}\nteams: []\n`;
    const facts = factsOf(UNOWNED, rules("{prefix: 'nhi:', team: platform}"), { directory });
    expect(ownerOf(facts)).toEqual([undefined, undefined, undefined]);
    expect(lintFacts(facts.value).map(({ code, about }) => `${code} ${about}`)).toEqual(['unknown-team nhi:', 'no-active-owner nhi:prod/ci-deployer']);
    const input = questionOf(facts, GRANT, ['person:wei']);
    expect(changeInputSchema.parse(input)).toEqual(input);
  });

  it('is refused, by its line, where no rule covers it', () => {
    expect(refusal(() => factsOf(UNOWNED))).toBe('inventory.yaml:3: /nhis/0: nhi:prod/ci-deployer has no owner, and no rule of fallbackOwners covers it');
    expect(refusal(() => factsOf(UNOWNED, rules("{prefix: 'nhi:dev/', owner: person:ana}")))).toMatch(/^inventory\.yaml:3: \/nhis\/0: /);
  });

  it('is known to policy as what it is', () => {
    const input = questionOf(factsOf(UNOWNED, rules("{prefix: 'nhi:', owner: person:ana}")), GRANT, ['person:wei']);
    expect(changeInputSchema.parse(input)).toEqual(input);
    expect(input.facts.nhi).toMatchObject({ owner: 'person:ana', ownerIsFallback: true });
    expect(input.facts.directory.people.map(({ id }) => id)).toContain('person:ana');
  });

  it('is approved for by whoever the rule names, and by nobody where it names nobody', async () => {
    const pdp = inlinePdp(await readBundle(BUNDLE));
    const asked = (rule: string, directory?: string): ReturnType<typeof pdp.decide> => pdp.decide(questionOf(factsOf(UNOWNED, rules(rule), directory === undefined ? {} : { directory }), { ...GRANT, entitlements: [on('role:deploy')] }, ['nhi:prod/ci-deployer']));
    expect(await asked("{prefix: 'nhi:', owner: person:ana, backupOwner: person:ben}")).toMatchObject({ effect: 'needsApproval', obligations: { approvers: { anyOf: ['person:ana', 'person:ben'] } } });
    const denied = await asked("{prefix: 'nhi:', team: platform}", `v: 1\npeople:\n${PEOPLE}\nteams: []\n`);
    expect([denied.effect, denied.reasons.map(({ code }) => code)]).toEqual(['deny', ['no-eligible-approver']]);
  });

  it('may be taken from by whoever answers for it, and is not offboarded with them', async () => {
    const facts = factsOf(UNOWNED, rules("{prefix: 'nhi:', owner: person:ana}"));
    const state = { request: GRANT, requester: ['person:wei'] };
    expect(['person:ana', 'person:ben'].map((by) => mayRevoke(by, state, facts))).toEqual([true, false]);
    const items = (of: Facts, subject: string): Promise<readonly unknown[]> => findItems(subject, of, { giving: async () => [] });
    expect(await items(facts, 'person:ana')).toEqual([]);
    expect(await items(facts, 'nhi:prod/ci-deployer')).toHaveLength(1);
    expect(await items(factsOf(OWNED), 'person:wei')).toHaveLength(1);
  });

  it('makes its entry’s own owner no fallback by a line of its own', () => {
    expect(refusal(() => factsOf(OWNED.replace(', environment', ', ownerIsFallback: true, environment')))).toMatch(/Unrecognized key: "ownerIsFallback"/);
  });
});

describe('where every identity has an owner', () => {
  it('rules change nothing of what policy is asked, and nothing is copied', () => {
    const [without, having] = [factsOf(OWNED), factsOf(OWNED, rules("{prefix: 'nhi:', owner: person:ana}"))];
    expect(without.inventory.get('nhi:prod/ci-deployer')).toBe(without.value.inventory.nhis[0]);
    expect(canonicalText(questionOf(having, GRANT, ['person:wei']))).toBe(canonicalText(questionOf(without, GRANT, ['person:wei'])));
  });

  it('digests and questions are those that were recorded before there were rules', () => {
    const facts = factsOf(OWNED);
    expect(facts.digests.inventory).toBe('sha256:98b9a08d9a677bd705f96072062ad767ff1d7f57823ece3299bb4dc5a2cb803e');
    // Nor were there counts then.
    const { recent, ...told } = questionOf(facts, GRANT, ['person:wei']);
    expect(recent).toBeDefined();
    expect(digestOf(canonicalBytes(told))).toBe('sha256:ea8c08a2b44f36dc9d1d8a1b649a5c03a52efba2eae3927220e2cce3e53702e3');
  });
});

it.each<[string, string, RegExp]>([
  ['an owner and a team', "{prefix: 'nhi:', owner: person:ana, team: platform}", /^inventory\.yaml:5: \/fallbackOwners\/0: names an owner, or a team, and not both$/],
  ['neither', "{prefix: 'nhi:'}", /^inventory\.yaml:5: \/fallbackOwners\/0: names an owner, or a team/],
  ['a backup beside a team', "{prefix: 'nhi:', team: platform, backupOwner: person:ana}", /^inventory\.yaml:5: \/fallbackOwners\/0\/backupOwner: /],
  ['a prefix that begins no id', "{prefix: 'prod/', owner: person:ana}", /^inventory\.yaml:5: \/fallbackOwners\/0\/prefix: the beginning of an id/],
  ['a team that policy does not know', "{prefix: 'nhi:', team: sales}", /^inventory\.yaml:5: \/fallbackOwners\/0\/team: /],
  ['one prefix twice', "{prefix: 'nhi:', owner: person:ana}\n  - {prefix: 'nhi:', owner: person:ben}", /^inventory\.yaml:6: \/fallbackOwners\/1: nhi: is here twice$/],
])('a rule with %s is refused', (_what, line, message) => {
  expect(refusal(() => factsOf(OWNED, rules(line)))).toMatch(message);
});

it('a rule for somebody who is not in the directory is warned of once', () => {
  const facts = factsOf(`${UNOWNED}\n${UNOWNED.replace('ci-deployer', 'other').replace('ci_deployer', 'other')}`, rules("{prefix: 'nhi:', owner: person:gone}"));
  expect(lintFacts(facts.value).map(({ code, about }) => `${code} ${about}`)).toEqual(['unknown-person nhi:', 'no-active-owner nhi:prod/ci-deployer', 'no-active-owner nhi:prod/other']);
});
