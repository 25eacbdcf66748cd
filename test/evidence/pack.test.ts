import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, exitCodeOf } from '../../ledger/index.ts';
import type { Manifest, PackAsked } from '../../src/evidence/pack-format.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import { cleanStory, ORIGIN, salt, sidecar, START_MS, type Telling } from '../support/story.ts';
import { at, edited, ledgerOf, linesOf, repack, storyBundle, tarOf, unpack, verdictOf, verifyStoryPack, type Files, type StoryLedger } from '../support/packs.ts';
import { extendedLease } from '../support/extension-story.ts';

let ledger: StoryLedger;
let provision: Telling;
let grant: Telling;
let pack: Buffer;

beforeAll(async () => {
  const told = cleanStory();
  ({ provision, grant } = told);
  ledger = await ledgerOf([storyBundle(), ...linesOf(told.beats), 'heads']);
  pack = await ledger.pack({ change: provision.changeId });
});
afterAll(() => ledger.remove());

const exitOf = async (bytes: Uint8Array): Promise<number> => exitCodeOf((await verifyStoryPack(bytes)).verdicts);
const recordsOf = (files: Files): number[] => [...files.keys()].filter((name) => name.startsWith('records/')).map((name) => Number(/\d+/.exec(name)![0]));
const bodyOf = (files: Files, seq: number): { type: string; change: string | null } => JSON.parse(files.get(`records/${seq}.json`)!.toString()) as { type: string; change: string | null };
/** Those of the change itself, in order. */
const ownOf = (files: Files): number[] => recordsOf(files).filter((seq) => bodyOf(files, seq).change === provision.changeId);
const drop = (files: Files, seq: number): void => {
  files.delete(`records/${seq}.json`);
  files.delete(`proofs/${seq}.tlog-proof`);
};
/** Objects that nothing names any more go, too: an attacker would not leave them. */
const dropUnnamed = (files: Files): void => {
  const named = new Set(recordsOf(files).flatMap((seq) => (JSON.parse(files.get(`records/${seq}.json`)!.toString()) as { objects: string[] }).objects));
  for (const name of [...files.keys()]) if (name.startsWith('objects/') && !named.has(`sha256:${name.slice(8)}`)) files.delete(name);
};

describe('a pack of a change', () => {
  it('verifies, and shows that its last record is the last', async () => {
    const found = await verifyStoryPack(pack);
    expect(found.verdicts.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'INTEGRITY holds', 'SIGNATURE holds', 'WITNESS notEstablished', 'COMPLETENESS holds', 'WORKFLOW holds', 'TIME notEstablished', 'REPLAY notEstablished', 'NOT PROVEN notEstablished',
    ]);
    expect(exitCodeOf(found.verdicts)).toBe(0);
    expect(found.pack).toMatchObject({ asked: { change: provision.changeId }, changes: [provision.changeId] });
    expect(verdictOf(found, 'WORKFLOW').message).toContain('1 change: 1 closed');
    expect(found.notProven.join('\n')).toContain('records that are not in the pack');
  });

  it('brings the policy that was in force, and only what concerns the change', () => {
    const types = recordsOf(unpack(pack).files).map((seq) => bodyOf(unpack(pack).files, seq)).filter(({ change }) => change !== provision.changeId).map(({ type }) => type);
    expect(types).toEqual(['bundle.activated', 'ledger.heads']);
  });

  it('is the same, byte for byte, each time', async () => {
    expect((await ledger.pack({ change: provision.changeId })).equals(pack)).toBe(true);
    expect(repack(unpack(pack).manifest, unpack(pack).files).equals(pack)).toBe(true);
  });

  it('without trust establishes nothing about whose it is, and with a lone trust.policy nothing about WORKFLOW', async () => {
    expect(exitCodeOf((await verifyStoryPack(pack, { trust: null })).verdicts)).toBe(3);
    expect(verdictOf(await verifyStoryPack(pack, { wholeFolder: false }), 'WORKFLOW').status).toBe('notEstablished');
  });

  it('of a ledger that states no heads, or stated them before its last record, does not show that it is whole', async () => {
    const { beats } = cleanStory();
    const change = beats[0]!.changeId;
    const never = await ledgerOf(linesOf(beats));
    const early = await ledgerOf([...linesOf(beats.slice(0, 8)), 'heads', ...linesOf(beats.slice(8))]);
    for (const [one, says] of [[never, 'no proof of its head'], [early, 'whole as of record 9']] as const) {
      const found = await verifyStoryPack(await one.pack({ change }));
      expect(verdictOf(found, 'COMPLETENESS')).toMatchObject({ status: 'notEstablished' });
      expect(verdictOf(found, 'COMPLETENESS').message).toContain(says);
      expect(exitCodeOf(found.verdicts)).toBe(3);
      one.remove();
    }
    expect((await early.plan({ change }).catch(() => null))?.movedOn ?? beats.length).toBeGreaterThan(0);
  });

  it('says what was erased, and under which record', async () => {
    const { beats } = cleanStory();
    const lines = linesOf(beats);
    const victim = lines.find(({ draft }) => draft.type === 'state.read')!.draft.objects[0]!;
    const erasure = { draft: { v: 1, change: null, type: 'erasure', at: lines.at(-1)!.draft.at, actor: sidecar, body: { erased: [victim] }, objects: [] }, objects: [] };
    const erased = await ledgerOf([...lines, erasure, 'heads'], [victim]);
    const made = await erased.pack({ change: beats[0]!.changeId });
    expect(unpack(made).manifest.erased).toEqual([{ digest: victim, seq: lines.length + 1 }]);
    const found = await verifyStoryPack(made);
    expect(verdictOf(found, 'INTEGRITY')).toMatchObject({ status: 'holds' });
    expect(found.objects.erased).toBe(1);
    expect(verdictOf(await verifyStoryPack(edited(made, (files) => (drop(files, lines.length + 1), {}))), 'INTEGRITY').status).toBe('fails');
    expect(verdictOf(await verifyStoryPack(edited(made, () => ({ erased: [] }))), 'INTEGRITY').status).toBe('fails');
    erased.remove();
  });

  it('takes with it the changes that its own speak of', async () => {
    const { ledger: beats, lease, extension } = extendedLease(START_MS);
    const told = await ledgerOf([storyBundle(), ...linesOf(beats), 'heads']);
    for (const change of [lease.changeId, extension.changeId]) {
      const made = await told.pack({ change });
      const found = await verifyStoryPack(made);
      expect([...found.pack!.changes].sort()).toEqual([lease.changeId, extension.changeId].sort());
      expect(verdictOf(found, 'WORKFLOW')).toMatchObject({ status: 'holds' });
      expect(exitCodeOf(found.verdicts)).toBe(0);
      // Without the other, nothing false is said of it, and nothing is established.
      const other = change === lease.changeId ? extension.changeId : lease.changeId;
      const alone = edited(made, (files) => {
        for (const seq of recordsOf(files)) if (bodyOf(files, seq).change === other) drop(files, seq);
        files.delete(`heads/${other}.json`);
        dropUnnamed(files);
        return {};
      });
      expect(verdictOf(await verifyStoryPack(alone), 'WORKFLOW')).toMatchObject({ status: 'notEstablished' });
    }
    told.remove();
  });
});

describe('a pack of an identity', () => {
  it('holds, but for that the identity had no other change', async () => {
    const found = await verifyStoryPack(await ledger.pack({ nhi: grant.now.request.subject }));
    expect(found.pack!.changes).toHaveLength(2);
    expect(verdictOf(found, 'COMPLETENESS')).toMatchObject({ status: 'notEstablished' });
    expect(verdictOf(found, 'COMPLETENESS').message).toContain('had no other, a pack cannot show');
    expect(exitCodeOf(found.verdicts, ['INTEGRITY', 'SIGNATURE', 'WORKFLOW'])).toBe(0);
  });
});

describe('a pack of a time', () => {
  const asked = (fromMs: number, toMs: number): PackAsked => ({ from: at(fromMs), to: at(toMs) });

  it.each([
    ['the whole of the ledger', 0, 10_000_000], ['the middle of a change', 61_000, 2_001_000], ['where there is nothing', 1_000_000, 1_500_000],
    ['before anything', -2_000, -1_000], ['after everything', 20_000_000, 30_000_000],
  ])('shows that no record is missing from %s', async (_what, fromMs, toMs) => {
    const found = await verifyStoryPack(await ledger.pack(asked(fromMs, toMs)));
    expect(verdictOf(found, 'COMPLETENESS')).toMatchObject({ status: 'holds' });
    expect(verdictOf(found, 'INTEGRITY')).toMatchObject({ status: 'holds' });
    expect(verdictOf(found, 'WORKFLOW').status).not.toBe('fails');
  });

  it('judges its changes as of its end, though an erasure that it shows for what is gone came when their leases were over', async () => {
    const { beats } = cleanStory();
    const lines = linesOf(beats);
    const given = beats.findIndex(({ event }) => event.type === 'lease.activated');
    const { commitment, object } = disclose('basis', 'request 17', salt(9));
    const [reason] = lines[0]!.draft.objects;
    const erasure = systemDraft('erasure', { erased: [reason!], basis: commitment }, 'person:vera', START_MS + 9_000_000, [object]);
    const started = systemDraft('ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }, sidecar, beats[given]!.atMs + 100);
    const later = await ledgerOf([storyBundle(), ...lines.slice(0, given + 1), started, ...lines.slice(given + 1), erasure], [reason!]);
    const found = await verifyStoryPack(await later.pack(asked(0, beats[given]!.atMs - START_MS + 1)));
    later.remove();
    expect(found.lastAt).toBe(at(9_000_000));
    expect(found.workflow?.violations).toEqual([]);
  });

  it('judges changes that had begun before it', async () => {
    const found = await verifyStoryPack(await ledger.pack(asked(61_000, 2_001_000)));
    expect(verdictOf(found, 'WORKFLOW')).toMatchObject({ status: 'holds' });
    expect(exitCodeOf(found.verdicts)).toBe(0);
  });

  it('of which a record is left out inside, or the one at its edge, is not complete', async () => {
    const made = await ledger.pack(asked(61_000, 2_001_000));
    const seqs = recordsOf(unpack(made).files);
    const without = (seq: number): Buffer => edited(made, (files) => {
      drop(files, seq);
      dropUnnamed(files);
      return {};
    });
    expect(await exitOf(without(seqs[Math.floor(seqs.length / 2)]!))).toBe(1);
    expect(await exitOf(without(seqs.at(-1)!))).not.toBe(0);
  });
});

describe('a pack that somebody has changed', () => {
  const altered = (edit: (files: Files, manifest: Manifest) => Partial<Manifest>): Promise<{ verdict: (name: string) => string; exit: number; messages: string }> =>
    verifyStoryPack(edited(pack, edit)).then((found) => ({
      verdict: (name) => verdictOf(found, name).status, exit: exitCodeOf(found.verdicts), messages: found.verdicts.map(({ message }) => message).join('\n'),
    }));

  it('with a record dropped fails, and says which is missing', async () => {
    const found = await altered((files) => {
      drop(files, ownOf(files)[3]!);
      dropUnnamed(files);
      return {};
    });
    expect(found).toMatchObject({ exit: 1 });
    expect(found.messages).toContain('its record 3 is missing');
  });

  it('with the last record withheld fails by the map of heads', async () => {
    const found = await altered((files) => {
      drop(files, ownOf(files).at(-1)!);
      dropUnnamed(files);
      return {};
    });
    expect(found.exit).toBe(1);
    expect(found.messages).toContain('what came after it is left out');
  });

  it('with the last record and the head withheld is not established', async () => {
    const found = await altered((files) => {
      drop(files, ownOf(files).at(-1)!);
      files.delete(`heads/${provision.changeId}.json`);
      dropUnnamed(files);
      return {};
    });
    expect([found.exit, found.verdict('COMPLETENESS')]).toEqual([3, 'notEstablished']);
  });

  it('with another change’s record swapped in fails', async () => {
    const others = unpack(await ledger.pack({ change: grant.changeId })).files;
    const seq = recordsOf(others).find((one) => bodyOf(others, one).change === grant.changeId)!;
    const found = await altered((files) => {
      drop(files, ownOf(files)[2]!);
      for (const name of [`records/${seq}.json`, `proofs/${seq}.tlog-proof`]) files.set(name, others.get(name)!);
      dropUnnamed(files);
      return {};
    });
    expect(found.exit).toBe(1);
  });

  it('with one record’s proof over another’s bytes fails, at that record', async () => {
    const found = await altered((files) => {
      const [a, b] = ownOf(files);
      files.set(`records/${a!}.json`, Buffer.from(files.get(`records/${b!}.json`)!.toString().replace(`"seq":${b!}`, `"seq":${a!}`)));
      return {};
    });
    expect([found.exit, found.verdict('INTEGRITY')]).toEqual([1, 'fails']);
  });

  it.each<[string, (files: Files, object: string, other: string) => void]>([
    ['swapped for another', (files, object, other) => files.set(object, files.get(other)!)],
    ['left out', (files, object) => files.delete(object)],
    ['put in that nothing names', (files) => files.set(`objects/${digestOf(Buffer.from('x')).slice(7)}`, Buffer.from('x'))],
  ])('with an object %s fails', async (_what, edit) => {
    const found = await altered((files) => {
      const [object, other] = [...files.keys()].filter((name) => name.startsWith('objects/'));
      edit(files, object!, other!);
      return {};
    });
    expect([found.exit, found.verdict('INTEGRITY')]).toEqual([1, 'fails']);
  });

  it('with the checkpoint of another size or log fails', async () => {
    const short = await ledgerOf(linesOf(cleanStory().beats.slice(0, 5)));
    const checkpoint = unpack(await short.pack({ from: at(0), to: at(10_000) })).files.get('checkpoint')!;
    expect((await altered((files) => (files.set('checkpoint', checkpoint), {}))).exit).toBe(1);
    expect((await altered((files) => (files.set('checkpoint', checkpoint), { size: 6 }))).exit).toBe(1);
    const renamed = await altered((files) => {
      files.set('checkpoint', Buffer.from(files.get('checkpoint')!.toString().replaceAll('story.example', 'other.example')));
      for (const name of files.keys()) if (name.startsWith('proofs/')) files.set(name, Buffer.from(files.get(name)!.toString().replaceAll('story.example', 'other.example')));
      return { origin: 'other.example/ledger' };
    });
    expect([renamed.exit, renamed.verdict('SIGNATURE')]).toEqual([1, 'fails']);
    short.remove();
  });

  it('with a proof under a checkpoint that is not the one in it fails, though root and size are the same', async () => {
    const found = await altered((files) => {
      const name = `proofs/${ownOf(files)[0]!}.tlog-proof`;
      files.set(name, Buffer.concat([files.get(name)!, Buffer.from('\u2014 witness.example AAAAAAAA\n')]));
      return {};
    });
    expect([found.exit, found.verdict('INTEGRITY')]).toEqual([1, 'fails']);
    expect(found.messages).toContain('under another checkpoint');
  });

  it('that says it is of another change fails', async () => {
    expect((await altered(() => ({ asked: { change: grant.changeId } }))).exit).toBe(1);
  });

  it('with a trust.policy in it fails: trust never comes out of a pack', async () => {
    const { manifest, files } = unpack(pack);
    files.set('trust.policy', Buffer.from('quorum none\n'));
    const found = await verifyStoryPack(repack(manifest, files));
    expect(verdictOf(found, 'INTEGRITY')).toMatchObject({ status: 'fails' });
    expect(verdictOf(found, 'INTEGRITY').message).toContain('trust.policy');
  });

  it('from which all records are taken establishes nothing', async () => {
    const found = await altered((files) => {
      for (const name of [...files.keys()]) if (name !== 'checkpoint') files.delete(name);
      return {};
    });
    expect(found.exit).toBe(3);
    expect(await exitOf(new Uint8Array(0))).toBe(3);
    expect(await exitOf(tarOf([]))).toBe(1);
  });

  it('is held to a pinned checkpoint of its own size, and to a least size', async () => {
    const { files } = unpack(pack);
    const pinned = files.get('checkpoint')!.toString();
    expect(exitCodeOf((await verifyStoryPack(pack, { pinned })).verdicts)).toBe(0);
    expect(exitCodeOf((await verifyStoryPack(pack, { minSize: 10_000 })).verdicts)).toBe(1);
  });
});
