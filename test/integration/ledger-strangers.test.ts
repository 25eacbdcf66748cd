/**
 * The ledger and the witness before programs that others wrote: Tessera's fsck and torchwood's client read it, the witness of transparency-dev
 * cosigns it, and a log of golang.org/x/mod's making is cosigned by ours.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  addCheckpoint, formatAddCheckpoint, generateSignerKey, nodeDisk, openWitnessedCheckpoint, parseTrustPolicy, parseVerifier, signCheckpoint, MerkleTree,
  type Log, type WitnessOutcome,
} from '../../ledger/index.ts';
import { listenOnLoopback, type Listening } from '../../src/sidecar/listen.ts';
import { appendOne, draft, open, signer } from '../fault/ledger-fixture.ts';
import { hasInterop, interop, interopServer, type InteropServer } from '../support/interop.ts';
import { openTestSidecar, tokenOf, type TestSidecar } from '../support/sidecar.ts';
import { post, startWitness } from '../support/witness.ts';

const SIZES = [1, 2, 255, 256, 257, 511, 512, 700, 1_300];
const NEWEST = SIZES.at(-1)!;
let directory: string;
let log: Log;
/** The checkpoint of each size, and SHA-256 over the entries below it. */
const heads = new Map<number, { readonly text: string; readonly entries: string }>();
const ended: (() => unknown)[] = [];

async function entriesDigest(of: Log, size: number): Promise<string> {
  const digest = createHash('sha256');
  for await (const { bytes } of of.entries(0, size)) digest.update(bytes);
  return digest.digest('hex');
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-strangers-'));
  log = await open(nodeDisk(directory), undefined, { now: () => Date.now() });
  for (const size of SIZES) {
    for (let i = log.size; i < size; i++) void appendOne(log, i).durable;
    await log.sync();
    heads.set(size, { text: log.checkpoint().text, entries: await entriesDigest(log, size) });
  }
});
afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

const rootOf = (checkpoint: string): string => checkpoint.split('\n')[2]!;
async function files(of: string): Promise<InteropServer> {
  const server = await interopServer('files', '-directory', of);
  ended.push(server.stop);
  return server;
}

describe.skipIf(!hasInterop())('the ledger directory, as plain files', () => {
  it('is read and verified whole by Tessera and torchwood', async () => {
    const { url } = await files(join(directory, 'ledger'));
    const head = heads.get(NEWEST)!;
    expect(await interop('read', '-url', url, '-vkey', signer.vkey)).toEqual({ origin: signer.name, size: NEWEST, root: rootOf(head.text), entries: head.entries, proved: 8 });
  });

  it.each([
    ['an entry', 'tile/entries/001', 700], ['a leaf hash', 'tile/0/002', 64], ['a partial tile', 'tile/0/005.p/20', 3], ['a tile of tiles', 'tile/1/000.p/5', 40], ['the checkpoint', 'checkpoint', 30],
  ])('is refused by them once a byte of %s is another', async (_what, path, at) => {
    const harmed = join(directory, `harmed-${path.replaceAll('/', '-')}`);
    copyLedger(join(directory, 'ledger'), harmed);
    const bytes = readFileSync(join(harmed, path));
    bytes[at]! ^= 1;
    writeFileSync(join(harmed, path), bytes);
    const { url } = await files(harmed);
    await expect(interop('read', '-url', url, '-vkey', signer.vkey)).rejects.toThrow(/fsck|signature|verif/);
  });

  it('is refused under another key', async () => {
    const { url } = await files(join(directory, 'ledger'));
    await expect(interop('read', '-url', url, '-vkey', generateSignerKey(signer.name, randomBytes(32)).vkey)).rejects.toThrow(/verif/);
  });
});

function copyLedger(from: string, to: string): void {
  for (const path of ['checkpoint', 'tile/1/000.p/5', 'tile/0/005.p/20', 'tile/entries/005.p/20', ...[0, 1, 2, 3, 4].flatMap((n) => [`tile/0/00${n}`, `tile/entries/00${n}`])]) {
    mkdirSync(join(to, path, '..'), { recursive: true });
    writeFileSync(join(to, path), readFileSync(join(from, path)));
  }
}

describe.skipIf(!hasInterop())('the ledger as the sidecar serves it', () => {
  async function serve(options: Parameters<typeof openTestSidecar>[0]): Promise<{ sidecar: TestSidecar; door: Listening; url: string }> {
    const sidecar = await openTestSidecar(options);
    ended.push(() => sidecar.close());
    const door = await listenOnLoopback('127.0.0.1', 0, sidecar.app.fetch);
    ended.push(() => door.close(1_000));
    return { sidecar, door, url: `${door.address}/ledger/` };
  }

  it('is read and verified by them with an auditor’s token, at the newest checkpoint and at every one before', async () => {
    const { sidecar, url } = await serve({});
    const vkey = sidecar.logSigner.vkey;
    const token = ['-token', tokenOf('person:kim')];
    const old: { text: string; size: number; entries: string }[] = [];
    for (const more of [0, 200, 60, 250, 90]) {
      for (let i = 0; i < more; i++) void sidecar.log.append([draft(sidecar.log.size, { change: null })]).durable;
      await sidecar.log.sync();
      const { text, size } = sidecar.log.checkpoint();
      old.push({ text, size, entries: await entriesDigest(sidecar.log, size) });
    }
    for (const { text, size, entries } of old) {
      expect(await interop('read', '-url', url, '-vkey', vkey, ...token, '-checkpoint', text)).toMatchObject({ size, root: rootOf(text), entries });
    }
    expect(await interop('read', '-url', url, '-vkey', vkey, ...token)).toMatchObject({ size: old.at(-1)!.size, entries: old.at(-1)!.entries });
    await expect(interop('read', '-url', url, '-vkey', vkey)).rejects.toThrow('401');
    await expect(interop('read', '-url', url, '-vkey', vkey, '-token', tokenOf('person:olga'))).rejects.toThrow('403');
  });

  it('needs no token where anyone may read', async () => {
    const { sidecar, url } = await serve({ ledgerReaders: 'anyone' });
    await sidecar.log.sync();
    expect(await interop('read', '-url', url, '-vkey', sidecar.logSigner.vkey)).toMatchObject({ size: sidecar.log.checkpoint().size });
  });
});

describe.skipIf(!hasInterop())('a witness that others wrote', () => {
  it('cosigns our checkpoints, each from the one before, and its cosignatures make a quorum', async () => {
    const theirs = await interopServer('witness', '-log', signer.vkey);
    ended.push(theirs.stop);
    const tree = new MerkleTree();
    for await (const { leaf } of log.entries(0, NEWEST)) tree.append(leaf);
    const witness = parseVerifier(theirs.vkey);
    const policy = parseTrustPolicy(`log ${signer.vkey}\nwitness go ${theirs.vkey} ${theirs.url}\nquorum go\n`);
    const ask = (oldSize: number, size: number, checkpoint = heads.get(size)!.text, of = tree): Promise<WitnessOutcome> =>
      addCheckpoint(post, theirs.url, [witness], { oldSize, proof: oldSize > size ? [] : of.consistencyProof(oldSize, size), checkpoint });
    let cosigned = 0;
    for (const size of SIZES) {
      const outcome = await ask(cosigned, size);
      if (outcome.kind !== 'cosigned') throw new Error(JSON.stringify(outcome));
      expect(Math.abs(outcome.cosignatures[0].timeSeconds - Date.now() / 1000)).toBeLessThan(60);
      expect(openWitnessedCheckpoint(heads.get(size)!.text + outcome.cosignatures[0].line, policy)).toMatchObject({ size, witnesses: ['go'] });
      cosigned = size;
    }
    expect(await ask(NEWEST, NEWEST)).toMatchObject({ kind: 'cosigned' });
    expect(await ask(256, NEWEST)).toEqual({ kind: 'ahead', size: NEWEST });
    expect(await ask(256, 700)).toMatchObject({ kind: 'conflict', size: NEWEST });
    const other = new MerkleTree();
    for (let i = 0; i < NEWEST + 1; i++) other.append(createHash('sha256').update(`other ${i}`).digest());
    const forked = (size: number): string => signCheckpoint({ origin: signer.name, size, root: other.root(size) }, signer);
    expect(await ask(NEWEST, NEWEST, forked(NEWEST), other)).toMatchObject({ kind: 'conflict', size: null });
    expect(await ask(NEWEST, NEWEST + 1, forked(NEWEST + 1), other)).toMatchObject({ kind: 'conflict', size: null });
    const stranger = signCheckpoint({ origin: 'log.test/unknown', size: 1, root: other.root(1) }, signer);
    expect(await ask(0, 1, stranger, other)).toMatchObject({ kind: 'refused', status: 404 });
  });
});

describe.skipIf(!hasInterop())('our witness', () => {
  it('answers a log and a client that others wrote as the protocol says, and its cosignatures hold for their verifiers', async () => {
    const { skey, vkey } = generateSignerKey('log.example/go', randomBytes(32));
    const { key, logs } = witnessFiles(vkey);
    const ours = await startWitness(directory, '--key', key, '--logs', logs, '--state', join(directory, 'ours'), '--new');
    ended.push(() => ours.stop());
    expect(await interop('submit', '-url', ours.url, '-vkey', ours.policy.split(' ')[1]!, '-skey', skey)).toEqual({ steps: 11, cosigned: 4 });
  });
});

function witnessFiles(logKey: string): { key: string; logs: string; vkey: string } {
  const { skey, vkey } = generateSignerKey('witness.test/ours', randomBytes(32), 4);
  const [key, logs] = [join(directory, `${randomBytes(4).toString('hex')}.key`), join(directory, `${randomBytes(4).toString('hex')}.policy`)];
  writeFileSync(key, `${skey}\n`, { mode: 0o600 });
  writeFileSync(logs, `log ${logKey}\nquorum none\n`);
  return { key, logs, vkey };
}

describe('our witness as a process', () => {
  const start = async (...argv: string[]): Promise<{ child: ChildProcess; url: string }> => {
    const child = spawn(process.execPath, ['dist/src/main.js', 'witness', '--listen', '127.0.0.1:0', ...argv], { stdio: ['ignore', 'pipe', 'ignore'] });
    ended.push(() => void child.kill('SIGKILL'));
    const url = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('listening ')) resolve(line.slice(10));
      });
      child.once('exit', (code) => reject(new Error(`exit ${code}`)));
    });
    return { child, url };
  };
  const exitOf = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => void child.once('exit', resolve));

  it('killed at any moment knows what it has answered when it is started again, and ends in order at SIGTERM', async () => {
    const { key, logs, vkey } = witnessFiles(signer.vkey);
    const flags = ['--key', key, '--logs', logs, '--state', join(directory, 'killed')];
    const tree = new MerkleTree();
    for await (const { leaf } of log.entries(0, NEWEST)) tree.append(leaf);
    const at = (size: number): string => signCheckpoint({ origin: signer.name, size, root: tree.root(size) }, signer);
    let { child, url } = await start(...flags, '--new');
    let answered = 0;
    for (let round = 0; round < 4; round++) {
      // A burst, in which each asks from the size before; the process is killed somewhere in it.
      const gone = exitOf(child);
      for (let step = 0; step < 20; step++) {
        const size = answered + 1;
        if (step === 5 + round * 3) child.kill('SIGKILL');
        const outcome = await post(`${url}/add-checkpoint`, formatAddCheckpoint({ oldSize: answered, proof: tree.consistencyProof(answered, size), checkpoint: at(size) })).catch(() => null);
        if (outcome?.status !== 200) break;
        answered = size;
      }
      await gone;
      ({ child, url } = await start(...flags));
      const outcome = await addCheckpoint(post, url, [parseVerifier(vkey)], { oldSize: 0, proof: [], checkpoint: at(NEWEST) });
      if (outcome.kind !== 'ahead') throw new Error(JSON.stringify(outcome));
      expect(outcome.size - answered).toBeGreaterThanOrEqual(0);
      expect(outcome.size - answered).toBeLessThanOrEqual(1);
      answered = outcome.size;
    }
    const gone = exitOf(child);
    child.kill('SIGTERM');
    expect(await gone).toBe(0);
  });
});
