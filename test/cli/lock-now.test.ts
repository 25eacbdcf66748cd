/** `lock --now`: past a sidecar that is dead, to executors that run, with the revoker's key. The workers are real; no target is needed. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { startWorker, type RunningWorker } from '../../src/executor/main.ts';
import { lockStatementSchema } from '../../src/protocol/lock.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { CERTIFICATE, KEY, OTHER_CERTIFICATE } from '../support/door-certificate.ts';
import { EXECUTOR, trustFiles } from '../support/story.ts';
import { openDesk, type Desk } from '../support/world.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };
let desk: Desk;
let worker: RunningWorker | null = null;
const at = (...names: string[]): string => join(desk.directory, ...names);
const secret = (name: string, text: string): void => writeFileSync(at(name), `${text}\n`, { mode: 0o600 });
const skey = (name: string, seed: number): string => generateSignerKey(name, new Uint8Array(32).fill(seed)).skey;
const executors = (entry: string): void => writeFileSync(at('countersign.yaml'), `listen: {socket: nobody.sock}\ntrust: trust\nexecutors: [{id: '${EXECUTOR}', connectors: [pg-main]${entry}}]\n`);

beforeEach(() => {
  desk = openDesk();
  for (const name of ['trust', 'keys']) mkdirSync(at(name));
  for (const [name, text] of Object.entries(trustFiles())) writeFileSync(at('trust', name), text);
  secret('executor.key', skey(EXECUTOR, 3));
  secret('keys/revoker.key', skey('person:sam', 5));
  secret('stranger.key', skey('person:sam', 9));
  secret('fingerprint.key', Buffer.alloc(32, 1).toString('base64'));
  secret('password', 'hunter2');
  secret('door.key', KEY);
  writeFileSync(at('door.crt'), CERTIFICATE);
  writeFileSync(at('other.crt'), OTHER_CERTIFICATE);
  writeFileSync(at('executor.yaml'), [
    `id: ${EXECUTOR}`, 'socket: s', 'key: executor.key', 'trust: trust', 'state: state', 'fingerprintKey: fingerprint.key', 'door: {port: 0, certFile: door.crt, keyFile: door.key}',
    'connectors:', '  pg-main: { kind: postgres, host: 127.0.0.1, port: 1, database: app, user: countersign, passwordFile: password }', '',
  ].join('\n'));
  executors(', socket: s');
});
afterEach(async () => {
  await worker?.close();
  worker = null;
  desk.remove();
});
const start = async (): Promise<string> => {
  worker = await startWorker(at('executor.yaml'), QUIET);
  return worker.door!;
};
const book = (): string => readFileSync(at('state', 'lease-book'), 'utf8');
const set = (...more: string[]): ReturnType<Desk['run']> => desk.run('lock', 'set', '--nhi', 'nhi:prod/deployer', '--reason', 'a leak', '--now', ...more);

describe('lock --now', () => {
  it('is held by the executor of the configuration once it says so, and lifted by the same key', async () => {
    await start();
    const locked = await set();
    expect([locked.exit, locked.stdout], locked.stderr).toEqual([0, expect.stringMatching(/^lck_\S+ set at executor:main\n$/)]);
    expect(book()).toContain('"t":"lock"');
    const lockId = locked.stdout.split(' ')[0]!;
    const lifted = await desk.run('lock', 'lift', lockId, '--reason', 'enough', '--now');
    expect([lifted.exit, lifted.stdout], lifted.stderr).toEqual([0, `${lockId} lifted at executor:main\n`]);
  });

  it('goes to the door where nobody is at the socket, and to one that is named', async () => {
    const door = await start();
    executors(`, socket: gone.sock, url: '${door}', caFile: door.crt`);
    expect((await set()).exit).toBe(0);
    expect((await set('--executor', door, '--ca-file', 'door.crt')).exit).toBe(0);
  });

  it.each<[string, (door: string) => string[], number, string]>([
    ['another certificate', (door) => ['--executor', door, '--ca-file', 'other.crt'], 4, 'unreachable'],
    ['nobody there', () => ['--executor', 'https://127.0.0.1:1', '--ca-file', 'door.crt'], 4, 'unreachable'],
    ['no such socket', () => ['--executor', 'gone.sock'], 4, 'unreachable'],
    ['a key that the floor does not have', () => ['--key', 'stranger.key'], 1, 'rejected'],
  ])('says that it is not held: %s', async (_what, args, exit, outcome) => {
    const ran = await set(...args(await start()));
    expect([ran.exit, ran.stdout]).toEqual([exit, expect.stringContaining(` ${outcome} at `)]);
    expect(book()).not.toContain('"t":"lock"');
  });

  it.each<[string, string[]]>([
    ['no scope', ['lock', 'set', '--reason', 'x', '--now']],
    ['a name that is none', ['lock', 'set', '--nhi', 'bob', '--reason', 'x', '--now']],
    ['an id that is none', ['lock', 'lift', 'lck_1', '--reason', 'x', '--now']],
    ['--write without --now', ['lock', 'set', '--connector', 'pg-main', '--reason', 'x', '--write', 'lock.dsse']],
    ['an address that is no door', ['lock', 'set', '--connector', 'pg-main', '--reason', 'x', '--now', '--executor', 'http://executor.example:80']],
    ['no key', ['lock', 'set', '--connector', 'pg-main', '--reason', 'x', '--now', '--key', 'door.crt']],
  ])('does nothing with %s', async (_what, argv) => {
    const { exit } = await desk.run(...argv);
    expect([2, 4]).toContain(exit);
  });

  it('says so where no executor is configured', async () => {
    writeFileSync(at('countersign.yaml'), 'listen: {socket: nobody.sock}\nexecutors: []\n');
    const ran = await set();
    expect([ran.exit, ran.stderr]).toEqual([2, expect.stringContaining('(no-executor)')]);
  });

  it('is written down to be carried, and nothing is sent', async () => {
    await start();
    const ran = await set('--write', 'lock.dsse');
    expect(ran.exit).toBe(0);
    const statement = readPayload(JSON.parse(readFileSync(at('lock.dsse'), 'utf8')) as Dsse, lockStatementSchema);
    expect(statement).toMatchObject({ op: 'set', log: null, nhi: 'nhi:prod/deployer', connector: null, by: 'person:sam', reason: 'a leak' });
    expect(book()).not.toContain('"t":"lock"');
    const applied = await desk.run('worker', 'apply', 'lock.dsse', '--config', 'executor.yaml');
    expect([applied.exit, applied.stdout], applied.stderr).toEqual([0, `${statement.lockId} set at executor:main\n`]);
    expect(book()).toContain('"t":"lock"');
  });
});
