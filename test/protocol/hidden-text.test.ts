/** Characters that are obeyed or not seen: refused where people write, read where they are on record, and shown on every channel. */
import { expect, it } from 'vitest';
import type { z } from 'zod';
import { canonicalBytes } from '../../ledger/index.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { Reason } from '../../src/console/parts/small.tsx';
import { commitmentTo, disclosedBy, disclosureSchema } from '../../src/protocol/disclosure.ts';
import { plain } from '../../src/protocol/plain.ts';
import { changeRequestSchema, recordedRequestSchema } from '../../src/protocol/request.ts';
import { entitlementSchema } from '../../src/protocol/values.ts';
import { csvOf } from '../../src/reports/csv.ts';
import type { Head } from '../../src/reports/head.ts';
import { htmlOf } from '../../src/reports/html.ts';
import { jsonLinesOf } from '../../src/reports/jsonl.ts';
import type { Report } from '../../src/reports/model.ts';
import { lineOf } from '../../src/reports/ocsf/event.ts';
import { commentBodySchema, confirmHeldBodySchema, lockBodySchema, standingRevocationBodySchema } from '../../src/sidecar/schemas.ts';
import { glassMessage } from '../../src/slack/message.ts';

/** Which `plainTextSchema` has always refused are in no record; of the others, old ledgers may hold any. */
const CONTROLS = [0x00, 0x1b, 0x9b, 0x200e, 0x202e, 0x2066, 0xfeff];
const UNSEEN = [0xad, 0x34f, 0x61c, 0x115f, 0x180e, 0x200b, 0x2028, 0x2060, 0x2064, 0x206a, 0x3164, 0xfe00, 0xfff9, 0x1d173, 0xe0041, 0xe0100];
const JOINERS = [0x200c, 0x200d];
const spelled = (point: number): string => `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;

const request = (reason: string) => ({ kind: 'grant', subject: 'nhi:prod/ci', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:a' }], purpose: 'deploy', duration: 'PT5M', reason });
/** What only takes away: by a request, and by the doors that ask nobody. */
const TAKING: readonly (readonly [z.ZodType, (text: string) => object])[] = [
  [changeRequestSchema, (reason) => ({ kind: 'offboard', subject: 'person:sam', reason })],
  [changeRequestSchema, (reason) => ({ kind: 'disable', subject: 'nhi:prod/ci', connector: 'pg-main', target: 'app', reason })],
  [changeRequestSchema, (reason) => ({ kind: 'revoke', subject: 'nhi:prod/ci', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:a' }], purpose: 'deploy', reason })],
  [lockBodySchema, (reason) => ({ connector: 'pg-main', reason })],
  [standingRevocationBodySchema, (reason) => ({ reason })],
  [commentBodySchema, (comment) => ({ comment })],
  [confirmHeldBodySchema, (comment) => ({ digest: `sha256:${'0'.repeat(64)}`, comment })],
];
const REPORT: Report = { name: 'gaps', title: 'Gaps', intro: [], groups: [], caption: 'C', columns: [{ name: 'a', title: 'A' }], notCovered: [], rowCount: 1, sources: () => null, rows: () => [] } as unknown as Report;
const HEAD = { conclusion: '', exit: 0, verdicts: [], notProven: [], origin: 'o', size: 1, root: 'ab'.repeat(32), objects: { count: 0, erased: 0 }, firstAt: null, lastAt: null, trust: '', pack: null, key: null, filter: '', asOf: '', generatedAt: '', tool: '', command: '', verifyCommand: '' } as unknown as Head;
const reportOf = (text: string): Report => ({ ...REPORT, *rows() { yield { key: 'k', cells: [{ text }], records: [], faults: [] }; } });

/** As a reader's terminal, browser, spreadsheet or Slack gets it. */
const CHANNELS: Readonly<Record<string, (text: string) => string>> = {
  terminal: plain,
  'page of a report': (text) => [...htmlOf(reportOf(text), HEAD)].join(''),
  'CSV of a report': (text) => [...csvOf(reportOf(text), HEAD)].join(''),
  'JSON lines of a report': (text) => [...jsonLinesOf(reportOf(text), HEAD)].join(''),
  'page of the console': (text) => (Reason({ change: { reason: text, requester: ['nhi:prod/a'] } as unknown as ChangeView }) as { toString(): string }).toString(),
  Slack: (text) => JSON.stringify(glassMessage({ changeId: 'c', reviewBy: 't', reviewers: [], skipped: [], usedBy: 'person:sam', usersWords: { reason: text } } as never, () => undefined)),
  OCSF: (text) => lineOf({ desc: text }),
};

it.each([...CONTROLS, ...UNSEEN].map((point) => [spelled(point), String.fromCodePoint(point)] as const))('%s in what somebody writes is refused by its name, and seen on every channel', (name, character) => {
  const text = `re${character}lease`;
  const refused = changeRequestSchema.safeParse(request(text));
  expect(refused.error?.issues.map(({ path, message }) => `${path.join('/')} ${message}`)).toEqual([expect.stringMatching(new RegExp(`^reason .*${name.replace('+', '\\+')}$`))]);
  for (const [channel, show] of Object.entries(CHANNELS)) {
    // Lines of the message's own, and that of the page, are not of what is shown.
    expect(show(text), channel).not.toContain(`re${character}`);
  }
});

it.each([...CONTROLS, ...UNSEEN].map((point) => [spelled(point), String.fromCodePoint(point)] as const))('%s beside what takes access away refuses nothing, and is on record as a space', (_name, character) => {
  for (const [schema, body] of TAKING) expect(schema.parse(body(`le${character}${character}aked`))).toEqual(body('le aked'));
});

it.each(UNSEEN.map((point) => [spelled(point), String.fromCodePoint(point)] as const))('%s on record is read as before, and so is the name of what a target has', (_name, character) => {
  const value = `re${character}lease`;
  const disclosure = disclosureSchema.parse({ v: 1, salt: 'A'.repeat(22), kind: 'disclosure', name: 'reason', value });
  expect(disclosedBy(canonicalBytes(disclosure), 'reason', commitmentTo(disclosure))).toBe(value);
  expect(recordedRequestSchema.parse(request(value))).toEqual(request(value));
  expect(entitlementSchema.safeParse({ connector: 'pg-main', target: 'app', privilege: value }).success).toBe(true);
});

it.each([
  ['Persian, which is joined by U+200C', 'می\u200cخواهم'],
  ['a family, which is joined by U+200D', '👩\u200d👧'],
  ['a heart in colour', '❤\ufe0f'],
  ['a key', '1\ufe0f\u20e3'],
  ['a flag of colours', '🏳\ufe0f\u200d🌈'],
])('%s is writing', (_what, text) => {
  expect(changeRequestSchema.safeParse(request(text)).success).toBe(true);
  for (const [channel, show] of Object.entries(CHANNELS)) expect(JOINERS.some((point) => show(text).includes(String.fromCodePoint(point))), channel).toBe(false);
  expect(plain('❤\ufe0f')).toBe('❤\ufe0f');
});

it.each(['\ufe0e', '\ufe0f', '❤\ufe0f\ufe0f'])('what says how a sign is drawn is hidden where there is none (%#)', (text) => {
  expect(plain(`role:${text}owner`)).toMatch(/\\u\{fe0[ef]\}owner$/);
  expect(changeRequestSchema.safeParse(request(`re${text}lease`)).error?.issues[0]?.message).toMatch(/U\+FE0[EF]/);
});
