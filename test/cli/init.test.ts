import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Decrypter } from 'age-encryption';
import { parse } from 'yaml';
import { parseSigner } from '../../ledger/index.ts';
import { checkedRequest } from '../../src/cli/request.ts';
import { loadConfig } from '../../src/config/load.ts';
import { lintFacts } from '../../src/facts/check.ts';
import { loadFacts } from '../../src/facts/load.ts';
import { openLogKey } from '../../src/identity/signing-key.ts';
import { loadTokens } from '../../src/identity/tokens.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let desk: Desk;
let ran: Ran;
const at = (...names: string[]): string => join(desk.directory, 'here', ...names);
beforeAll(async () => {
  desk = openDesk();
  ran = await desk.run('init', 'here', '--json');
});
afterAll(() => desk.remove());

function* files(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* files(join(folder, entry.name));
    else yield join(folder, entry.name);
  }
}

describe('countersign init', () => {
  it('makes a configuration that serve takes', async () => {
    expect(ran.exit).toBe(0);
    expect(readFileSync(at('countersign.yaml'), 'utf8')).toMatch(/^ +directory: .+\n +# calendar: facts\/calendar\.yaml +# maintenance windows and freezes/m);
    const { config, warnings } = await loadConfig({ path: at('countersign.yaml') });
    expect(warnings).toEqual([]);
    expect(config.executors.map(({ id }) => id)).toEqual(['executor:main']);
    expect(parseSigner(readFileSync(config.keys.log, 'utf8').trim()).name).toBe(config.origin);
    const facts = await loadFacts({ inventory: config.facts.inventory, catalogue: config.facts.catalogue, directory: config.facts.directory, usage: config.facts.usage! }, 0);
    expect(facts.inventory.size).toBeGreaterThan(0);
  });

  it('makes a trust folder in which every part knows the others', async () => {
    const trust = await loadTrustFolder(at('trust'));
    expect([...trust.sidecars.values()].flat().map(({ vkey }) => vkey)).toEqual([expect.stringContaining('/ticket+')]);
    expect(trust.executors.get('executor:main')?.connectors).toEqual(['pg-main', 'pg-dev']);
    expect(trust.requirements.revokers.map(({ principal }) => principal)).toEqual(['person:sam']);
    expect((await loadTrustFolder(at('trust.policy'))).policy.logs).toHaveLength(1);
  });

  it('gives out tokens that the sidecar knows, each in one place', async () => {
    const tokens = await loadTokens(at('tokens.json'));
    const lines = readFileSync(at('tokens.txt'), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) {
      const [principal, token] = line.split(' ');
      expect(tokens.authenticate(`Bearer ${token!}`)?.principal).toBe(principal);
    }
  });

  it('keeps every secret in a file of its owner alone, and prints none', () => {
    const secrets = [...files(at())].filter((path) => /PRIVATE\+KEY|AGE-SECRET-KEY|cst_/.test(readFileSync(path, 'utf8')));
    expect(secrets.length).toBe(7);
    for (const path of [...secrets, at('tokens.json'), at('secrets', 'postgres.password'), at('keys', 'fingerprint.key')]) expect(statSync(path).mode & 0o777, path).toBe(0o600);
    expect(`${ran.stdout}${ran.stderr}`).not.toMatch(/PRIVATE\+KEY|AGE-SECRET-KEY|cst_/);
    expect(statSync(at()).mode & 0o777).toBe(0o700);
  });

  it('makes a request whose secret only the owner of its identity can open', async () => {
    const identity = readFileSync(at('requests', 'billing-export.age'), 'utf8').trim();
    const recipient = /recipient: (age1\S+)/.exec(readFileSync(at('requests', 'billing-export.yaml'), 'utf8'))?.[1];
    const { Encrypter } = await import('age-encryption');
    const sealing = new Encrypter();
    sealing.addRecipient(recipient!);
    const opening = new Decrypter();
    opening.addIdentity(identity);
    expect(await opening.decrypt(await sealing.encrypt('open me'), 'text')).toBe('open me');
  });

  it('gives every log a name of its own', async () => {
    const other = await desk.run('init', 'other', '--json');
    expect((JSON.parse(other.stdout) as { origin: string }).origin).not.toBe((JSON.parse(ran.stdout) as { origin: string }).origin);
  });

  it('writes nothing into a directory that is not empty', async () => {
    writeFileSync(join(desk.directory, 'busy'), '');
    const { exit, stdout, stderr } = await desk.run('init', '.', '--json');
    expect(exit).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'not-empty', effect: 'Nothing was written.' } });
    expect(stderr).toContain('next: name a new directory');
    expect(existsSync(join(desk.directory, 'keys'))).toBe(false);
  });

  it.each([
    ['an operator that is no person', ['--operator', 'sam'], 'usage'],
    ['an origin with white space', ['--origin', 'my log'], 'usage'],
  ])('refuses %s', async (_what, flags, code) => {
    const { exit, stdout } = await desk.run('init', 'third', '--json', ...flags);
    expect(exit).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code } });
    expect(existsSync(join(desk.directory, 'third'))).toBe(false);
  });

  it('refuses a path that no unix socket can have', async () => {
    const { exit, stderr } = await desk.run('init', 'x'.repeat(120));
    expect(exit).toBe(2);
    expect(stderr).toContain('path-too-long');
  });
});

describe('countersign keygen', () => {
  it.each([
    ['log', ['--name', 'log.example/x'], /^PRIVATE\+KEY\+log\.example\/x\+/, /^vkey log\.example\/x\+/m],
    ['ticket', ['--name', 'log.example/x/ticket'], /^PRIVATE\+KEY\+/, /^vkey /m],
    ['executor', ['--name', 'executor:two'], /^PRIVATE\+KEY\+executor:two\+/, /^vkey executor:two\+/m],
    ['revoker', ['--name', 'person:sam'], /^PRIVATE\+KEY\+person:sam\+/, /^vkey person:sam\+/m],
    ['age', [], /^AGE-SECRET-KEY-1/, /^recipient age1/m],
    ['token', [], /^cst_/, /^tokenSha256 [0-9a-f]{64}$/m],
    ['fingerprint', [], /^[A-Za-z0-9+/]{43}=$/m, /^$/],
  ])('makes a %s key that only its owner can read, and prints its public half', async (kind, flags, secret, shown) => {
    const { exit, stdout } = await desk.run('keygen', kind, ...flags, '--out', `k/${kind}.key`);
    expect(exit).toBe(0);
    const path = join(desk.directory, 'k', `${kind}.key`);
    expect(readFileSync(path, 'utf8')).toMatch(secret);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(stdout).toMatch(shown);
    expect(stdout).not.toContain(readFileSync(path, 'utf8').trim());
  });

  it('encrypts one with a passphrase or to a recipient, and then nothing of it is to be read', async () => {
    writeFileSync(join(desk.directory, 'k', 'passphrase'), 'correct horse\n', { mode: 0o600 });
    const { stdout: shown } = await desk.run('keygen', 'age', '--out', 'k/identity');
    for (const [out, ...how] of [['k/by-passphrase', '--passphrase', 'k/passphrase'], ['k/by-recipient', '--recipient', /recipient (age1\S+)/.exec(shown)![1]!]] as const) {
      const { exit, stdout } = await desk.run('keygen', 'log', '--name', 'log.example/x', '--out', out, ...how);
      expect(exit).toBe(0);
      const text = readFileSync(join(desk.directory, out), 'utf8');
      expect(text).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----/);
      const signer = await openLogKey(join(desk.directory, out), join(desk.directory, out === 'k/by-passphrase' ? 'k/passphrase' : 'k/identity'));
      expect(stdout).toContain(signer.vkey);
    }
  });

  it('encrypts none that nothing would open', async () => {
    const { exit, stderr } = await desk.run('keygen', 'executor', '--name', 'executor:two', '--out', 'k/locked-up.key', '--passphrase', 'k/passphrase');
    expect(exit).toBe(2);
    expect(stderr).toContain('nothing opens an encrypted executor key');
    expect(existsSync(join(desk.directory, 'k', 'locked-up.key'))).toBe(false);
  });

  it('never overwrites a key', async () => {
    const before = readFileSync(join(desk.directory, 'k', 'log.key'));
    const { exit, stderr } = await desk.run('keygen', 'log', '--name', 'log.example/x', '--out', 'k/log.key');
    expect(exit).toBe(2);
    expect(stderr).toContain('is there already');
    expect(readFileSync(join(desk.directory, 'k', 'log.key'))).toEqual(before);
  });

  it.each([
    [['keygen', 'nonsense']], [['keygen', 'log']], [['keygen', 'executor', '--name', 'main']], [['keygen', 'revoker', '--name', 'executor:x']], [['keygen', 'log', '--name', 'a+b']],
  ])('refuses %j', async (argv) => {
    expect((await desk.run(...argv)).exit).toBe(2);
  });
});

describe('countersign init --account', () => {
  it('makes an installation for a script that is there: its identity, its token, its change, and no executor', async () => {
    const made = await desk.run('init', 'script', '--account', 'Billing_svc', '--target', 'shop', '--json');
    expect(made.exit).toBe(0);
    const here = (...names: string[]): string => join(desk.directory, 'script', ...names);
    const { config } = await loadConfig({ path: here('countersign.yaml') });
    expect(config.executors).toEqual([]);
    expect((await loadTrustFolder(here('trust'), { actedOn: true })).executors.size).toBe(0);
    const facts = await loadFacts(config.facts, 0);
    expect([...facts.inventory.values()]).toMatchObject([{ id: 'nhi:prod/billing-svc', accounts: { 'pg-main': 'Billing_svc' } }]);
    expect(lintFacts(facts.value)).toEqual([]);
    const change = checkedRequest({ ...(parse(readFileSync(here('change.yaml'), 'utf8')) as object), caller: { key: `${'A'.repeat(43)}=`, timeout: 'PT10M' } }, { what: 'change.yaml' });
    expect(change).toMatchObject({ kind: 'rotate', subject: 'nhi:prod/billing-svc', connector: 'pg-main', target: 'shop' });
    const [, token] = /^nhi:prod\/billing-svc (\S+)$/m.exec(readFileSync(here('tokens.txt'), 'utf8'))!;
    expect((await loadTokens(here('tokens.json'))).authenticate(`Bearer ${token!}`)?.roles).toEqual(new Set(['caller']));
    expect(existsSync(here('executor.yaml'))).toBe(false);
  });

  it.each([
    ['an account without a name', ['--account', '___'], 'no identity can be named'],
    ['an account with a line break', ['--account', 'a\nb'], 'plain text'],
    ['a connector that is none', ['--account', 'a', '--connector', 'PG main'], '--connector takes'],
  ])('refuses %s, and writes nothing', async (_what, flags, cause) => {
    const refused = await desk.run('init', 'not-made', ...flags);
    expect([refused.exit, existsSync(join(desk.directory, 'not-made'))]).toEqual([2, false]);
    expect(refused.stderr).toContain(cause);
  });
});
