/** Usage as rows: the same facts as a file of YAML has, the same checks, and every fault by its line. */
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FILE_BYTES_MAX } from '../../src/facts/facts-error.ts';
import { factsOf } from '../../src/facts/facts.ts';
import { FactsError, loadFacts, type Facts } from '../../src/facts/load.ts';
import { openUsageRows, type UsageRows } from '../../src/facts/usage-rows.ts';
import { NOW_MS, ROOT } from '../pdp/support.ts';

async function load(name: string, text: string | Uint8Array, modifiedMs?: number): Promise<Facts> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-usage-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const usage = join(directory, name);
  await writeFile(usage, text);
  if (modifiedMs !== undefined) await utimes(usage, modifiedMs / 1000, modifiedMs / 1000);
  const file = (kind: string): string => join(ROOT, 'examples/facts', `${kind}.yaml`);
  return loadFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory'), usage }, NOW_MS);
}
async function refusal(name: string, text: string | Uint8Array): Promise<string> {
  const error: unknown = await load(name, text).catch((cause: unknown) => cause);
  if (!(error instanceof FactsError)) throw new Error('it was taken', { cause: error });
  expect(error.code).toBe('malformed');
  return error.issues.map(({ file, line, pointer, message }) => `${file.split('/').at(-1)}:${line ?? ''} ${pointer} ${message}`).join('\n');
}

const CSV = 'connector,account,privilege,lastUsedAt\r\npg-main,etl,role:b,2026-11-20T00:00:00Z\r\npg-main,etl,role:a,2026-11-19T23:00:00+02:00\r\npg-main,etl,role:b,\r\npg-dev,idle,,\r\n';
const JSONL = `{"connector":"pg-dev","account":"idle"}\n\n{"connector":"pg-main","account":"etl","privilege":"role:a"}\n{"privilege":"role:b","connector":"pg-main","account":"etl","lastUsedAt":"2026-11-20T00:00:00.000Z"}`;
const YAML = 'v: 1\nobservedAtMs: 1795132800000\nusage:\n  - {connector: pg-dev, account: idle, privileges: []}\n  - {connector: pg-main, account: etl, privileges: [role:a, role:b]}\n';

it('CSV, JSON lines and YAML that say the same are the same facts, in whatever order', async () => {
  const expected = await load('usage.yaml', YAML);
  for (const [name, text] of [['usage.csv', CSV], ['usage.csv', `\ufeff${CSV}`], ['usage.jsonl', JSONL], ['usage.jsonl', JSONL.replaceAll('\n', '\r\n')]] as const) {
    const facts = await load(name, text);
    expect(facts.usage).toEqual(expected.usage);
    expect(facts.digests).toEqual(expected.digests);
  }
});

it('was looked at when it was last seen to be used; where no row says, when the file was written', async () => {
  expect((await load('usage.csv', CSV, NOW_MS)).usage!.observedAtMs).toBe(Date.parse('2026-11-20T00:00:00Z'));
  expect((await load('usage.csv', 'connector,account,privilege\npg,a,x\n', NOW_MS - 5_000)).usage!.observedAtMs).toBe(NOW_MS - 5_000);
});

it('many uses of few accounts are few facts, and are read a piece at a time', async () => {
  const line = (i: number): string => `pg-main,account-${i % 50},role:${i % 7},2026-11-20T00:00:00Z\n`;
  const facts = await load('usage.csv', `connector,account,privilege,lastUsedAt\n${Array.from({ length: 200_000 }, (_, i) => line(i)).join('')}`);
  expect(facts.usage!.usage).toHaveLength(50);
  expect(facts.usage!.usage[0]!.privileges).toHaveLength(7);
});

it.each<[string, string, string | Uint8Array, RegExp]>([
  ['a misspelt connector', 'usage.csv', CSV.replace('pg-dev', 'PG dev'), /^usage\.csv:5 \/connector [^\n]*$/],
  ['two bad rows', 'usage.csv', CSV.replaceAll('role:b', 'ro\u0007le'), /^usage\.csv:2 \/privilege no control or direction characters: U\+0007\nusage\.csv:4 \/privilege /],
  ['no account', 'usage.csv', CSV.replace('idle', ''), /^usage\.csv:5 \/account /],
  ['no such time', 'usage.csv', CSV.replace('2026-11-20', '2026-11-31'), /^usage\.csv:2 \/lastUsedAt a time such as/],
  ['a time to come', 'usage.csv', CSV.replace('2026-11-20', '2027-11-20'), /^usage\.csv:2 \/lastUsedAt 2027-11-20T00:00:00Z is yet to come$/],
  ['a column too few', 'usage.csv', 'connector,account\npg,a\n', /^usage\.csv:1 {2}there is no column for privilege$/],
  ['a column that means nothing', 'usage.csv', CSV.replace('lastUsedAt', 'lastUsed'), /^usage\.csv:1 \/lastUsed means nothing here/],
  ['a field too many', 'usage.csv', CSV.replace('idle,,', 'idle,,,'), /^usage\.csv:5 {2}has 5 fields, and the header 4$/],
  ['an open quote', 'usage.csv', CSV.replace('idle', '"idle'), /^usage\.csv:5 {2}a quote is opened here and never closed$/],
  ['nothing', 'usage.csv', '', /^usage\.csv:1 {2}is empty/],
  ['bytes that are no text', 'usage.csv', Buffer.from([0x63, 0xff, 0xfe]), /^usage\.csv: {2}is not UTF-8$/],
  ['a text cut off', 'usage.csv', Buffer.concat([Buffer.from(CSV), Buffer.from([0xc3])]), /^usage\.csv: {2}is not UTF-8$/],
  ['no JSON', 'usage.jsonl', `${JSONL}\n{"connector":`, /^usage\.jsonl:5 /],
  ['a member twice', 'usage.jsonl', JSONL.replace('"privilege":"role:a"', '"privilege":"role:a","account":"x"'), /^usage\.jsonl:3 .*\/account/],
  ['a member of no meaning', 'usage.jsonl', JSONL.replace('"privilege":"role:a"', '"privileges":["role:a"]'), /^usage\.jsonl:3 {2}Unrecognized key: "privileges"$/],
  ['a line without end', 'usage.jsonl', `{"connector":"${'x'.repeat(70_000)}"}`, /^usage\.jsonl:1 {2}longer than 65536 characters$/],
  ['too many privileges', 'usage.csv', `connector,account,privilege\n${Array.from({ length: 1_025 }, (_, i) => `pg,a,x${i}\n`).join('')}`, /^usage\.csv:1026 {2}more than 1024 privileges of a at pg$/],
  ['too many accounts', 'usage.csv', `connector,account,privilege\n${Array.from({ length: 50_001 }, (_, i) => `pg,a${i},x\n`).join('')}`, /^usage\.csv:50002 {2}more than 50000 accounts$/],
])('rows with %s are refused by line', async (_what, name, text, message) => {
  expect(await refusal(name, text)).toMatch(message);
});

it('what is more than a file may say is refused at the row that says it, and not a byte before', () => {
  const rows = ['connector,account,privilege'];
  const open = (): UsageRows => {
    const reader = openUsageRows('usage.csv', 'csv', { nowMs: NOW_MS, otherwiseAtMs: NOW_MS });
    reader.push(`${rows.join('\n')}\n`);
    return reader;
  };
  const bytes = (): number => Buffer.byteLength(JSON.stringify(open().end()));
  // é has two bytes and \ is written as two; each use is told twice.
  const privileges = Array.from({ length: 1_000 }, (_, n) => `${n}`.padStart(252, 'x') + 'é\\');
  for (let account = 0; account < 64; account += 1) rows.push(...privileges.flatMap((privilege) => [`pg,${account},${privilege}`, `pg,${account},${privilege}`]));
  rows.push('pg,idle,', 'pg,last,first');
  let left = FILE_BYTES_MAX - bytes();
  for (; left > 300; left -= 203) rows.push(`pg,last,${`${left}`.padStart(200, 'y')}`);
  rows.push(`pg,last,${'z'.repeat(left - 3)}`, 'pg,last,first', 'pg,idle,', `pg,0,${privileges[0]!}`);
  expect(bytes()).toBe(FILE_BYTES_MAX);
  const reader = open();
  const refused = { code: 'malformed', issues: [{ file: 'usage.csv', line: rows.length + 1, pointer: '', message: `says more than ${FILE_BYTES_MAX} bytes, each use told once` }] };
  expect(() => reader.push('pg,idle,x\n')).toThrow(expect.objectContaining(refused));
});

it('no more than fifty faults are told', async () => {
  expect((await refusal('usage.csv', `connector,account,privilege\n${'PG,a,x\n'.repeat(1_000)}`)).split('\n')).toHaveLength(50);
});

it('a file that is not there cannot be read', async () => {
  const file = (kind: string): string => join(ROOT, 'examples/facts', `${kind}.yaml`);
  const error: unknown = await loadFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory'), usage: '/nowhere/usage.csv' }, NOW_MS).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: 'unreadable', issues: [{ file: '/nowhere/usage.csv' }] });
});

it('with all other facts has room in the object that evidence names them by, or nothing is taken; what is on record already is read whatever it comes to', async () => {
  const rows = Array.from({ length: 64_757 }, (_, n) => `pg,a${Math.floor(n / 1_024)},${`${n}`.padEnd(256, 'p')}\n`);
  expect(await refusal('usage.csv', `connector,account,privilege\n${rows.join('')}`)).toMatch(/^all facts:  \d+ bytes together, and the object/);
  const { value } = await load('usage.csv', CSV);
  expect(() => factsOf(value, 0, 1_024)).toThrow(FactsError);
  expect(factsOf(value, 0).value).toBe(value);
});
