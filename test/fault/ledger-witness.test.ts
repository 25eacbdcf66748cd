/** The witness: every status code, races, crashes, and a state that is not what it left. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  addCheckpoint, EMPTY_ROOT, formatAddCheckpoint, generateSignerKey, MerkleTree, openNote, openWitness, parseCosigner, parseNote, parseSigner, parseTrustPolicy, parseVerifier,
  readCheckpoint, sha256, signCheckpoint, signNote,
  type Cosigner, type Disk, type HttpAnswer, type LedgerErrorCode, type Signer, type Witness, type WitnessAnswer, type WitnessOptions,
} from '../../ledger/index.ts';
import { FaultyDisk, type FaultKind } from './faulty-disk.ts';

const seed = (name: string): Uint8Array => sha256(Buffer.from(name));
const ORIGIN = 'log.test/a';
const signerOf = (name: string, from = name): Signer => parseSigner(generateSignerKey(name, seed(from)).skey);
const cosignerOf = (name: string): Cosigner => parseCosigner(generateSignerKey(name, seed(name), 4).skey);
const signer = signerOf(ORIGIN);
const rotated = signerOf(ORIGIN, 'its next key');
const other = signerOf('log.test/b');
const cosigner = cosignerOf('witness.test/north');
const own = parseVerifier(cosigner.vkey);
const { logs } = parseTrustPolicy([signer, rotated, other].map(({ vkey }) => `log ${vkey}\n`).join('') + 'quorum none\n');
const AT_MS = 1_700_000_000_500;

function treeOf(size: number, name = 'leaf'): MerkleTree {
  const tree = new MerkleTree();
  for (let i = 0; i < size; i++) tree.append(seed(`${name} ${i}`));
  return tree;
}
const tree = treeOf(40);
const forkedTree = treeOf(40, 'another leaf');

interface Ask {
  readonly old?: number;
  readonly size: number;
  readonly of?: MerkleTree;
  readonly proof?: readonly Uint8Array[];
  readonly by?: readonly Signer[];
  readonly origin?: string;
  readonly root?: Uint8Array;
}
function checkpointOf({ size, of = tree, by = [signer], origin = ORIGIN, root }: Ask): string {
  return signNote(`${origin}\n${size}\n${Buffer.from(root ?? of.root(size)).toString('base64')}\n`, by);
}
function request(ask: Ask): Buffer {
  const old = ask.old ?? 0;
  const proof = ask.proof ?? (old <= ask.size ? (ask.of ?? tree).consistencyProof(old, ask.size) : []);
  return Buffer.from(formatAddCheckpoint({ oldSize: old, proof, checkpoint: checkpointOf(ask) }));
}

let disk: FaultyDisk;
let witness: Witness;
let nowMs: number;
const open = (on: Disk, more: Partial<WitnessOptions> = {}): Promise<Witness> => openWitness({ disk: on, directory: 'state', cosigner, logs: () => logs, nowMs: () => nowMs, isNew: false, ...more });
const ask = (to: Ask, at = witness): Promise<WitnessAnswer> => at.addCheckpoint(request(to));
const hashOf = (origin: string): string => Buffer.from(seed(origin)).toString('hex');
const code = (expected: LedgerErrorCode): Error => expect.objectContaining({ code: expected }) as Error;

beforeEach(async () => {
  nowMs = AT_MS;
  disk = new FaultyDisk();
  witness = await open(disk, { isNew: true });
});

/** The head that the answer cosigned, held to the witness's key. */
function cosigned(ask: Ask, { status, body }: WitnessAnswer): string {
  expect(status).toBe(200);
  const note = checkpointOf(ask) + body;
  expect(openNote(note, [own]).verified).toHaveLength(1);
  return note;
}

describe('a witness', () => {
  it('cosigns a first head, one that grows from it, and the same one again with a later time', async () => {
    const first = await ask({ size: 13 });
    expect(first).toMatchObject({ contentType: 'text/plain; charset=utf-8', origin: ORIGIN, size: 13, forked: false });
    cosigned({ size: 13 }, first);
    cosigned({ size: 21 }, await ask({ old: 13, size: 21 }));
    nowMs += 90_000;
    const again = await ask({ old: 21, size: 21 });
    const time = Buffer.from(parseNote(cosigned({ size: 21 }, again)).signatures[1]!.signature).readBigUInt64BE(0);
    expect(time).toBe(1_700_000_090n);
  });

  it('cosigns the empty log, and then its first head', async () => {
    cosigned({ size: 0 }, await ask({ size: 0 }));
    cosigned({ size: 0 }, await ask({ size: 0 }));
    cosigned({ size: 1 }, await ask({ size: 1 }));
  });

  it('serves its last head, signed by the log and itself, and nothing else that it came with', async () => {
    expect(witness.latest(hashOf(ORIGIN))).toBeNull();
    await ask({ size: 13 });
    const asked = { old: 13, size: 21, by: [signer, signerOf('someone.test/else'), rotated] };
    const answer = await ask(asked);
    const note = witness.latest(hashOf(ORIGIN))!;
    expect(note).toBe(checkpointOf({ size: 21, by: [signer, rotated] }) + answer.body);
    expect(witness.latest(hashOf('log.test/b'))).toBeNull();
    expect(witness.origins).toEqual([ORIGIN]);
  });

  it('keeps the heads of different logs apart', async () => {
    await ask({ size: 13 });
    const beside = { size: 7, by: [other], origin: other.name };
    cosigned(beside, await ask(beside));
    cosigned({ size: 21 }, await ask({ old: 13, size: 21 }));
    expect(await ask({ ...beside, size: 9 })).toMatchObject({ status: 409, body: '7\n' });
  });

  it('takes every listed key of an origin, one alone or both, and none that is listed no more', async () => {
    cosigned({ size: 13 }, await ask({ size: 13 }));
    cosigned({ size: 14, by: [rotated] }, await ask({ old: 13, size: 14, by: [rotated] }));
    await witness.close();
    witness = await open(disk, { logs: () => logs.slice(1) });
    expect(await ask({ old: 14, size: 15 })).toMatchObject({ status: 403 });
    cosigned({ size: 15, by: [signer, rotated] }, await ask({ old: 14, size: 15, by: [signer, rotated] }));
  });

  it('is asked by our own client', async () => {
    await ask({ size: 13 });
    const post = async (_url: string, body: string): Promise<HttpAnswer> => {
      const answer = await witness.addCheckpoint(Buffer.from(body));
      return { ...answer, body: Buffer.from(answer.body) };
    };
    const by = (oldSize: number, of = tree): ReturnType<typeof addCheckpoint> =>
      addCheckpoint(post, 'https://w.test', [own], { oldSize, proof: of.consistencyProof(oldSize, 21), checkpoint: checkpointOf({ size: 21, of }) });
    expect(await by(0)).toEqual({ kind: 'ahead', size: 13 });
    expect(await by(14)).toEqual({ kind: 'behind', size: 13 });
    expect(await by(13, forkedTree)).toMatchObject({ kind: 'conflict', size: null });
    expect(await by(13)).toMatchObject({ kind: 'cosigned', cosignatures: [{ timeSeconds: 1_700_000_000 }] });
    expect(await addCheckpoint(post, 'https://w.test', [own], { oldSize: 0, proof: [], checkpoint: checkpointOf({ size: 20 }) })).toMatchObject({ kind: 'conflict', size: 21 });
  });
});

describe('with a head of 13 cosigned, a witness answers', () => {
  const SIZE_TYPE = 'text/x.tlog.size';
  const bad = (proof: readonly Uint8Array[]): Uint8Array[] => proof.map((hash, i) => (i === 0 ? seed('no node of the tree') : hash));
  const proof = tree.consistencyProof(13, 21);
  it.each<[number, string, Ask | string, Partial<WitnessAnswer>]>([
    [400, 'to what is no request', 'old 13\n', {}],
    [400, 'to a body that is too long', `old 13\n\n${'x'.repeat(70_000)}`, {}],
    [400, 'to a checkpoint that nobody signed', `old 13\n\n${checkpointOf({ size: 21 }).split('\n\n')[0]!}\n\n`, {}],
    [400, 'to an old size that is larger than the new', { old: 22, size: 21 }, { origin: ORIGIN, size: 21 }],
    [400, 'to an older head that is said to grow from the last', { old: 13, size: 12, proof: [] }, {}],
    [404, 'to a log that it does not know', { old: 0, size: 21, by: [signerOf('log.test/c')], origin: 'log.test/c' }, { origin: 'log.test/c' }],
    [404, 'to a log that it does not know, even if one that it knows has signed', { old: 0, size: 21, origin: 'log.test/c' }, {}],
    [403, 'to a head that only a stranger has signed', { old: 13, size: 21, by: [signerOf('someone.test/else')] }, {}],
    [403, 'to a head that another log has signed', { old: 13, size: 21, by: [other] }, {}],
    [403, 'to a head that a stranger of the same name has signed', { old: 13, size: 21, by: [signerOf(ORIGIN, 'a stranger')] }, {}],
    [403, 'to an old size that is too large, if nobody known has signed', { old: 22, size: 21, by: [other] }, {}],
    [409, 'to another old size: none', { old: 0, size: 21 }, { body: '13\n', contentType: SIZE_TYPE }],
    [409, 'to another old size: a smaller one', { old: 12, size: 21 }, { body: '13\n', contentType: SIZE_TYPE }],
    [409, 'to another old size: a larger one', { old: 14, size: 21 }, { body: '13\n', contentType: SIZE_TYPE }],
    [409, 'to an older head', { old: 12, size: 12 }, { body: '13\n', contentType: SIZE_TYPE }],
    [409, 'to another old size, whatever the proof', { old: 12, size: 21, proof: [] }, { body: '13\n', contentType: SIZE_TYPE }],
    [409, 'to the empty log', { old: 0, size: 0 }, { body: '13\n', contentType: SIZE_TYPE }],
    [422, 'to a proof with another hash', { old: 13, size: 21, proof: bad(proof) }, {}],
    [422, 'to a proof that is too short', { old: 13, size: 21, proof: proof.slice(1) }, {}],
    [422, 'to a proof that is too long', { old: 13, size: 21, proof: [...proof, seed('more')] }, {}],
    [422, 'to no proof', { old: 13, size: 21, proof: [] }, {}],
    [422, 'to the proof of another size', { old: 13, size: 21, proof: tree.consistencyProof(12, 21) }, {}],
    [422, 'to a tree that does not grow from the last', { old: 13, size: 21, of: forkedTree }, { forked: false }],
    [422, 'to another root of the same size', { old: 13, size: 13, of: forkedTree }, { forked: true }],
    [422, 'to the same size with a proof', { old: 13, size: 13, proof: [seed('a hash')] }, { forked: false }],
  ])('%i %s', async (status, _what, what, more) => {
    await ask({ size: 13 });
    const before = disk.files.get(`state/heads/${hashOf(ORIGIN)}`);
    const answer = await witness.addCheckpoint(typeof what === 'string' ? Buffer.from(what) : request(what));
    expect(answer).toMatchObject({ status, ...more });
    expect(answer.body).not.toContain('\u2014');
    expect(disk.files.get(`state/heads/${hashOf(ORIGIN)}`)).toBe(before);
    cosigned({ size: 21 }, await ask({ old: 13, size: 21 }));
  });

  it('403 to a head with a bad signature of a known key, whoever else has signed it well', async () => {
    const badLine = checkpointOf({ size: 22, by: [rotated] }).split('\n')[4]!;
    for (const checkpoint of [`${checkpointOf({ size: 21 })}${badLine}\n`, checkpointOf({ size: 21 }).replace(/\u2014[^]*/, `${badLine}\n`)]) {
      expect(await witness.addCheckpoint(Buffer.from(formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint })))).toMatchObject({ status: 403 });
    }
  });
});

describe('with nothing cosigned, a witness answers', () => {
  it.each<[number, string, Ask, Partial<WitnessAnswer>]>([
    [422, 'to a proof from nothing', { old: 0, size: 21, proof: [seed('a hash')] }, {}],
    [422, 'to size 0 with the root of something', { old: 0, size: 0, root: seed('a root') }, { forked: false }],
    [422, 'to size 0 with a proof', { old: 0, size: 0, root: EMPTY_ROOT, proof: [seed('a hash')] }, {}],
    [409, 'to an old size', { old: 13, size: 21 }, { body: '0\n' }],
    [409, 'to the same size as the old', { old: 21, size: 21 }, { body: '0\n' }],
  ])('%i %s', async (status, _what, what, more) => {
    expect(await ask(what)).toMatchObject({ status, ...more });
    expect(witness.latest(hashOf(ORIGIN))).toBeNull();
    cosigned({ size: 21 }, await ask({ size: 21 }));
  });
});

describe('two histories', () => {
  it('are kept as evidence: the first two heads of one size, both signed by the log', async () => {
    await ask({ size: 13 });
    const held = witness.latest(hashOf(ORIGIN));
    expect(await ask({ old: 0, size: 13, of: forkedTree })).toMatchObject({ status: 409, forked: true });
    const kept = disk.files.get(`state/forks/${hashOf(ORIGIN)}`)!;
    expect(JSON.parse(kept.toString())).toEqual({ held, offered: checkpointOf({ size: 13, of: forkedTree }) });
    expect(await ask({ old: 13, size: 13, of: treeOf(13, 'a third') })).toMatchObject({ status: 422, forked: true });
    expect(disk.files.get(`state/forks/${hashOf(ORIGIN)}`)).toBe(kept);
    await witness.close();
    witness = await open(disk);
    cosigned({ size: 14 }, await ask({ old: 13, size: 14 }));
  });

  it('are refused as well where they cannot be kept', async () => {
    await ask({ size: 13 });
    disk.failAt = disk.operations + 1;
    expect(await ask({ old: 13, size: 13, of: forkedTree })).toMatchObject({ status: 422, forked: true });
    cosigned({ size: 14 }, await ask({ old: 13, size: 14 }));
  });
});

describe('at once', () => {
  it('of two requests from the same old size one is cosigned, and the other is told the size that was', async () => {
    await ask({ size: 13 });
    const [first, second] = await Promise.all([ask({ old: 13, size: 21 }), ask({ old: 13, size: 17 })]);
    cosigned({ size: 21 }, first);
    expect(second).toMatchObject({ status: 409, body: '21\n' });
    expect(readCheckpoint(witness.latest(hashOf(ORIGIN))!).size).toBe(21);
  });

  it('of two histories from the same old size one is cosigned', async () => {
    const answers = await Promise.all([ask({ size: 13 }), ask({ size: 13, of: forkedTree }), ask({ size: 13 })]);
    expect(answers.map(({ status }) => status)).toEqual([200, 409, 409]);
    expect(answers[1].forked).toBe(true);
  });

  it('first heads of two logs are both known after a start', async () => {
    await Promise.all([ask({ size: 13 }), ask({ size: 7, by: [other], origin: other.name })]);
    witness = await open(disk.reboot());
    expect([...witness.origins].sort()).toEqual([ORIGIN, other.name]);
  });

  it('what fails for one request is not the fault of the next', async () => {
    await witness.close();
    let failing = true;
    const failsOnce: Cosigner = {
      ...cosigner,
      cosign(text, timeSeconds) {
        if (!failing) return cosigner.cosign(text, timeSeconds);
        failing = false;
        throw new Error('the key is away');
      },
    };
    witness = await open(disk, { cosigner: failsOnce });
    const [first, second] = await Promise.allSettled([ask({ size: 13 }), ask({ size: 13 })]);
    expect(first).toMatchObject({ status: 'rejected', reason: { message: 'the key is away' } });
    expect(second).toMatchObject({ status: 'fulfilled', value: { status: 200 } });
  });

  it('whatever is asked in whatever order, what is cosigned is one growing history', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.record({ old: fc.nat(12), size: fc.nat(12), forked: fc.boolean() }), { minLength: 1, maxLength: 20 }), async (asked) => {
      const fresh = await open(new FaultyDisk(), { isNew: true });
      const answers = await Promise.all(asked.map(({ old, size, forked }) => ask({ old, size, of: forked ? forkedTree : tree }, fresh)));
      const heads = asked.flatMap(({ size, forked }, i) => (answers[i]!.status === 200 && size > 0 ? [{ size, forked }] : []));
      expect(new Set(heads.map(({ forked }) => forked)).size).toBeLessThanOrEqual(1);
      expect(heads.map(({ size }) => size)).toEqual(heads.map(({ size }) => size).sort((a, b) => a - b));
    }), { numRuns: 100 });
  });
});

describe('a proof', () => {
  it('that is any other than the right one is not cosigned', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 39 }), fc.nat(39), fc.array(fc.tuple(fc.constantFrom('drop', 'double', 'swap', 'flip', 'add'), fc.nat(), fc.nat()), { minLength: 1, maxLength: 3 }), async (old, more, changes) => {
      const size = old + (more % (41 - old));
      const right = tree.consistencyProof(old, size);
      const proof = right.map((hash) => Buffer.from(hash));
      for (const [kind, at, bit] of changes) {
        const i = at % Math.max(1, proof.length);
        if (kind === 'drop') proof.splice(i, 1);
        else if (kind === 'add') proof.splice(i, 0, Buffer.from(seed(`added ${bit}`)));
        else if (proof.length === 0) continue;
        else if (kind === 'double') proof.splice(i, 0, Buffer.from(proof[i]!));
        else if (kind === 'swap') proof.push(...proof.splice(i, 1));
        else proof[i]![bit % 32]! ^= 1 << (bit % 8);
      }
      const fresh = await open(new FaultyDisk(), { isNew: true });
      await ask({ size: old }, fresh);
      const same = Buffer.concat(proof).equals(Buffer.concat(right));
      expect((await ask({ old, size, proof }, fresh)).status).toBe(same ? 200 : 422);
    }), { numRuns: 150 });
  });
});

describe('a crash', () => {
  it('between making a head durable and answering leaves a witness that knows it', async () => {
    await ask({ size: 13 });
    let reach: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const held = disk.reboot();
    const write = held.writeDurable.bind(held);
    held.writeDurable = async (path, bytes) => {
      await write(path, bytes);
      if (!path.includes('/heads/')) return;
      reach();
      await new Promise<never>(() => undefined);
    };
    const crashing = await open(held);
    let answered = false;
    void ask({ old: 13, size: 21 }, crashing).then(() => (answered = true));
    await reached;
    expect(answered).toBe(false);
    witness = await open(held.reboot());
    expect(await ask({ old: 13, size: 22, of: forkedTree })).toMatchObject({ status: 409, body: '21\n' });
    cosigned({ size: 22 }, await ask({ old: 21, size: 22 }));
  });

  it.each<[FaultKind]>([['refused'], ['half'], ['done']])('at any write that is %s loses nothing that was answered, and nothing is signed that is not on disk', async (failKind) => {
    const steps: Ask[] = [{ size: 5 }, { size: 3, by: [other], origin: other.name }, { old: 5, size: 9 }, { old: 9, size: 9 }, { old: 3, size: 4, by: [other], origin: other.name }];
    let crashes = 0;
    for (let failAt = 1; ; failAt++) {
      const faulty = new FaultyDisk();
      const started = await open(faulty, { isNew: true });
      const before = faulty.operations;
      faulty.failAt = before + failAt;
      faulty.failKind = failKind;
      const answers: WitnessAnswer[] = [];
      for (const step of steps) answers.push(await ask(step, started));
      if (faulty.operations < faulty.failAt) break;
      crashes++;
      const failed = answers.findIndex(({ status }) => status === 503);
      expect(failed).toBeGreaterThanOrEqual(0);
      expect(answers.slice(failed).map(({ status }) => status)).toEqual(answers.slice(failed).map(() => 503));
      const found = await open(faulty.reboot());
      for (const origin of [ORIGIN, other.name]) {
        const answered = steps.filter((step, i) => (step.origin ?? ORIGIN) === origin && answers[i]!.status === 200).at(-1)?.size ?? 0;
        const note = found.latest(hashOf(origin));
        expect(note === null ? 0 : readCheckpoint(note).size).toBeGreaterThanOrEqual(answered);
      }
      // What it has in the end is what it had, one step on at the most; the rest is done again.
      for (const step of steps) expect([200, 409]).toContain((await ask(step, found)).status);
    }
    expect(crashes).toBe(7);
  });

  it('of the disk is told once, and with 503, and the head that was served stays', async () => {
    await ask({ size: 13 });
    await witness.close();
    const told: unknown[] = [];
    witness = await open(disk, { onUnwritable: (cause) => told.push(cause) });
    const before = witness.latest(hashOf(ORIGIN));
    const away = new Error('the disk is away');
    disk.writeDurable = () => Promise.reject(away);
    const answers = await Promise.all([ask({ old: 13, size: 21 }), ask({ size: 3, by: [other], origin: other.name })]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    expect(told).toEqual([away]);
    expect(witness.latest(hashOf(ORIGIN))).toBe(before);
  });
});

describe('a start', () => {
  const head = `state/heads/${hashOf(ORIGIN)}`;
  const beside = `state/heads/${hashOf(other.name)}`;
  beforeEach(async () => {
    await ask({ size: 13 });
    await ask({ size: 7, by: [other], origin: other.name });
    await witness.close();
  });

  it('finds what was cosigned', async () => {
    witness = await open(disk);
    expect(await ask({ old: 0, size: 21, of: forkedTree })).toMatchObject({ status: 409, body: '13\n' });
    cosigned({ size: 21 }, await ask({ old: 13, size: 21 }));
  });

  it.each<[string, LedgerErrorCode, (files: Map<string, Buffer>) => void]>([
    ['the list is gone', 'corrupt', (files) => files.delete('state/index')],
    ['the list is empty', 'corrupt', (files) => files.set('state/index', Buffer.alloc(0))],
    ['the list is torn', 'corrupt', (files) => files.set('state/index', files.get('state/index')!.subarray(0, 80))],
    ['the list has lost a line', 'corrupt', (files) => files.set('state/index', Buffer.from(files.get('state/index')!.toString().replace(`${ORIGIN}\n`, '')))],
    ['the list has a byte flipped', 'corrupt', (files) => (files.get('state/index')![70]! ^= 1)],
    ['the list has something behind it', 'corrupt', (files) => files.set('state/index', Buffer.concat([files.get('state/index')!, Buffer.of(10)]))],
    ['a head is gone', 'corrupt', (files) => files.delete(head)],
    ['every head is gone', 'corrupt', (files) => [head, beside].forEach((path) => files.delete(path))],
    ['all is gone', 'not-found', (files) => files.clear()],
    ['a head is empty', 'corrupt', (files) => files.set(head, Buffer.alloc(0))],
    ['a head is torn', 'corrupt', (files) => files.set(head, files.get(head)!.subarray(0, 100))],
    ['a head has another size', 'corrupt', (files) => files.set(head, Buffer.from(files.get(head)!.toString().replace('\n13\n', '\n12\n')))],
    ['a head is one that the log signed and this witness did not', 'corrupt', (files) => files.set(head, Buffer.from(checkpointOf({ size: 12 })))],
    ['a head is the one of another log', 'corrupt', (files) => files.set(head, files.get(beside)!)],
    ['there is a file among the heads that is none', 'corrupt', (files) => files.set('state/heads/x', Buffer.from('x'))],
    ['the heads are of another log than the list', 'corrupt', (files) => files.delete(beside)],
  ])('is refused where %s, and changes nothing', async (_what, expected, harm) => {
    const harmed = disk.reboot();
    harm(harmed.files);
    const before = new Map(harmed.files);
    await expect(open(harmed)).rejects.toThrow(code(expected));
    if (expected === 'corrupt') await expect(open(harmed, { isNew: true })).rejects.toThrow(/./);
    expect(harmed.files).toEqual(before);
    await expect(harmed.lock('state/lock')).resolves.toBeTypeOf('function');
  });

  it('as new is refused where there is a state, and so is another key', async () => {
    await expect(open(disk, { isNew: true })).rejects.toThrow(code('forked'));
    await expect(open(disk, { cosigner: cosignerOf('witness.test/south') })).rejects.toThrow(code('forked'));
    await open(disk);
    await expect(open(disk)).rejects.toThrow(code('locked'));
  });

  it('takes up a head that a crash left without its line in the list', async () => {
    const fresh = new FaultyDisk();
    const started = await open(fresh, { isNew: true });
    fresh.failAt = fresh.operations + 2;
    expect(await ask({ size: 13 }, started)).toMatchObject({ status: 503 });
    const found = fresh.reboot();
    const again = await open(found);
    expect(again.origins).toEqual([ORIGIN]);
    await again.close();
    found.files.delete(head);
    await expect(open(found)).rejects.toThrow(code('corrupt'));
  });

  it('after a close finds what was in hand then: the lock is kept until that is answered', async () => {
    const fresh = await open(disk);
    const write = disk.writeDurable.bind(disk);
    let reach: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    let goOn: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    disk.writeDurable = async (path, bytes) => {
      reach();
      await held;
      await write(path, bytes);
    };
    const inHand = ask({ old: 13, size: 21 }, fresh);
    await reached;
    const closing = fresh.close();
    await expect(open(disk)).rejects.toThrow(code('locked'));
    const late = ask({ old: 13, size: 22 }, fresh);
    goOn();
    cosigned({ size: 21 }, await inHand);
    expect(await late).toMatchObject({ status: 503 });
    await closing;
    const next = await open(disk);
    expect(readCheckpoint(next.latest(hashOf(ORIGIN))!).size).toBe(21);
  });
});

it('a checkpoint of our own log is one that a witness cosigns', async () => {
  const checkpoint = signCheckpoint({ origin: ORIGIN, size: 21, root: tree.root() }, signer);
  expect(await witness.addCheckpoint(Buffer.from(formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint })))).toMatchObject({ status: 200 });
});
