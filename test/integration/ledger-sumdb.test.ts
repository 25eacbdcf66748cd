/**
 * The ledger's formats and proofs against golang.org/x/mod's sumdb/tlog and sumdb/note: trees of every size to 300, the vectors, and proofs
 * that were tampered with. Where the two differ, one of them is wrong.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { generateSignerKey, leafHash, LedgerError, MerkleTree, openNote, parseSigner, parseVerifier, sha256, signNote, verifyConsistency, verifyInclusion } from '../../ledger/index.ts';
import type { Bytes } from '../support/ledger-vectors/vector.ts';

const SOURCE = join(import.meta.dirname, '..', 'interop', 'sumdb');
const PROGRAM = join(process.cwd(), '.cache', 'bin', 'interop-sumdb');
const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo && process.env['CI'] === 'true') throw new Error('SKIPPED: go could not be had, so the ledger is not compared with golang.org/x/mod');

type Question = Readonly<Record<string, unknown>> & { readonly kind: string };
type Answer = { readonly answer?: unknown; readonly refused?: string };

function ask(questions: readonly Question[]): Answer[] {
  const input = questions.map((question) => `${JSON.stringify(question)}\n`).join('');
  const { stdout, status, stderr } = spawnSync(PROGRAM, { input, encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`the program in Go ended with ${String(status)}: ${stderr}`);
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Answer);
}

const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString('base64');
const SIZE = 300;
const entries = Array.from({ length: SIZE }, (_, i) => Buffer.from(`entry ${i}`));
const appended: readonly Question[] = entries.map((entry) => ({ kind: 'append', entry: base64(entry) }));
const tree = new MerkleTree();
for (const entry of entries) tree.append(leafHash(entry));

/** Whether ours takes it. */
function isTaken(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof LedgerError) return false;
    throw error;
  }
}

/** The same numbers every time. */
function* numbers(seed: string): Generator<number, never> {
  for (let block = sha256(Buffer.from(seed)); ; block = sha256(block)) for (let i = 0; i + 4 <= 32; i += 4) yield Buffer.from(block).readUInt32BE(i);
}

/** A proof with one thing done to it, or nothing. */
function tampered(proof: readonly Uint8Array[], how: number, at: number): Uint8Array[] {
  const i = proof.length === 0 ? 0 : at % proof.length;
  const flipped = (hash: Uint8Array): Uint8Array => hash.map((byte, j) => (j === at % 32 ? byte ^ 1 : byte));
  switch (how % 7) {
    case 0: return [...proof];
    case 1: return [...proof, tree.leaf(at % SIZE)];
    case 2: return [tree.leaf(at % SIZE), ...proof];
    case 3: return proof.filter((_, j) => j !== i);
    case 4: return proof.map((hash, j) => (j === i ? flipped(hash) : hash));
    case 5: return [...proof].reverse();
    default: return [];
  }
}

describe.skipIf(!hasGo)('golang.org/x/mod', () => {
  beforeAll(() => execFileSync('go', ['build', '-o', PROGRAM, '.'], { cwd: SOURCE, stdio: ['ignore', 'ignore', 'inherit'] }));

  it(`has the root that we have at every size to ${SIZE}`, () => {
    expect(ask(appended).map(({ answer }) => answer)).toEqual(Array.from({ length: SIZE }, (_, i) => base64(tree.root(i + 1))));
  });

  it('proves every entry of every such tree by the same hashes', () => {
    const pairs = Array.from({ length: SIZE }, (_, i) => i + 1).flatMap((size) => Array.from({ length: size }, (_, index) => ({ size, index })));
    const answers = ask([...appended, ...pairs.map(({ size, index }) => ({ kind: 'proveInclusion', size, index }))]).slice(SIZE);
    for (const [i, { size, index }] of pairs.entries()) expect((answers[i]!.answer ?? []) as string[], `entry ${index} of ${size}`).toEqual(tree.inclusionProof(index, size).map(base64));
    expect(pairs).toHaveLength((SIZE * (SIZE + 1)) / 2);
  });

  it('proves every such tree a prefix of every larger one by the same hashes', () => {
    const pairs = Array.from({ length: SIZE }, (_, i) => i + 1).flatMap((newer) => Array.from({ length: newer }, (_, i) => ({ newer, older: i + 1 })));
    const answers = ask([...appended, ...pairs.map(({ newer, older }) => ({ kind: 'proveConsistency', newer, older }))]).slice(SIZE);
    for (const [i, { newer, older }] of pairs.entries()) expect((answers[i]!.answer ?? []) as string[], `${older} in ${newer}`).toEqual(tree.consistencyProof(older, newer).map(base64));
  });

  it('takes and refuses the proofs that we take and refuse, whatever was done to them', () => {
    const next = numbers('tampered proofs');
    const number = (below: number): number => next.next().value % below;
    const cases = Array.from({ length: 10_000 }, (_, i) => {
      const size = 1 + number(SIZE);
      const index = number(size);
      const how = number(7);
      const where = number(2 ** 30);
      if (i % 2 === 0) {
        const proof = tampered(tree.inclusionProof(index, size), how, where);
        const [said, leaf] = [number(4) === 0 ? number(size) : index, number(8) === 0 ? tree.leaf(number(SIZE)) : tree.leaf(index)];
        const question: Question = { kind: 'checkInclusion', index: said, size, leaf: base64(leaf), proof: proof.map(base64), roots: [base64(tree.root(size))] };
        return { question, ours: isTaken(() => verifyInclusion(leaf, said, size, proof, tree.root(size))) };
      }
      const older = 1 + index;
      const proof = tampered(tree.consistencyProof(older, size), how, where);
      const olderRoot = tree.root(number(4) === 0 ? 1 + number(size) : older);
      const question: Question = { kind: 'checkConsistency', older, newer: size, proof: proof.map(base64), roots: [base64(olderRoot), base64(tree.root(size))] };
      return { question, ours: isTaken(() => verifyConsistency(older, size, proof, olderRoot, tree.root(size))) };
    });
    const theirs = ask(cases.map(({ question }) => question)).map(({ refused }) => refused === undefined);
    for (const [i, { question, ours }] of cases.entries()) expect(theirs[i], JSON.stringify(question)).toBe(ours);
    const taken = cases.filter(({ ours }) => ours).length;
    expect([taken > 1_000, cases.length - taken > 5_000]).toEqual([true, true]);
  });

  it('signs the note that we sign, and opens ours', () => {
    const { skey, vkey } = generateSignerKey('log.test/a', sha256(Buffer.from('a')));
    const texts = ['text\n', '\n', 'a\n\nb\n', 'größer als ∅ 𝄞\n', 'log.test/a\n42\nq83v\n'];
    const ours = texts.map((text) => signNote(text, [parseSigner(skey)]));
    expect(ask(texts.map((text) => ({ kind: 'sign', text, key: skey }))).map(({ answer }) => answer)).toEqual(ours);
    expect(ask(ours.map((text) => ({ kind: 'open', text, keys: [vkey] }))).map(({ answer }) => answer)).toEqual(texts.map((text) => ({ text, signedBy: [parseSigner(skey).keyName] })));
  });

  it('opens the vectors\' notes as we do, but for what only one of the two is strict about', () => {
    const folder = join(import.meta.dirname, '..', 'vectors', 'ledger', 'notes');
    const vectors = readdirSync(folder).map((name) => ({ name, ...(JSON.parse(readFileSync(join(folder, name), 'utf8')) as { note: Bytes; keys: string[]; expect: object }) }));
    const spelled = vectors.filter(({ note }) => 'text' in note);
    const theirs = ask(spelled.map(({ note, keys }) => ({ kind: 'open', text: 'text' in note ? note.text : '', keys })));
    const differing = spelled.filter(({ expect: ours }, i) => ('refused' in ours) !== (theirs[i]!.refused !== undefined)).map(({ name }) => name);
    expect(differing).toEqual(LOOSER_THERE);
    for (const [i, { name, expect: ours }] of spelled.entries()) if (!('refused' in ours) && !differing.includes(name)) expect(theirs[i]!.answer, name).toEqual(ours);
  });

  it('refuses every changed byte of a note, as we do', () => {
    const { skey, vkey } = generateSignerKey('log.test/a', sha256(Buffer.from('a')));
    const note = signNote('log.test/a\n42\nq83v\n', [parseSigner(skey)]);
    const changed = Array.from(note, (char, i) => `${note.slice(0, i)}${char === 'A' ? 'B' : 'A'}${note.slice(i + 1)}`);
    const theirs = ask(changed.map((text) => ({ kind: 'open', text, keys: [vkey] }))).map(({ refused }) => refused === undefined);
    expect(theirs).toEqual(changed.map((text) => isTaken(() => openNote(text, [parseVerifier(vkey)]))));
  });

  it('reads the tile paths of the vectors as we do', () => {
    const folder = join(import.meta.dirname, '..', 'vectors', 'ledger', 'tile-paths');
    const vectors = readdirSync(folder).map((name) => ({ name, ...(JSON.parse(readFileSync(join(folder, name), 'utf8')) as { tilePath: string; expect: { level?: string } }) }));
    // There a path has the height of its tiles in it.
    const comparable = vectors.filter(({ tilePath }) => tilePath.startsWith('tile/') && !tilePath.startsWith('tile/entries'));
    const theirs = ask(comparable.map(({ tilePath }) => ({ kind: 'parseTilePath', path: tilePath.replace('tile/', 'tile/8/') })));
    const differing = comparable.filter(({ expect: ours }, i) => ('refused' in ours) !== (theirs[i]!.refused !== undefined)).map(({ name }) => name);
    // That levels end at 63 is said by C2SP, not there.
    expect(differing).toEqual(['refused-level-64.json']);
  });
});

/** Base64 with stray bits is a second spelling of a signature, which Go's decoder takes. */
const LOOSER_THERE: readonly string[] = ['refused-stray-bits.json'];
