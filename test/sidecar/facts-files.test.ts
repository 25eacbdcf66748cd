/** Facts files that go bad under a running sidecar: it goes on by what they last said, and says which file and line keeps it there. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Client } from '../../src/client/index.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';

let installation: Installation;
let sidecar: Sidecar;
let client: Client;
const CSV = 'connector,account,privilege,lastUsedAt\npg-main,ci_deployer,,2026-11-20T00:00:00Z\n';
const JSONL = '{"connector":"pg-main","account":"ci_deployer"}\n';

beforeAll(async () => {
  installation = await makeInstallation();
  cpSync(join(import.meta.dirname, '../../examples/facts'), join(installation.directory, 'facts'), { recursive: true });
  writeFileSync(pathOf('usage.csv'), CSV);
  writeFileSync(pathOf('usage.jsonl'), JSONL);
  mkdirSync(join(installation.directory, 'elsewhere'));
  await begin('usage.yaml');
});
afterAll(async () => {
  await sidecar.close();
  await installation.remove();
});

const pathOf = (name: string): string => join(installation.directory, 'facts', name);

async function begin(usage: string): Promise<void> {
  const [inventory, catalogue, directory, calendar] = ['inventory', 'catalogue', 'directory', 'calendar'].map((kind) => pathOf(`${kind}.yaml`)) as [string, string, string, string];
  const config = { ...(await installation.config()), facts: { inventory, catalogue, directory, calendar, usage: pathOf(usage) } };
  sidecar = await startSidecar(config, { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  client = connect({ socket: sidecar.socket!, token: TOKENS['person:sam']! });
}
async function again(usage: string): Promise<void> {
  await sidecar.close();
  await begin(usage);
}

interface Check {
  readonly ready: boolean;
  readonly facts: { readonly ok: boolean; readonly required: boolean; readonly message: string } | undefined;
}
async function check(): Promise<Check> {
  const { ready, checks } = await client.ready();
  const facts = checks.find((one) => one.check === 'facts');
  return { ready, facts: facts === undefined ? undefined : { ok: facts.ok, required: facts.required, message: facts.message } };
}
const WELL = { ready: true, facts: { ok: true, required: false, message: 'the facts files are in force' } };
const inForce = async (): Promise<string | undefined> => (await client.nhi('nhi:prod/ci-deployer')).description;

/** With this file's text changed, while a good change of another waits to be taken. */
async function spoilt(name: string, spoil: (text: string) => string | null, look: (checked: Check) => void): Promise<void> {
  const [path, other] = [pathOf(name), pathOf('inventory.yaml')];
  const [text, inventory] = [readFileSync(path, 'utf8'), readFileSync(other, 'utf8')];
  const before = await inForce();
  const bad = spoil(text);
  if (bad === text) throw new Error('nothing was spoilt');
  if (bad === null) rmSync(path);
  else writeFileSync(path, bad);
  if (name !== 'inventory.yaml') writeFileSync(other, inventory.replace('Rolls out the orders service.', 'Rolls out something else.'));
  try {
    await sidecar.reload();
    look(await check());
    // All facts are of one moment: what was good beside the bad is not taken either.
    expect(await inForce()).toBe(before);
  } finally {
    writeFileSync(path, text);
    writeFileSync(other, inventory);
    await sidecar.reload();
  }
  expect([await check(), await inForce()]).toEqual([WELL, before]);
}

describe('a facts file that goes bad', () => {
  it.each<[string, string, (text: string) => string | null, string]>([
    ['an unheard-of tier', 'inventory.yaml', (text) => text.replace('riskTier: medium', 'riskTier: unheard-of'), 'inventory.yaml:10'],
    ['an identity without an owner', 'inventory.yaml', (text) => text.replace('    owner: person:ana\n', ''), 'inventory.yaml:4'],
    ['a member twice', 'inventory.yaml', (text) => text.replace('humanUse: false', 'custody: vault'), 'inventory.yaml:LINE'],
    ['a quote that is never closed', 'inventory.yaml', (text) => `${text}    description: "never`, 'inventory.yaml:LINE'],
    ['no file', 'inventory.yaml', () => null, 'inventory.yaml'],
    ['a rank beyond all', 'catalogue.yaml', (text) => text.replace(/rank: \d+/, 'rank: 101'), 'catalogue.yaml:LINE'],
    ['an entitlement without a rank', 'catalogue.yaml', (text) => text.replace(/, rank: \d+/, ''), 'catalogue.yaml:LINE'],
    ['a person who is perhaps active', 'directory.yaml', (text) => text.replace('active: false', 'active: perhaps'), 'directory.yaml:11'],
    ['a person twice', 'directory.yaml', (text) => text.replace('person:ben,', 'person:ana,'), 'directory.yaml:6'],
    ['a usage that is no list', 'usage.yaml', (text) => text.replace(/usage:[^]*/, 'usage: 7\n'), 'usage.yaml:4'],
    ['a window that never opens', 'calendar.yaml', (text) => text.replace(/cron: .*/, 'cron: 0 3 31 2 *'), 'calendar.yaml:LINE'],
    ['nothing in it', 'calendar.yaml', () => '', 'calendar.yaml:1'],
  ])('by %s (%s) changes nothing, and /readyz names the file and line', async (_what, name, spoil, place) => {
    const text = readFileSync(pathOf(name), 'utf8');
    const wrong = spoil(text);
    const line = wrong === null ? 0 : wrong.split('\n').findIndex((one, index) => one !== text.split('\n')[index]) + 1;
    await spoilt(name, spoil, ({ ready, facts }) => {
      expect([ready, facts?.ok, facts?.required]).toEqual([true, false, false]);
      expect(facts?.message).toBe(`what they said before stays in force: ${pathOf(place.replace('LINE', String(line)))} cannot be taken; the log says why`);
    });
  });

  it.each<[string, (text: string) => string, string]>([
    ['usage.csv', (text) => text.replace('pg-main,', 'PG,'), 'usage.csv:2'],
    ['usage.jsonl', (text) => `${text}{"connector":\n`, 'usage.jsonl:2'],
  ])('in rows (%s) is named by file and line as well', async (name, spoil, place) => {
    await again(name);
    await spoilt(name, spoil, ({ facts }) => expect(facts?.message).toContain(`: ${pathOf(place)} cannot be taken`));
    await again('usage.yaml');
  });

  it('of many faults names the first few places, and nothing of what is written there', async () => {
    await spoilt('directory.yaml', (text) => text.replaceAll('active: true', 'active: secret-word'), ({ facts }) => {
      expect(facts?.message).toBe(`what they said before stays in force: ${[4, 5, 6].map((line) => pathOf(`directory.yaml:${line}`)).join(', ')} and 4 more places cannot be taken; the log says why`);
    });
  });
});

it('a sidecar does not begin with facts that cannot be taken', async () => {
  const text = readFileSync(pathOf('usage.csv'), 'utf8');
  writeFileSync(pathOf('usage.csv'), 'account\n');
  await sidecar.close();
  await expect(begin('usage.csv')).rejects.toMatchObject({ code: 'malformed', issues: [{ file: pathOf('usage.csv'), line: 1 }] });
  writeFileSync(pathOf('usage.csv'), text);
  await begin('usage.yaml');
});
