/** A connector of one's own, as somebody outside writes it: from the scaffold, against the built package, through its doors alone. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../examples/demo/processes.ts';
import { connectorConfigSchema } from '../../src/executor/config.ts';
import { openConnector } from '../../src/executor/registry.ts';
import { countersign } from './support/bench.ts';
import { ADAPTER, CONNECTOR, WORKER } from './support/filled-connector.ts';

const root = packageRoot(import.meta.dirname);

interface Ran {
  readonly exitCode: number;
  readonly output: string;
}

// The compiler takes its time on a busy machine.
describe('a connector of one’s own', { timeout: 300_000 }, () => {
  let directory: string;
  beforeAll(async () => {
    if (!existsSync(join(root, 'dist', 'src', 'executor', 'index.js'))) throw new Error('this test uses the built package: npm run build');
    directory = mkdtempSync(join(tmpdir(), 'countersign-scaffold-'));
    expect(await countersign(['connector', 'new', 'our-crm', '--out', join(directory, 'our-crm')])).toMatchObject({ exitCode: 0 });
    // As `npm install` leaves it.
    mkdirSync(at('node_modules', '@types'), { recursive: true });
    symlinkSync(root, at('node_modules', 'countersign'));
    symlinkSync(join(root, 'node_modules', '@types', 'node'), at('node_modules', '@types', 'node'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const at = (...names: string[]): string => join(directory, 'our-crm', ...names);
  const run = (program: string, ...args: string[]): Promise<Ran> => new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { cwd: at(), timeout: 200_000, maxBuffer: 32 * 1024 * 1024, env: { PATH: process.env['PATH'] ?? '', TARGET: directory } }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, output: `${stdout}${stderr}` });
    });
  });
  const compile = (): Promise<Ran> => run(join(root, 'node_modules', 'typescript', 'bin', 'tsc'));
  const kit = (): Promise<Ran> => run('--test', '--test-reporter=tap', 'dist/connector.test.js');

  test('compiles as it was made, fails its kit until it is written, and passes it then', async () => {
    expect(await compile()).toEqual({ exitCode: 0, output: '' });
    const empty = await kit();
    expect(empty.exitCode).toBe(1);
    expect(empty.output).toMatch(/^# fail [1-9]/m);
    expect(empty.output).toContain('is not written yet');
    expect(empty.output).not.toMatch(/^ok .* provision: makes what the secret opens/m);

    writeFileSync(at('connector.ts'), CONNECTOR);
    writeFileSync(at('adapter.ts'), ADAPTER);
    expect(await compile()).toEqual({ exitCode: 0, output: '' });
    const filled = await kit();
    expect(filled.output).toMatch(/^# fail 0$/m);
    expect(filled.exitCode).toBe(0);
    expect(Number(/^# pass (\d+)$/m.exec(filled.output)![1])).toBeGreaterThan(40);

    // And the executor loads it as its configuration says.
    const loaded = await openConnector('our-crm', connectorConfigSchema.parse({ kind: 'module', file: at('dist', 'connector.js'), options: { directory } }));
    expect(loaded.describe('provision')).toMatchObject({ expiry: 'external' });
    await expect(loaded.probe({ action: 'provision', target: 'elsewhere', account: 'a', privileges: [], clientToken: 'cs_00000000000000000000000000' }, AbortSignal.timeout(5_000))).rejects.toMatchObject({ kind: 'rejected' });
    await loaded.close();
  });

  test('runs in a worker of one’s own, through the door of the package', async () => {
    writeFileSync(at('connector.ts'), CONNECTOR);
    writeFileSync(at('adapter.ts'), ADAPTER);
    writeFileSync(at('worker.ts'), WORKER);
    expect(await compile()).toEqual({ exitCode: 0, output: '' });
    const { exitCode, output } = await run('dist/worker.js');
    expect(output).toContain('"healthy":true');
    expect(JSON.parse(output)).toEqual({ healthy: true, refused: 'ProtocolError', isTargetError: true });
    expect(exitCode).toBe(0);
  });
});
