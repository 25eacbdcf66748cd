/** Reports of a real ledger: every number of each is followed to its records by the command that the report prints, and counted again from the ledger by itself. */
import { createHash } from 'node:crypto';
import { appendFileSync, cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateSignerKey, nodeEvidence, readDirectory, type LedgerRecord } from '../../ledger/index.ts';
import { shownState } from '../../src/change/state.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { reportLineSchema, type ReportLine } from '../../src/reports/jsonl.ts';
import { GRANT, PROVISION, START_MS } from '../support/story.ts';
import { writeReportLedger, type ReportStory } from '../support/report-ledger.ts';
import { HOSTILE } from '../support/verifier-cases.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const KINDS = ['population', 'sample', 'gaps', 'controls', 'privilege'] as const;
type Kind = (typeof KINDS)[number];
const DRAW = ['--seed', '2026-Q4', '--size', '4'];

let desk: Desk;
let story: ReportStory;
let records: LedgerRecord[] = [];

beforeAll(async () => {
  desk = openDesk();
  const ledger = await writeReportLedger();
  ({ story } = ledger);
  cpSync(ledger.directory, join(desk.directory, 'estate'), { recursive: true });
  writeFileSync(join(desk.directory, 'deployer.pack'), await ledger.pack({ nhi: GRANT.subject }));
  ledger.remove();
  const reading = await readDirectory(nodeEvidence(join(desk.directory, 'estate')), 'ledger');
  for await (const { record } of reading.entries(0, reading.head.size)) records.push(record);
});
afterAll(() => {
  desk.remove();
  records = [];
});

const known = new Map<string, Promise<Ran>>();
/** The same evidence gives the same report: each is made once, but for those that are written to a file. */
function report(kind: Kind, ...more: string[]): Promise<Ran> {
  const key = [kind, ...more].join(' ');
  if (more.includes('--out')) return made(kind, more);
  if (!known.has(key)) known.set(key, made(kind, more));
  return known.get(key)!;
}
const made = (kind: Kind, more: readonly string[]): Promise<Ran> => desk.run('report', kind, 'estate', '--trust', 'estate/trust', '--threads', '0', ...(kind === 'sample' ? DRAW : []), ...more);
async function lines(kind: Kind, ...more: string[]): Promise<ReportLine[]> {
  const { stdout } = await report(kind, '--format', 'jsonl', ...more);
  return stdout.trimEnd().split('\n').map((line) => reportLineSchema.parse(JSON.parse(line)));
}
const figures = async (kind: Kind, ...more: string[]): Promise<Record<string, number | string>> => Object.fromEntries((await lines(kind, ...more)).flatMap((line) => (line.line === 'figure' ? [[line.key, line.value]] : [])));
const rowsOf = async (kind: Kind, ...more: string[]): Promise<Extract<ReportLine, { line: 'row' }>[]> => (await lines(kind, ...more)).filter((line) => line.line === 'row');
const count = (test: (record: LedgerRecord) => boolean): number => records.filter(test).length;

interface Explained {
  readonly numbers: readonly { readonly key: string; readonly value: number | string; readonly of: readonly { readonly what: string; readonly records: readonly number[] }[] }[];
  readonly records: readonly { readonly record: number; readonly text: string; readonly type: string }[];
}

const unescaped = (html: string): string => html.replaceAll(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)));
/** The command as a shell would take it apart. */
const words = (command: string): string[] => [...command.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(([, quoted, bare]) => quoted?.replaceAll('\'\\\'\'', '\'') ?? bare!);
function printed(html: string): (key: string) => string[] {
  const [program, ...argv] = words(unescaped(/<pre id="trace"><code>([^<]*)<\/code>/.exec(html)![1]!));
  expect(program).toBe('countersign');
  expect(argv.slice(-2)).toEqual(['--explain', 'KEY']);
  return (key) => ['--explain', key].reduce<string[]>((all, word) => [...all, word], argv.slice(0, -2));
}
const shownNumbers = (html: string): Map<string, string> => new Map([...html.matchAll(/data-key="([^"]*)">([^<]*)</g)].map(([, key, value]) => [unescaped(key!), unescaped(value!)]));

describe.each(KINDS)('every number of report %s', (kind) => {
  it('is what the printed command counts, with the records that say so', async () => {
    const { exit, stdout: html } = await report(kind);
    expect(exit).toBe(0);
    const numbers = shownNumbers(html);
    expect(numbers.size).toBeGreaterThanOrEqual(3);
    const rows = [...html.matchAll(/<tr[^>]* data-row="([^"]*)">([^]*?)<\/tr>/g)].map(([, key, cells]) => ({ key: unescaped(key!), refs: [...cells!.matchAll(/#(\d+)\b(?!;)/g)].map(([, seq]) => Number(seq)) }));
    expect(rows.length).toBe(Number(/id="row-count">(\d+)</.exec(html)![1]));
    const command = printed(html);
    // One run for all of them, and one by itself as it is printed.
    const keys = [...numbers.keys(), ...rows.map(({ key }) => key)];
    const ran = await desk.run(...command(keys[0]!), ...keys.slice(1).flatMap((key) => ['--explain', key]), '--json');
    expect(ran.exit, ran.stderr).toBe(0);
    const { numbers: explained, records: told } = JSON.parse(ran.stdout) as Explained;
    expect(explained.map(({ key }) => key)).toEqual(keys);
    const sentences = new Map(told.map((one) => [one.record, one]));
    for (const [n, { key, value, of }] of explained.entries()) {
      if (n < numbers.size) {
        expect(String(value), key).toBe(numbers.get(key));
        if (typeof value === 'number') expect(of.length, key).toBe(value);
        else if (value !== 'none') expect(of.length, key).toBeGreaterThan(0);
        if (kind !== 'controls') for (const { what, records: said } of of) expect(said.length, `${key}: ${what}`).toBeGreaterThan(0);
      }
      for (const seq of of.flatMap(({ records: said }) => said)) expect(sentences.get(seq)?.type, key).toBe(records[seq]!.type);
    }
    for (const [n, { refs }] of rows.entries()) expect(explained[numbers.size + n]!.of[0]!.records).toEqual(expect.arrayContaining(refs));
    const alone = await desk.run(...command(keys[0]!));
    expect(alone.stdout).toContain(`${keys[0]} = ${numbers.get(keys[0]!)}`);
  });

  it('stands under what verify prints of the same evidence', async () => {
    const { stdout: html } = await report(kind);
    const verified = JSON.parse((await desk.run('verify', 'estate', '--trust', 'estate/trust', '--json')).stdout) as { head: { size: number; root: string }; objects: { count: number }; verdicts: { message: string }[]; notProven: string[] };
    const inId = (id: string): string => new RegExp(`id="${id}"[^>]*>([^<]*)<`).exec(html)![1]!;
    expect(inId('size')).toBe(String(verified.head.size));
    expect(inId('objects')).toBe(String(verified.objects.count));
    expect(inId('root')).toBe(Buffer.from(verified.head.root, 'base64').toString('hex'));
    const text = unescaped(html);
    for (const said of [...verified.verdicts.map(({ message }) => message), ...verified.notProven]) expect(text).toContain(said);
    // On each printed page.
    expect(/@bottom-left \{ content: "([^"]*)"/.exec(html)![1]).toBe(`ledger of ${verified.head.size} records, root ${inId('root')}`);
  });
});

describe('the numbers, counted again from the records by themselves', () => {
  it('of the population', async () => {
    const changesWith = (type: string): number => new Set(records.filter((record) => record.type === type && record.change !== null).map(({ change }) => change)).size;
    const { stdout } = await report('population', '--format', 'csv');
    expect(await figures('population')).toMatchObject({
      changes: changesWith('change.requested'), effect: changesWith('step.succeeded'), approved: changesWith('approval.recorded'), gone: changesWith('lease.ended'), exceptional: changesWith('breakglass.used'),
      'self-reported': 1, faults: 0, latest: '5.0 s', 'kind/rotate': 2, 'proof/session': changesWith('approval.recorded'), 'state/denied': 1,
    });
    expect(stdout.split('\r\n')).toHaveLength(changesWith('change.requested') + 2);
  });

  it('of the gaps', async () => {
    const found = await figures('gaps');
    expect(found).toMatchObject({
      fault: 0, 'late-end': 1, overdue: 0, 'weaker-proof': count(({ type }) => type === 'approval.recorded'), 'self-reported': 1, outside: count(({ type }) => type === 'reconcile.found'),
      reopened: count(({ type }) => type === 'ledger.opened') - 1, silence: 1, amiss: count(({ type }) => type === 'ledger.recovered' || type === 'redecision.failed'), 'not-looked-at': 2,
    });
    expect(found['gaps']).toBe(Object.entries(found).filter(([key]) => key !== 'gaps' && key !== 'down').reduce((sum, [, value]) => sum + Number(value), 0));
  });

  it('of the gaps, as of a time at which what ran should be over', async () => {
    const later = await figures('gaps', '--as-of', '2026-12-01T00:00:00.000Z');
    expect(later).toMatchObject({ overdue: 1, 'review-overdue': 0, fault: 1 });
    const rows = await rowsOf('gaps', '--as-of', '2026-12-01T00:00:00.000Z');
    expect(rows.find(({ key }) => key === 'overdue/1')).toMatchObject({ cells: { about: expect.stringContaining(story.lease.changeId) as string }, faults: [expect.stringContaining('(lease-overdue)') as string] });
  });

  it('of the controls', async () => {
    const { cells } = (await rowsOf('controls')).find(({ key }) => key === 'soc-2/CC6.3')!;
    const names = ({ body }: LedgerRecord): boolean => JSON.stringify(body).includes('"id":"CC6.3"');
    expect(cells['count']).toBe(String(count((record) => record.type === 'approval.recorded' || record.type === 'lease.ended' || names(record))));
    expect((await figures('controls'))['with/our-own-rules']).toBe(1);
    const every = (await rowsOf('controls')).find(({ key }) => key === 'iso-iec-27001-2022/A.8.15')!;
    expect(every.cells['count']).toBe(String(records.length));
  });

  it('lists the controls that auditors ask for', async () => {
    const keys = (await rowsOf('controls')).map(({ key }) => key);
    for (const id of ['soc-2/CC6.1', 'soc-2/CC6.2', 'soc-2/CC6.3', 'soc-2/CC8.1', ...['A.5.15', 'A.5.16', 'A.5.17', 'A.5.18', 'A.8.2', 'A.8.15'].map((one) => `iso-iec-27001-2022/${one}`), 'nist-sp-800-53-r5/AC-2', 'nist-csf-2-0/PR.AA-05', 'owasp-nhi-top-10-2025/NHI1']) expect(keys).toContain(id);
  });

  it('of the privileges', async () => {
    const rows = await rowsOf('privilege');
    expect(rows.map(({ cells }) => cells['identity'])).toEqual([PROVISION.subject, GRANT.subject, 'nhi:prod/orders-api']);
    expect(rows[1]!.cells).toMatchObject({ leases: '1', standing: '0', held: '3', used: '1', unused: '2', excess: '1', asked: '1' });
    expect(rows[2]!.cells).toMatchObject({ leases: '0', standing: '1', granted: 'role:orders (standing)' });
  });
});

describe('a row of the population', () => {
  it('names of each thing that it says the record that says so', async () => {
    const rows = await rowsOf('population');
    const { said, cells, records: all } = rows.find(({ key }) => key === story.grant.changeId)!;
    const typesOf = (column: string): string[] => (said[column] ?? []).map((seq) => records[seq]!.type);
    expect(['requestedAt', 'decision', 'approvers', 'authorisedAt', 'effectAt', 'verifiedAt', 'endsAt', 'endedAt'].map(typesOf)).toEqual([
      ['change.requested'], ['policy.decided'], ['approval.recorded'], ['step.authorised'], ['step.succeeded'], ['entitlement.verified'], ['lease.activated'], ['lease.ended'],
    ]);
    expect(cells).toMatchObject({ kind: 'grant', state: shownState(story.grant.now), approvers: 'person:ana (session)', privileges: 'role:deploy' });
    expect(all).toEqual(records.filter(({ change }) => change === story.grant.changeId).map(({ seq }) => seq));
    const glass = rows.find(({ key }) => key === story.glass.changeId)!;
    expect(glass.cells['remarks']).toBe('person:sam broke the glass; reviewed by person:ana: justified');
    expect(rows.find(({ key }) => key === story.lease.changeId)!.cells['endsAt']).toBe(formatTime(story.lease.now.lease!.endsAtMs));
  });

  it('is of those changes that went on in the time', async () => {
    const [from, to] = [formatTime(START_MS + 2_000_000), formatTime(START_MS + 4_000_000)];
    expect((await rowsOf('population', '--from', from, '--to', to)).map(({ key }) => key)).toEqual([story.grant.changeId]);
    // Requested before, and taken back in it.
    const later = formatTime(START_MS + 2_030_000);
    expect((await rowsOf('population', '--from', later, '--to', to)).map(({ key }) => key)).toEqual([story.grant.changeId]);
    // Given before and taken back after it, with no record in it.
    const [first, second] = story.lease.beats.filter(({ event }) => event.type.startsWith('lease.')).map(({ atMs }) => atMs);
    expect(second! - first!).toBeGreaterThan(2);
    expect((await rowsOf('population', '--from', formatTime(first! + 1), '--to', formatTime(second!))).map(({ key }) => key)).toContain(story.lease.changeId);
    expect((await figures('controls', '--from', from, '--to', to))['evidenced']).toBeLessThan(Number((await figures('controls'))['evidenced']));
  });
});

describe('a sample', () => {
  it('is what anybody draws who knows seed and root', async () => {
    const [head] = await lines('sample') as [Extract<ReportLine, { line: 'head' }>];
    const ids = (await rowsOf('population')).map(({ key }) => key);
    const draws = ids.map((id) => ({ id, draw: createHash('sha256').update(`2026-Q4\n${head.root}\n${id}`).digest('hex') })).sort((a, b) => a.draw.localeCompare(b.draw));
    expect((await rowsOf('sample')).map(({ key, cells }) => ({ id: key, draw: cells['draw'] }))).toEqual(draws.slice(0, 4));
    const other = await desk.run('report', 'sample', 'estate', '--trust', 'estate/trust', '--seed', 'another', '--size', '100', '--format', 'jsonl');
    const drawn = other.stdout.trimEnd().split('\n').slice(1).flatMap((line) => { const one = reportLineSchema.parse(JSON.parse(line)); return one.line === 'row' ? [one.key] : []; });
    expect([...drawn].sort()).toEqual([...ids].sort());
    expect(drawn.slice(0, 4)).not.toEqual(draws.slice(0, 4).map(({ id }) => id));
  });

  it('is not drawn without seed and size, and nothing else is drawn with them', async () => {
    expect((await desk.run('report', 'sample', 'estate', '--trust', 'estate/trust', '--seed', 'x')).exit).toBe(2);
    expect((await desk.run('report', 'gaps', 'estate', '--trust', 'estate/trust', '--seed', 'x', '--size', '1')).exit).toBe(2);
  });
});

describe('evidence that does not hold', () => {
  it.each([
    ['INTEGRITY', 1, (): string[] => { cpSync(join(desk.directory, 'estate'), join(desk.directory, 'spoilt'), { recursive: true }); appendFileSync(join(desk.directory, 'spoilt', 'ledger', 'more'), 'more'); return ['spoilt', '--trust', 'estate/trust']; }],
    ['SIGNATURE', 1, (): string[] => { cpSync(join(desk.directory, 'estate', 'trust'), join(desk.directory, 'others'), { recursive: true }); writeFileSync(join(desk.directory, 'others', 'trust.policy'), `log ${generateSignerKey('story.example/ledger', new Uint8Array(32).fill(9)).vkey}\nquorum none\n`); return ['estate', '--trust', 'others']; }],
    ['a whole trust folder', 3, (): string[] => ['estate', '--trust', 'estate/trust/trust.policy']],
  ])('gives no report without %s', async (what, exit, where) => {
    const ran = await desk.run('report', 'population', ...where(), '--out', 'none.html');
    expect(ran).toMatchObject({ exit, stdout: '' });
    expect(ran.stderr).toMatch(exit === 1 ? new RegExp(`${what} fails: [^]*Nothing is told of it`) : /no-trust/);
    expect(existsSync(join(desk.directory, 'none.html'))).toBe(false);
  });

  it('of which WORKFLOW fails gives one that says so, at its head and in each row concerned', async () => {
    const strict = (format: string): Promise<Ran> => desk.run('report', 'population', 'estate', '--trust', 'estate/strict', '--format', format);
    const { exit, stdout: html, stderr } = await strict('html');
    expect(exit).toBe(1);
    expect(stderr).toContain('NOT VERIFIED: WORKFLOW failed');
    expect(html.indexOf('NOT VERIFIED: WORKFLOW failed')).toBeLessThan(html.indexOf('id="made-of"'));
    const told = (await strict('jsonl')).stdout.trimEnd().split('\n').map((line) => reportLineSchema.parse(JSON.parse(line)));
    expect(told[0]).toMatchObject({ line: 'head', exit: 1 });
    for (const row of told.filter((line) => line.line === 'row')) {
      // Whoever was given something with one approval, where the floor asks for two.
      const isGiven = records.some(({ change, type, body }) => change === row.key && type === 'step.authorised' && body['kind'] === 'act');
      expect(row.faults.some((fault) => fault.includes('(below-floor)')), row.key).toBe(isGiven && row.key !== story.glass.changeId);
    }
    expect((html.match(/class="at-fault"/g) ?? []).length).toBe(told.filter((line) => line.line === 'row' && line.faults.length > 0).length);
    expect((await strict('csv')).stdout).toContain('WORKFLOW FAILS');
  });
});

describe('what others wrote', () => {
  it('is text on the page, and no formula in a table', async () => {
    const { stdout: html } = await report('population');
    expect(unescaped(html)).toContain(HOSTILE.target);
    const tags = html.match(/<[^>]*>/g)!;
    expect(new Set(tags.map((tag) => /^<\/?([a-z0-9!]+)/.exec(tag)?.[1]))).not.toContain(undefined);
    for (const tag of tags) expect(tag).not.toMatch(/^<\/?(?:img|script|link|iframe|object|form|a)\b|\s(?:on\w+|src|href)=/i);
    expect(/<style>([^]*?)<\/style>/.exec(html)![1]).not.toMatch(/url\(|@import/);
    const { stdout: csv } = await report('population', '--format', 'csv');
    expect(csv).toContain('"\'=HYPERLINK(""https://evil.example"")');
    for (const line of csv.split('\r\n')) for (const [, cell] of line.matchAll(/(?:^|,)"((?:[^"]|"")*)"/g)) expect(cell).not.toMatch(/^[=+\-@\t\r\n]/);
  });
});

describe('a pack', () => {
  it('gives a report of what it shows, and says that it is of no more', async () => {
    const ran = await desk.run('report', 'population', 'deployer.pack', '--trust', 'estate/trust', '--format', 'jsonl');
    const [head, ...rest] = ran.stdout.trimEnd().split('\n').map((line) => reportLineSchema.parse(JSON.parse(line)));
    expect(head).toMatchObject({ line: 'head', pack: { of: GRANT.subject } });
    const rows = rest.filter((line) => line.line === 'row');
    expect(new Set(rows.map(({ cells }) => cells['subject']))).toEqual(new Set([GRANT.subject]));
    const explained = await desk.run('report', 'population', 'deployer.pack', '--trust', 'estate/trust', '--explain', rows[0]!.key, '--json');
    expect((JSON.parse(explained.stdout) as Explained).records.map(({ record }) => record)).toEqual(rows[0]!.records);
    expect((JSON.parse(explained.stdout) as Explained).records[0]!.text).toContain('deploy 42');
  });
});

describe('a file', () => {
  it('is written whole, never over another, and told by its digest', async () => {
    const { exit, stdout } = await report('gaps', '--out', 'gaps.html', '--json');
    const said = JSON.parse(stdout) as { file: string; sha256: string; rows: number };
    expect(exit).toBe(0);
    const bytes = readFileSync(join(desk.directory, 'gaps.html'));
    expect(basename(said.file)).toBe('gaps.html');
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(said.sha256);
    expect((await report('gaps', '--out', 'gaps.html')).exit).toBe(2);
    expect(readFileSync(join(desk.directory, 'gaps.html'))).toEqual(bytes);
  });

  it.each([[['--explain', 'nothing-of-it']], [['--json']], [['--from', 'yesterday']], [['--format', 'pdf']]])('is not asked for by %j', async (more) => {
    expect((await report('gaps', ...more)).exit).toBe(2);
  });
});
