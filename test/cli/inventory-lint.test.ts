/** `countersign inventory lint`: counts first, then each finding with its reason; from a configuration or from files; no server. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { layOutExample } from '../../src/cli/init.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let desk: Desk;
beforeEach(() => {
  desk = openDesk().with({ nowMs: () => Date.parse('2026-11-29T12:00:00.000Z') });
  cpSync(join(import.meta.dirname, '../../examples/facts'), join(desk.directory, 'facts'), { recursive: true });
});
afterEach(() => desk.remove());

const FILES = ['inventory', 'catalogue', 'directory', 'usage', 'calendar'].map((kind) => `facts/${kind}.yaml`);
const lint = (...args: string[]): Promise<Ran> => desk.run('inventory', 'lint', ...args);
const edit = (kind: string, from: string | RegExp, to: string): void => {
  const path = join(desk.directory, `facts/${kind}.yaml`);
  writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
};

it('counts by code first, then says of each why it matters and what to do', async () => {
  const { exit, stdout, stderr } = await lint(...FILES);
  expect([exit, stderr]).toEqual([1, '']);
  expect(stdout.split('\n').slice(0, 4)).toEqual(['     1  human-use        high    OWASP NHI10', '     5  never-used       medium  OWASP NHI1', '     2  no-backup-owner  low     OWASP NHI1', '']);
  expect(stdout).toMatch(/^human-use: .*Policy gives it nothing\. Give the people accounts of their own.*\n {2}nhi:prod\/legacy-admin: people use it$/m);
});

it('--json has every finding with all that is known of its kind', async () => {
  const { identities, counts, findings } = JSON.parse((await lint(...FILES, '--json')).stdout) as { identities: number; counts: object; findings: object[] };
  expect([identities, counts]).toEqual([8, { 'human-use': 1, 'never-used': 5, 'no-backup-owner': 2 }]);
  expect(findings).toHaveLength(8);
  expect(Object.keys(findings[0]!).sort()).toEqual(['about', 'code', 'level', 'message', 'risk', 'solution', 'why']);
});

it('exits 1 from the level on that --fail-on names, and 0 below it', async () => {
  edit('inventory', 'custody: human\n    humanUse: true', 'custody: vault\n    humanUse: false');
  expect((await lint(...FILES, '--fail-on', 'high')).exit).toBe(0);
  expect((await lint(...FILES, '--fail-on', 'medium')).exit).toBe(1);
  expect((await lint(...FILES.slice(0, 3), '--fail-on', 'medium')).exit).toBe(0);
  expect((await lint(...FILES, '--fail-on', 'worst')).exit).toBe(2);
});

it('exits 0 where nothing is amiss, and says what it could not know', async () => {
  edit('inventory', /nhis:[^]*/, 'nhis: []\n');
  const { exit, stdout, stderr } = await lint(...FILES.slice(0, 3));
  expect([exit, stdout, stderr]).toEqual([0, '0 identities, and nothing amiss\n', 'no usage is kept: whether an account is used at all is not known\n']);
});

it('takes the facts of an installation, by --config or where it is', async () => {
  const { directory, config } = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
  const byFlag = await lint('--config', config);
  expect([byFlag.exit, byFlag.stdout]).toEqual([1, (await lint(...FILES)).stdout]);
  expect((await desk.with({ cwd: directory }).run('inventory', 'lint')).stdout).toBe(byFlag.stdout);
});

it('lists ten of a kind, and all with --all', async () => {
  const entry = readFileSync(join(desk.directory, 'facts/inventory.yaml'), 'utf8').match(/ {2}- id: nhi:dev\/report-preview[^]*?report_preview\n/)![0];
  edit('inventory', /nhis:[^]*/, `nhis:\n${Array.from({ length: 12 }, (_, i) => entry.replace('report-preview', `p${i}`).replace('report_preview', `p${i}`)).join('')}`);
  const listed = async (...flags: string[]): Promise<number> => [...(await lint(...FILES.slice(0, 3), ...flags)).stdout.matchAll(/^ {2}nhi:dev/gm)].length;
  expect([await listed(), await listed('--all')]).toEqual([10, 12]);
});

it('says what is wrong with facts that cannot be believed, and looks at none', async () => {
  edit('directory', 'active: false', 'active: perhaps');
  const { exit, stderr } = await lint(...FILES);
  expect(exit).toBe(4);
  expect(stderr).toMatch(/facts\/directory\.yaml:11: \/people\/7\/active: /);
});

it.each([[['facts/inventory.yaml']], [[...FILES, 'facts/stock.yaml']], [[...FILES, 'other/usage.csv']], [[]]])('%j are no facts to look at', async (files) => {
  expect((await lint(...files)).exit).toBe(2);
});
