/**
 * The ledger's vectors, as files: made by this code, answered by it as they say, and about nothing that only it has. An implementation in
 * any language is held to them; `ledger/FORMAT.md` says what each folder is.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  decodeBundle, decodeRecord, encodeBundle, encodeRecord, exitCodeOf, formatBase64, formatCheckpoint, formatNote, formatProof, JsonError, leafHash, LedgerError, MerkleTree, openCheckpoint,
  openNote, parseBase64, parseCheckpoint, parseNote, parseProof, parseTilePath, parseTrustPolicy, parseVerifier, tilesBetween, verifyConsistency, verifyInclusion, verifyLedger, verifyProof,
  type LedgerRecord, type TrustPolicy,
} from '../../ledger/index.ts';
import { decodeObject, encodeObject } from '../../ledger/objects.ts';
import { FaultyDisk } from '../fault/faulty-disk.ts';
import { ledgerVectorFiles } from '../support/ledger-vectors/all.ts';
import type { LedgerExpected } from '../support/ledger-vectors/ledgers.ts';
import { bytes, type Bytes } from '../support/ledger-vectors/vector.ts';

const FOLDER = join(import.meta.dirname, 'ledger');
const made = await ledgerVectorFiles();

if (process.env['UPDATE_VECTORS'] === '1') {
  for (const name of await filesIn(FOLDER)) if (!made.has(name)) await rm(join(FOLDER, name));
  for (const [name, text] of made) {
    await mkdir(dirname(join(FOLDER, name)), { recursive: true });
    await writeFile(join(FOLDER, name), text);
  }
}
const names = await filesIn(FOLDER);
const files = new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(FOLDER, name), 'utf8')] as const)));

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true }).catch(() => []);
  return found.filter((name) => name.endsWith('.json')).sort();
}

type Suite<T> = readonly (readonly [string, T & { readonly expect: Record<string, unknown> }])[];

/** Those of one folder, by name. */
function suite<T>(name: string): Suite<T> {
  return [...files].filter(([path]) => path.startsWith(`${name}/`)).map(([path, text]) => [path, JSON.parse(text) as T & { readonly expect: Record<string, unknown> }]);
}

const bytesOf = (given: Bytes): Buffer => ('text' in given ? Buffer.from(given.text, 'utf8') : Buffer.from(given.base64, 'base64'));

/** The text of bytes that are to be UTF-8. */
function textOf(given: Bytes): string {
  const raw = bytesOf(given);
  const text = raw.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(raw)) throw new LedgerError('malformed', 'not UTF-8');
  return text;
}

const hashOf = (text: string): Uint8Array => parseBase64(text) ?? Buffer.from(text, 'base64');
const countOf = (text: string): number => Number(text);

/** What reading comes to, or the code under which it is refused. Any other error is a fault of ours. */
function answer(read: () => object): object {
  try {
    return read();
  } catch (error) {
    if (error instanceof LedgerError) return { refused: error.code };
    if (error instanceof JsonError) return { refused: 'malformed' };
    throw error;
  }
}

function policyAsListed({ logs, witnesses, groups, quorum }: TrustPolicy): object {
  return {
    logs: logs.map(({ verifier }) => verifier.vkey), witnesses: witnesses.map(({ name, verifier }) => ({ name, key: verifier.vkey })),
    groups: groups.map(({ name, threshold, members }) => ({ name, threshold, members })), quorum,
  };
}

describe('the files', () => {
  it('are what this code makes, each of them and no others: UPDATE_VECTORS=1 writes them', () => {
    expect(names).toEqual([...made.keys()].sort());
    for (const [name, text] of files) expect(text, name).toBe(made.get(name));
  });

  it('hold at least 150 that must be refused, in every folder some', () => {
    const refused = names.filter((name) => name.includes('/refused-'));
    expect(refused.length).toBeGreaterThanOrEqual(150);
    expect(new Set(refused.map((name) => dirname(name)))).toEqual(new Set(names.map((name) => dirname(name)).filter((folder) => folder !== 'tiles')));
    for (const name of refused) expect(files.get(name), name).toMatch(/"refused": |"exit": [13]/);
  });
});

describe('notes', () => {
  it.each(suite<{ note: Bytes; keys: string[] }>('notes'))('%s', (_name, { note, keys, expect: expected }) => {
    expect(answer(() => {
      const text = textOf(note);
      expect(formatNote(parseNote(text))).toBe(text);
      const opened = openNote(text, keys.map(parseVerifier));
      return { text: opened.text, signedBy: opened.verified.map(({ verifier }) => verifier.keyName) };
    })).toEqual(expected);
  });
});

describe('keys', () => {
  it.each(suite<{ key: string }>('keys'))('%s', (_name, { key, expect: expected }) => {
    expect(answer(() => {
      const { name, keyName, type, publicKey, vkey } = parseVerifier(key);
      expect(vkey).toBe(key);
      return { name, keyName, type, publicKey: Buffer.from(publicKey).toString('hex') };
    })).toEqual(expected);
  });
});

describe('checkpoints', () => {
  it.each(suite<{ checkpoint: string }>('checkpoints'))('%s', (_name, { checkpoint, expect: expected }) => {
    expect(answer(() => {
      const { origin, size, root, extensions } = parseCheckpoint(checkpoint);
      expect(formatCheckpoint({ origin, size, root }) + extensions.map((line) => `${line}\n`).join('')).toBe(checkpoint);
      return { origin, size: String(size), root: formatBase64(root), extensions };
    })).toEqual(expected);
  });
});

describe('cosigned checkpoints', () => {
  it.each(suite<{ note: string; policy: string }>('cosigned'))('%s', (_name, { note, policy, expect: expected }) => {
    expect(answer(() => {
      const { origin, size, root, witnesses, witness } = openCheckpoint(note, parseTrustPolicy(policy));
      return { origin, size: String(size), root: formatBase64(root), witnessed: witnesses, quorumMet: witness.met };
    })).toEqual(expected);
  });
});

describe('trust policies', () => {
  it.each(suite<{ policy: string }>('policies'))('%s', (_name, { policy, expect: expected }) => {
    expect(answer(() => policyAsListed(parseTrustPolicy(policy)))).toEqual(expected);
  });
});

describe('proofs', () => {
  it.each(suite<{ entry: Bytes; proof: string; policy: string }>('proofs'))('%s', (_name, { entry, proof, policy, expect: expected }) => {
    expect(answer(() => {
      const parsed = parseProof(proof);
      expect(formatProof(parsed)).toBe(proof);
      const { origin, size } = verifyProof(bytesOf(entry), parsed, parseTrustPolicy(policy));
      return { origin, index: String(parsed.index), size: String(size) };
    })).toEqual(expected);
  });
});

describe('inclusion', () => {
  it.each(suite<{ index: string; size: string; leaf: string; proof: string[]; root: string }>('inclusion'))('%s', (_name, { index, size, leaf, proof, root, expect: expected }) => {
    expect(answer(() => {
      verifyInclusion(hashOf(leaf), countOf(index), countOf(size), proof.map(hashOf), hashOf(root));
      return { proven: true };
    })).toEqual(expected);
  });
});

describe('consistency', () => {
  it.each(suite<{ older: string; newer: string; proof: string[]; olderRoot: string; newerRoot: string }>('consistency'))('%s', (_name, { older, newer, proof, olderRoot, newerRoot, expect: expected }) => {
    expect(answer(() => {
      verifyConsistency(countOf(older), countOf(newer), proof.map(hashOf), hashOf(olderRoot), hashOf(newerRoot));
      return { proven: true };
    })).toEqual(expected);
  });
});

describe('tile paths', () => {
  it.each(suite<{ tilePath: string }>('tile-paths'))('%s', (_name, { tilePath, expect: expected }) => {
    const parsed = parseTilePath(tilePath);
    expect(parsed === null ? { refused: 'malformed' } : { level: String(parsed.level ?? 'entries'), index: String(parsed.index), width: parsed.width }).toEqual(expected);
  });
});

describe('tiles', () => {
  it.each(suite<{ size: string }>('tiles'))('%s', (_name, { size, expect: expected }) => {
    const tree = new MerkleTree();
    for (let i = 0; i < countOf(size); i++) tree.append(leafHash(Buffer.from(String(i))));
    const last = [...tilesBetween(tree.size - 1, tree.size)];
    const hashes = last.filter(({ level }) => level !== null).map(({ path, level, index, width }) => [path, formatBase64(tree.nodes(8 * level!, index * 256 + width - 1, index * 256 + width))] as const);
    expect({ root: formatBase64(tree.root()), files: [...tilesBetween(0, tree.size)].length, lastFiles: last.map(({ path }) => path), lastHashes: Object.fromEntries(hashes) }).toEqual(expected);
  });
});

describe('bundles', () => {
  it.each(suite<{ base64: string }>('bundles'))('%s', (_name, { base64, expect: expected }) => {
    expect(answer(() => {
      const entries = decodeBundle(Buffer.from(base64, 'base64'));
      expect(formatBase64(encodeBundle(entries))).toBe(base64);
      return { entries: entries.map(bytes) };
    })).toEqual(expected);
  });
});

describe('records', () => {
  it.each(suite<{ entry: Bytes }>('records'))('%s', (_name, { entry, expect: expected }) => {
    expect(answer(() => {
      const record: LedgerRecord = decodeRecord(bytesOf(entry));
      expect(Buffer.from(encodeRecord(record)).equals(bytesOf(entry))).toBe(true);
      return { record };
    })).toEqual(expected);
  });
});

describe('objects', () => {
  it.each(suite<{ base64: string }>('objects'))('%s', (_name, { base64, expect: expected }) => {
    expect(answer(() => {
      const raw = Buffer.from(base64, 'base64');
      const { object, next } = decodeObject(raw, 0);
      // An object file holds objects and nothing after the last.
      if (next !== raw.length) throw new LedgerError('malformed', 'bytes after the object');
      expect(formatBase64(encodeObject(object))).toBe(base64);
      return { digest: object.digest, erased: object.erased, payload: bytes(object.payload) };
    })).toEqual(expected);
  });
});

describe('ledgers', () => {
  interface Given {
    readonly files: Record<string, Bytes>;
    readonly policy: string | null;
    readonly pinned?: Bytes;
    readonly minSize?: string;
  }
  it.each(suite<Given>('ledgers'))('%s', async (_name, { files: given, policy, pinned, minSize, expect: expected }) => {
    const { verdicts: asked, seq, exit } = expected as unknown as LedgerExpected;
    const disk = new FaultyDisk();
    for (const [path, content] of Object.entries(given)) disk.files.set(`ledger/${path}`, bytesOf(content));
    const { verdicts } = await verifyLedger({
      disk, directory: 'ledger', trust: policy === null ? null : parseTrustPolicy(policy), pinned: pinned === undefined ? null : textOf(pinned), ...(minSize === undefined ? {} : { minSize: countOf(minSize) }),
    });
    expect(Object.fromEntries(verdicts.filter(({ name }) => Object.hasOwn(asked, name)).map(({ name, status }) => [name, status]))).toEqual(asked);
    expect(exitCodeOf(verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'])).toBe(exit);
    if (seq !== undefined) expect(verdicts.find(({ status }) => status === 'fails')).toMatchObject({ seq });
  });
});
