import { expect, test } from 'vitest';
import { readBundle } from '../../src/pdp/bundle.ts';
import { EngineFault } from '../../src/pdp/engine.ts';
import { inlinePdp } from '../../src/pdp/inline.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import { BUNDLE, exampleFacts, GRANT, PLAN, questionOf, ROTATE } from './support.ts';

const pdp = inlinePdp(await readBundle(BUNDLE));
const facts = await exampleFacts();
const preview = questionOf(
  facts,
  {
    ...GRANT, subject: 'nhi:dev/report-preview', purpose: 'preview-reports',
    entitlements: [{ connector: 'pg-dev', target: 'app_dev', privilege: 'table:public.orders:SELECT' }],
  },
  ['nhi:dev/report-preview'],
);
const deployment = questionOf(facts, GRANT, ['nhi:prod/ci-deployer'], { phase: 'dispatch', step: { action: 'grant', number: 1 } });
const WINDOW = { calendar: 'pg-main-nightly', opensAt: '2026-11-23T11:30:00.000Z', closesAt: '2026-11-23T12:30:00.000Z', onMissed: 'expire' as const, consumers: [] };
const rotation = questionOf(await exampleFacts({ calendar: true }), ROTATE, ['person:wei'], {
  phase: 'dispatch', step: { action: 'stage', number: 1 }, plan: { ...PLAN, window: WINDOW }, before: { held: ['table:public.orders:SELECT'], touched: { overlap: 'twin' } },
});
const frozen = { ...deployment, facts: { ...deployment.facts, calendar: { windows: [], freezes: [{ id: 'year-end', fromMs: deployment.nowMs - 1, untilMs: deployment.nowMs + 60_000 }] } } };

/** Every member of every object in it, as a path; array elements are not left out but looked into. */
function members(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [...(Array.isArray(value) ? [] : [[...path, key]]), ...members(inner, [...path, key])]);
}

function spoil(input: ChangeInput, path: readonly string[], spoilt: (parent: Record<string, unknown>, key: string) => void): ChangeInput {
  const copy = structuredClone(input);
  let parent = copy as unknown as Record<string, unknown>;
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
  spoilt(parent, path.at(-1)!);
  return copy;
}

async function outcome(input: ChangeInput): Promise<string> {
  try {
    return (await pdp.decide(input)).effect;
  } catch (cause) {
    if (cause instanceof EngineFault) return 'fault';
    throw cause;
  }
}

/** Paths whose loss leaves the answer what it was. Array indices are shown as `*`. */
async function irrelevant(input: ChangeInput, spoilt: (parent: Record<string, unknown>, key: string) => void): Promise<string[]> {
  const effect = await outcome(input);
  const kept = new Set<string>();
  for (const path of members(input)) {
    if ((await outcome(spoil(input, path, spoilt))) === effect) kept.add(path.map((key) => (/^\d+$/.test(key) ? '*' : key)).join('.'));
  }
  return [...kept].sort();
}

const SPOILS: [string, (parent: Record<string, unknown>, key: string) => void][] = [
  ['left out', (parent, key) => {
    delete parent[key];
  }],
  ['of another type', (parent, key) => {
    parent[key] = typeof parent[key] === 'boolean' ? 'true' : [[]];
  }],
];

/** What policy does not look at for such a change, or what only makes fewer people able to approve. */
const NOT_LOOKED_AT = [
  'change.changeId', 'change.revision', 'facts.directory.people.*.id', 'facts.directory.people.*.linked', 'facts.directory.people.*.name', 'facts.directory.people.*.active', 'facts.directory.teams',
  'facts.directory.teams.*.id', 'facts.directory.teams.*.members', 'facts.directory.v', 'facts.catalogue.v', 'facts.catalogue.entitlements.*.connector', 'facts.catalogue.entitlements.*.description',
  'facts.catalogue.entitlements.*.environment', 'facts.catalogue.entitlements.*.privilege', 'facts.catalogue.entitlements.*.rank', 'facts.catalogue.entitlements.*.target', 'facts.catalogue.purposes.*.description',
  'facts.catalogue.purposes.*.needs.*.connector', 'facts.catalogue.purposes.*.needs.*.privilege', 'facts.catalogue.purposes.*.needs.*.target', 'facts.nhi.accounts', 'facts.nhi.accounts.pg-dev', 'facts.nhi.accounts.pg-main',
  'facts.nhi.backupOwner', 'facts.nhi.consumers', 'facts.nhi.description', 'facts.nhi.owner', 'held', 'used', 'recent.newCredentials', 'recent.newCredentials.day',
];
/** And for a rotation: it names no entitlements and has no lease; without what it is weighed by its risk is critical, and more people approve. */
const NOT_LOOKED_AT_TO_ROTATE = [
  'change.entitlements', 'change.leaseSeconds', 'facts.calendar.freezes.*.id', 'facts.catalogue.entitlements', 'facts.catalogue.purposes.*.maxLeaseSeconds', 'facts.catalogue.purposes.*.needs', 'facts.nhi.riskTier',
];

test.each(SPOILS)('an allow does not survive anything that it rests on being %s', async (_how, spoilt) => {
  expect(await outcome(preview)).toBe('allow');
  const kept = await irrelevant(preview, spoilt);
  expect(kept.filter((path) => !NOT_LOOKED_AT.includes(path) && path !== 'facts.directory' && path !== 'facts.directory.people' && path !== 'change.planDigest')).toEqual([]);
});

test.each(SPOILS)('a question of approval does not survive anything that it rests on being %s', async (_how, spoilt) => {
  expect(await outcome(deployment)).toBe('needsApproval');
  const kept = await irrelevant(deployment, spoilt);
  expect(kept.filter((path) => !NOT_LOOKED_AT.includes(path))).toEqual([]);
});

test.each(SPOILS)('a rotation in its window does not survive anything that it rests on being %s', async (_how, spoilt) => {
  expect(await outcome(rotation)).toBe('needsApproval');
  const kept = await irrelevant(rotation, spoilt);
  expect(kept.filter((path) => ![...NOT_LOOKED_AT, ...NOT_LOOKED_AT_TO_ROTATE].includes(path) && !/^facts\.nhi\.consumers/.test(path))).toEqual([]);
  expect(kept).not.toContain('facts.nhi.accounts.pg-main');
  expect(kept).not.toContain('recent.newCredentials.day');
});

test.each(SPOILS)('a freeze is not got round by anything being %s', async (_how, spoilt) => {
  expect((await pdp.decide(frozen)).obligations.notBefore).toBe('2026-11-23T12:01:00.000Z');
  for (const path of members(frozen)) {
    const passed = await pdp.decide(spoil(frozen, path, spoilt)).then(({ effect, obligations }) => effect !== 'deny' && obligations.notBefore === undefined, () => false);
    expect([path.join('.'), passed]).toEqual([path.join('.'), false]);
  }
});

test('nothing left out, or of another type, turns a denial into anything gained', async () => {
  const denied = questionOf(facts, { ...GRANT, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:app_owner' }] }, ['nhi:prod/ci-deployer']);
  expect(await outcome(denied)).toBe('deny');
  for (const path of members(denied)) {
    for (const value of [undefined, null, true, 'true', 1, [], {}, [[]]]) {
      const effect = await outcome(spoil(denied, path, (parent, key) => {
        if (value === undefined) delete parent[key];
        else parent[key] = value;
      }));
      expect([path.join('.'), JSON.stringify(value), effect === 'deny' || effect === 'fault']).toEqual([path.join('.'), JSON.stringify(value), true]);
    }
  }
});
