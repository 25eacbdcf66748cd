import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import { layOutExample } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { movedClock } from '../support/moved-clock.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk } from '../support/world.ts';

const clock = movedClock();
let desk: Desk;
let sidecar: Sidecar;
beforeAll(async () => {
  desk = openDesk();
  const layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
  const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => clock.nowMs());
  const { config } = await loadConfig({ path: layout.config });
  sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor, clock });
  desk = desk.with({ cwd: layout.directory, nowMs: () => clock.nowMs() });
});
afterAll(async () => {
  await sidecar.close();
  desk.remove();
});

it('a change says who is told as well and when, that they were told, and that who may approve has not changed', async () => {
  const asked = await desk.run('request', '--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy',
    '--reason', 'deploy 42', '--duration', 'PT10M', '--as', 'nhi:prod/ci-deployer', '--json');
  const { id, escalation } = JSON.parse(asked.stdout) as ChangeView;
  const { to, dueAt } = escalation!;
  const run = async (...argv: string[]): Promise<string> => (await desk.run('changes', ...argv, id, '--as', 'person:wei')).stdout;
  expect(to).toEqual(['person:ben', 'person:sam']);
  expect(await run('show')).toMatch(new RegExp(`^ +escalates +${dueAt} \\(in [^)]+\\): then person:ben, person:sam told as well$`, 'm'));
  clock.move(4 * 3_600_000);
  await vi.waitFor(() => expect(sidecar.engine.get(id)?.escalated).not.toBeNull(), { timeout: 10_000 });
  const shown = await run('show');
  expect(shown).toMatch(new RegExp(`^${id} {2}pending$`, 'm'));
  expect(shown).toMatch(/^ +escalated +person:ben, person:sam told at \S+; who may approve has not changed$/m);
  expect(await run('why')).toContain(`It still waited for approvals at ${dueAt}: person:ben, person:sam are told as well. Who may approve has not changed.`);
  clock.move(20 * 3_600_000);
  await vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe('expired'), { timeout: 10_000 });
  expect(await run('show')).toContain('escalated');
});
