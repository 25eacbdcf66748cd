/** `countersign policy approve --ssh-key` with the real `ssh-keygen`, against a sidecar whose floor asks for it; and what `ssh-keygen` and an auditor make of the record. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner, type LedgerRecord } from '../../ledger/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { proposalRecordBodies } from '../../src/evidence/proposals.ts';
import { PROPOSAL_NAMESPACE } from '../../src/protocol/activation-proof.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { lyingSidecar } from '../support/lying-sidecar.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk } from '../support/world.ts';

const hasSshKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;
const WEI = ['--as', 'person:wei'];

describe.skipIf(!hasSshKeygen)('countersign policy approve --ssh-key', () => {
  let desk: Desk;
  let layout: Layout;
  let sidecar: Sidecar;
  let trust: string;
  let socket: string;
  let digest: string;
  beforeAll(async () => {
    desk = openDesk();
    layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
    desk = desk.with({ cwd: layout.directory });
    const { config } = await loadConfig({ path: layout.config });
    trust = config.trust;
    for (const name of ['wei', 'mallory']) spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(layout.directory, name)]);
    writeFileSync(join(trust, 'allowed_signers'), `person:wei namespaces="approval@countersign,policy-approval@countersign" ${readFileSync(join(layout.directory, 'wei.pub'), 'utf8')}`);
    const requirements = JSON.parse(readFileSync(join(trust, 'requirements.json'), 'utf8')) as object;
    writeFileSync(join(trust, 'requirements.json'), JSON.stringify({ ...requirements, policyActivation: { quorum: 1, approvers: ['person:wei'], proofClass: 'ssh' } }));
    const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
    sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
    socket = config.listen.socket!;
    digest = sidecar.engine.proposals().proposal!.bundle;
  });
  afterAll(async () => {
    await sidecar.close();
    desk.remove();
  });
  const approve = (key: string, ...more: string[]): ReturnType<Desk['run']> => desk.run('policy', 'approve', digest, '--ssh-key', join(layout.directory, key), ...WEI, ...more);

  it('has a session refused, and says what is missing', async () => {
    const { exit, stderr } = await desk.run('policy', 'approve', digest, ...WEI);
    expect(exit).toBe(1);
    expect(stderr).toContain('proof-too-weak');
    expect(stderr).toContain(`countersign policy approve ${digest} --ssh-key`);
  });

  it.each<[string, (path: string, body: string) => string]>([
    ['another bundle', (path, body) => (path.includes('/statement') ? body.replace(/"bundle":"sha256:[0-9a-f]{64}"/, `"bundle":"sha256:${'0'.repeat(64)}"`) : body)],
    ['longer than it need be', (path, body) => (path.includes('/statement') ? body.replace(/"expiresAt":"[^"]+"/, '"expiresAt":"9999-01-01T00:00:00.000Z"') : body)],
    ['what has other files than are shown', (path, body) => (path.includes('/statement') ? body : body.replace(/"path":"policy.wasm","digest":"sha256:[0-9a-f]{64}"/, `"path":"policy.wasm","digest":"sha256:${'0'.repeat(64)}"`))],
  ])('does not sign %s', async (_what, change) => {
    const lying = await lyingSidecar(socket, change);
    try {
      const { exit, stderr } = await approve('wei', '--url', lying.url);
      expect(exit).toBe(1);
      expect(stderr).toContain('Nothing was signed');
    } finally {
      lying.close();
    }
  });

  it('says so where the key is another’s, or none', async () => {
    const other = await approve('mallory');
    expect(other).toMatchObject({ exit: 1 });
    expect(other.stderr).toContain('not among the allowed signers');
    expect(await approve('nobody')).toMatchObject({ exit: 4 });
  });

  it('signs the bundle that is named: ssh-keygen verifies the record, and an auditor who has her key believes it', async () => {
    const { exit, stdout, stderr } = await approve('wei');
    expect(stderr).toContain('signing as person:wei');
    expect([exit, stdout]).toEqual([0, `approved ${digest}\nit has come into force\n`]);
    expect((await desk.run('policy', 'proposed', ...WEI)).stdout).toContain('approved by person:wei, proven by ssh');
    await sidecar.log.sync();
    const ledger = join(layout.directory, 'data', 'ledger');
    expect((await desk.run('verify', '--trust', trust, ledger)).exit).toBe(0);

    const records: LedgerRecord[] = [];
    for await (const { record } of sidecar.log.entries(0)) records.push(record);
    const { approval: { envelope } } = proposalRecordBodies['proposal.approved'].parse(records.find(({ type }) => type === 'proposal.approved')!.body);
    const signature = join(layout.directory, 'statement.sig');
    writeFileSync(signature, writeArmour(Buffer.from(envelope.signatures[0]!.sig, 'base64')));
    const checked = (input: Uint8Array): number | null => spawnSync('ssh-keygen', ['-Y', 'verify', '-f', join(trust, 'allowed_signers'), '-I', 'person:wei', '-n', PROPOSAL_NAMESPACE, '-s', signature], { input }).status;
    const statement = Buffer.from(envelope.payload, 'base64');
    expect(checked(statement)).toBe(0);
    expect(checked(Buffer.from(statement.toString().replace('approve"', 'reject"')))).not.toBe(0);

    // Without her key, nobody has let it.
    writeFileSync(join(trust, 'allowed_signers'), `person:wei ${readFileSync(join(layout.directory, 'mallory.pub'), 'utf8')}`);
    const without = await desk.run('verify', '--trust', trust, ledger);
    expect(without.exit).toBe(1);
    expect(without.stdout).toContain('activation-unapproved');
  });
});
