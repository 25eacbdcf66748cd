/** The README's “Put it around your rotation script”, done: its own commands, a real PostgreSQL, the real policy, nobody but the run to report. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Client } from '../../src/client/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { hasPsql, postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';
import { openDesk, type Desk } from '../support/world.ts';

const textOf = (path: string): string => readFileSync(join(import.meta.dirname, '../..', path), 'utf8');
const readme = textOf('README.md');
const page = textOf('docs/caller-mode.md');
const script = /^```sh file=rotate\.sh\n([^]*?\n)```$/m.exec(page)![1]!;
/** The words of the one line of a text that has this command, without `countersign` and what the shell adds. */
const wordsOf = (text: string, command: string): string[] => new RegExp(`^countersign (${command} .*?)(?: (?:&&|>).*)?$`, 'm').exec(text)![1]!.split(' ');
const LOGIN = 'billing_svc';

describe.skipIf(postgresInstallations().length === 0 || !hasPsql())('the page on caller mode', () => {
  let postgres: TestPostgres;
  let desk: Desk;
  let directory: string;
  let socket: string;
  const tokens = new Map<string, string>();
  let sidecar: Sidecar;
  let secret: string;
  const client = (principal: string): Client => connect({ socket, token: tokens.get(principal)! });
  const works = async (password: string): Promise<boolean> => postgres.login(LOGIN, password).then(async (login) => {
    await login.end();
    return true;
  }, () => false);

  beforeAll(async () => {
    postgres = await testPostgres();
    await postgres.sql(`CREATE ROLE ${LOGIN} LOGIN PASSWORD 'before'`);
    desk = openDesk();
    expect((await desk.run(...wordsOf(readme, 'init'))).exit).toBe(0);
    directory = join(desk.directory, 'cs');
    const { config } = await loadConfig({ path: join(directory, 'countersign.yaml') });
    sidecar = await startSidecar({ ...config, logLevel: 'silent' });
    socket = config.listen.socket!;
    for (const line of readFileSync(join(directory, 'tokens.txt'), 'utf8').split('\n')) tokens.set(...(line.split(' ') as [string, string]));
    secret = join(directory, 'billing.password');
    writeFileSync(join(directory, 'rotate.sh'), script);
    chmodSync(join(directory, 'rotate.sh'), 0o755);
    desk = desk.with({
      cwd: directory,
      env: { PATH: process.env['PATH'], PGHOST: postgres.host, PGPORT: String(postgres.port), PGUSER: postgres.adminUser, PGPASSWORD: postgres.adminPassword, PGDATABASE: 'postgres', SECRET_FILE: secret },
    });
  });
  afterAll(async () => {
    await sidecar.close();
    desk.remove();
    await postgres.remove();
  });

  const run = async (decide: (wei: Client, id: string, planDigest: string) => Promise<unknown>): Promise<{ exit: number; stdout: string; stderr: string; id: string }> => {
    const known = new Set((await client('person:wei').list()).changes.map(({ id }) => id));
    const running = desk.run(...wordsOf(readme, 'run').map((word) => (word.startsWith('/path/') ? './rotate.sh' : word)));
    const wei = client('person:wei');
    for (;;) {
      const { changes } = await wei.list();
      const asked = changes.find(({ id }) => !known.has(id));
      if (asked === undefined) continue;
      const pending = await wei.wait(asked.id);
      expect(pending.state).toBe('pending');
      await decide(wei, pending.id, pending.planDigest!);
      return { ...(await running), id: pending.id };
    }
  };

  it('rotates a password once it is approved, and says that nobody else saw it', async () => {
    const { exit, stdout, stderr, id } = await run((wei, changeId, digest) => wei.approve(changeId, digest));
    expect([exit, stdout], stderr).toEqual([0, '']);
    const password = readFileSync(secret, 'utf8');
    expect([await works(password), await works('before')]).toEqual([true, false]);
    expect(existsSync(`${secret}.new`)).toBe(false);

    const change = await client('person:wei').get(id);
    expect(change).toMatchObject({ state: 'done', mode: 'caller', result: { outcome: 'done', selfReported: true } });
    expect(change.decision!.reasons.map(({ code }) => code)).toContain('self-reported');
    const types = (await client('person:wei').evidence(id)).records.map(({ type }) => type);
    expect(types.indexOf('step.claimed')).toBeLessThan(types.indexOf('step.succeeded'));
    expect(JSON.stringify(await client('person:wei').evidence(id))).not.toContain(password);
    expect((await desk.run('changes', 'why', id, '--as', 'person:wei')).exit).toBe(0);
  });

  it('begins the same in the README and on the page', () => {
    expect(wordsOf(page, 'init')).toEqual(wordsOf(readme, 'init'));
  });

  it('is not started when nobody decides in time', async () => {
    const before = readFileSync(secret, 'utf8');
    const undecided = page.split('\n').find((line) => line.includes('--wait PT3S'))!.replace('PT3S', 'PT1S').split(' ').slice(1);
    expect((await desk.run(...undecided)).exit).toBe(5);
    expect(readFileSync(secret, 'utf8')).toBe(before);
  });

  it('changes nothing when it is rejected', async () => {
    const before = readFileSync(secret, 'utf8');
    const { exit } = await run((wei, changeId, digest) => wei.reject(changeId, digest, 'not tonight'));
    expect(exit).toBe(1);
    expect(readFileSync(secret, 'utf8')).toBe(before);
    expect(await works(before)).toBe(true);
  });

  it('leaves evidence that is verified offline', async () => {
    const { exit, stdout } = await desk.run(...wordsOf(readme.slice(readme.indexOf('## Put it around')), 'verify'));
    expect(stdout).toContain('✓ WORKFLOW');
    expect(exit).toBe(0);
  });
});
