import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeView, Client } from '../../src/client/index.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { reportSchema, type Dsse } from '../../src/protocol/signed.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { answerOf, GRANT, tokenOf } from '../support/sidecar.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const CALLER = 'nhi:prod/ci-deployer';
const ROTATE = { kind: 'rotate', subject: CALLER, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'by script' };
let sidecar: ServedSidecar;
let client: Client;
let desk: Desk;
let trust: string;
/** Somebody approves whatever comes, until the test is over. */
let approver: AbortController;

beforeEach(async () => {
  sidecar = await serveTestSidecar();
  client = sidecar.client(CALLER);
  trust = await sidecar.trustFolder();
  desk = openDesk().with({ env: { ...process.env, COUNTERSIGN_TOKEN: tokenOf(CALLER), COUNTERSIGN_SOCKET: sidecar.socket } });
  approver = new AbortController();
});
afterEach(async () => {
  approver.abort();
  await sidecar.close();
  desk.remove();
});

const file = (name: string, content: object): string => {
  writeFileSync(join(desk.directory, name), JSON.stringify(content));
  return name;
};
const script = (name: string, text: string): string[] => {
  writeFileSync(join(desk.directory, `${name}.mjs`), text);
  return [process.execPath, `${name}.mjs`];
};
const approveAll = async (): Promise<void> => {
  const wei = sidecar.client('person:wei');
  const seen = new Set<string>();
  while (!approver.signal.aborted) {
    for (const state of sidecar.engine.all()) {
      if (state.name !== 'pending' || seen.has(state.changeId)) continue;
      seen.add(state.changeId);
      await wei.approve(state.changeId, state.planDigest!).catch(() => undefined);
    }
    const [last] = [...sidecar.engine.all()].slice(-1);
    if (last === undefined) await new Promise((resolve) => setImmediate(resolve));
    else await sidecar.engine.changed(last.changeId, last.length, 50);
  }
};
const run = (change: object, command: readonly string[], flags: readonly string[] = ['--trust', trust]): Promise<Ran> =>
  desk.run('run', '--change', file('change.json', change), ...flags, '--', ...command);
const approved = (change: object, command: readonly string[], flags?: readonly string[]): Promise<Ran> => {
  void approveAll();
  return run(change, command, flags);
};
const only = async (): Promise<ChangeView> => {
  const { changes } = await client.list();
  expect(changes).toHaveLength(1);
  return changes[0]!;
};
/** The last report about the change, as its run signed it. */
const reported = async (id: string): Promise<unknown> => {
  const bodies = (await client.evidence(id)).records.filter(({ type }) => /^step\.(succeeded|failed|ambiguous)$/.test(type)).map(({ body }) => body['report'] as Dsse);
  return readPayload(bodies.at(-1)!, reportSchema);
};
const SAYS_ENVIRONMENT = `import { writeFileSync } from 'node:fs';
writeFileSync('environment.json', JSON.stringify({ env: process.env, argv: process.argv }));`;

describe('a change that the command makes', () => {
  it('starts it once it is approved and claimed, tells it what it is about, and records that it is done', async () => {
    const { exit, stdout, stderr } = await approved(ROTATE, script('rotate', SAYS_ENVIRONMENT));
    expect([exit, stdout], stderr).toEqual([0, '']);
    const change = await only();
    expect(change).toMatchObject({ state: 'done', mode: 'caller' });
    const { env, argv } = JSON.parse(readFileSync(join(desk.directory, 'environment.json'), 'utf8')) as { env: Record<string, string>; argv: string[] };
    expect(env).toMatchObject({
      COUNTERSIGN_CHANGE_ID: change.id, COUNTERSIGN_CLIENT_TOKEN: change.plan!.steps[0]!.clientToken, COUNTERSIGN_ACCOUNT: 'ci_deployer',
      COUNTERSIGN_CONNECTOR: 'pg-main', COUNTERSIGN_TARGET: 'app',
    });
    expect(JSON.stringify({ env, argv })).not.toContain(tokenOf(CALLER));
    expect(stderr).toContain(`${change.id} running`);
    expect(await reported(change.id)).toMatchObject({ outcome: 'done' });
  });

  it('reads its token again at each request: one of a job is good for minutes', async () => {
    writeFileSync(join(desk.directory, 'token'), tokenOf(CALLER), { mode: 0o600 });
    const late = script('late', `import { writeFileSync } from 'node:fs'; writeFileSync('token', 'cst_nobody');`);
    const { exit, stderr } = await approved(ROTATE, late, ['--trust', trust, '--token-file', 'token']);
    expect([exit, stderr]).toEqual([4, expect.stringContaining('(not-reported)') as string]);
    expect((await only()).state).toBe('executing');
  });

  it('exits as it does, and records that', async () => {
    const { exit } = await approved(ROTATE, script('rotate', 'process.exit(7)'));
    expect(exit).toBe(7);
    const change = await only();
    expect(change.state).toBe('failed');
    expect(await reported(change.id)).toMatchObject({ outcome: 'failed', code: 'exit-7', detail: null });
    expect((await desk.run('changes', 'show', change.id)).stdout).toMatch(/^ +failed +exit-7, record \d+$/m);
  });

  it.each([
    ['is not there', 127, ['./nowhere'], './nowhere is not there'],
    ['is not in the PATH', 127, ['no-such-command-anywhere'], 'not in any folder of the PATH'],
    ['may not be run', 126, ['./plain.txt'], 'next: chmod +x ./plain.txt'],
    ['is a folder', 126, ['./folder'], 'may not be run'],
  ])('that %s is %i, and nobody is asked about it', async (_what, code, command, says) => {
    writeFileSync(join(desk.directory, 'plain.txt'), 'x', { mode: 0o644 });
    mkdirSync(join(desk.directory, 'folder'));
    const { exit, stderr } = await run(ROTATE, command);
    expect(exit).toBe(code);
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^next: /m);
    expect((await client.list()).changes).toEqual([]);
  });

  it('that is no longer there when its time has come is recorded as failed', async () => {
    const path = join(desk.directory, 'fleeting');
    writeFileSync(path, '#!/bin/sh\n', { mode: 0o755 });
    const running = run(ROTATE, ['./fleeting']);
    while ([...sidecar.engine.all()].every(({ name }) => name !== 'pending')) await new Promise((resolve) => setImmediate(resolve));
    rmSync(path);
    void approveAll();
    expect((await running).exit).toBe(127);
    expect(await reported((await only()).id)).toMatchObject({ outcome: 'failed', code: 'exit-127' });
  });

  it.each([
    ['answers a signal itself', `process.on('SIGTERM', () => process.exit(42));`, 42, { outcome: 'failed', code: 'exit-42' }],
    ['is ended by a signal', '', 143, { outcome: 'ambiguous', code: 'signal-SIGTERM' }],
  ])('that %s', async (_what, trap, code, report) => {
    // It says that it runs, and is then sent the signal that countersign got.
    const command = script('rotate', `import { writeFileSync } from 'node:fs'; ${trap} setInterval(() => {}, 1000); writeFileSync('running', '');`);
    let stopped = false;
    desk = desk.with({
      onSignal(callback) {
        const look = setInterval(() => {
          if (!existsSync(join(desk.directory, 'running'))) return;
          clearInterval(look);
          callback('SIGTERM');
        }, 10);
        return () => {
          stopped = true;
          clearInterval(look);
        };
      },
    });
    const { exit } = await approved(ROTATE, command);
    expect([exit, stopped]).toEqual([code, true]);
    expect(await reported((await only()).id)).toMatchObject(report);
  });

  it('never starts it when it is denied, and says why', async () => {
    await sidecar.close();
    sidecar = await serveTestSidecar({ decide: () => answerOf('deny') });
    client = sidecar.client(CALLER);
    desk = desk.with({ env: { COUNTERSIGN_TOKEN: tokenOf(CALLER), COUNTERSIGN_SOCKET: sidecar.socket } });
    const { exit, stderr } = await run(ROTATE, script('rotate', SAYS_ENVIRONMENT), ['--trust', await sidecar.trustFolder()]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/\(denied\).*exceeds-purpose[\s\S]*The command was not run\./);
    expect(existsSync(join(desk.directory, 'environment.json'))).toBe(false);
  });

  it('never starts it when its own trust folder asks for more', async () => {
    const strict = await sidecar.trustFolder({ floors: [{ connector: '*', target: '*', privilege: '*', quorum: 2, proofClass: 'session', approvers: null, maxLeaseSeconds: null }] });
    const { exit, stderr } = await approved(ROTATE, script('rotate', SAYS_ENVIRONMENT), ['--trust', strict]);
    expect(exit).toBe(1);
    expect(stderr).toContain('(refused)');
    expect(existsSync(join(desk.directory, 'environment.json'))).toBe(false);
    expect((await only()).state).toBe('withdrawn');
  });

  it('exits 5 when nobody has decided in time, and withdraws it', async () => {
    const { exit, stderr } = await run(ROTATE, script('rotate', SAYS_ENVIRONMENT), ['--trust', trust, '--wait', 'PT1S']);
    expect(exit).toBe(5);
    expect(stderr).toContain('(still-pending)');
    expect((await only()).state).toBe('withdrawn');
    expect(existsSync(join(desk.directory, 'environment.json'))).toBe(false);
  });

  it('is given up by a signal while it waits', async () => {
    const stop = new AbortController();
    desk = desk.with({ signal: stop.signal });
    const running = run(ROTATE, script('rotate', SAYS_ENVIRONMENT));
    while ([...sidecar.engine.all()].every(({ name }) => name !== 'pending')) await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    expect((await running).exit).toBe(4);
    expect((await only()).state).toBe('withdrawn');
  });
});

describe('access that a command has while it runs', () => {
  it('is given before it and taken back after it, whatever it exits with', async () => {
    const states: string[] = [];
    const stop = sidecar.executor.armed;
    const { exit, stderr } = await approved(GRANT, script('deploy', `${SAYS_ENVIRONMENT} process.exit(3);`), []);
    expect(exit, stderr).toBe(3);
    expect(stop).toHaveLength(1);
    const { id } = await only();
    const change = await client.wait(id, { until: ({ state }) => state === 'revoked', seen: ({ state }) => states.push(state) });
    expect(change.ended).toMatchObject({ outcome: 'done' });
    expect((JSON.parse(readFileSync(join(desk.directory, 'environment.json'), 'utf8')) as { env: object }).env).toMatchObject({ COUNTERSIGN_ACCOUNT: 'ci_deployer', COUNTERSIGN_CHANGE_ID: id });
  });
});

describe('what cannot be run', () => {
  const { duration: _, ...standing } = GRANT;
  it.each<[string, object, string[], string]>([
    ['access without an end', standing, [], 'no duration'],
    ['an offboarding', { kind: 'offboard', subject: CALLER, reason: 'x' }, [], 'request -f FILE'],
    ['no kind at all', {}, [], 'says no kind of change'],
    ['a kind that is none', { kind: 'rotat' }, [], '"rotat" is no kind'],
    ['a key of somebody’s', { ...ROTATE, caller: { key: `${'A'.repeat(43)}=`, timeout: 'PT1M' } }, [], 'leave caller out'],
    ['a recipient', { ...ROTATE, recipient: `age1${'q'.repeat(58)}` }, [], 'leave recipient out'],
    ['an unknown field', { ...ROTATE, when: 'now' }, ['--trust', 'x'], 'when'],
    ['a wait that is no duration', ROTATE, ['--trust', 'x', '--wait', 'soon'], 'not a duration'],
    ['a timeout that is no duration', ROTATE, ['--trust', 'x', '--timeout', '10m'], 'not a duration'],
    ['nobody’s trust', ROTATE, [], 'give --trust'],
  ])('%s is 2, and nothing is sent', async (_what, change, flags, says) => {
    const { exit, stderr } = await run(change, ['true'], flags);
    expect(exit).toBe(2);
    expect(stderr).toContain(says);
    expect((await client.list()).changes).toEqual([]);
  });

  it('no command, and no file, are 2 and 4', async () => {
    expect((await desk.run('run', '--change', file('c.json', ROTATE), '--trust', trust)).exit).toBe(2);
    expect((await desk.run('run', '--change', 'nowhere.yaml', '--trust', trust, '--', 'true')).exit).toBe(4);
    expect((await desk.run('run', '--', 'true')).exit).toBe(2);
  });

  it('a trust folder that is none is 4', async () => {
    const { exit, stderr } = await run(ROTATE, ['true'], ['--trust', 'nowhere']);
    expect(exit).toBe(4);
    expect(stderr).toContain('trust folder cannot be believed');
    expect((await client.list()).changes).toEqual([]);
  });

  it('the help says how it exits', async () => {
    const { exit, stdout, stderr } = await desk.run('run', '--help');
    expect(exit).toBe(0);
    expect(stdout + stderr).toContain('Exits as the command does once it ran');
  });
});
