/** `countersign doctor` on an installation without a bus: each check can fail, by itself, and says what to do. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { generateSignerKey, nodeDisk, openLog, parseSigner } from '../../ledger/index.ts';
import type { Checked } from '../../src/doctor/check.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { makeInstallation, type Installation } from '../support/installation.ts';
import { openDesk, type Desk } from '../support/world.ts';

let installation: Installation;
let desk: Desk;
const at = (...names: string[]): string => join(installation.directory, ...names);
const doctor = async (): Promise<{ exit: number; checks: Checked[]; stdout: string }> => {
  const { exit, stdout } = await desk.run('doctor', '--json', '--config', installation.configPath);
  return { exit, stdout, checks: (JSON.parse(stdout) as { checks: Checked[] }).checks };
};
beforeEach(async () => {
  installation = await makeInstallation();
  desk = openDesk();
});
afterEach(async () => {
  desk.remove();
  await installation.remove();
});

it('finds nothing wrong with one that is as it should be, running or not', async () => {
  const { exit, checks } = await doctor();
  expect(checks.filter(({ status }) => status !== 'ok')).toEqual([]);
  expect([exit, checks.map(({ name }) => name)]).toEqual([0, ['configuration', 'secrets', 'tokens', 'trust', 'ledger', 'policy', 'facts']]);
  const log = await openLog({ origin: 'installation.example/ledger', disk: nodeDisk(at('data')), directory: 'ledger', journal: 'journal', signer: parseSigner(readFileSync(at('log.key'), 'utf8').trim()), now: () => Date.now() });
  const again = await doctor();
  expect([again.exit, again.checks.find(({ name }) => name === 'ledger')?.message]).toEqual([0, '0 records of installation.example/ledger under a signed checkpoint']);
  await log.close();
});

it('tells of what is under observe, and until when', async () => {
  const [from, until] = [-1, 9].map((days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10));
  writeFileSync(at('exceptions.json'), JSON.stringify({ v: 1, exceptions: [], observe: [{ id: 'trial', environments: ['prod'], reason: 'tried out', owner: 'person:ana', from, until }] }));
  writeFileSync(installation.configPath, readFileSync(installation.configPath, 'utf8').replace('facts: {', `facts: {exceptions: ${at('exceptions.json')}, `));
  expect((await doctor()).checks.find(({ name }) => name === 'facts')?.message).toContain(`; trial is under observe until ${until!}: policy is not enforced there`);
});

it('tells what is not under observe yet, since nobody has granted it', async () => {
  const [from, until] = [-1, 9].map((days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10));
  writeFileSync(at('exceptions.json'), JSON.stringify({ v: 1, exceptions: [], observe: [{ id: 'trial', environments: ['prod'], reason: 'tried out', owner: 'person:ana', from, until }] }));
  writeFileSync(installation.configPath, `${readFileSync(installation.configPath, 'utf8').replace('facts: {', `facts: {exceptions: ${at('exceptions.json')}, `)}\nexceptionGrants: {quorum: 1, approvers: [person:olga]}\n`);
  const { message, remedy } = (await doctor()).checks.find(({ name }) => name === 'facts')!;
  expect([message, remedy]).toEqual(['trial: it is not in force: granted by nobody where 1 of person:olga must', expect.stringContaining('countersign exceptions sign')]);
});

const harms: readonly (readonly [string, readonly string[], () => void])[] = [
  ['a key that others can read', ['secrets', 'trust'], () => chmodSync(at('ticket.key'), 0o640)],
  ['tokens that are none', ['tokens'], () => writeFileSync(at('tokens.json'), '{}')],
  ['a trust folder that everybody can write to', ['trust'], () => chmodSync(at('trust/executors.json'), 0o666)],
  ['an executor that is not trusted', ['trust'], () => writeFileSync(at('trust/executors.json'), '[]')],
  ['a trust policy of another log', ['trust'], () => writeFileSync(at('trust/trust.policy'), `log ${generateSignerKey('other.example/ledger', systemRandom(32)).vkey}\nquorum none\n`)],
  ['a checkpoint that another key has signed', ['ledger'], () => {
    mkdirSync(at('data/ledger'), { recursive: true });
    writeFileSync(at('data/ledger/checkpoint'), 'installation.example/ledger\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— installation.example/ledger AAAAAAAA\n');
  }],
  ['a policy that is not there', ['policy'], () => writeFileSync(installation.configPath, `${readFileSync(installation.configPath, 'utf8')}policy: nowhere\n`)],
  ['facts that cannot be read', ['facts'], () => writeFileSync(installation.configPath, readFileSync(installation.configPath, 'utf8').replace('inventory.yaml', 'nowhere.yaml'))],
];
it.each(harms)('finds %s', async (_what, names, harm) => {
  harm();
  const { exit, checks, stdout } = await doctor();
  expect([exit, checks.filter(({ status }) => status === 'failed').map((check) => check.name)]).toEqual([1, names]);
  expect(checks.filter(({ remedy }) => remedy !== null)).toHaveLength(names.length);
  expect(stdout).not.toContain('PRIVATE+KEY');
});

it('says that the configuration cannot be used, and looks no further', async () => {
  writeFileSync(installation.configPath, 'origin: 1\n');
  const { exit, checks } = await doctor();
  expect([exit, checks.map(({ name, status }) => [name, status])]).toEqual([1, [['configuration', 'failed']]]);
  // All of it in one line, so that a terminal shows it as it is, and the file once.
  expect(checks[0]!.message).toMatch(/^[^:]+countersign\.yaml: \/origin: [^\n]*; \/data: is missing; /);
  expect(checks[0]!.message.split(installation.configPath)).toHaveLength(2);
});
