/** `/ledger/` as a tlog-tiles client meets it: every tile of every checkpoint so far, though the disk has only the newest. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundlePath, leafHash, decodeBundle, MerkleTree, partialTiles, tilePath, tilesBetween, TILE_WIDTH } from '../../ledger/index.ts';
import { readTile } from '../../src/sidecar/ledger-files.ts';
import { appendOne, open } from '../fault/ledger-fixture.ts';
import { FaultyDisk } from '../fault/faulty-disk.ts';
import { GRANT, openTestSidecar, type Answered, type TestSidecar } from '../support/sidecar.ts';

/** A ledger that grew by uneven steps, and every partial tile as it was when it was the newest. */
const SIZES = [1, 2, 3, 100, 101, 255, 256, 257, 300, 511, 512, 513, 600];
const NEWEST = SIZES.at(-1)!;
const disk = new FaultyDisk();
const asWas = new Map<string, Buffer>();
beforeAll(async () => {
  const log = await open(disk);
  for (const size of SIZES) {
    for (let i = log.size; i < size; i++) void appendOne(log, i).durable;
    await log.sync();
    expect(log.checkpoint().size).toBe(size);
    for (const { path } of tilesBetween(0, size)) asWas.set(path, disk.files.get(`ledger/${path}`)!);
  }
  await log.close();
});

const read = (path: string): Promise<Uint8Array | null> => disk.read(`ledger/${path}`);
const same = (a: Uint8Array | null, b: Uint8Array | undefined): boolean => a !== null && b !== undefined && Buffer.from(a).equals(b);
const served = (path: string, from = read, size = (): number => NEWEST): Promise<Uint8Array | null> => readTile(path, from, size);

describe('a tile', () => {
  it('of every checkpoint so far is served as it was, though its file is gone', async () => {
    const gone = [...asWas.keys()].filter((path) => !disk.files.has(`ledger/${path}`));
    expect(gone.length).toBeGreaterThan(20);
    for (const [path, bytes] of asWas) expect(same(await served(path), bytes), path).toBe(true);
  });

  it('of any width that is covered is the beginning of the tree', async () => {
    const tree = new MerkleTree();
    for (const index of [0, 1, 2]) for (const entry of decodeBundle((await served(bundlePath(index, Math.min(TILE_WIDTH, NEWEST - index * TILE_WIDTH))))!)) tree.append(leafHash(entry));
    expect(tree.size).toBe(NEWEST);
    for (const [level, index, covered] of [[0, 0, 256], [0, 1, 256], [0, 2, 88], [1, 0, 2]] as const) {
      for (let width = 1; width <= covered; width++) {
        if (!same(await served(tilePath(level, index, width)), tree.nodes(8 * level, index * TILE_WIDTH, index * TILE_WIDTH + width))) throw new Error(tilePath(level, index, width));
        if (level === 0 && decodeBundle((await served(bundlePath(index, width)))!).length !== width) throw new Error(bundlePath(index, width));
      }
    }
  });

  it.each([
    'tile/0/000.p/256', 'tile/0/000.p/0', 'tile/0/000.p/01', 'tile/00/000', 'tile/0/0', 'tile/0/x000/000', 'tile/entries/000/', 'tile/entries/../0/000', 'tile/entries/003', 'tile/0/002', 'tile/0/002.p/89',
    'tile/1/000', 'tile/1/000.p/3', 'tile/2/000.p/1', 'tile/63/000.p/1', 'tile/64/000.p/1', 'tile/-1/000', 'tile/0/x999/x999/x999/x999/x999/999', 'checkpoint', 'objects/0', '',
  ])('is none: %s', async (path) => {
    expect(await served(path)).toBeNull();
  });

  it('that no checkpoint covers is not served, though its file is there', async () => {
    expect(await served('tile/0/002.p/88', read, () => 599)).toBeNull();
    expect(await served('tile/0/001', read, () => 511)).toBeNull();
    expect(await served('tile/0/000.p/1', read, () => 0)).toBeNull();
  });

  it('that is replaced while it is read is found under its next name', async () => {
    const sizes = [300, 511, NEWEST];
    let at = 0;
    const growing = async (path: string): Promise<Uint8Array | null> => {
      const found = await read(path);
      if (found === null) at++;
      return found;
    };
    expect(same(await served('tile/0/001.p/44', growing, () => sizes[at]!), asWas.get('tile/0/001.p/44'))).toBe(true);
    expect(at).toBe(2);
    expect(await served('tile/0/001.p/44', () => Promise.resolve(null))).toBeNull();
  });

  it('keeps the newest of each on disk, and no other', () => {
    expect([...disk.files.keys()].filter((path) => path.includes('.p/')).sort()).toEqual(partialTiles(NEWEST).map(({ path }) => `ledger/${path}`).sort());
  });
});

describe('served', () => {
  let sidecar: TestSidecar;
  let open_: TestSidecar;
  const AUDITOR = 'person:kim';
  beforeAll(async () => {
    [sidecar, open_] = [await openTestSidecar({}), await openTestSidecar({ ledgerReaders: 'anyone' })];
    for (const one of [sidecar, open_]) {
      await one.change('nhi:prod/ci-deployer', GRANT);
      await one.log.sync();
    }
  });
  afterAll(async () => {
    await Promise.all([sidecar.close(), open_.close()]);
  });
  const of = (answered: Answered): unknown[] => [answered.status, answered.headers.get('content-type'), answered.headers.get('cache-control')];
  const BYTES = 'application/octet-stream';

  it('each has its type, and says how long it stays as it is', async () => {
    const get = (path: string): Promise<Answered> => sidecar.send(AUDITOR, 'GET', `/ledger/${path}`);
    expect(of(await get('checkpoint'))).toEqual([200, 'text/plain; charset=utf-8', 'no-cache']);
    expect(of(await get('tile/0/000.p/1'))).toEqual([200, BYTES, 'private, max-age=31536000, immutable']);
    expect(of(await get('tile/entries/000.p/2'))).toEqual([200, BYTES, 'private, max-age=31536000, immutable']);
    expect(of(await get('objects/0'))).toEqual([200, BYTES, 'no-store']);
    for (const path of ['tile/0/000', 'tile/0/001.p/1', 'objects/1', 'objects/00', 'objects/-0', 'tile/entries/000.p/255']) expect((await get(path)).status, path).toBe(404);
    expect((await get('tile/0/000.p/255')).headers.get('cache-control')).toBe('no-store');
  });

  it('HEAD goes where GET goes, and says the length', async () => {
    for (const path of ['checkpoint', 'tile/0/000.p/1', 'objects/0']) {
      const [got, head] = [await sidecar.send(AUDITOR, 'GET', `/ledger/${path}`), await sidecar.send(AUDITOR, 'HEAD', `/ledger/${path}`)];
      expect(of(head)).toEqual(of(got));
      expect(head.text).toBe('');
      expect(Number(head.headers.get('content-length'))).toBeGreaterThan(0);
    }
    expect((await sidecar.send(AUDITOR, 'HEAD', '/ledger/objects/9')).status).toBe(404);
  });

  it('auditors alone may read, unless anyone may: then checkpoint and tiles, and never an object', async () => {
    for (const path of ['checkpoint', 'tile/0/000.p/1', 'objects/0']) {
      expect((await sidecar.send(null, 'GET', `/ledger/${path}`)).status).toBe(401);
      expect((await sidecar.send('person:olga', 'GET', `/ledger/${path}`)).status).toBe(403);
    }
    expect(of(await open_.send(null, 'GET', '/ledger/checkpoint'))).toEqual([200, 'text/plain; charset=utf-8', 'no-cache']);
    expect(of(await open_.send('person:olga', 'GET', '/ledger/tile/0/000.p/1'))).toEqual([200, BYTES, 'public, max-age=31536000, immutable']);
    expect((await open_.send(null, 'GET', '/ledger/objects/0')).status).toBe(401);
    expect((await open_.send('person:olga', 'GET', '/ledger/objects/0')).status).toBe(403);
    expect((await open_.send(AUDITOR, 'GET', '/ledger/objects/0')).status).toBe(200);
    expect((await open_.send(null, 'GET', '/v1/changes')).status).toBe(401);
  });
});
