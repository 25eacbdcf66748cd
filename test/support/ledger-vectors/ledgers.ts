/** Whole ledgers: the one that FORMAT.md opens with, and what is left of it when one thing is done to it. */
import {
  decodeBundle, decodeRecord, digestOf, encodeBundle, encodeRecord, formatDigest, generateSignerKey, leafHash, MerkleTree, openLog, parseSigner, sha256, signCheckpoint, type LedgerRecord,
} from '../../../ledger/index.ts';
import { encodeObject } from '../../../ledger/objects.ts';
import { FaultyDisk } from '../../fault/faulty-disk.ts';
import { bytes, signerOf, type Bytes, type Vector } from './vector.ts';

const ORIGIN = 'ledger.example/edge';
const { skey, vkey } = generateSignerKey(ORIGIN, sha256(Buffer.from('example')));
const signer = parseSigner(skey);
const POLICY = `log ${vkey}\nquorum none\n`;

export type Files = ReadonlyMap<string, Buffer>;

/** What FORMAT.md prints, by path. */
export async function exampleLedger(): Promise<Files> {
  const disk = new FaultyDisk();
  const log = await openLog({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: () => 0 });
  const object = Buffer.from('{"salt":"kY3bQ0x1","window":"nightly"}');
  await log.append([
    { v: 1, change: null, type: 'ledger.opened', at: '2026-11-23T19:05:00.000Z', actor: 'sidecar:edge', body: { version: '0.1.0' }, objects: [] },
    { v: 1, change: 'chg_1', type: 'change.requested', at: '2026-11-23T19:05:00.123Z', actor: 'nhi:prod/billing', body: { reason: 'rotate' }, objects: [digestOf(object)] },
  ], { objects: [object] }).durable;
  await log.close();
  return new Map([...disk.files].filter(([path]) => path.startsWith('ledger/')).map(([path, content]) => [path.slice('ledger/'.length), Buffer.from(content)]));
}

const BUNDLE = 'tile/entries/000.p/2';
const TILE = 'tile/0/000.p/2';

export interface LedgerExpected {
  /** Verdicts that are asked about. */
  readonly verdicts: Readonly<Record<string, 'holds' | 'fails' | 'notEstablished'>>;
  /** The record that the first failing verdict names; absent where none is due. */
  readonly seq?: number;
  /** With INTEGRITY, SIGNATURE and COMPLETENESS required. */
  readonly exit: 0 | 1 | 3;
}

interface Asked {
  readonly policy?: string | null;
  readonly pinned?: string;
  readonly minSize?: number;
}

function ledger(path: string, title: string, files: Files, expect: LedgerExpected, { policy = POLICY, pinned, minSize }: Asked = {}): Vector {
  const listed = Object.fromEntries([...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, content]): [string, Bytes] => [name, bytes(content)]));
  return {
    path: `ledgers/${path}`,
    content: { title, files: listed, policy, ...(pinned === undefined ? {} : { pinned: { text: pinned } }), ...(minSize === undefined ? {} : { minSize: String(minSize) }), expect },
  };
}

export async function ledgerVectors(): Promise<Vector[]> {
  const whole = await exampleLedger();
  const entries = decodeBundle(whole.get(BUNDLE)!);
  const note = whole.get('checkpoint')!.toString();
  const object = whole.get('objects/0')!;
  const edited = (change: (files: Map<string, Buffer>) => void): Files => {
    const files = new Map(whole);
    change(files);
    return files;
  };
  const withByte = (path: string, at: number): Files => edited((files) => {
    const changed = Buffer.from(files.get(path)!);
    changed[at] = changed[at]! ^ 1;
    files.set(path, changed);
  });
  const integrity = (seq: number): LedgerExpected => ({ verdicts: { INTEGRITY: 'fails', SIGNATURE: 'holds', COMPLETENESS: 'notEstablished' }, seq, exit: 1 });
  const bad = (path: string, title: string, files: Files, expect: LedgerExpected, asked?: Asked): Vector => ledger(`refused-${path}`, title, files, expect, asked);
  /** Other entries with tiles and a signed checkpoint that fit them: a log that lies. */
  const signedOver = (others: readonly Uint8Array[], more: (files: Map<string, Buffer>) => void = () => undefined): Files => edited((files) => {
    const tree = new MerkleTree();
    for (const entry of others) tree.append(leafHash(entry));
    for (const path of [BUNDLE, TILE]) files.delete(path);
    files.set(`tile/entries/000.p/${others.length}`, Buffer.from(encodeBundle(others)));
    files.set(`tile/0/000.p/${others.length}`, Buffer.from(tree.nodes(0, 0, others.length)));
    files.set('checkpoint', Buffer.from(signCheckpoint({ origin: ORIGIN, size: others.length, root: tree.root() }, signer)));
    more(files);
  });
  const second = decodeRecord(entries[1]!);
  const again = (change: Partial<LedgerRecord>): Uint8Array => encodeRecord({ ...second, ...change });
  const signature: LedgerExpected = { verdicts: { SIGNATURE: 'fails' }, exit: 1 };
  const completeness = (seq: number): LedgerExpected => ({ verdicts: { INTEGRITY: 'notEstablished', SIGNATURE: 'holds', COMPLETENESS: 'fails' }, seq, exit: 1 });
  const third = (change: Partial<LedgerRecord>): Uint8Array => {
    const leaf = formatDigest(leafHash(entries[1]!));
    return encodeRecord({ ...second, seq: 2, prev: leaf, changeSeq: 1, changePrev: leaf, objects: [], type: 'change.withdrawn', body: {}, ...change });
  };
  const erasedObject = Buffer.from(encodeObject({ digest: second.objects[0]!, erased: true, payload: Buffer.alloc(object.length - 37) }));
  const erasure = third({ type: 'erasure', change: null, changeSeq: null, changePrev: null, body: { erased: [second.objects[0]!] } });
  const grown = signedOver([...entries, third({})]);
  return [
    ledger('example', 'the ledger that FORMAT.md opens with', whole, { verdicts: { INTEGRITY: 'holds', SIGNATURE: 'holds', WITNESS: 'notEstablished', COMPLETENESS: 'holds', TIME: 'notEstablished' }, exit: 0 }),
    ledger('pinned', 'an older checkpoint that it has grown from', grown, { verdicts: { COMPLETENESS: 'holds' }, exit: 0 }, { pinned: note }),
    ledger('erased-on-record', 'its object erased, and a record that says so', signedOver([...entries, erasure], (files) => files.set('objects/0', erasedObject)), { verdicts: { INTEGRITY: 'holds', COMPLETENESS: 'holds' }, exit: 0 }),
    bad('nothing', 'nothing at all', new Map(), { verdicts: { INTEGRITY: 'notEstablished', SIGNATURE: 'notEstablished', COMPLETENESS: 'notEstablished' }, exit: 3 }),
    bad('no-trust', 'nobody said whom to trust', whole, { verdicts: { INTEGRITY: 'holds', SIGNATURE: 'notEstablished' }, exit: 3 }, { policy: null }),
    bad('no-checkpoint', 'no checkpoint', edited((files) => files.delete('checkpoint')), { verdicts: { INTEGRITY: 'notEstablished', SIGNATURE: 'fails' }, exit: 1 }),
    bad('checkpoint-altered', 'a checkpoint with another root', edited((files) => files.set('checkpoint', Buffer.from(note.replace('84zk', '94zk')))), { verdicts: { INTEGRITY: 'fails', SIGNATURE: 'fails' }, exit: 1 }),
    bad('checkpoint-other-key', 'a checkpoint signed under the origin by another key', edited((files) => files.set('checkpoint', Buffer.from(signCheckpoint({ origin: ORIGIN, size: 2, root: Buffer.from(note.split('\n')[2]!, 'base64') }, signerOf(ORIGIN, 'another'))))), signature),
    bad('checkpoint-unsigned', 'a checkpoint whose signature line is gone', edited((files) => files.set('checkpoint', Buffer.from(`${note.split('\n').slice(0, 3).join('\n')}\n\n`))), signature),
    bad('other-policy', 'a trust policy that lists another log', whole, signature, { policy: `log ${signerOf('log.test/b').vkey}\nquorum none\n` }),
    bad('record-altered', 'one byte of a record', withByte(BUNDLE, 20), integrity(0)),
    bad('last-record-altered', 'one byte of the last record', withByte(BUNDLE, whole.get(BUNDLE)!.length - 4), integrity(1)),
    bad('record-removed', 'the first record is gone', edited((files) => files.set(BUNDLE, Buffer.from(encodeBundle(entries.slice(1))))), integrity(0)),
    bad('tail-removed', 'the last record is gone', edited((files) => files.set(BUNDLE, Buffer.from(encodeBundle(entries.slice(0, 1))))), integrity(1)),
    bad('records-swapped', 'two records have changed places', edited((files) => files.set(BUNDLE, Buffer.from(encodeBundle([entries[1]!, entries[0]!])))), integrity(0)),
    bad('record-more', 'a record more than the checkpoint covers', edited((files) => files.set(BUNDLE, Buffer.from(encodeBundle([...entries, third({})])))), { verdicts: { INTEGRITY: 'fails' }, exit: 1 }),
    bad('bundle-missing', 'the records are gone', edited((files) => files.delete(BUNDLE)), integrity(0)),
    bad('tile-altered', 'one byte of a tile', withByte(TILE, 40), integrity(1)),
    bad('tile-missing', 'a tile is gone', edited((files) => files.delete(TILE)), { verdicts: { INTEGRITY: 'fails' }, exit: 1 }),
    bad('object-altered', 'one byte of an object', withByte('objects/0', 45), integrity(1)),
    bad('object-missing', 'the objects are gone', edited((files) => files.delete('objects/0')), integrity(1)),
    bad('object-more', 'an object that no record names', edited((files) => files.set('objects/0', Buffer.concat([object, encodeObject({ digest: digestOf(Buffer.from('x')), erased: false, payload: Buffer.from('x') })]))), { verdicts: { INTEGRITY: 'fails' }, exit: 1 }),
    bad('object-erased', 'an object erased, and no record that says so', edited((files) => files.set('objects/0', erasedObject)), integrity(1)),
    bad('file-more', 'a file that nothing accounts for', edited((files) => files.set('notes.txt', Buffer.from('x'))), { verdicts: { INTEGRITY: 'fails' }, exit: 1 }),
    bad('tile-more', 'a tile of another width', edited((files) => files.set('tile/0/000.p/1', files.get(TILE)!.subarray(0, 32))), { verdicts: { INTEGRITY: 'fails' }, exit: 1 }),
    bad('key-in-evidence', 'a trust policy beside the ledger', edited((files) => files.set('trust.policy', Buffer.from(POLICY))), { verdicts: { INTEGRITY: 'fails' }, exit: 1 }),
    bad('prev', 'a signed record that does not follow on the one before', signedOver([entries[0]!, again({ prev: `sha256:${'0'.repeat(64)}` })]), { verdicts: { INTEGRITY: 'fails', SIGNATURE: 'holds' }, exit: 1 }),
    bad('change-gap', 'a signed change with a record missing', signedOver([entries[0]!, again({ changeSeq: 1, changePrev: `sha256:${'0'.repeat(64)}` })]), completeness(1)),
    bad('change-branch', 'a signed change with two first records', signedOver([...entries, third({ changeSeq: 0, changePrev: null })]), completeness(2)),
    bad('seq', 'a signed record with another seq', signedOver([entries[0]!, again({ seq: 2 })]), { verdicts: { SIGNATURE: 'holds' }, exit: 1 }),
    bad('not-a-record', 'a signed entry that is no record', signedOver([entries[0]!, Buffer.from('{}')]), { verdicts: { INTEGRITY: 'fails', SIGNATURE: 'holds' }, seq: 1, exit: 1 }),
    bad('min-size', 'fewer records than there must be', whole, { verdicts: { INTEGRITY: 'holds', COMPLETENESS: 'fails' }, exit: 1 }, { minSize: 3 }),
    bad('rolled-back', 'an older checkpoint covers more', whole, { verdicts: { INTEGRITY: 'holds', COMPLETENESS: 'fails' }, exit: 1 }, { pinned: grown.get('checkpoint')!.toString() }),
    bad('split-view', 'an older checkpoint of another history', grown, { verdicts: { INTEGRITY: 'holds', COMPLETENESS: 'fails' }, exit: 1 }, { pinned: signedOver([entries[0]!, again({ body: { reason: 'another' } })]).get('checkpoint')!.toString() }),
    bad('huge-claim', 'a signed checkpoint of 2^53 - 1 records', edited((files) => files.set('checkpoint', Buffer.from(signCheckpoint({ origin: ORIGIN, size: Number.MAX_SAFE_INTEGER, root: sha256() }, signer)))), { verdicts: { INTEGRITY: 'fails', SIGNATURE: 'holds' }, exit: 1 }),
  ];
}
