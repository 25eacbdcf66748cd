/** Our formats against golang.org/x/mod's, by vectors that it made. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  generateSignerKey, leafHash, LedgerError, MerkleTree, openNote, parseBase64, parseSigner, parseTilePath, parseVerifier, signNote, tilesBetween, verifyConsistency,
  verifyInclusion,
} from '../../ledger/index.ts';

interface Vectors {
  readonly notes: readonly { name: string; seed: string; skey: string; vkey: string; text: string; note: string }[];
  readonly leaves: readonly string[];
  readonly roots: readonly string[];
  readonly inclusion: readonly { index: number; size: number; proof: string[] }[];
  readonly consistency: readonly { old: number; size: number; proof: string[] }[];
  readonly tiles: readonly { size: number; last: string[] }[];
}
const vectors = JSON.parse(readFileSync(new URL('./ledger-go-sumdb.json', import.meta.url), 'utf8')) as Vectors;
const bytes = (text: string): Uint8Array => parseBase64(text)!;
const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString('base64');

describe.each(vectors.notes)('a note signed by sumdb/note as $name', ({ name, seed, skey, vkey, text, note }) => {
  it('has the keys that we make of the same seed', () => {
    expect(generateSignerKey(name, bytes(seed))).toEqual({ skey, vkey });
    expect(parseSigner(skey).vkey).toBe(vkey);
  });

  it('opens here, and is the very note that we write', () => {
    const opened = openNote(note, [parseVerifier(vkey)]);
    expect(opened.text).toBe(text);
    expect(opened.verified.map(({ verifier }) => verifier.vkey)).toEqual([vkey]);
    expect(signNote(text, [parseSigner(skey)])).toBe(note);
  });

  it('does not open with any character of it changed', () => {
    for (let i = 0; i < note.length; i++) {
      const changed = `${note.slice(0, i)}${note[i] === 'A' ? 'B' : 'A'}${note.slice(i + 1)}`;
      expect(() => openNote(changed, [parseVerifier(vkey)]), `character ${i}`).toThrow(LedgerError);
    }
  });
});

describe('a tree as sumdb/tlog grows it', () => {
  const tree = new MerkleTree();
  const roots = vectors.leaves.map((_, n) => {
    tree.append(leafHash(Buffer.from(`leaf ${n}`)));
    return base64(tree.root());
  });

  it('has the same leaves and, at every size, the same root', () => {
    expect(vectors.leaves.map((_, n) => base64(tree.leaf(n)))).toEqual(vectors.leaves);
    expect(roots).toEqual(vectors.roots);
  });

  it.each(vectors.inclusion)('has the same proof of leaf $index in $size', ({ index, size, proof }) => {
    expect(tree.inclusionProof(index, size).map(base64)).toEqual(proof);
    verifyInclusion(tree.leaf(index), index, size, proof.map(bytes), bytes(vectors.roots[size - 1]!));
  });

  it.each(vectors.consistency)('has the same proof that $old is a prefix of $size', ({ old, size, proof }) => {
    expect(tree.consistencyProof(old, size).map(base64)).toEqual(proof);
    verifyConsistency(old, size, proof.map(bytes), bytes(vectors.roots[old - 1]!), bytes(vectors.roots[size - 1]!));
  });

  it.each(vectors.tiles)('of $size leaves has tiles at the same paths', ({ size, last }) => {
    const paths = new Set([...tilesBetween(0, size)].map(({ path }) => path));
    for (const path of last) {
      expect(paths).toContain(path);
      expect(parseTilePath(path)).toMatchObject({ path });
    }
  });
});
