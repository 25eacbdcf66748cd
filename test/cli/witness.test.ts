/** `countersign witness` as its operator and its clients meet it: over HTTP, with its files. */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addCheckpoint, ALG_COSIGNATURE_V1, formatAddCheckpoint, generateSignerKey, MerkleTree, openNote, parseSigner, parseTrustPolicy, parseVerifier, signCheckpoint,
  type Signer, type WitnessOutcome,
} from '../../ledger/index.ts';
import { post, startWitness, type RunningWitness } from '../support/witness.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const ORIGIN = 'log.test/a';
const tree = new MerkleTree();
for (let i = 0; i < 30; i++) tree.append(createHash('sha256').update(`leaf ${i}`).digest());
const hashOf = (origin: string): string => createHash('sha256').update(origin).digest('hex');

let desk: Desk;
let signer: Signer;
let running: RunningWitness | null = null;
const FLAGS = ['--key', 'witness.key', '--logs', 'logs.policy', '--state', 'state'];
const start = async (...more: string[]): Promise<RunningWitness> => (running = await startWitness(desk.directory, ...FLAGS, ...more));
const file = (name: string): string => join(desk.directory, name);
const listLogs = (...signers: Signer[]): void => writeFileSync(file('logs.policy'), signers.map(({ vkey }) => `log ${vkey}\n`).join('') + 'quorum none\n');
const newSigner = (origin: string): Signer => parseSigner(generateSignerKey(origin, randomBytes(32)).skey);
const body = (oldSize: number, size: number, by = signer): string =>
  formatAddCheckpoint({ oldSize, proof: tree.consistencyProof(oldSize, size), checkpoint: signCheckpoint({ origin: by.name, size, root: tree.root(size) }, by) });
const ask = (oldSize: number, size: number, by = signer): Promise<WitnessOutcome> =>
  addCheckpoint(post, running!.url, [parseTrustPolicy(`witness ${running!.policy}\nquorum none\n`).witnesses[0]!.verifier], {
    oldSize, proof: tree.consistencyProof(oldSize, size), checkpoint: signCheckpoint({ origin: by.name, size, root: tree.root(size) }, by),
  });

beforeEach(async () => {
  desk = openDesk();
  signer = newSigner(ORIGIN);
  listLogs(signer);
  await desk.run('keygen', 'witness', '--name', 'witness.test/north');
});
afterEach(async () => {
  await running?.stop();
  running = null;
  desk.remove();
});

describe('keygen witness', () => {
  it('makes a key of type 04 that only its owner can read, and prints the line for a trust policy', async () => {
    const { exit, stdout } = await desk.run('keygen', 'witness', '--name', 'witness.test/south', '--out', 'south.key');
    expect(exit).toBe(0);
    expect(statSync(file('south.key')).mode & 0o777).toBe(0o600);
    expect(readFileSync(file('south.key'), 'utf8')).toMatch(/^PRIVATE\+KEY\+witness\.test\/south\+/);
    const line = /^policy (witness .*)$/m.exec(stdout)![1]!;
    const { name, verifier } = parseTrustPolicy(`${line}\nquorum witness.test/south\n`).witnesses[0]!;
    expect([name, verifier.type, stdout.includes(`vkey ${verifier.vkey}\n`)]).toEqual(['witness.test/south', ALG_COSIGNATURE_V1, true]);
  });

  it.each([[[]], [['--name', 'a b']], [['--name', 'a+b']]])('makes none without a name that can be one: %j', async (flags) => {
    expect((await desk.run('keygen', 'witness', '--out', 'none.key', ...flags)).exit).toBe(2);
    expect(existsSync(file('none.key'))).toBe(false);
  });
});

describe('over HTTP, a witness', () => {
  it('cosigns, says what it has, and serves its last head', async () => {
    await start('--new');
    expect(await ask(0, 13)).toMatchObject({ kind: 'cosigned' });
    expect(await ask(0, 21)).toEqual({ kind: 'ahead', size: 13 });
    expect(await ask(13, 21)).toMatchObject({ kind: 'cosigned' });
    expect(await ask(0, 20)).toMatchObject({ kind: 'conflict', size: 21 });
    const served = await fetch(`${running!.url}/${hashOf(ORIGIN)}/checkpoint`);
    expect([served.status, served.headers.get('content-type'), served.headers.get('cache-control')]).toEqual([200, 'text/plain; charset=utf-8', 'no-cache']);
    const [witness] = parseTrustPolicy(`witness ${running!.policy}\nquorum none\n`).witnesses;
    const note = openNote(await served.text(), [parseVerifier(signer.vkey), witness!.verifier]);
    expect(note.verified).toHaveLength(2);
    expect(note.text).toContain('\n21\n');
    const head = await fetch(`${running!.url}/${hashOf(ORIGIN)}/checkpoint`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, String(Buffer.byteLength(readFileSync(file(`state/witness/heads/${hashOf(ORIGIN)}`)))), '']);
  });

  it('answers with the status and type that the protocol names', async () => {
    await start('--new');
    await ask(0, 13);
    const stranger = newSigner('log.test/b');
    const sent = async (path: string, init: RequestInit): Promise<[number, string | null, string]> => {
      const response = await fetch(running!.url + path, init);
      return [response.status, response.headers.get('content-type'), await response.text()];
    };
    const text = 'text/plain; charset=utf-8';
    const add = (content: string): Promise<[number, string | null, string]> => sent('/add-checkpoint', { method: 'POST', body: content });
    expect(await add(body(0, 21))).toEqual([409, 'text/x.tlog.size', '13\n']);
    expect((await add(body(13, 21).replace(/^old 13\n.*\n/, 'old 13\n'))).slice(0, 2)).toEqual([422, text]);
    expect((await add(body(13, 21, stranger))).slice(0, 2)).toEqual([404, text]);
    expect((await add(body(13, 21, newSigner(ORIGIN)))).slice(0, 2)).toEqual([403, text]);
    expect((await add('old x\n')).slice(0, 2)).toEqual([400, text]);
    expect((await add('x'.repeat(65_537))).slice(0, 2)).toEqual([413, text]);
    expect((await add(body(13, 21))).slice(0, 2)).toEqual([200, text]);
    expect((await sent(`/${hashOf('log.test/b')}/checkpoint`, {}))[0]).toBe(404);
    expect((await sent(`/${hashOf(ORIGIN).toUpperCase()}/checkpoint`, {}))[0]).toBe(404);
    for (const path of ['/', '/checkpoint', '/add-checkpoint/', '/add-checkpoint?x', '/heads', `/${hashOf(ORIGIN)}`, '/%2e%2e/index']) expect((await sent(path, { method: 'POST', body: 'x' }))[0]).toBe(404);
    const wrong = await fetch(`${running!.url}/add-checkpoint`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    const deleted = await fetch(`${running!.url}/${hashOf(ORIGIN)}/checkpoint`, { method: 'DELETE' });
    expect([deleted.status, deleted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('reads no more of a body without a length than it takes', async () => {
    await start('--new');
    const status = await new Promise<number>((resolve, reject) => {
      const sending = httpRequest(`${running!.url}/add-checkpoint`, { method: 'POST' }, (response) => {
        response.resume();
        resolve(response.statusCode!);
        sending.destroy();
      });
      sending.on('error', reject);
      // Never ended: the answer comes all the same.
      sending.write('x'.repeat(65_537));
    });
    expect(status).toBe(413);
    expect(await ask(0, 13)).toMatchObject({ kind: 'cosigned' });
  });

  it('cosigns one of two at once, and tells the other what it has', async () => {
    await start('--new');
    await ask(0, 13);
    const outcomes = await Promise.all([ask(13, 21), ask(13, 21)]);
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['ahead', 'cosigned']);
  });

  it('logs what it did, a JSON document a line, and a fork loudly', async () => {
    await start('--new');
    await ask(0, 13);
    const other = new MerkleTree();
    for (let i = 0; i < 13; i++) other.append(createHash('sha256').update(`other ${i}`).digest());
    const forked = formatAddCheckpoint({ oldSize: 13, proof: [], checkpoint: signCheckpoint({ origin: ORIGIN, size: 13, root: other.root() }, signer) });
    expect((await post(`${running!.url}/add-checkpoint`, forked)).status).toBe(422);
    expect(running!.logged()).toEqual(expect.arrayContaining([
      expect.objectContaining({ level: 30, msg: 'cosigned', origin: ORIGIN, size: 13, status: 200 }),
      expect.objectContaining({ level: 50, origin: ORIGIN, size: 13, msg: expect.stringContaining('two histories') as string }),
      expect.objectContaining({ msg: 'request', method: 'POST', path: '/add-checkpoint', status: 422 }),
    ]));
    expect(existsSync(file(`state/witness/forks/${hashOf(ORIGIN)}`))).toBe(true);
  });
});

describe('its operator', () => {
  it('starts it as new once, and then without', async () => {
    await expect(start()).rejects.toThrow(/exit 4: .*no-state/);
    await start('--new');
    await ask(0, 13);
    expect(await running!.stop()).toBe(0);
    expect(existsSync(file('state/witness/lock'))).toBe(false);
    await expect(start('--new')).rejects.toThrow(/exit 2: .*has-state/);
    await start();
    expect(await ask(13, 21)).toMatchObject({ kind: 'cosigned' });
  });

  it('cannot start it on a state of which something is gone', async () => {
    await start('--new');
    await ask(0, 13);
    await running!.stop();
    rmSync(file(`state/witness/heads/${hashOf(ORIGIN)}`));
    await expect(start()).rejects.toThrow(/exit 4: .*corrupt/);
    rmSync(file('state'), { recursive: true });
    await expect(start()).rejects.toThrow(/exit 4: .*no-state/);
  });

  it('cannot start two on one state, nor one where another listens', async () => {
    await start('--new');
    const ran = (...argv: string[]): Promise<Ran> => desk.run('witness', ...FLAGS, ...argv);
    expect(await ran('--listen', '127.0.0.1:0')).toMatchObject({ exit: 4, stderr: expect.stringContaining('locked') as string });
    const taken = running!.url.replace('http://', '');
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await desk.run('witness', ...FLAGS.slice(0, 4), '--state', 'another', ...(attempt === 0 ? ['--new'] : []), '--listen', taken)).toMatchObject({ exit: 4, stderr: expect.stringContaining('cannot-listen') as string });
    }
  });

  it('adds and rotates log keys without stopping it; a list that is none changes nothing', async () => {
    await start('--new');
    await ask(0, 13);
    const next = newSigner(ORIGIN);
    expect(await ask(13, 21, next)).toMatchObject({ kind: 'refused', status: 403 });
    listLogs(signer, next);
    running!.reload();
    expect(await ask(13, 21, next)).toMatchObject({ kind: 'cosigned' });
    writeFileSync(file('logs.policy'), 'log nonsense\n');
    running!.reload();
    expect(running!.logged().at(-1)).toMatchObject({ level: 50, msg: expect.stringContaining('not read again') as string });
    expect(await ask(21, 22, signer)).toMatchObject({ kind: 'cosigned' });
    listLogs(next);
    running!.reload();
    expect(await ask(22, 23, signer)).toMatchObject({ kind: 'refused', status: 403 });
  });

  it.each<[string, number, string, () => unknown]>([
    ['a key that others can read', 4, 'too-open', () => chmodSync(file('witness.key'), 0o644)],
    ['no key', 4, 'no-such-file', () => rmSync(file('witness.key'))],
    ['the key of a log', 2, 'bad-key', () => writeFileSync(file('witness.key'), `${generateSignerKey('x', randomBytes(32)).skey}\n`)],
    ['a list of no logs', 2, 'no-logs', () => writeFileSync(file('logs.policy'), 'quorum none\n')],
    ['a list that is none', 2, 'bad-policy', () => writeFileSync(file('logs.policy'), 'logs\n')],
    ['no list', 4, 'no-such-file', () => rmSync(file('logs.policy'))],
    ['a port that is none', 2, '65536', () => ['--listen', '127.0.0.1:65536']],
    ['a host without a port', 2, 'host:port', () => ['--listen', 'localhost']],
  ])('is told of %s, and nothing is made', async (_what, exit, said, harm) => {
    const ran = await desk.run('witness', ...FLAGS, '--new', ...(harm() as string[] | undefined ?? []));
    expect(ran.exit).toBe(exit);
    expect(ran.stderr).toContain(said);
    expect(ran.stderr).not.toContain('PRIVATE');
    expect(existsSync(file('state'))).toBe(false);
  });

  it('is told when the state cannot be written any more: it stops, once it has said so to whoever asked', async () => {
    await start('--new');
    await ask(0, 13);
    rmSync(file('state/witness/heads'), { recursive: true });
    writeFileSync(file('state/witness/heads'), '');
    expect(await ask(13, 21)).toMatchObject({ kind: 'refused', status: 503 });
    const startedMs = performance.now();
    expect(await running!.stop()).toBe(4);
    // Whoever asked may keep the connection: that is waited for no longer than the answer, of the ten seconds that one has.
    expect(performance.now() - startedMs).toBeLessThan(8_000);
    expect(running!.logged().some(({ level, msg }) => level === 50 && String(msg).includes('cannot be written'))).toBe(true);
  });
});
