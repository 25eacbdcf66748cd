/** `docs/caller-mode.md`, done: the page's own script and change, a real PostgreSQL, the real policy, nobody but the run to report. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Client } from '../../src/client/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { postgresInstallations, testPostgres, type TestPostgres } from '../support/postgres.ts';
import { openDesk, type Desk } from '../support/world.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/caller-mode.md'), 'utf8');
const block = (name: string): string => new RegExp(`^\`\`\`[a-z]+ file=${name}\n([^]*?\n)\`\`\`$`, 'm').exec(page)![1]!;
const [editing] = /^sed .*$/m.exec(page)!;
const hasPsql = existsSync('/usr/bin/psql') || process.env['CI'] === 'true';

describe.skipIf(postgresInstallations().length === 0 || !hasPsql)('the page on caller mode', () => {
  let postgres: TestPostgres;
  let desk: Desk;
  let layout: Layout;
  let sidecar: Sidecar;
  let secret: string;
  const client = (principal: string): Client => connect({ socket: layout.socket, token: layout.tokens.get(principal)! });
  const works = async (password: string): Promise<boolean> => postgres.login('ci_deployer', password).then(async (login) => {
    await login.end();
    return true;
  }, () => false);

  beforeAll(async () => {
    postgres = await testPostgres();
    await postgres.sql(`CREATE ROLE ci_deployer LOGIN PASSWORD 'before'`);
    desk = openDesk();
    layout = await layOutExample({ directory: join(desk.directory, 'cs'), randomBytes: systemRandom });
    execFileSync('sh', ['-c', editing.split('#').slice(0, -1).join('#')], { cwd: layout.directory });
    const { config } = await loadConfig({ path: layout.config });
    expect(config.executors.flatMap(({ connectors }) => connectors)).toEqual(['pg-dev']);
    sidecar = await startSidecar({ ...config, logLevel: 'silent' });
    secret = join(layout.directory, 'deploy.password');
    for (const file of ['rotate.sh', 'change.yaml']) writeFileSync(join(layout.directory, file), block(file));
    chmodSync(join(layout.directory, 'rotate.sh'), 0o755);
    desk = desk.with({
      cwd: layout.directory,
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
    const running = desk.run('run', '--change', 'change.yaml', '--as', 'nhi:prod/ci-deployer', '--', './rotate.sh');
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

  it('changes nothing when it is rejected', async () => {
    const before = readFileSync(secret, 'utf8');
    const { exit } = await run((wei, changeId, digest) => wei.reject(changeId, digest, 'not tonight'));
    expect(exit).toBe(1);
    expect(readFileSync(secret, 'utf8')).toBe(before);
    expect(await works(before)).toBe(true);
  });

  it('leaves evidence that is verified offline', async () => {
    const { exit, stdout } = await desk.run('verify', 'data/ledger', '--trust', 'trust');
    expect(stdout).toContain('✓ WORKFLOW');
    expect(exit).toBe(0);
  });
});
