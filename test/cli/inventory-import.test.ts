/** `countersign inventory import`: a messy estate becomes an inventory that loads, all of it or nothing, and what people wrote stays. */
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseInventory } from '../../src/facts/load.ts';
import type { InventoryEntry } from '../../src/facts/schemas.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let desk: Desk;
beforeEach(() => {
  desk = openDesk();
  mkdirSync(join(desk.directory, 'facts'));
});
afterEach(() => desk.remove());

const INTO = 'facts/inventory.yaml';
const EXISTING = `# Who answers for what.
v: 1
# Until we know better.
fallbackOwners:
  - {prefix: 'nhi:prod/billing-', owner: person:ana}
nhis:
  # Exports orders; ask Ana before touching it.
  - id: nhi:prod/export # the old one
    owner: person:ben # since March
    environment: prod
    purposes: [nightly] # for now
    riskTier: medium
    custody: vault
    humanUse: false
    consumers: []
    accounts:
      pg-main: export
`;
const HEADER = 'id,owner,backupOwner,environment,purposes,riskTier,custody,humanUse,thirdParty,consumers,accounts,description';
const GOOD = 'nhi:prod/loader,person:wei,person:ben,prod,nightly;hourly,high,thirdParty,FALSE,Acme & Co,loader-job; other-job,pg-main=loader;pg-dev=loader_dev,"Loads, every ""night"""';
const write = (name: string, text: string | Uint8Array): void => writeFileSync(join(desk.directory, name), text);
const read = (name = INTO): string => readFileSync(join(desk.directory, name), 'utf8');
const nhis = (): InventoryEntry[] => parseInventory({ name: INTO, text: read() }).value.nhis;
const run = (...flags: string[]): Promise<Ran> => desk.run('inventory', 'import', 'in.csv', ...flags);
const document = (ran: Ran): Record<string, unknown> => JSON.parse(ran.stdout) as Record<string, unknown>;

describe('into an inventory that is there', () => {
  beforeEach(() => write(INTO, EXISTING));

  it('puts each row’s identity, and keeps every comment and everything else as it was', async () => {
    write('in.csv', `${HEADER}\r\n${GOOD}\r\n`);
    const ran = await run();
    expect([ran.exit, ran.stdout]).toEqual([0, '1 rows: 1 added\n']);
    expect(read().startsWith(EXISTING)).toBe(true);
    expect(nhis()[1]).toEqual({
      id: 'nhi:prod/loader', owner: 'person:wei', backupOwner: 'person:ben', environment: 'prod', purposes: ['nightly', 'hourly'], riskTier: 'high', custody: 'thirdParty', humanUse: false,
      thirdParty: 'Acme & Co', consumers: ['loader-job', 'other-job'], accounts: { 'pg-main': 'loader', 'pg-dev': 'loader_dev' }, description: 'Loads, every "night"',
    });
  });

  it('tells identities that are there and leaves them, but for --update, by which an empty cell takes nothing away', async () => {
    write('in.csv', 'id,owner,purposes,accounts\nnhi:prod/export,person:wei,,pg-dev=export\n');
    const told = await run();
    expect([told.exit, read()]).toEqual([0, EXISTING]);
    expect(told.stdout).toContain('1 there otherwise and left so');
    expect((await run('--update')).exit).toBe(0);
    expect(read()).toBe(EXISTING.replace('person:ben #', 'person:wei #').replace('pg-main: export', 'pg-dev: export'));
    expect(document(await run('--update', '--json'))).toMatchObject({ unchanged: ['nhi:prod/export'], updated: [], written: false });
  });

  it('lets a fallback owner answer for a row without one, and counts what is missing', async () => {
    write('in.csv', 'id,riskTier,custody,humanUse,accounts\nnhi:prod/billing-a,low,vault,false,pg-main=a\nnhi:prod/billing-b,low,vault,false,\n');
    const ran = await run('--json');
    expect(document(ran)).toEqual({
      file: 'in.csv', into: INTO, written: true, added: ['nhi:prod/billing-a', 'nhi:prod/billing-b'], updated: [], unchanged: [], known: [], bad: [],
      missing: { owner: 2, backupOwner: 2, purposes: 2, accounts: 1, consumers: 2, description: 2 },
    });
    expect(nhis()[1]).toEqual({ id: 'nhi:prod/billing-a', environment: 'prod', purposes: [], riskTier: 'low', custody: 'vault', humanUse: false, consumers: [], accounts: { 'pg-main': 'a' } });
  });

  it('names each bad row by line and column and writes nothing, but for --skip-bad, which leaves them out and lists them', async () => {
    const rows = [
      'nhi:prod/Loud,person:ana,low,false', 'nhi:prod/b,bob,low,false', 'nhi:prod/c,person:ana,lowish,false', 'nhi:prod/d,person:ana,low,maybe', ',person:ana,low,false',
      '"nhi:prod/good",person:ana,low,false', 'nhi:prod/good,person:ana,low,true', 'nhi:prod/e,,low,false', 'nhi:prod/f,person:ana,,false', 'nhi:prod/g,person:ana', 'nhi:prod/h,per"son:ana,low,false',
    ];
    write('in.csv', `id,owner,riskTier,humanUse\n${rows.join('\n')}\n`);
    const bad = [
      'in.csv:2: id: "nhi:prod/Loud": an id is nhi:<environment>/<name>, in lower case', 'in.csv:3: owner: "bob": a person is person:<name>, in lower case',
      'in.csv:4: riskTier: "lowish": Invalid option: expected one of "low"|"medium"|"high"|"critical"', 'in.csv:5: humanUse: "maybe" is neither true nor false', 'in.csv:6: id: is empty',
      'in.csv:8: id: nhi:prod/good is in line 7 already', 'in.csv:9: owner: is empty, and no rule of fallbackOwners covers nhi:prod/e', 'in.csv:10: riskTier: is empty; --default riskTier=… says what new identities have there',
      'in.csv:11: has 2 fields, and the header 4', 'in.csv:12: owner: has a quote, and is not in quotes itself',
    ];
    const refused = await run('--default', 'custody=vault');
    expect([refused.exit, read()]).toEqual([1, EXISTING]);
    expect(refused.stdout.split('\n').slice(0, 10)).toEqual(bad);
    expect(refused.stderr).toContain('Nothing was written.');
    const taken = await run('--default', 'custody=vault', '--skip-bad');
    expect([taken.exit, taken.stdout.split('\n').slice(0, 10)]).toEqual([0, bad]);
    expect(taken.stdout).toContain('11 rows: 1 added, 10 left out\n');
    expect(nhis().map(({ id }) => id)).toEqual(['nhi:prod/export', 'nhi:prod/good']);
  });

  it('--dry-run says the same and writes nothing', async () => {
    write('in.csv', `${HEADER}\n${GOOD}\n`);
    const ran = await run('--dry-run');
    expect([ran.exit, ran.stdout, read()]).toEqual([0, '1 rows: 1 would be added\n', EXISTING]);
  });

  it('takes columns by the names that they have, and refuses one that means nothing', async () => {
    write('in.csv', `Account ID,Owner,Last seen\nnhi:prod/x,person:ana,2026-01-01\n`);
    const flags = ['--map', 'Account ID=id', '--map', 'Owner=owner', '--default', 'riskTier=high', '--default', 'custody=vault', '--default', 'humanUse=false'];
    const refused = await run(...flags);
    expect([refused.exit, read()]).toEqual([1, EXISTING]);
    expect(refused.stderr).toContain('in.csv:1: Last seen: means nothing here');
    expect((await run(...flags, '--map', 'Last seen=-')).exit).toBe(0);
    expect(nhis()[1]).toMatchObject({ id: 'nhi:prod/x', riskTier: 'high' });
  });

  it('keeps a link a link, and the mode of the file', async () => {
    write('facts/real.yaml', EXISTING);
    symlinkSync('real.yaml', join(desk.directory, 'facts/link.yaml'));
    write('in.csv', `${HEADER}\n${GOOD}\n`);
    expect((await run('--into', 'facts/link.yaml')).exit).toBe(0);
    expect(lstatSync(join(desk.directory, 'facts/link.yaml')).isSymbolicLink()).toBe(true);
    expect(read('facts/real.yaml')).toContain('nhi:prod/loader');
    expect(readdirSync(join(desk.directory, 'facts')).sort()).toEqual(['inventory.yaml', 'link.yaml', 'real.yaml']);
    expect(statSync(join(desk.directory, 'facts/real.yaml')).mode & 0o777).toBe(0o644);
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ['is no CSV', 'id,owner\nnhi:prod/x,"person:ana\n', /in\.csv:2: a quote is opened here and never closed/],
    ['is UTF-16', Buffer.from(`\ufeff${HEADER}\n`, 'utf16le'), /is not UTF-8/],
    ['has no ids', 'owner\nperson:ana\n', /in\.csv:1: there is no column for id/],
  ])('is left alone by a file that %s', async (_what, text, message) => {
    write('in.csv', text);
    const ran = await run('--skip-bad');
    expect([ran.exit, read()]).toEqual([1, EXISTING]);
    expect(ran.stderr).toMatch(message);
  });

  it('is left alone where it cannot be believed itself', async () => {
    write(INTO, EXISTING.replace('riskTier: medium', 'riskTier: unheard-of'));
    write('in.csv', `${HEADER}\n${GOOD}\n`);
    const ran = await run();
    expect(ran.exit).toBe(1);
    expect(ran.stderr).toMatch(/facts\/inventory\.yaml:12: \/nhis\/0\/riskTier/);
  });
});

describe('while others write there too', () => {
  /** Runs it while `meanwhile` happens: after the inventory was read, and before anything is written. The name to write to is then `facts/….000000000000000000000000.new`. */
  const runWhile = (meanwhile: () => void, ...flags: string[]): Promise<Ran> => desk.with({
    randomBytes(length) {
      meanwhile();
      return new Uint8Array(length);
    },
  }).run('inventory', 'import', 'in.csv', ...flags);
  const FRESH = `${INTO}.${'0'.repeat(24)}.new`;
  const files = (): string[] => readdirSync(join(desk.directory, 'facts')).sort();
  beforeEach(() => write('in.csv', `${HEADER}\n${GOOD}\n`));

  it.each<[string, string | null, () => void, string | null]>([
    ['has changed', EXISTING, () => write(INTO, `${EXISTING}# theirs\n`), `${EXISTING}# theirs\n`],
    ['has changed in a byte that is no text', `${EXISTING}# \ufffd\n`, () => write(INTO, Buffer.concat([Buffer.from(`${EXISTING}# `), Buffer.from([0xff, 0x0a])])), `${EXISTING}# \ufffd\n`],
    ['is there now', null, () => write(INTO, EXISTING), EXISTING],
    ['is there no more', EXISTING, () => rmSync(join(desk.directory, INTO)), null],
  ])('refuses where the inventory %s, and writes nothing', async (_what, before, meanwhile, after) => {
    if (before !== null) write(INTO, before);
    const ran = await runWhile(meanwhile);
    expect([ran.exit, existsSync(join(desk.directory, INTO)) ? read() : null, files()]).toEqual([1, after, after === null ? [] : ['inventory.yaml']]);
    expect(ran.stderr).toMatch(/facts\/inventory\.yaml was changed by somebody else meanwhile[^]*Nothing was written\.[^]*import it again/);
  });

  it('follows no link that was left where it writes, and takes none away', async () => {
    write(INTO, EXISTING);
    write('victim', 'precious');
    for (const name of [`${INTO}.new`, FRESH]) symlinkSync(join(desk.directory, 'victim'), join(desk.directory, name));
    expect((await runWhile(() => undefined)).exit).toBe(4);
    expect([read(), read('victim'), files().length]).toEqual([EXISTING, 'precious', 3]);
    expect((await run()).exit).toBe(0);
    expect([nhis().length, read('victim'), files().length]).toEqual([2, 'precious', 3]);
  });

  it('keeps a mode that the umask would not give', async () => {
    write(INTO, EXISTING);
    chmodSync(join(desk.directory, INTO), 0o666);
    expect((await run()).exit).toBe(0);
    expect(statSync(join(desk.directory, INTO)).mode & 0o777).toBe(0o666);
  });
});

it('a file with a byte order mark makes an inventory where there was none', async () => {
  write('in.csv', `\ufeff${HEADER}\n${GOOD}\n`);
  expect((await run('--into', 'new/inventory.yaml')).exit).toBe(0);
  expect(read('new/inventory.yaml')).toBe(`v: 1
nhis:
  - id: nhi:prod/loader
    description: Loads, every "night"
    owner: person:wei
    backupOwner: person:ben
    environment: prod
    purposes: [nightly, hourly]
    riskTier: high
    custody: thirdParty
    humanUse: false
    thirdParty: Acme & Co
    consumers: [loader-job, other-job]
    accounts:
      pg-main: loader
      pg-dev: loader_dev
`);
});

it('an inventory in JSON stays JSON', async () => {
  write(INTO, JSON.stringify({ v: 1, nhis: [parseInventory({ name: '', text: EXISTING }).value.nhis[0]] }, null, 2));
  write('in.csv', `${HEADER}\n${GOOD}\n`);
  expect((await run()).exit).toBe(0);
  expect((JSON.parse(read()) as { nhis: unknown[] }).nhis).toHaveLength(2);
});

it.each([['--map', 'x=unheard'], ['--map', 'owner'], ['--default', 'id=nhi:prod/x'], ['--default', 'riskTier=vast'], ['--default', 'humanUse=perhaps']])('%s %s is no such flag’s value', async (...flags) => {
  write('in.csv', `${HEADER}\n${GOOD}\n`);
  const ran = await run(...flags);
  expect([ran.exit, ran.stderr.includes('Nothing was written.')]).toEqual([2, true]);
});

it('2,000 rows are quick', async () => {
  write(INTO, EXISTING);
  write('in.csv', `${HEADER}\n${Array.from({ length: 2_000 }, (_, i) => GOOD.replace('nhi:prod/loader', `nhi:prod/loader-${i}`)).join('\n')}\n`);
  // Of this process: how long it takes on the clock depends on whoever else is at work.
  const before = process.cpuUsage();
  expect((await run()).stdout).toBe('2000 rows: 2000 added\n');
  const { user, system } = process.cpuUsage(before);
  expect(nhis()).toHaveLength(2_001);
  expect((user + system) / 1000).toBeLessThan(10_000);
});
