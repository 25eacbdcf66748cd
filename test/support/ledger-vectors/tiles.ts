/** Where tiles are, what is in them, and what is in a bundle. https://c2sp.org/tlog-tiles */
import { bundlePath, encodeBundle, leafHash, MerkleTree, tilePath, tilesBetween } from '../../../ledger/index.ts';
import { base64, bytes, type Vector } from './vector.ts';

export function tilePathVectors(): Vector[] {
  const good = (name: string, level: number | null, index: number, width: number): Vector => {
    const path = level === null ? bundlePath(index, width) : tilePath(level, index, width);
    return { path: `tile-paths/${name}`, content: { title: path, tilePath: path, expect: { level: level === null ? 'entries' : String(level), index: String(index), width } } };
  };
  const bad = (name: string, path: string, title = `${path} names no tile`): Vector => ({ path: `tile-paths/refused-${name}`, content: { title, tilePath: path, expect: { refused: 'malformed' } } });
  return [
    good('first', 0, 0, 256), good('partial', 0, 273, 112), good('thousand', 0, 1000, 256), good('million', 0, 1_234_067, 256), good('entries', null, 273, 112), good('entries-full', null, 999, 256),
    good('level-1', 1, 1, 17), good('level-6', 6, 0, 1),
    bad('short', 'tile/0/0'), bad('level-leading-zero', 'tile/00/000'), bad('x-zero', 'tile/0/x000/000', 'a second spelling of 0'), bad('width-0', 'tile/0/000.p/0'), bad('width-256', 'tile/0/000.p/256', 'a full tile spelled as a partial one'),
    bad('width-leading-zero', 'tile/0/000.p/01'), bad('no-x', 'tile/0/001/000'), bad('slash', 'tile/entries/000/'), bad('level-word', 'tile/a/000'), bad('absolute', '/tile/0/000'), bad('dots', 'tile/0/../0/000'),
    bad('x-last', 'tile/0/x001'), bad('four-digits', 'tile/0/0001'), bad('sign', 'tile/0/-01'), bad('capital', 'tile/0/X001/000'), bad('level-64', 'tile/64/000', 'a level that no tree has'), bad('newline', 'tile/0/000\n'), bad('entries-level', 'tile/0/entries/000'),
  ];
}

export function tileVectors(): Vector[] {
  return [1, 2, 255, 256, 257, 512, 600, 70_000].map((size) => {
    const tree = new MerkleTree();
    for (let i = 0; i < size; i++) tree.append(leafHash(Buffer.from(String(i))));
    const paths = [...tilesBetween(0, size)].map(({ path }) => path);
    const last = [...tilesBetween(size - 1, size)].filter(({ level }) => level !== null);
    return {
      path: `tiles/${size}`,
      content: {
        title: `the files of a tree of ${size}; entry n is n in decimal`, size: String(size),
        expect: {
          root: base64(tree.root()), files: paths.length, lastFiles: [...tilesBetween(size - 1, size)].map(({ path }) => path),
          lastHashes: Object.fromEntries(last.map(({ path, level, index, width }) => [path, base64(tree.nodes(8 * level!, index * 256 + width - 1, index * 256 + width))])),
        },
      },
    };
  });
}

export function bundleVectors(): Vector[] {
  const entries = [Buffer.from('a'), Buffer.alloc(0), Buffer.from('é')];
  const whole = Buffer.from(encodeBundle(entries));
  const bad = (name: string, title: string, of: Uint8Array): Vector => ({ path: `bundles/refused-${name}`, content: { title, base64: base64(of), expect: { refused: 'malformed' } } });
  return [
    { path: 'bundles/three', content: { title: 'three entries, one of them empty', base64: base64(whole), expect: { entries: entries.map(bytes) } } },
    { path: 'bundles/none', content: { title: 'no entries', base64: '', expect: { entries: [] } } },
    bad('one-byte', 'half a length', whole.subarray(0, 1)),
    bad('no-entry', 'a length and nothing after it', whole.subarray(0, 2)),
    bad('cut', 'the last entry cut short', whole.subarray(0, -1)),
    bad('more', 'a byte after the last entry', Buffer.concat([whole, Uint8Array.of(0)])),
    bad('length-more', 'a length that is one too many', Buffer.from(whole).fill(3, whole.length - 3, whole.length - 2)),
    bad('little-endian', 'lengths the other way round', Buffer.from([1, 0, 0x61])),
  ];
}
