/** The controls that rules and records are evidence for: that they exist, that a decision has room for them, and the page about them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { changeEventBodies } from '../../src/change/events.ts';
import { controlsPage, EVERY_RECORD, readEvidence, readFrameworks } from '../../src/cli/controls-page.ts';
import { readPolicyCodes } from '../../src/cli/policy-codes.ts';
import { systemRecordBodies } from '../../src/evidence/record.ts';
import { decisionSchema } from '../../src/protocol/decision.ts';
import { ROOT } from './support.ts';

const codes = await readPolicyCodes(ROOT);
const frameworks = await readFrameworks(ROOT);
const evidence = await readEvidence(ROOT);

test('docs/controls.md is what `npm run docs:build` makes', async () => {
  expect(readFileSync(join(ROOT, 'docs', 'controls.md'), 'utf8')).toBe(await controlsPage(ROOT));
});

test('every record type that is evidence exists, and every control of it', () => {
  const types = new Set([EVERY_RECORD, ...Object.keys(changeEventBodies), ...Object.keys(systemRecordBodies)]);
  expect(Object.keys(evidence).filter((type) => !types.has(type))).toEqual([]);
  const named = Object.entries(evidence).flatMap(([type, of]) => of.flatMap(({ framework, ids }) => ids.map((id) => ({ type, framework, id }))));
  expect(named.filter(({ framework, id }) => frameworks[framework]?.[id] === undefined)).toEqual([]);
});

test('every rule is evidence for a control of at least two frameworks, each named once and frameworks in the order of the list', () => {
  for (const { code, controls } of codes) {
    const named = controls.map(({ framework, id }) => `${framework} ${id}`);
    const places = controls.map(({ framework }) => Object.keys(frameworks).indexOf(framework));
    expect([code, new Set(places).size >= 2]).toEqual([code, true]);
    expect([code, new Set(named).size]).toEqual([code, named.length]);
    expect([code, places]).toEqual([code, [...places].sort((a, b) => a - b)]);
  }
});

/** What a decision would name if every one of these rules spoke in it. */
function together(speaking: (rule: string) => boolean): object[] {
  const controls = codes.filter(({ rule }) => speaking(rule)).flatMap(({ controls: of, rule }) => of.map(({ framework, id }) => JSON.stringify({ framework, id, rule })));
  return [...new Set(controls)].map((text) => JSON.parse(text) as object);
}

/** Of the 45,000 bytes that a decision may have, what its controls may take. */
const CONTROL_BYTES_MAX = 12_000;

test('a decision has room for the controls of every rule that could speak in it at once', () => {
  const decides = (rule: string): boolean => !/^(access\.verification|access\.findings|workflow\.schedule)/.test(rule);
  for (const [which, controls] of [
    ['denies', together((rule) => decides(rule) && rule.endsWith('deny'))],
    ['permits', together((rule) => decides(rule) && /(permit|pending|note)$/.test(rule))],
    ['verifies', together((rule) => /^access\.(verification|caller\.note)/.test(rule) && !rule.endsWith('deny'))],
    ['fails', together((rule) => rule.startsWith('access.verification') && rule.endsWith('deny'))],
  ] as const) {
    expect([which, controls.length > 0]).toEqual([which, true]);
    expect([which, decisionSchema.shape.controls.safeParse(controls).success]).toEqual([which, true]);
    expect([which, canonicalBytes(controls as never).length <= CONTROL_BYTES_MAX]).toEqual([which, true]);
  }
});
