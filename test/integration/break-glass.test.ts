/** `countersign breakglass` with the real `ssh-keygen` and the policy that comes with it; and what an auditor makes of it. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk, parseSigner, readDirectory } from '../../ledger/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk } from '../support/world.ts';

const hasSshKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;
const GRANT = ['--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--reason', 'deploy 42', '--duration', 'PT10M', '--as', 'nhi:prod/ci-deployer', '--json'];
const SAM = ['--as', 'person:sam'];

describe.skipIf(!hasSshKeygen)('countersign breakglass', () => {
  let desk: Desk;
  let layout: Layout;
  let sidecar: Sidecar;
  let trust: string;
  const key = (name: string): string => join(layout.directory, name);
  const requirements = (edit: object): void => {
    const file = join(trust, 'requirements.json');
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...edit }));
  };
  const NAMED = { connector: '*', target: '*', privilege: '*', people: ['person:sam'], maxLeaseSeconds: 900, reviewWithinSeconds: 3_600 };
  beforeAll(async () => {
    desk = openDesk();
    layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
    desk = desk.with({ cwd: layout.directory });
    const { config } = await loadConfig({ path: layout.config });
    trust = config.trust;
    for (const name of ['sam', 'mallory', 'olga']) spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key(name)]);
    writeFileSync(join(trust, 'allowed_signers'), `person:sam namespaces="breakglass@countersign" ${readFileSync(`${key('sam')}.pub`, 'utf8')}`);
    requirements({ breakGlass: [NAMED] });
    sidecar = await start();
  });
  const start = async (): Promise<Sidecar> => {
    const { config } = await loadConfig({ path: layout.config });
    const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
    return startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
  };
  afterAll(async () => {
    await sidecar.close();
    desk.remove();
  });
  const asked = async (...more: string[]): Promise<{ readonly id: string; readonly requirement: { readonly approvers: { readonly allOf: unknown } } }> => JSON.parse((await desk.run('request', ...GRANT, ...more)).stdout) as never;
  const use = (id: string, name = 'sam', ...more: string[]): ReturnType<Desk['run']> => desk.run('breakglass', 'use', id, '--yes', '--reason', 'nobody answers', '--ssh-key', key(name), ...SAM, ...more);

  it('is for an emergency, and not for what can wait', async () => {
    const { exit, stderr } = await use((await asked()).id);
    expect(exit).toBe(1);
    expect(stderr).toContain('policy lets nobody break the glass for this');
  });

  it('gives an emergency at the word of one, whom an auditor believes by her own folder', async () => {
    const { id } = await asked('--urgency', 'emergency');
    const { exit, stdout, stderr } = await use(id);
    expect(stderr).toContain('signing as person:sam');
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^the glass is broken for sha256:/);
    await expect.poll(async () => (JSON.parse((await desk.run('changes', 'show', id, '--json', ...SAM)).stdout) as { state: string }).state, { timeout: 20_000 }).toBe('active');
    expect((await desk.run('changes', 'show', id, ...SAM)).stdout).toContain('broken by person:sam');
    expect((await desk.run('changes', 'why', id, ...SAM)).stdout).toContain('person:sam broke the glass');
    const ledger = join(layout.directory, 'data', 'ledger');
    expect((await desk.run('verify', '--trust', trust, ledger)).exit).toBe(0);
    requirements({ breakGlass: [{ ...NAMED, people: ['person:olga'] }] });
    const unnamed = await desk.run('verify', '--trust', trust, ledger);
    expect(unnamed.exit).toBe(1);
    expect(unnamed.stdout).toContain('break-glass-not-allowed');
    requirements({ breakGlass: [NAMED] });
    // Nobody reviews herself; one of those who were asked does.
    expect((await desk.run('breakglass', 'review', id, '--verdict', 'justified', '--comment', 'fine', ...SAM)).exit).toBe(1);
    const reviewed = await desk.run('breakglass', 'review', id, '--verdict', 'justified', '--comment', 'the exports ran again', '--as', 'person:olga');
    expect(reviewed).toMatchObject({ exit: 0, stdout: expect.stringContaining('is reviewed: justified') as unknown });
    expect((await desk.run('verify', '--trust', trust, ledger)).exit).toBe(0);
  });

  it('is reviewed by signature where the floor asks for it, and `ssh-keygen` alone agrees', async () => {
    const { id } = await asked('--urgency', 'emergency');
    writeFileSync(join(trust, 'allowed_signers'), `person:sam ${readFileSync(`${key('sam')}.pub`, 'utf8')}person:olga namespaces="breakglass-review@countersign" ${readFileSync(`${key('olga')}.pub`, 'utf8')}`);
    requirements({ breakGlass: [{ ...NAMED, reviewProofClass: 'ssh' }] });
    await sidecar.close();
    sidecar = await start();
    expect((await use(id)).exit).toBe(0);
    const review = (...more: string[]): ReturnType<Desk['run']> => desk.run('breakglass', 'review', id, '--verdict', 'justified', '--comment', 'the exports ran again', '--as', 'person:olga', ...more);
    expect(await review()).toMatchObject({ exit: 1, stderr: expect.stringContaining('by the reviewer’s own signature') as unknown });
    expect(await review('--ssh-key', key('mallory'))).toMatchObject({ exit: 1, stderr: expect.stringContaining('not among the allowed signers') as unknown });
    expect(await review('--ssh-key', key('olga'))).toMatchObject({ exit: 0, stderr: expect.stringContaining('signing as person:olga') as unknown });
    expect((await desk.run('changes', 'why', id, ...SAM)).stdout).toContain('with a signature of their own');
    await sidecar.log.sync();
    const ledger = await readDirectory(nodeDisk(join(layout.directory, 'data')), 'ledger');
    let statement: Dsse | undefined;
    for await (const { record } of ledger.entries(0, ledger.head.size)) if (record.type === 'breakglass.reviewed' && record.change === id) statement = record.body['statement'] as unknown as Dsse;
    const { payload, signatures: [{ sig }] } = statement as Dsse & { signatures: [{ sig: string }] };
    writeFileSync(key('review.sig'), writeArmour(Buffer.from(sig, 'base64')));
    const checked = (namespace: string, input = Buffer.from(payload, 'base64')): number | null => spawnSync('ssh-keygen', ['-Y', 'verify', '-f', join(trust, 'allowed_signers'), '-I', 'person:olga', '-n', namespace, '-s', key('review.sig')], { input }).status;
    expect(checked('breakglass-review@countersign')).toBe(0);
    expect(checked('breakglass@countersign')).not.toBe(0);
    expect(checked('breakglass-review@countersign', Buffer.from('{}'))).not.toBe(0);
  });

  it('says so where the key is another’s, and where no reason is given', async () => {
    const { id } = await asked('--urgency', 'emergency');
    expect(await use(id, 'mallory')).toMatchObject({ exit: 1, stderr: expect.stringContaining('not among the allowed signers') as unknown });
    expect((await desk.run('breakglass', 'use', id, '--yes', '--ssh-key', key('sam'), ...SAM)).exit).toBe(2);
    expect(await use(id, 'sam', '--plan-digest', `sha256:${'0'.repeat(64)}`)).toMatchObject({ exit: 1, stderr: expect.stringContaining('plan-changed') as unknown });
  });
});
