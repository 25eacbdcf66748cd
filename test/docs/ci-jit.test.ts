/** The job of `examples/ci-jit` by its shell, with a `countersign` that only says what it is told: what becomes of the job's token, and of a job that is cancelled. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { until } from '../../examples/demo/check.ts';
import { serveTokenEndpoint, stepsOf, type TokenEndpoint, type Workflow } from '../e2e/support/github-job.ts';
import { ROOT, textOf } from '../support/fences.ts';
import { issuerKey } from '../support/token-issuer.ts';

/** Works until it is told to stop, and needs the token once more then. */
const WAITING = `#!/bin/sh
trap 'cp "$COUNTERSIGN_TOKEN_FILE" "$OUT/given-back"; exit 4' TERM
touch "$OUT/begun"
while test -d "$OUT"; do sleep 0.05; done
`;

describe('a job of GitHub Actions', () => {
  let directory: string;
  let endpoint: TokenEndpoint;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cs-job-'));
    for (const name of ['bin', 'temp', 'out']) mkdirSync(join(directory, name));
    endpoint = await serveTokenEndpoint(await issuerKey('github-1', 'RS256'), () => ({}));
  });
  afterEach(() => {
    endpoint.close();
    rmSync(directory, { recursive: true, force: true });
  });

  function start(countersign: string): { readonly kill: (signal: NodeJS.Signals) => void; readonly exit: Promise<number | null> } {
    writeFileSync(join(directory, 'bin/countersign'), countersign, { mode: 0o755 });
    const workflow = parse(textOf('examples/ci-jit/github-actions.yaml')) as Workflow;
    const [step] = stepsOf(workflow, { root: ROOT, repository: 'acme/orders', version: '1', temp: join(directory, 'temp'), endpoint });
    const [shell, ...args] = step!.command;
    const child = spawn(shell, args, { cwd: step!.cwd, env: { ...step!.env, PATH: [join(directory, 'bin'), process.env['PATH']].join(delimiter), OUT: join(directory, 'out'), TOKEN_SECONDS: '0.05' }, stdio: 'ignore' });
    return { kill: (signal) => void child.kill(signal), exit: new Promise((resolve) => child.once('exit', resolve)) };
  }

  it.each(['SIGINT', 'SIGTERM'] as const)('that is cancelled (%s to its shell alone) has its change told so, while there is a token', async (signal) => {
    const { kill, exit } = start(WAITING);
    await until('it runs', () => (existsSync(join(directory, 'out/begun')) ? true : undefined), { timeoutMs: 20_000, everyMs: 10 });
    kill(signal);
    expect(await exit).not.toBe(0);
    expect(readFileSync(join(directory, 'out/given-back'), 'utf8')).toMatch(/^ey[\w.-]+$/m);
  });

  it('exits as countersign does, and leaves no token behind', async () => {
    const { exit } = start('#!/bin/sh\nwhile test -d "$OUT" && ! test -e "$OUT/decided"; do sleep 0.05; done; exit 5\n');
    await until('it has the next token', () => (endpoint.issued() > 1 ? true : undefined), { timeoutMs: 20_000, everyMs: 10 });
    writeFileSync(join(directory, 'out/decided'), '');
    expect(await exit).toBe(5);
    expect(readdirSync(join(directory, 'temp'))).toEqual([]);
  });
});
