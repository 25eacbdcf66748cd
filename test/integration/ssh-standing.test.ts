/** `countersign standing` with the real `ssh-keygen` and the policy as it is shipped: what she is shown before she signs, what it approves, and what `ssh-keygen` makes of the record. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import type { ChangeView, StandingApprovalList, StandingApprovalView } from '../../src/client/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { STANDING_NAMESPACE } from '../../src/protocol/standing-approval.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const hasSshKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;
const CALLER = 'nhi:prod/ci-deployer';

describe.skipIf(!hasSshKeygen)('countersign standing', () => {
  let desk: Desk;
  let layout: Layout;
  let sidecar: Sidecar;
  let trust: string;
  beforeAll(async () => {
    desk = openDesk();
    layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
    desk = desk.with({ cwd: layout.directory });
    const { config } = await loadConfig({ path: layout.config });
    trust = config.trust;
    spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(layout.directory, 'wei')]);
    writeFileSync(join(trust, 'allowed_signers'), `person:wei namespaces="${STANDING_NAMESPACE}" ${readFileSync(join(layout.directory, 'wei.pub'), 'utf8')}`);
    const requirements = JSON.parse(readFileSync(join(trust, 'requirements.json'), 'utf8')) as { floors: object[] };
    writeFileSync(join(trust, 'requirements.json'), JSON.stringify({ ...requirements, floors: requirements.floors.map((floor) => ({ ...floor, standing: true })) }));
    writeFileSync(join(layout.directory, 'facts', 'usage.yaml'), `v: 1\nobservedAtMs: ${Date.now() - 60_000}\nusage:\n  - {connector: pg-main, account: ci_deployer, privileges: ['role:deploy']}\n`);
    const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
    sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
  });
  afterAll(async () => {
    await sidecar.close();
    desk.remove();
  });

  const sign = (at: Desk, ...more: string[]): Promise<Ran> => at.run(
    'standing', 'sign', '--nhi', CALLER, '--kind', 'grant', '--connector', 'pg-main', '--target', 'app', '--account', 'ci_deployer', '--privilege', 'role:deploy', '--max-lease', 'PT1H', '--uses', '3',
    '--for', 'P7D', '--reason', 'each release', '--ssh-key', join(layout.directory, 'wei'), '--as', 'person:wei', ...more,
  );
  const list = async (): Promise<readonly StandingApprovalView[]> => (JSON.parse((await desk.run('standing', 'list', '--as', 'person:wei', '--json')).stdout) as StandingApprovalList).standingApprovals;

  it('says what is wrong with what was typed, and signs nothing for anything but a yes', async () => {
    for (const [more, why] of [[['--for', 'P31D'], 'at most P30D'], [['--max-lease', 'soon'], 'is not a duration'], [['--kind', 'revoke'], 'kinds'], [['--account', 'ci_deployer'], 'listed twice'], [['--uses', '0'], 'uses']] as const) {
      const ran = await sign(desk, '--yes', ...more);
      expect([ran.exit, ran.stderr.includes(why)], ran.stderr).toEqual([2, true]);
    }
    expect((await sign(desk)).exit).toBe(2);
    const asked = await sign(desk.with({ interactive: true, ask: () => Promise.resolve('n') }));
    expect(asked.exit).toBe(1);
    for (const part of ['in the name of person:wei', CALLER, 'pg-main/app, account ci_deployer', 'role:deploy, and nothing else', 'at most 1 h each time', '3 at most']) expect(asked.stderr).toContain(part);
    expect(await list()).toEqual([]);
  });

  it('approves what is within it, says so, and is checked by hand; revoked, it approves nothing more', async () => {
    const given = await sign(desk, '--yes', '--json');
    expect(given.exit, given.stderr).toBe(0);
    const { approvalId } = JSON.parse(given.stdout) as StandingApprovalView;
    const ask = (): Promise<Ran> => desk.run('request', '--kind', 'grant', '--subject', CALLER, '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--reason', 'release 42', '--duration', 'PT15M', '--as', CALLER, '--json');
    const { id } = JSON.parse((await ask()).stdout) as ChangeView;
    const show = async (): Promise<string> => (await desk.run('changes', 'show', id, '--as', CALLER)).stdout;
    await expect.poll(show, { timeout: 10_000 }).toMatch(/approved +by person:wei, proven by ssh, by a standing approval: use 1 of 3, until \S+, record \d+/);
    expect((await desk.run('changes', 'why', id, '--as', CALLER)).stdout).toContain(`Standing approval ${approvalId} of person:wei (use 1 of 3, until `);
    const { envelope } = sidecar.engine.standings()[0]!;
    const signature = join(layout.directory, 'statement.sig');
    writeFileSync(signature, writeArmour(Buffer.from(envelope.signatures[0]!.sig, 'base64')));
    const checked = (input: Uint8Array): number | null => spawnSync('ssh-keygen', ['-Y', 'verify', '-f', join(trust, 'allowed_signers'), '-I', 'person:wei', '-n', STANDING_NAMESPACE, '-s', signature], { input }).status;
    expect(checked(Buffer.from(envelope.payload, 'base64'))).toBe(0);
    expect(checked(Buffer.concat([Buffer.from(envelope.payload, 'base64'), Buffer.of(0x20)]))).not.toBe(0);
    const revoked = await desk.run('standing', 'revoke', approvalId, '--reason', 'the release was moved', '--as', 'person:wei');
    expect(revoked.stdout).toContain('approves nothing more; it was used 1 of 3 times');
    expect((await desk.run('standing', 'list', '--as', 'person:wei')).stdout).toMatch(/used 1 of 3 +revoked by person:wei/);
    expect((await desk.run('standing', 'list', '--as', 'person:wei', '--state', 'over')).stdout).toMatch(/used 1 of 3 +revoked by person:wei/);
    expect((await desk.run('standing', 'list', '--as', 'person:wei', '--state', 'inForce')).stdout).not.toContain('used 1 of 3');
    expect((JSON.parse((await ask()).stdout) as ChangeView).approvals).toEqual([]);
  });
});
