/** `countersign approve --ssh-key` with the real `ssh-keygen`, against a sidecar whose floor asks for it; and what an auditor makes of it. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { lyingSidecar } from '../support/lying-sidecar.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk } from '../support/world.ts';

const hasSshKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;
const GRANT = ['--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--reason', 'deploy 42', '--duration', 'PT10M'];
const WEI = ['--as', 'person:wei'];

describe.skipIf(!hasSshKeygen)('countersign approve --ssh-key', () => {
  let desk: Desk;
  let layout: Layout;
  let sidecar: Sidecar;
  let trust: string;
  let socket: string;
  beforeAll(async () => {
    desk = openDesk();
    layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
    desk = desk.with({ cwd: layout.directory });
    const { config } = await loadConfig({ path: layout.config });
    trust = config.trust;
    for (const name of ['wei', 'mallory']) spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(layout.directory, name)]);
    writeFileSync(join(trust, 'allowed_signers'), `person:wei namespaces="approval@countersign" ${readFileSync(join(layout.directory, 'wei.pub'), 'utf8')}`);
    const requirements = JSON.parse(readFileSync(join(trust, 'requirements.json'), 'utf8')) as { floors: object[] };
    writeFileSync(join(trust, 'requirements.json'), JSON.stringify({ ...requirements, floors: requirements.floors.map((floor) => ({ ...floor, proofClass: 'ssh' })) }));
    const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
    sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
    socket = config.listen.socket!;
  });
  afterAll(async () => {
    await sidecar.close();
    desk.remove();
  });

  const asked = async (): Promise<string> => (JSON.parse((await desk.run('request', ...GRANT, '--as', 'nhi:prod/ci-deployer', '--json')).stdout) as { id: string }).id;

  it('has a session refused, and says what is missing', async () => {
    const { exit, stderr } = await desk.run('approve', await asked(), '--yes', ...WEI);
    expect(exit).toBe(1);
    expect(stderr).toContain('proof-too-weak');
    expect(stderr).toContain('--ssh-key');
  });

  it('signs the plan that is shown, and an auditor who has her key believes it', async () => {
    const id = await asked();
    const { exit, stdout, stderr } = await desk.run('approve', id, '--yes', '--ssh-key', join(layout.directory, 'wei'), ...WEI);
    expect(stderr).toContain('signing as person:wei');
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^approved sha256:/);
    expect((await desk.run('changes', 'show', id, ...WEI)).stdout).toContain('by person:wei, proven by ssh');
    const verified = await desk.run('verify', '--trust', trust, join(layout.directory, 'data', 'ledger'), '--json');
    expect(verified.exit).toBe(0);
    // Without her key, its proof is nobody's.
    writeFileSync(join(trust, 'allowed_signers'), `person:wei ${readFileSync(join(layout.directory, 'mallory.pub'), 'utf8')}`);
    expect(await desk.run('verify', '--trust', trust, join(layout.directory, 'data', 'ledger'))).toMatchObject({ exit: 1 });
    writeFileSync(join(trust, 'allowed_signers'), `person:wei ${readFileSync(join(layout.directory, 'wei.pub'), 'utf8')}`);
  });

  it('does not sign what a sidecar would have her sign instead of what was shown', async () => {
    const id = await asked();
    const lying = await lyingSidecar(socket, (path, body) => (path.includes('/statement') ? body.replace(/"planDigest":"sha256:[0-9a-f]{64}"/, `"planDigest":"sha256:${'0'.repeat(64)}"`) : body));
    try {
      const { exit, stderr } = await desk.run('approve', id, '--yes', '--ssh-key', join(layout.directory, 'wei'), ...WEI, '--url', lying.url);
      expect(exit).toBe(1);
      expect(stderr).toContain('Nothing was signed');
    } finally {
      lying.close();
    }
  });

  it('does not sign a plan that says something else than was shown beside it', async () => {
    const id = await asked();
    const lying = await lyingSidecar(socket, (path, body) => (path.includes('/statement') ? body : body.replace('"duration":"PT10M"', '"duration":"PT1M"')));
    try {
      expect(await desk.run('approve', id, '--yes', '--ssh-key', join(layout.directory, 'wei'), ...WEI, '--url', lying.url)).toMatchObject({ exit: 1 });
    } finally {
      lying.close();
    }
  });

  it('signs nothing that is good for longer than it need be', async () => {
    const id = await asked();
    const lying = await lyingSidecar(socket, (path, body) => (path.includes('/statement') ? body.replace(/"expiresAt":"[^"]+"/, '"expiresAt":"9999-01-01T00:00:00.000Z"') : body));
    try {
      const { exit, stderr } = await desk.run('approve', id, '--yes', '--ssh-key', join(layout.directory, 'wei'), ...WEI, '--url', lying.url);
      expect(exit).toBe(1);
      expect(stderr).toContain('longer than it need be');
    } finally {
      lying.close();
    }
  });

  it('says so where the key is another’s, or none', async () => {
    const id = await asked();
    const other = await desk.run('approve', id, '--yes', '--ssh-key', join(layout.directory, 'mallory'), ...WEI);
    expect(other).toMatchObject({ exit: 1 });
    expect(other.stderr).toContain('not among the allowed signers');
    expect(await desk.run('approve', id, '--yes', '--ssh-key', join(layout.directory, 'nobody'), ...WEI)).toMatchObject({ exit: 4 });
  });
});
