/** `countersign extend` against a real sidecar with the policy as it is shipped; only the executor behind it is played. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { layOutExample } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let desk: Desk;
let sidecar: Sidecar;
beforeAll(async () => {
  desk = openDesk();
  const layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
  const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
  const { config } = await loadConfig({ path: layout.config });
  sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
  desk = desk.with({ cwd: layout.directory });
});
afterAll(async () => {
  await sidecar.close();
  desk.remove();
});

const CALLER = ['--as', 'nhi:prod/ci-deployer'];
const json = (ran: Ran): ChangeView => JSON.parse(ran.stdout) as ChangeView;
const approve = (change: ChangeView): Promise<Ran> => desk.run('approve', change.id, '--plan-digest', change.planDigest!, '--as', 'person:wei');
const extend = (id: string, ...more: string[]): Promise<Ran> => desk.run('extend', id, '--reason', 'it takes longer', ...CALLER, '--json', ...more);
let granted = 0;
const active = async (duration: string): Promise<ChangeView> => {
  const flags = ['--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--reason', 'deploy 42', '--duration', duration];
  const key = ['--idempotency-key', `grant-${granted += 1}`];
  const asked = json(await desk.run('request', ...flags, ...CALLER, ...key, '--json'));
  expect((await approve(asked)).exit).toBe(0);
  return json(await desk.run('request', ...flags, ...CALLER, ...key, '--json', '--wait=PT20S'));
};

describe('extend', () => {
  it('asks for a later end, shows who is to approve, and exits 0 once it is done', async () => {
    const change = await active('PT10M');
    const pending = json(await extend(change.id, '--duration', 'PT25M', '--idempotency-key', 'longer'));
    expect(pending).toMatchObject({ kind: 'extend', state: 'pending', extends: { change: change.id, endsAt: null } });
    expect((await extend(change.id, '--duration', 'PT25M', '--idempotency-key', 'longer', '--wait', 'PT1S')).exit).toBe(5);
    const waiting = extend(change.id, '--duration', 'PT25M', '--idempotency-key', 'longer', '--wait=PT20S');
    expect((await approve(pending)).exit).toBe(0);
    const ran = await waiting;
    expect([ran.exit, json(ran).state]).toEqual([0, 'done']);
    const shown = await desk.run('changes', 'show', change.id, ...CALLER, '--json');
    expect(json(shown).lease?.endsAt).toBe(json(ran).extends?.endsAt);
    const told = await desk.run('changes', 'show', pending.id, ...CALLER);
    expect(told.stdout).toMatch(new RegExp(`extends +the lease of ${change.id}, to 20`));
    expect((await desk.run('changes', 'why', change.id, ...CALLER)).stdout).toContain(`by ${pending.id}.`);
  });

  it('exits 1 where policy denies it: for longer than a grant may be, and to no later end', async () => {
    const change = await active('PT20M');
    const tooLong = await extend(change.id, '--duration', 'P2D', '--wait');
    expect([tooLong.exit, json(tooLong).decision?.reasons.map(({ code }) => code)]).toEqual([1, ['lease-too-long']]);
    const sooner = await extend(change.id, '--duration', 'PT5M', '--wait');
    expect([sooner.exit, json(sooner).decision?.reasons.map(({ code }) => code)]).toEqual([1, ['end-not-later']]);
  });

  it('says what is wrong with what was typed, and sends nothing', async () => {
    const change = await active('PT10M');
    for (const [flags, said] of [[['--duration', 'an hour'], '--duration takes a duration'], [['--duration', 'PT1H', '--ends-by', 'tomorrow'], '--ends-by takes a time'], [['--duration', 'PT1H', '--wait', 'soon'], '--wait takes a duration']] as const) {
      const { exit, stderr } = await desk.run('extend', change.id, '--reason', 'r', ...CALLER, ...flags);
      expect([exit, stderr.includes(said)], stderr).toEqual([2, true]);
    }
    expect((await desk.run('extend', change.id, '--duration', 'PT1H', ...CALLER)).exit).toBe(2);
  });

  it('exits 1 for what cannot be extended', async () => {
    const change = await active('PT10M');
    expect((await desk.run('revoke', '--change', change.id, '--as', 'person:wei')).exit).toBe(0);
    const { exit, stdout, stderr } = await extend(change.id, '--duration', 'PT1H');
    expect(exit).toBe(1);
    expect(stdout + stderr).toContain('not-extendable');
  });
});
