import { Decrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { chmod, lstat, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { generateSignerKey } from '../../ledger/index.ts';
import { startWorker } from '../../src/executor/main.ts';
import { sealSecret } from '../../src/executor/seal.ts';
import { CERTIFICATE, KEY } from '../support/door-certificate.ts';
import { EXECUTOR, trustFiles } from '../support/story.ts';

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
/** The executor's key of the story's trust folder. */
const { skey } = generateSignerKey(EXECUTOR, new Uint8Array(32).fill(3));

const CONFIG = `
id: executor:main
socket: s
key: executor.key
trust: trust
state: state
fingerprintKey: fingerprint.key
connectors:
  pg-main: { kind: postgres, host: 127.0.0.1, port: 1, database: app, user: countersign, passwordFile: password }
`;

describe('an executor that is started from its configuration', () => {
  let directory: string;
  const at = (name: string): string => join(directory, name);
  const secret = (name: string, text: string): Promise<void> => writeFile(at(name), text, { mode: 0o600 });
  const door = async (settings: string, mode = 0o600): Promise<void> => {
    await writeFile(at('door.key'), KEY, { mode });
    await writeFile(at('door.crt'), CERTIFICATE);
    await writeFile(at('executor.yaml'), `${CONFIG}door: ${settings}\n`);
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'countersign-executor-'));
    await mkdir(at('trust'));
    for (const [name, text] of Object.entries(trustFiles())) await writeFile(join(at('trust'), name), text);
    await writeFile(at('executor.yaml'), CONFIG);
    await secret('executor.key', `${skey}\n`);
    await secret('fingerprint.key', `${Buffer.alloc(32, 1).toString('base64')}\n`);
    await secret('password', 'hunter2\n');
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('listens where only its owner can connect, keeps its state to itself, and leaves nothing locked behind', async () => {
    const worker = await startWorker(at('executor.yaml'), logger);
    expect(worker.healthy).toBe(true);
    expect((await lstat(at('s'))).mode & 0o777).toBe(0o600);
    expect((await lstat(at('state'))).mode & 0o777).toBe(0o700);
    expect(await readFile(join(at('state'), 'pid'), 'utf8')).toBe(`${process.pid}\n`);
    await worker.close();
    await (await startWorker(at('executor.yaml'), logger)).close();
  });

  test('takes orders by HTTPS where it is told to, and nowhere else', async () => {
    const shut = await startWorker(at('executor.yaml'), logger);
    expect(shut.door).toBeNull();
    await shut.close();
    await secret('door.key', KEY);
    await writeFile(at('door.crt'), CERTIFICATE);
    await writeFile(at('executor.yaml'), `${CONFIG}door: { port: 0, certFile: door.crt, keyFile: door.key }\n`);
    const worker = await startWorker(at('executor.yaml'), logger);
    expect(worker.door).toMatch(/^https:\/\/127\.0\.0\.1:[0-9]+$/);
    await worker.close();
    await (await startWorker(at('executor.yaml'), logger)).close();
  });

  test('tells how it does where it is told to; a port that somebody else has keeps it from nothing else', async () => {
    await writeFile(at('executor.yaml'), `${CONFIG}metrics: { port: 0 }\n`);
    const worker = await startWorker(at('executor.yaml'), logger);
    const url = worker.metrics!;
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringContaining('version=0.0.4')]);
    expect(await answer.text()).toContain('countersign_worker_revocations_overdue 0\n');
    expect((await fetch(url.replace('/metrics', '/state'))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
    await writeFile(at('second.yaml'), `${CONFIG.replace('socket: s', 'socket: other').replace('state: state', 'state: other-state')}metrics: { port: ${new URL(url).port} }\n`);
    const second = await startWorker(at('second.yaml'), logger);
    expect([second.metrics, second.healthy]).toEqual([null, true]);
    await second.close();
    await worker.close();
    await expect(fetch(url)).rejects.toThrow();
  });

  test('has its state directory to itself', async () => {
    const worker = await startWorker(at('executor.yaml'), logger);
    await writeFile(at('second.yaml'), CONFIG.replace('socket: s', 'socket: other'));
    await expect(startWorker(at('second.yaml'), logger)).rejects.toMatchObject({ code: 'locked' });
    await worker.close();
  });

  test.each<[string, RegExp, () => Promise<void>]>([
    ['a key that others can read', /executor\.key: others can read/, () => chmod(at('executor.key'), 0o644)],
    ['a password that others can read', /password: others can read/, () => chmod(at('password'), 0o640)],
    ['a fingerprint key that others can read', /fingerprint\.key: others can read/, () => chmod(at('fingerprint.key'), 0o604)],
    ['a fingerprint key that is too short', /not 32 bytes/, () => secret('fingerprint.key', 'AAAA')],
    ['a key that the trust folder does not have for it', /lists another key/, () => secret('executor.key', generateSignerKey(EXECUTOR, new Uint8Array(32).fill(9)).skey)],
    ['a connector that it may not speak for', /speak for connector aws/, () => writeFile(at('executor.yaml'), CONFIG.replace('pg-main:', 'aws:'))],
    ['an id that the trust folder does not list', /does not list executor:new/, () => writeFile(at('executor.yaml'), CONFIG.replace('executor:main', 'executor:new'))],
    ['a field too many', /sokcet/, () => writeFile(at('executor.yaml'), `${CONFIG}sokcet: s\n`)],
    ['no connector', /at least one connector/, () => writeFile(at('executor.yaml'), CONFIG.replace(/connectors:[^]*/, 'connectors: {}\n'))],
    ['a key twice', /not YAML/, () => writeFile(at('executor.yaml'), `${CONFIG}id: executor:other\n`)],
    ['a door key that others can read', /door\.key: others can read/, () => door('{ port: 0, certFile: door.crt, keyFile: door.key }', 0o644)],
    ['a door whose certificate is not there', /gone\.crt: cannot be read/, () => door('{ port: 0, certFile: gone.crt, keyFile: door.key }')],
    ['a door without a certificate', /needs certFile and keyFile/, () => door('{ port: 0 }')],
    ['half a certificate', /belong together/, () => door('{ port: 0, certFile: door.crt }')],
    ['plain HTTP for others than this machine', /loopback/, () => door('{ host: 0.0.0.0, port: 0, allowHttp: true }')],
    ['half a trust folder', /requirements\.json: cannot be read/, () => rm(join(at('trust'), 'requirements.json'))],
    ['something else at the path of its socket', /EADDRINUSE/, () => writeFile(at('s'), '')],
  ])('is not started with %s', async (_what, message, spoil) => {
    await spoil();
    await expect(startWorker(at('executor.yaml'), logger)).rejects.toThrow(message);
    // Nothing is left that would keep a mended one from starting.
    await rm(at('s'), { force: true });
  });
});

test('a secret is sealed so that its recipient, and nobody else, can open it', async () => {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const sealed = await sealSecret('a secret', recipient);
  const open = async (by: string): Promise<string> => {
    const decrypter = new Decrypter();
    decrypter.addIdentity(by);
    return decrypter.decrypt(sealed, 'text');
  };
  expect(await open(identity)).toBe('a secret');
  await expect(open(await generateX25519Identity())).rejects.toThrow();
  expect(Buffer.from(sealed).includes('a secret')).toBe(false);
  await expect(sealSecret('a secret', `age1${'q'.repeat(58)}`)).rejects.toThrow();
});
