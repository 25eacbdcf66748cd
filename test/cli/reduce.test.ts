/** `countersign reduce` against a real sidecar with the policy as it is shipped; only the executor behind it is played. */
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

const json = (ran: Ran): ChangeView => JSON.parse(ran.stdout) as ChangeView;
const NIGHTLY = ['--entitlement', 'pg-main/app/table:public.orders:SELECT', '--entitlement', 'pg-main/app/table:public.invoices:SELECT'];
const ask = async (): Promise<ChangeView> => json(await desk.run(
  'request', '--kind', 'provision', '--subject', 'nhi:prod/billing-export', '--purpose', 'nightly-billing', ...NIGHTLY, '--reason', 'tonight', '--duration', 'PT45M', '--recipient', `age1${'q'.repeat(58)}`, '--as', 'nhi:prod/billing-export', '--json',
));
const reduce = (id: string, ...more: string[]): Promise<Ran> => desk.run('reduce', id, '--as', 'person:ana', ...more);

describe('reduce', () => {
  it('makes the change less, shows what is left and who did it, and leaves it to be approved', async () => {
    const change = await ask();
    expect(change.state).toBe('pending');
    const ran = await reduce(change.id, '--duration', 'PT15M', '--without', 'pg-main/app/table:public.invoices:SELECT', '--yes', '--json');
    expect(ran.exit, ran.stderr).toBe(0);
    const reduced = json(ran);
    expect(reduced).toMatchObject({ state: 'pending', revision: 2, duration: 'PT15M', reduced: { by: 'person:ana', revision: 1 }, plan: { steps: [{ privileges: ['table:public.orders:SELECT'] }] } });
    const shown = await desk.run('changes', 'show', change.id, '--as', 'person:ana');
    expect(shown.stdout).toMatch(/reduced +by person:ana at \S+, from revision 1/);
    expect((await desk.run('changes', 'why', change.id, '--as', 'person:ana')).stdout).toContain('person:ana, who is asked to approve it, reduced the request, which is now revision 2');
    expect((await desk.run('approve', change.id, '--plan-digest', change.planDigest!, '--as', 'person:ana')).exit).toBe(1);
    expect((await desk.run('approve', change.id, '--plan-digest', reduced.planDigest!, '--as', 'person:ana')).exit).toBe(0);
  });

  it('is for what waits for her, which the list says', async () => {
    const change = await ask();
    const mine = async (by: string): Promise<string> => (await desk.run('changes', 'list', '--waiting-for-me', '--as', by)).stdout;
    expect(await mine('person:ana')).toContain(change.id);
    expect((await desk.run('approve', change.id, '--plan-digest', change.planDigest!, '--as', 'person:ana')).exit).toBe(0);
    expect(await mine('person:ana')).not.toContain(change.id);
    expect(await mine('nhi:prod/billing-export')).toBe('');
  });

  it('asks first, and takes nothing off for anything but a yes', async () => {
    const change = await ask();
    const at = desk.with({ interactive: true, ask: () => Promise.resolve('n') });
    const ran = await at.run('reduce', change.id, '--as', 'person:ana', '--duration', 'PT15M');
    expect(ran.exit).toBe(1);
    expect(ran.stderr).toContain('for PT15M instead of PT45M');
    expect(json(await desk.run('changes', 'show', change.id, '--as', 'person:ana', '--json'))).toMatchObject({ revision: 1, duration: 'PT45M' });
  });

  it('says what is wrong with what was typed, and changes nothing', async () => {
    const change = await ask();
    for (const [flags, exit, said] of [
      [['--yes'], 2, 'nothing says what to take off'], [['--yes', '--duration', 'an hour'], 2, 'is not a duration'], [['--yes', '--without', 'pg-main/app/role:deploy'], 2, 'is not among'],
      [['--yes', '--duration', 'PT2H'], 1, 'not-a-reduction'], [['--duration', 'PT15M', '--plan-digest', `sha256:${'0'.repeat(64)}`], 1, 'plan-changed'], [['--duration', 'PT15M'], 2, 'nobody is there'],
    ] as const) {
      const ran = await reduce(change.id, ...flags);
      expect([ran.exit, ran.stderr.includes(said)], ran.stderr).toEqual([exit, true]);
    }
    expect(json(await desk.run('changes', 'show', change.id, '--as', 'person:ana', '--json'))).toMatchObject({ revision: 1, duration: 'PT45M' });
  });
});
