/** Packs whose every file is what was signed, put together so that they say what is not so. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { canonicalBytes, digestOf, exitCodeOf, generateSignerKey, leafHash, nodeDisk, openLog, parseSigner, parseTrustPolicy, readDirectory, signCheckpoint } from '../../ledger/index.ts';
import { draftRotation } from '../../ledger/key-rotation.ts';
import { encodeDocument, type PackAsked } from '../../src/evidence/pack-format.ts';
import { planPack } from '../../src/evidence/pack-plan.ts';
import type { PackVerification } from '../../src/evidence/pack-verify.ts';
import { writePack } from '../../src/evidence/pack-write.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { at, ledgerOf, linesOf, ordered, repack, tarOf, unpack, verdictOf, verifyStoryPack, type Files } from '../support/packs.ts';
import { GRANT, keys, ORIGIN, sidecar, START_MS, storyTrust, toldUntilDecided } from '../support/story.ts';

const directories: string[] = [];
afterAll(() => directories.forEach((directory) => rmSync(directory, { recursive: true, force: true })));
const ALL = { from: at(0), to: at(10_000_000) };

describe('heads that two records state', () => {
  it('are not told as one: what came between them may be left out', async () => {
    const other = toldUntilDecided(GRANT, START_MS, 'deny');
    const victim = toldUntilDecided(GRANT, START_MS + 60_000, 'deny');
    const beats = linesOf(victim.beats);
    const last = beats.at(-1)!;
    const late = { draft: { ...last.draft, at: at(120_000) }, objects: last.objects };
    const lines = [...linesOf(other.beats), ...beats, 'heads' as const];
    const [early, whole] = [await ledgerOf(lines), await ledgerOf([...lines, late, 'heads'])];
    directories.push(early.directory, whole.directory);
    const honest = await whole.pack({ change: victim.changeId });
    expect(exitCodeOf((await verifyStoryPack(honest)).verdicts)).toBe(1);

    // Without its late record, and with its head as it was stated before that; beside it a change whose head is stated now.
    const [before, beside, all] = [unpack(await early.pack({ change: victim.changeId })), unpack(await whole.pack({ change: other.changeId })), unpack(await whole.pack(ALL))];
    const files: Files = new Map([['checkpoint', all.files.get('checkpoint')!]]);
    for (const name of new Set([...before.files.keys(), ...beside.files.keys()].filter((one) => one.startsWith('records/')))) {
      const proof = name.replace('records/', 'proofs/').replace('.json', '.tlog-proof');
      files.set(name, all.files.get(name)!).set(proof, all.files.get(proof)!);
    }
    for (const [name, bytes] of [...beside.files, ...before.files]) if (name.startsWith('objects/') || name.startsWith('heads/')) files.set(name, bytes);
    const forged = await verifyStoryPack(repack(unpack(honest).manifest, ordered(files)));
    expect(verdictOf(forged, 'INTEGRITY').status).toBe('holds');
    expect(verdictOf(forged, 'COMPLETENESS')).toMatchObject({ status: 'fails', message: expect.stringMatching(/the heads are stated by record \d+ and by record \d+/) as string });
  });

  it('stated long before the checkpoint are said to be', async () => {
    const told = toldUntilDecided(GRANT, START_MS, 'deny');
    const ledger = await ledgerOf([...linesOf(told.beats), 'heads', systemDraft('bundle.activated', { bundle: null, listing: null, signature: null }, sidecar, START_MS + 90_000)]);
    directories.push(ledger.directory);
    const { notProven } = await verifyStoryPack(await ledger.pack({ change: told.changeId }));
    expect(notProven.join('; ')).toMatch(/what came after record \d+, where the heads were stated, under a checkpoint of \d+ records/);
  });
});

describe('a key that the ledger has ended', () => {
  it('signs no pack of it, whatever the pack is of', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cs-pack-'));
    directories.push(directory);
    const disk = nodeDisk(directory);
    const next = parseSigner(generateSignerKey(ORIGIN, new Uint8Array(32).fill(77)).skey);
    const told = toldUntilDecided(GRANT, START_MS + 1_000, 'deny');
    // The log goes on under the old key: whoever holds that makes it so.
    const log = await openLog({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer: keys.log, now: () => START_MS });
    const rotation = await draftRotation({ origin: ORIGIN, seq: 1, old: keys.log, next, at: at(0), actor: sidecar });
    const lines: DraftWithObjects[] = [systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS), { draft: rotation, objects: [] }, ...linesOf(told.beats)];
    for (const { draft, objects } of lines) log.append([draft], { objects });
    log.append([systemDraft('ledger.heads', log.changeHeads(), sidecar, START_MS + 60_000).draft]);
    await log.close();
    const trust = { ...storyTrust(), policy: parseTrustPolicy(`log ${keys.log.vkey}\nlog ${next.vkey}\nquorum none\n`) };
    const verified = async (asked: PackAsked): Promise<PackVerification> => {
      const reading = await readDirectory(disk, 'ledger');
      const pieces: Uint8Array[] = [];
      for await (const piece of writePack(reading, await planPack(reading, asked))) pieces.push(piece);
      return verifyStoryPack(Buffer.concat(pieces), { trust });
    };
    for (const asked of [ALL, { change: told.changeId }]) {
      const found = await verified(asked);
      expect(verdictOf(found, 'SIGNATURE')).toMatchObject({ status: 'fails', seq: 1 });
      expect(found.notProven.join('; ')).toContain('that no record outside the pack has ended the key which signed the checkpoint');
    }
  });
});

describe('an object that no ledger would hold', () => {
  it.each([[16_777_217, 'too large'], [0, 'empty']])('of %d bytes is refused: %s', async (length) => {
    const object = Buffer.alloc(length, 0x20);
    const digest = digestOf(object);
    const record = Buffer.from(canonicalBytes({ ...systemDraft('facts.loaded', { facts: digest }, sidecar, START_MS).draft, objects: [digest], seq: 0, prev: null, changeSeq: null, changePrev: null }));
    const note = signCheckpoint({ origin: ORIGIN, size: 1, root: leafHash(record) }, keys.log);
    const files = new Map([
      ['checkpoint', Buffer.from(note)], ['records/0.json', record], ['proofs/0.tlog-proof', Buffer.from(`c2sp.org/tlog-proof@v1\nindex 0\n\n${note}`)], [`objects/${digest.slice(7)}`, object],
    ]);
    const listed = [...files].map(([name, bytes]) => ({ name, size: bytes.length, sha256: digestOf(bytes).slice(7) }));
    const pack = tarOf([['pack.json', Buffer.from(encodeDocument({ asked: ALL, erased: [], files: listed, origin: ORIGIN, size: 1, v: 1 }))], ...files]);
    expect(verdictOf(await verifyStoryPack(pack), 'INTEGRITY').status).toBe('fails');
  });
});
