/** Packs of story ledgers, and what an attacker does to them: taken apart, changed, and put together again as they should be. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf, nodeDisk, openLog, readDirectory, type Verdict } from '../../ledger/index.ts';
import { encodeDocument, manifestSchema, type Manifest, type PackAsked } from '../../src/evidence/pack-format.ts';
import { planPack, type PackPlan } from '../../src/evidence/pack-plan.ts';
import { verifyPack, type PackVerification, type VerifyPackOptions } from '../../src/evidence/pack-verify.ts';
import { writePack } from '../../src/evidence/pack-write.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { entryBytes, formatHeader } from '../../src/evidence/tar.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { keys, ORIGIN, provenance, sidecar, START_MS, storyTrust, type Beat } from './story.ts';
import { draftOf } from './drafts.ts';

/** A record, or that which states the heads of all before it. */
export type Line = DraftWithObjects | 'heads';

export interface StoryLedger {
  readonly directory: string;
  pack(asked: PackAsked): Promise<Buffer>;
  plan(asked: PackAsked): Promise<PackPlan>;
  remove(): void;
}

export const linesOf = (beats: readonly Beat[]): DraftWithObjects[] => beats.map(({ changeId, event, atMs }) => draftOf(changeId, event, atMs));

/** The bundle that stories are decided by comes into force. */
export const storyBundle = (): DraftWithObjects => systemDraft('bundle.activated', { bundle: provenance.bundle, listing: null, signature: null }, sidecar, START_MS);

/** A ledger of these lines, after the record that opens it. `erased`: digests that are zeroed once all is written. */
export async function ledgerOf(lines: readonly Line[], erased: readonly string[] = []): Promise<StoryLedger> {
  const directory = mkdtempSync(join(tmpdir(), 'cs-pack-'));
  const disk = nodeDisk(directory);
  let nowMs = START_MS;
  const log = await openLog({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer: keys.log, now: () => nowMs });
  for (const line of [systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS), ...lines]) {
    const { draft, objects } = line === 'heads' ? systemDraft('ledger.heads', log.changeHeads(), sidecar, nowMs) : line;
    nowMs = Date.parse(draft.at);
    log.append([draft], { objects });
  }
  await log.sync();
  if (erased.length > 0) await log.erase(erased);
  await log.close();
  const plan = async (asked: PackAsked): Promise<PackPlan> => planPack(await readDirectory(disk, 'ledger'), asked);
  return {
    directory, plan,
    async pack(asked) {
      const pieces: Uint8Array[] = [];
      for await (const piece of writePack(await readDirectory(disk, 'ledger'), await plan(asked))) pieces.push(piece);
      return Buffer.concat(pieces);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export const systemLine = systemDraft;
export const at = (ms: number): string => formatTime(START_MS + ms);

/** Name and content of each file, in order, without the manifest. */
export type Files = Map<string, Buffer>;

/** Takes a good pack apart. */
export function unpack(pack: Buffer): { readonly manifest: Manifest; readonly files: Files } {
  const files: Files = new Map();
  for (let offset = 0; pack[offset] !== 0;) {
    const name = pack.toString('latin1', offset, offset + 100).replace(/\0.*$/su, '');
    const size = parseInt(pack.toString('latin1', offset + 124, offset + 135), 8);
    files.set(name, Buffer.from(pack.subarray(offset + 512, offset + 512 + size)));
    offset += entryBytes(size);
  }
  const manifest = manifestSchema.parse(JSON.parse(files.get('pack.json')!.toString()));
  files.delete('pack.json');
  return { manifest, files };
}

/** Puts a pack together whose manifest lists exactly what is in it: nothing but the contents can give it away. */
export function repack(manifest: Manifest, files: Files): Buffer {
  const listed = [...files].map(([name, bytes]) => ({ name, size: bytes.length, sha256: digestOf(bytes).slice(7) }));
  return tarOf([['pack.json', Buffer.from(encodeDocument({ ...manifest, files: listed }))], ...files]);
}

export function tarOf(files: Iterable<readonly [string, Buffer]>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, bytes] of files) parts.push(formatHeader(name, bytes.length), bytes, Buffer.alloc(entryBytes(bytes.length) - 512 - bytes.length));
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** In the order that a pack has. */
export function ordered(files: Files): Files {
  const rank = (name: string): number => ['checkpoint', 'records/', 'proofs/', 'heads/', 'objects/'].findIndex((start) => name.startsWith(start));
  const number = (name: string): number => Number(/\d+/.exec(name)?.[0] ?? 0);
  const isNumbered = (name: string): boolean => name.startsWith('records/') || name.startsWith('proofs/');
  return new Map([...files].sort(([a], [b]) => rank(a) - rank(b) || (isNumbered(a) && isNumbered(b) ? number(a) - number(b) : a < b ? -1 : 1)));
}

export function edited(pack: Buffer, edit: (files: Files, manifest: Manifest) => Partial<Manifest>): Buffer {
  const { manifest, files } = unpack(pack);
  const changed = edit(files, manifest);
  return repack({ ...manifest, ...changed }, ordered(files));
}

/** Without the records of `type` that `which` says (all, unless it is told), their proofs, and what they alone name. */
export function withoutRecords(pack: Buffer, type: string, which: (body: Readonly<Record<string, unknown>>) => boolean = () => true): Buffer {
  interface Shown { readonly type: string; readonly body: Record<string, unknown>; readonly objects: readonly string[] }
  return edited(pack, (files) => {
    const records = (): [string, Shown][] => [...files].filter(([name]) => name.startsWith('records/')).map(([name, bytes]) => [name, JSON.parse(bytes.toString()) as Shown]);
    for (const [name, record] of records()) {
      if (record.type !== type || !which(record.body)) continue;
      files.delete(name);
      files.delete(name.replace('records/', 'proofs/').replace(/json$/, 'tlog-proof'));
    }
    const named = new Set(records().flatMap(([, { objects }]) => objects));
    for (const name of [...files.keys()]) if (name.startsWith('objects/') && !named.has(`sha256:${name.slice(8)}`)) files.delete(name);
    return {};
  });
}

const trust = storyTrust();
export const verifyStoryPack = (pack: Uint8Array, more: Partial<VerifyPackOptions> = {}): Promise<PackVerification> => verifyPack({ pack, trust, wholeFolder: true, ...more });

export function verdictOf({ verdicts }: PackVerification, name: string): Verdict {
  return verdicts.find((verdict) => verdict.name === name)!;
}

