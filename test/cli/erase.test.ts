/** `erase`, `policy sign` and what `verify` says of both, in an installation as `init` lays it out. Only the executor is played. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { hashToken, newToken } from '../../src/identity/tokens.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let desk: Desk;
let layout: Layout;
let sidecar: Sidecar;
let change: string;

async function start(): Promise<Sidecar> {
  const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
  const { config } = await loadConfig({ path: layout.config });
  return startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
}

beforeAll(async () => {
  desk = openDesk();
  layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
  const tokens = join(layout.directory, 'tokens.json');
  const token = newToken(systemRandom);
  const entries = JSON.parse(readFileSync(tokens, 'utf8')) as unknown[];
  writeFileSync(tokens, JSON.stringify([...entries, { principal: 'person:vera', roles: ['eraser'], tokenSha256: hashToken(token) }]));
  writeFileSync(join(layout.directory, 'vera.token'), token, { mode: 0o600 });
  sidecar = await start();
  desk = desk.with({ cwd: layout.directory });
  const ran = await desk.run('request', '--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:app_owner', '--reason', 'too much', '--duration', 'PT15M', '--as', 'nhi:prod/ci-deployer', '--json');
  change = (JSON.parse(ran.stdout) as { id: string }).id;
  await sidecar.log.sync();
});
afterAll(async () => {
  await sidecar.close();
  desk.remove();
});

const erase = (...argv: string[]): Promise<Ran> => desk.run('erase', '--token-file', 'vera.token', ...argv);
const verify = (...argv: string[]): Promise<Ran> => desk.run('verify', 'data', '--trust', 'trust', ...argv);

describe('a new installation', () => {
  it('has its policy signed, and REPLAY holds and may be required', async () => {
    const ran = await verify('--require', 'INTEGRITY,SIGNATURE,COMPLETENESS,WORKFLOW,REPLAY');
    expect(ran.stdout).toMatch(/✓ REPLAY +holds +1 decision came out the same\n/);
    expect(ran.exit).toBe(0);
  });

  it('is not asked for it with --no-replay, and then it cannot be required', async () => {
    const ran = await verify('--no-replay', '--require', 'REPLAY');
    expect(ran.stdout).toMatch(/– REPLAY +not established +not asked/);
    expect(ran.exit).toBe(3);
  });
});

describe('erase', () => {
  it.each<[string, string[]]>([
    ['nothing', []], ['two things', ['--object', `sha256:${'0'.repeat(64)}`, '--change', 'chg_0123456789abcdef_00000000000000000000000000']], ['kinds of nothing', ['--kinds', 'plan', '--object', `sha256:${'0'.repeat(64)}`]],
    ['what is no digest', ['--object', 'sha256:0']], ['a kind that is none', ['--change', 'x', '--kinds', 'request']], ['policy', ['--change', 'x', '--kinds', 'bundle']],
  ])('is not told of %s', async (_what, argv) => {
    expect((await erase('--basis', 'case 17', ...argv)).exit).toBe(2);
  });

  it('without a basis is not done', async () => {
    expect((await erase('--change', change)).exit).toBe(2);
  });

  it('says what is gone and under which record, and so does verify', async () => {
    const ran = await erase('--change', change, '--kinds', 'policyInput', '--basis', 'case 17');
    expect(ran.exit).toBe(0);
    const [, seq] = /^erased under +seq (\d+) +policyInput +sha256:[0-9a-f]{64} +chg_/m.exec(ran.stdout)!;
    const again = await erase('--change', change, '--kinds', 'policyInput', '--basis', 'case 17');
    expect([again.exit, again.stderr]).toEqual([0, expect.stringContaining('all of it was erased before')]);
    await sidecar.log.sync();

    const verified = await verify();
    expect(verified.stdout).toContain(`erased   policyInput of ${change} (record`);
    expect(verified.stdout).toContain(`): erased under seq ${seq}\n`);
    expect(verified.stdout).toMatch(/INTEGRITY +holds .*1 of them erased on record/);
    expect(verified.stdout).toMatch(new RegExp(`– REPLAY +not established +0 of 1 decisions came out the same; 1: input erased under seq ${seq}`));
    expect(verified.exit).toBe(0);
    const { erased, objects, replay } = JSON.parse((await verify('--json')).stdout) as { erased: unknown[]; objects: { erased: number }; replay: { unreplayed: unknown[] } };
    expect(erased).toEqual([{ change, digest: expect.stringMatching(/^sha256:/) as string, kind: 'policyInput', namedBy: expect.any(Number) as number, seq: Number(seq) }]);
    expect(objects.erased).toBe(1);
    expect(replay.unreplayed).toEqual([{ why: 'erased', count: 1, message: `input erased under seq ${seq}` }]);
  });
});

describe('policy sign', () => {
  it('replaces a signature, and says whose it is', async () => {
    const ran = await desk.run('policy', 'sign', '--key', 'keys/policy.key', '--revision', 'release 2', '--json');
    expect(ran.exit).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({ bundle: sidecar.engine.troubles().length === 0 ? (expect.stringMatching(/^sha256:/) as string) : '', signer: layout.vkeys.policy });
    const { payload } = JSON.parse(readFileSync(join(layout.directory, 'policy/bundle.sig.json'), 'utf8')) as { payload: string };
    expect(JSON.parse(Buffer.from(payload, 'base64').toString('utf8'))).toMatchObject({ v: 1, revision: 'release 2' });
  });

  it.each<[string, string[], number]>([
    ['a key that is none', ['--key', 'trust.policy', 'policy'], 4], ['no key', [], 2], ['no bundle', ['--key', 'keys/policy.key', 'facts'], 4],
  ])('does nothing with %s', async (_what, argv, exit) => {
    expect((await desk.run('policy', 'sign', ...argv)).exit).toBe(exit);
  });

  it('by a stranger leaves the sidecar without a policy, giving nothing and saying why', async () => {
    await desk.run('keygen', 'policy', '--name', 'stranger', '--out', 'stranger.key');
    await desk.run('policy', 'sign', '--key', 'stranger.key');
    await sidecar.close();
    sidecar = await start();
    expect(sidecar.engine.troubles()).toEqual([{ check: 'policy', message: expect.stringContaining('no policy bundle') as string }]);
    const ran = await desk.run('doctor', '--json');
    const { checks } = JSON.parse(ran.stdout) as { checks: { name: string; status: string; message: string }[] };
    expect(JSON.stringify(checks)).toContain('no policy signer of the trust folder has signed bundle');
    rmSync(join(layout.directory, 'policy/bundle.sig.json'));
  });
});
