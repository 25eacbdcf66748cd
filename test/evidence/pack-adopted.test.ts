/** Packs of changes that were begun under an earlier log, and of those with a lock and an erased object around them. */
import { afterEach, describe, expect, it } from 'vitest';
import { exitCodeOf, nodeDisk, readDirectory } from '../../ledger/index.ts';
import { planPack } from '../../src/evidence/pack-plan.ts';
import { verifyPack, type PackVerification } from '../../src/evidence/pack-verify.ts';
import { writePack } from '../../src/evidence/pack-write.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { adoptStory, bothTrusted, newSidecar, type Place } from '../support/adopted-story.ts';
import { edited, ledgerOf, linesOf, storyBundle, unpack, verdictOf, verifyStoryPack } from '../support/packs.ts';
import { cleanStory, GRANT, PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided } from '../support/story.ts';

let place: Place | null = null;
afterEach(() => place?.remove());

async function packOf(change: string): Promise<Buffer> {
  const source = await readDirectory(nodeDisk(place!.at()), 'ledger');
  const pieces: Uint8Array[] = [];
  for await (const piece of writePack(source, await planPack(source, { change }))) pieces.push(piece);
  return Buffer.concat(pieces);
}
const verify = (pack: Buffer, trust = bothTrusted()): Promise<PackVerification> => verifyPack({ pack, trust, wholeFolder: true });

describe('a pack of an adopted change', () => {
  it('holds with its old records, though other changes were adopted with it', async () => {
    const one = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    const other = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS + 100_000)));
    const atMs = START_MS + 300_000;
    place = await adoptStory([...one.beats, ...other.beats], atMs);
    const log = await place.open();
    const { draft } = systemDraft('ledger.heads', log.changeHeads(), newSidecar, atMs);
    log.append([draft]);
    await log.sync();
    await log.close();
    const pack = await packOf(one.changeId);
    const found = await verify(pack);
    expect(found.pack!.changes).toEqual([one.changeId]);
    expect(found.verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
    expect(exitCodeOf(found.verdicts)).toBe(0);
    // Without the record that says what was adopted, nothing is said of it.
    const without = edited(pack, (files) => {
      files.delete('records/0.json');
      files.delete('proofs/0.tlog-proof');
      return {};
    });
    expect(verdictOf(await verify(without), 'WORKFLOW')).toMatchObject({ status: 'notEstablished' });
  });
});

describe('a pack of a change with locks around it', () => {
  it('brings those that stood meanwhile, and no others', async () => {
    const { beats, provision } = cleanStory();
    const lock = (n: number): string => `lck_01M8KGMJEJJ2NEESG54X0BC8W${n}`;
    const set = (n: number): ReturnType<typeof systemDraft> => systemDraft('lock.set', { lockId: lock(n), nhi: null, connector: 'pg-other', reason: 'looked into' }, 'person:olga', START_MS);
    const lift = (n: number): ReturnType<typeof systemDraft> => systemDraft('lock.lifted', { lockId: lock(n), reason: null }, 'person:olga', START_MS);
    const lines = linesOf(beats);
    const ledger = await ledgerOf([storyBundle(), set(1), lift(1), set(2), ...lines.slice(0, 5), set(3), lift(2), ...lines.slice(5), set(4), 'heads']);
    const pack = await ledger.pack({ change: provision.changeId });
    ledger.remove();
    const locks = [...unpack(pack).files].filter(([name]) => name.startsWith('records/')).map(([, bytes]) => JSON.parse(bytes.toString()) as { type: string; body: { lockId?: string } })
      .filter(({ type }) => type.startsWith('lock.')).map(({ type, body }) => `${type} ${body.lockId!.at(-1)!}`);
    expect(locks).toEqual(['lock.set 2', 'lock.set 3', 'lock.lifted 2']);
    expect(exitCodeOf((await verifyStoryPack(pack)).verdicts)).toBe(0);
  });
});
