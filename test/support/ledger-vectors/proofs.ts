/** Proofs of single records. https://c2sp.org/tlog-proof */
import { EMPTY_ROOT, formatProof, leafHash, MerkleTree, parseProof, signCheckpoint, type LedgerErrorCode } from '../../../ledger/index.ts';
import { bytes, log, ORIGIN, otherLog, replaced, type Vector } from './vector.ts';

const entries = Array.from({ length: 9 }, (_, i) => Buffer.from(`entry ${i}`));
const tree = new MerkleTree();
for (const entry of entries) tree.append(leafHash(entry));
const checkpoint = signCheckpoint({ origin: ORIGIN, size: 9, root: tree.root() }, log);
const trusted = `log ${log.vkey}\nquorum none\n`;

function proof(path: string, title: string, text: string, expect: object, entry: Uint8Array = entries[4]!, policy = trusted): Vector {
  return { path: `proofs/${path}`, content: { title, entry: bytes(entry), proof: text, policy, expect } };
}

export function proofVectors(): Vector[] {
  const good = formatProof({ index: 4, hashes: tree.inclusionProof(4), checkpoint });
  const bad = (path: string, title: string, text: string, code: LedgerErrorCode = 'malformed', entry: Uint8Array = entries[4]!, policy = trusted): Vector =>
    proof(`refused-${path}`, title, text, { refused: code }, entry, policy);
  const withHashes = (change: (hashes: Uint8Array[]) => Uint8Array[]): string => formatProof({ index: 4, hashes: change(tree.inclusionProof(4)), checkpoint });
  const holds = { origin: ORIGIN, index: '4', size: '9' };
  return [
    proof('entry-4-of-9', 'entry 4 of 9', good, holds),
    proof('extra', 'with extra bytes, which nothing vouches for', formatProof({ ...parseProof(good), extra: Buffer.from('note to self') }), holds),
    proof('only-entry', 'the only entry: no hashes', formatProof({ index: 0, hashes: [], checkpoint: signCheckpoint({ origin: ORIGIN, size: 1, root: leafHash(entries[0]!) }, log) }), { origin: ORIGIN, index: '0', size: '1' }, entries[0]),
    bad('version', 'another version', replaced(good, '@v1', '@v2')),
    bad('no-index', 'no index', replaced(good, 'index 4\n', '')),
    bad('two-indices', 'two indices', replaced(good, 'index 4\n', 'index 4\nindex 4\n')),
    bad('index-leading-zero', 'an index with a leading zero', replaced(good, 'index 4', 'index 04')),
    bad('index-sign', 'an index with a sign', replaced(good, 'index 4', 'index +4')),
    bad('index-huge', 'an index past 2^53', replaced(good, 'index 4', 'index 9007199254740992')),
    bad('extra-later', 'extra after the index', replaced(good, 'index 4\n', 'index 4\nextra AAAA\n')),
    bad('extra-stray-bits', 'extra in a second spelling', replaced(good, 'index 4\n', 'extra AB==\nindex 4\n')),
    bad('hash-cut', 'a hash cut short', replaced(good, /\n([A-Za-z0-9+/]{4})/, '\n')),
    bad('hash-unpadded', 'a hash without its padding', replaced(good, '=\n', '\n')),
    bad('64-hashes', 'more hashes than any tree has levels', formatProof({ index: 4, hashes: Array.from({ length: 64 }, () => EMPTY_ROOT), checkpoint })),
    bad('no-empty-line', 'no empty line before the checkpoint', replaced(good, '\n\n', '\n')),
    bad('no-checkpoint', 'no checkpoint', good.slice(0, good.indexOf('\n\n') + 2)),
    bad('blank-between', 'a line that looks empty', replaced(good, '\n\n', '\n \n\n')),
    bad('carriage-return', 'carriage returns', good.replaceAll('\n', '\r\n')),
    bad('more-after', 'more after the checkpoint', `${good}more\n`),
    bad('nothing', 'nothing at all', ''),
    bad('hash-more', 'a hash more', withHashes((h) => [...h, EMPTY_ROOT]), 'invalid-proof'),
    bad('hash-less', 'a hash less', withHashes((h) => h.slice(1)), 'invalid-proof'),
    bad('reversed', 'the hashes the other way round', withHashes((h) => [...h].reverse()), 'invalid-proof'),
    bad('other-index', 'another index', replaced(good, 'index 4', 'index 5'), 'invalid-proof'),
    bad('index-is-size', 'the index is the size', replaced(good, 'index 4', 'index 9'), 'invalid-proof'),
    bad('other-entry', 'the proof of one entry with another', good, 'invalid-proof', entries[3]),
    bad('entry-and-newline', 'the entry and a newline', good, 'invalid-proof', Buffer.concat([entries[4]!, Buffer.from('\n')])),
    bad('unknown-log', 'a checkpoint of a log that nobody listed', good, 'untrusted', entries[4], `log ${otherLog.vkey}\nquorum none\n`),
    bad('other-root', 'a checkpoint whose root was changed after it was signed', formatProof({ index: 4, hashes: tree.inclusionProof(4), checkpoint: replaced(checkpoint, /\n9\n./, '\n9\nA') }), 'untrusted'),
    bad('unsigned', 'a root that nobody signed', `${good.slice(0, good.indexOf('\n\n') + 2)}${checkpoint.split('\n').slice(0, 3).join('\n')}\n\n`),
  ];
}
