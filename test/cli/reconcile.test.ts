import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import { layOutExample } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { FoundAccount } from '../../src/protocol/discovery.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor, type ScriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk } from '../support/world.ts';

/** A real sidecar on a unix socket; only the executor behind it is played. */
let desk: Desk;
let sidecar: Sidecar;
let executor: ScriptedExecutor;

beforeAll(async () => {
  desk = openDesk();
  const layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
  executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
  const { config } = await loadConfig({ path: layout.config });
  sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
  desk = desk.with({ cwd: layout.directory });
});
afterAll(async () => {
  await sidecar.close();
  desk.remove();
});

const login = (account: string, edit: Partial<FoundAccount> = {}): FoundAccount => ({
  kind: 'account', key: account, account, nativeId: account, canLogin: true, isOwn: false, endsAt: null, held: [], heldLeftOut: 0, marks: [], credentials: [], credentialsLeftOut: 0,
  sessions: 0, lastUsedAt: null, ...edit,
});
const as = ['--as', 'person:sam'];
const one = ['--connector', 'pg-main', ...as];

describe('reconcile', () => {
  it('exits 0 and counts where all is as it is recorded', async () => {
    executor.found = [login('ci_deployer')];
    const { exit, stdout } = await desk.run('reconcile', ...one);
    expect(exit).toBe(0);
    expect(stdout).toBe('pg-main/app: 1 accounts that can log in, 0 of no identity; 0 privileges held, 0 of them standing: 0 explained, 0 unexplained, 0 past their end; 0 grants on record, 0 of them gone; findings: 0 new, 0 cleared\n');
  });

  it('exits 1 with a line for each finding', async () => {
    executor.found = [login('ci_deployer'), login('planted', { held: ['role:app_owner'], lastUsedAt: '2026-11-23T19:00:00.000Z' })];
    const { exit, stdout } = await desk.run('reconcile', ...one);
    expect(exit).toBe(1);
    expect(stdout).toMatch(/^account-unknown {2}pg-main {2}planted can log in and is of no identity in the inventory, last used 2026-11-23T19:00:00.000Z {2}\(person:\S+ owns this\)$/m);
    const { reconciliations, findings } = JSON.parse((await desk.run('reconcile', ...one, '--json')).stdout) as { reconciliations: { state: string; counts: object }[]; findings: { code: string }[] };
    expect([reconciliations[0]!.state, findings.map(({ code }) => code)]).toEqual(['done', ['account-unknown']]);
    expect(reconciliations[0]!.counts).toMatchObject({ accounts: 2, unknownAccounts: 1, held: 1, unexplained: 1, standing: 1 });
  });

  it('exits 3 where a target could not be looked at', async () => {
    executor.found = null;
    const { exit, stdout } = await desk.run('reconcile', ...one);
    expect(exit).toBe(3);
    expect(stdout).toContain('pg-main: could not be looked at: executor:main: target-rejected: it will not tell');
    executor.found = [];
  });

  it('is turned down for who may not see what is there', async () => {
    const { exit, stderr } = await desk.run('reconcile', '--connector', 'pg-main', '--as', 'nhi:prod/ci-deployer');
    expect(exit).not.toBe(0);
    expect(stderr).toContain('not-allowed');
  });
});

describe('inventory discover', () => {
  it('lists what was there, and how far last use is known', async () => {
    executor.found = [login('ci_deployer', { held: ['role:deploy'] }), login('legacy', { sessions: null }), login('shell', { canLogin: false, endsAt: '2026-01-01T00:00:00.000Z' })];
    await desk.run('reconcile', ...one);
    const { exit, stdout } = await desk.run('inventory', 'discover', ...as);
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^pg-main\/app as of 20\d\d-/);
    expect(stdout).toMatch(/^account {2}ci_deployer {2}can log in {5}last use not known {2}role:deploy$/m);
    expect(stdout).toMatch(/^account {2}legacy {7}can log in {5}use not known$/m);
    expect(stdout).toMatch(/^account {2}shell {8}cannot log in/m);
    const { discoveries } = JSON.parse((await desk.run('inventory', 'discover', ...as, '--json')).stdout) as { discoveries: { entries: object[] }[] };
    expect(discoveries[0]!.entries).toHaveLength(3);
  });
});
