import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundlePath, decodeBundle, decodeRecord, encodeBundle, encodeRecord, leafHash, MerkleTree, nodeDisk, signCheckpoint, tilesBetween, verifyLedger, type BundleChecker } from '../../ledger/index.ts';
import { answerTo, keysByName } from '../../src/evidence/bundle-thread.ts';
import { openBundleThreads as openThreads, ThreadError, type BundleThreads } from '../../src/evidence/bundle-threads.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import { writeChanges } from '../support/long-ledger.ts';
import type { sign} from '../support/story.ts';
import { keys, storyTrust } from '../support/story.ts';
import { FaultyDisk } from '../fault/faulty-disk.ts';
import { fill } from '../fault/ledger-fixture.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SIZE = 700;
const trust = storyTrust();
let directory: string;
let files: Map<string, Buffer>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-threads-'));
  const size = await writeChanges(directory, SIZE);
  const paths = ['checkpoint', 'objects/0', ...[...tilesBetween(0, size)].map(({ path }) => path)];
  files = new Map(paths.map((path) => [path, readFileSync(join(directory, 'ledger', path))]));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The ledger in memory, with a file of it altered. */
function altered(path: string, alter: (bytes: Buffer) => void): FaultyDisk {
  const disk = new FaultyDisk();
  for (const [name, bytes] of files) disk.files.set(`ledger/${name}`, Buffer.from(bytes));
  alter(disk.files.get(`ledger/${path}`)!);
  return disk;
}

/** The ledger with one record written otherwise by whoever holds the log's key: chains, tiles and checkpoint are right. */
function rewritten(seq: number, alter: (text: string) => string): FaultyDisk {
  const disk = altered('checkpoint', () => undefined);
  const entries = [...files].filter(([path]) => path.startsWith('tile/entries/')).flatMap(([, bytes]) => decodeBundle(bytes));
  const tree = new MerkleTree();
  const heads = new Map<string, { readonly changeSeq: number; readonly leaf: string }>();
  let prev: string | null = null;
  const next = entries.map((entry, i) => {
    const text = Buffer.from(entry).toString();
    const record = decodeRecord(Buffer.from(i === seq ? alter(text) : text));
    const head = record.change === null ? undefined : heads.get(record.change);
    const bytes = encodeRecord({ ...record, prev, changePrev: head?.leaf ?? null });
    const leaf = leafHash(bytes);
    prev = `sha256:${Buffer.from(leaf).toString('hex')}`;
    if (record.change !== null) heads.set(record.change, { changeSeq: record.changeSeq!, leaf: prev });
    tree.append(leaf);
    return bytes;
  });
  for (const { level, index, width, path } of tilesBetween(0, next.length)) {
    const from = index * 256;
    disk.files.set(`ledger/${path}`, Buffer.from(level === null ? encodeBundle(next.slice(from, from + width)) : tree.nodes(8 * level, from, from + width)));
  }
  disk.files.set('ledger/checkpoint', Buffer.from(signCheckpoint({ origin: 'story.example/ledger', size: next.length, root: tree.root() }, keys.log)));
  return disk;
}

const openBundleThreads = (...options: Parameters<typeof openThreads>): BundleThreads => openThreads(...options)!;

async function verifiedBy(threads: number, disk: FaultyDisk): Promise<EvidenceVerification> {
  const common = { disk, directory: 'ledger', trust, wholeFolder: true };
  if (threads === 0) return verifyEvidence(common);
  const ahead = openBundleThreads(threads, trust, { sizeMin: 1 });
  try {
    return await verifyEvidence({ ...common, ahead });
  } finally {
    await ahead.close();
  }
}

/** The seq of a record of that type in the second bundle. */
function seqOf(type: string): number {
  const entries = decodeBundle(files.get(bundlePath(1))!);
  return 256 + entries.findIndex((entry) => decodeRecord(entry).type === type);
}
/** Another signature of the same length in the place of the last. */
const forged = (text: string): string => text.replace(/"sig":"(.{8})(.)/, (_all, head: string, one: string) => `"sig":"${head}${one === 'A' ? 'B' : 'A'}`);
/** A payload that nobody signed, under a signature that is good for another. */
const reused = (text: string): string => text.replace(/"payload":"([^"]+)"/, (_all, payload: string) => {
  const said = Buffer.from(payload, 'base64').toString();
  return `"payload":"${Buffer.from(said.replace(/"attempt":1/, '"attempt":2')).toString('base64')}"`;
});

const LEDGERS: readonly (readonly [string, () => FaultyDisk])[] = [
  ['is whole', () => altered('checkpoint', () => undefined)],
  ['has a byte of a record flipped', () => altered(bundlePath(1), (bytes) => void (bytes[5_000]! ^= 1))],
  ['has a byte of a tile flipped', () => altered('tile/0/001', (bytes) => void (bytes[500]! ^= 1))],
  ['has two bundles swapped', () => {
    const disk = altered('checkpoint', () => undefined);
    const [a, b] = [disk.files.get(`ledger/${bundlePath(0)}`)!, disk.files.get(`ledger/${bundlePath(1)}`)!];
    disk.files.set(`ledger/${bundlePath(0)}`, b).set(`ledger/${bundlePath(1)}`, a);
    return disk;
  }],
  ['has a bundle and its tile taken from another place', () => {
    const disk = altered('checkpoint', () => undefined);
    disk.files.set(`ledger/${bundlePath(1)}`, disk.files.get(`ledger/${bundlePath(0)}`)!).set('ledger/tile/0/001', disk.files.get('ledger/tile/0/000')!);
    return disk;
  }],
  ['lacks a bundle', () => {
    const disk = altered('checkpoint', () => undefined);
    disk.files.delete(`ledger/${bundlePath(1)}`);
    return disk;
  }],
  ['has a forged ticket', () => rewritten(seqOf('step.authorised'), forged)],
  ['has a forged report', () => rewritten(seqOf('step.succeeded'), forged)],
  ['has a report under a signature that is good for another', () => rewritten(seqOf('step.succeeded'), reused)],
  ['has an ending under a forged order', () => rewritten(seqOf('lease.ended'), forged)],
];

describe('verdicts, messages and findings', () => {
  it.each(LEDGERS)('are the same with no, one and three threads, of a ledger that %s', async (_what, make) => {
    const alone = await verifiedBy(0, make());
    expect(await verifiedBy(1, make())).toEqual(alone);
    expect(await verifiedBy(3, make())).toEqual(alone);
    const failing = alone.verdicts.filter(({ status }) => status === 'fails').map(({ name }) => name);
    expect(failing.length > 0).toBe(_what !== 'is whole');
  });
});

describe('what threads have checked', () => {
  it('is believed of exactly the envelope and key that it was found of, while the pass is at its bundle', async () => {
    const threads = openBundleThreads(1, trust, { sizeMin: 1 });
    try {
      const answer = await threads.checker.check({ first: 256, bytes: files.get(bundlePath(1))!, tile: files.get('tile/0/001')! });
      expect(answer.holds).toBe(true);
      const body = decodeRecord(decodeBundle(files.get(bundlePath(1))!)[seqOf('step.succeeded') - 256]!).body as unknown as { readonly report: ReturnType<typeof sign.report> };
      const { report } = body;
      expect(threads.proven.has(keys.executor as never, report)).toBe(false);
      answer.reached!();
      const { key } = trust.executors.get('executor:main')!;
      expect(threads.proven.has(key, report)).toBe(true);
      expect(threads.proven.has(trust.executors.get('executor:other')!.key, report)).toBe(false);
      expect(threads.proven.has(key, { ...report, payload: Buffer.from('{}').toString('base64') })).toBe(false);
      expect(threads.proven.has(key, { ...report, payloadType: 'text/plain' })).toBe(false);
      (await threads.checker.check({ first: 0, bytes: files.get(bundlePath(0))!, tile: files.get('tile/0/000')! })).reached!();
      expect(threads.proven.has(key, report)).toBe(false);
    } finally {
      await threads.close();
    }
  });

  it('is every signature under a key that is trusted, and no other', () => {
    const bundle = { first: 256, bytes: files.get(bundlePath(1))!, tile: files.get('tile/0/001')! };
    const all = answerTo({ id: 1, bundle }, keysByName([keys.ticket.vkey, keys.executor.vkey]));
    const envelopes = Buffer.from(bundle.bytes).toString('latin1').split('"payloadType"').length - 1;
    expect(all.proven).toHaveLength(envelopes);
    // Of the same name as the ticket key, and so of the same claim, is a stranger's.
    expect(answerTo({ id: 1, bundle }, keysByName([keys.stranger.vkey])).proven).toEqual([]);
  });
});

describe('threads', () => {
  const program = (name: string, text: string): URL => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return pathToFileURL(path);
  };

  it.each([
    ['throws', 'throw new Error("out of order")', /failed \(out of order\): nothing was verified/],
    ['ends', 'process.exit(7)', /ended with 7: nothing was verified/],
    ['ends at its first question', 'import { parentPort } from "node:worker_threads"; parentPort.on("message", () => process.exit(7))', /ended with 7/],
  ])('of which one %s end verification with an error, and no verdict', async (name, text, message) => {
    const ahead = openBundleThreads(2, trust, { sizeMin: 1, file: program(`${name}.mjs`, text) });
    const verifying = verifyEvidence({ disk: altered('checkpoint', () => undefined), directory: 'ledger', trust, wholeFolder: true, ahead });
    await expect(verifying).rejects.toThrow(message);
    await expect(verifying).rejects.toBeInstanceOf(ThreadError);
    await ahead.close();
  });

  it('that never answer are ended by the signal', async () => {
    const stop = new AbortController();
    const ahead = openBundleThreads(2, trust, { sizeMin: 1, signal: stop.signal, file: program('silent.mjs', 'import { parentPort } from "node:worker_threads"; parentPort.on("message", () => undefined)') });
    let asked = 0;
    const checker: BundleChecker = {
      ...ahead.checker,
      check(bundle) {
        asked += 1;
        if (asked === 2) setImmediate(() => stop.abort(new Error('enough')));
        return ahead.checker.check(bundle);
      },
    };
    const verifying = verifyEvidence({ disk: altered('checkpoint', () => undefined), directory: 'ledger', trust, wholeFolder: true, ahead: { ...ahead, checker }, signal: stop.signal });
    await expect(verifying).rejects.toThrow('enough');
    await ahead.close();
  });

  it('are given so many bundles ahead of the pass, and no more', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 3_000, 64);
    const [asked, given] = [new Set<number>(), { most: 0, at: 0 }];
    const checker: BundleChecker = {
      ahead: 3, sizeMin: 1,
      async check({ first }) {
        asked.add(first);
        given.most = Math.max(given.most, asked.size - given.at);
        await Promise.resolve();
        return { holds: true, reached: () => void (given.at += 1) };
      },
    };
    const { verdicts } = await verifyLedger({ disk, directory: 'ledger', trust: null, checker });
    expect(verdicts[0]).toMatchObject({ name: 'INTEGRITY', status: 'holds' });
    expect([asked.size, given.at]).toEqual([12, 12]);
    expect(given.most).toBe(4);
  });

  it('are not started for a ledger that is small', async () => {
    const ahead = openBundleThreads(2, trust, { file: pathToFileURL('/nonexistent.mjs') });
    const { verdicts } = await verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust, wholeFolder: true, ahead });
    expect(verdicts[0]!.status).toBe('holds');
    await ahead.close();
  });

  it('run what was compiled of the source as it is: if not, run `npm run build`', () => {
    const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')) as { config: { compilerOptions: object } };
    const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, module: 'ESNext', moduleResolution: 'Bundler', sourceMap: false }, ROOT);
    for (const path of ['src/evidence/bundle-thread', 'src/protocol/dsse', 'ledger/check-bundle', 'ledger/record', 'ledger/jcs']) {
      const fresh = ts.transpileModule(readFileSync(join(ROOT, `${path}.ts`), 'utf8'), { fileName: join(ROOT, `${path}.ts`), compilerOptions: options }).outputText;
      const compiled = readFileSync(join(ROOT, 'dist', `${path}.js`), 'utf8').replace(/\/\/# sourceMappingURL=.*\s*$/, '');
      expect(compiled.trim(), path).toBe(fresh.trim());
    }
  });
});
