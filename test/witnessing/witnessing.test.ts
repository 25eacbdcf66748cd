/** The loop that has checkpoints cosigned, against real witnesses over HTTP. */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  generateSignerKey, nodeDisk, openCheckpoint, openLog, parseSigner, parseTrustPolicy, parseVerifier, sha256,
  type Log, type RecordDraft, type SignedHead, type TrustPolicy,
} from '../../ledger/index.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { openWitnesses, witnessFault, type KeptWitnesses } from '../../src/sidecar/witnesses.ts';
import { startTestWitness, type TestWitness } from '../support/witnesses.ts';

const ORIGIN = 'log.test/witnessed';
const signer = parseSigner(generateSignerKey(ORIGIN, sha256(Buffer.from(ORIGIN))).skey);
const verifier = parseVerifier(signer.vkey);
const WAIT = { timeout: 15_000 };

let directory: string;
let witnesses: TestWitness[];
let logs: Log[];
let kept: KeptWitnesses[];
let warned: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cs-witnessing-'));
  [witnesses, logs, kept, warned] = [[], [], [], []];
  for (const name of ['north', 'south', 'west']) witnesses.push(await startTestWitness(name, join(directory, name), signer.vkey));
});
afterEach(async () => {
  for (const one of kept) await one.close();
  for (const log of logs) await log.close().catch(() => undefined);
  for (const witness of witnesses) await witness.stop();
  await rm(directory, { recursive: true, force: true });
});

const draft = (n: number): RecordDraft => ({ v: 1, change: null, type: 'test.record', at: new Date().toISOString(), actor: 'sidecar:test', body: { n }, objects: [] });
const policyOf = (quorum = 'group most 2 north south west\nquorum most'): TrustPolicy => parseTrustPolicy(`log ${signer.vkey}\n${witnesses.map(({ line }) => line).join('\n')}\n${quorum}\n`);

async function open(data = 'data'): Promise<Log> {
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(join(directory, data)), directory: 'ledger', journal: 'journal', signer, now: () => Date.now(), acceptCopy: true });
  logs.push(log);
  return log;
}
async function watch(log: Log, policy = policyOf(), data = 'data'): Promise<KeptWitnesses> {
  const log1 = (fields: object, message: string): void => void warned.push(`${JSON.stringify(fields)} ${message}`);
  const one = await openWitnesses({ log, verifier, policy, disk: nodeDisk(join(directory, data)), clock: systemClock, logger: { info: () => undefined, warn: log1, error: log1 } });
  kept.push(one!);
  return one!;
}
async function add(log: Log, count: number): Promise<void> {
  for (let n = 0; n < count; n++) log.append([draft(n)]);
  await log.sync();
}
const cosignersOf = ({ text }: Pick<SignedHead, 'text'>): readonly string[] => openCheckpoint(text, policyOf()).witnesses;

describe('witnesses', () => {
  it('cosign each newest head, with a proof from where they were, and the checkpoint on disk carries it', async () => {
    const log = await open();
    const watched = await watch(log);
    for (const count of [1, 3, 300]) {
      await add(log, count);
      const head = await watched.cosigned(log.size, 10_000);
      expect(head?.size).toBe(log.size);
      expect(openCheckpoint(head!.text, policyOf()).witness.met).toBe(true);
    }
    await vi.waitFor(() => expect(cosignersOf(log.checkpoint())).toEqual(['north', 'south', 'west']), WAIT);
    expect(await readFile(join(directory, 'data/ledger/checkpoint'), 'utf8')).toBe(log.checkpoint().text);
    expect(watched.state()).toEqual({ ok: true, message: '3 of 3 witnesses have cosigned 304 records (quorum most: 2 of 3)' });
  });

  it('that are away hold up nothing but a quorum that needs them, and are asked again when they are back', async () => {
    const log = await open();
    const watched = await watch(log);
    await witnesses[0]!.stop();
    await add(log, 1);
    expect((await watched.cosigned(log.size, 10_000))?.size).toBe(1);
    await witnesses[1]!.stop();
    await add(log, 1);
    expect(await watched.cosigned(log.size, 300)).toBeNull();
    expect(watched.trouble()).toContain('no quorum of witnesses has cosigned the newest records');
    expect(watched.state().ok).toBe(false);
    let progressed = 0;
    watched.onProgress(() => (progressed += 1));
    await witnesses[0]!.start();
    await vi.waitFor(() => expect(progressed).toBe(1), WAIT);
    expect(await watched.cosigned(log.size, 0)).toMatchObject({ size: 2 });
    expect(cosignersOf((await watched.cosigned(2, 0))!)).toEqual(['north', 'west']);
    await vi.waitFor(() => expect(watched.trouble()).toBeNull(), WAIT);
  });

  it('that have all been away are caught up with, however many heads there were meanwhile', async () => {
    const log = await open();
    const watched = await watch(log);
    for (const witness of witnesses) await witness.stop();
    for (let n = 0; n < 5; n++) await add(log, 1);
    expect(await watched.cosigned(1, 100)).toBeNull();
    for (const witness of witnesses) await witness.start();
    await vi.waitFor(async () => expect((await watched.cosigned(log.size, 0))?.size).toBe(5), WAIT);
  });

  it('need not be asked anew about what they had cosigned before a start, and have cosigned the last head before an end', async () => {
    const log = await open();
    const watched = await watch(log);
    log.append([draft(0)]);
    await watched.close();
    await log.close();
    expect(witnesses.filter((witness) => witness.latest(ORIGIN)?.split('\n')[1] === '1').length).toBeGreaterThanOrEqual(2);
    for (const witness of witnesses) await witness.stop();
    const again = await open();
    const rewatched = await watch(again);
    expect(await rewatched.cosigned(1, 0)).toMatchObject({ size: 1 });
  });

  it('that nobody demands are asked all the same', async () => {
    const log = await open();
    const watched = await watch(log, policyOf('quorum none'));
    expect(watched.demanded).toBe(false);
    const seen: SignedHead[] = [];
    watched.onCosigned((head) => seen.push(head));
    await add(log, 2);
    await vi.waitFor(() => expect(cosignersOf(log.checkpoint())).toHaveLength(3), WAIT);
    expect(seen.at(-1)!.size).toBe(2);
  });
});

describe('a ledger that its witnesses contradict', () => {
  /** A copy of the ledger as it is now. */
  async function backup(): Promise<void> {
    await cp(join(directory, 'data'), join(directory, 'backup'), { recursive: true });
    await rm(join(directory, 'backup/journal/lock'), { force: true });
  }
  const files = async (data: string): Promise<Record<string, string>> => {
    const folder = join(directory, data, 'contradictions');
    const names = await readdir(folder).catch(() => []);
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)));
  };

  async function cosignedTo(data: string, count: number, policy = policyOf()): Promise<Log> {
    const log = await open(data);
    const watched = await watch(log, policy, data);
    await add(log, count);
    await vi.waitFor(() => expect(cosignersOf(log.checkpoint())).toHaveLength(witnesses.length), WAIT);
    await watched.close();
    await log.close();
    return log;
  }

  it('was rolled back: that is known at the start, before anything is recorded, and nothing is recorded any more', async () => {
    const first = await cosignedTo('data', 3);
    await backup();
    await cosignedTo('data', 4);
    const old = await open('backup');
    expect(old.size).toBe(first.size);
    const watched = await watch(old, policyOf(), 'backup');
    expect(old.failed).toMatchObject({ cause: { code: 'rolled-back' } });
    expect(old.failed!.message).toMatch(/the witness \w+ has cosigned 7 records of this log, which has 3: it was rolled back, and nothing is given until it is restored \(countersign restore\)/);
    expect(() => old.append([draft(0)])).toThrow();
    expect(await watched.cosigned(1, 0)).toBeNull();
    expect([watched.trouble(), watched.state().ok]).toEqual([(old.failed!.cause as Error).message, false]);
    await vi.waitFor(async () => expect(Object.keys(await files('backup'))).toHaveLength(2), WAIT);
    const found = Object.values(await files('backup')).map((note) => note.split('\n')[1]);
    expect(found.sort()).toEqual(['3', '7']);
  });

  it('was lost and begun anew: that is the same', async () => {
    await cosignedTo('data', 3);
    const fresh = await open('fresh');
    await watch(fresh, policyOf(), 'fresh');
    expect(fresh.failed).toMatchObject({ cause: { code: 'rolled-back' } });
  });

  it('is one of two histories: both heads are kept, each signed by the log, and nothing more is recorded', async () => {
    await cosignedTo('data', 3);
    await backup();
    await cosignedTo('data', 2);
    // Its first records after the rollback are its own, and more than the witnesses have seen.
    for (const witness of witnesses) await witness.stop();
    const other = await open('backup');
    await add(other, 9);
    for (const witness of witnesses) await witness.start();
    await watch(other, policyOf(), 'backup');
    await vi.waitFor(() => expect(other.failed).toMatchObject({ cause: { code: 'forked' }, message: expect.stringContaining('split view: the first 5 records of this log have root') as string }), WAIT);
    await vi.waitFor(async () => expect(Object.keys(await files('backup'))).toHaveLength(2), WAIT);
    const notes = Object.entries(await files('backup'));
    const theirs = openCheckpoint(notes.find(([name]) => name.endsWith('.theirs'))![1], policyOf());
    const ours = openCheckpoint(notes.find(([name]) => name.endsWith('.ours'))![1], policyOf());
    expect([theirs.size, theirs.witnesses.length, ours.size]).toEqual([5, 1, 12]);
    expect(Buffer.from(theirs.root).equals(Buffer.from(other.root(5)))).toBe(false);
  });

  it('is believed over a witness that says so and shows nothing that the log has signed', async () => {
    const log = await cosignedTo('data', 3);
    // A witness that is at another state than it says: one that lost its own, and was begun anew under another name on its port.
    const liar = await startTestWitness('liar', join(directory, 'liar'), signer.vkey);
    witnesses.push(liar);
    const again = await open('data');
    const watched = await watch(again);
    await vi.waitFor(() => expect(liar.latest(ORIGIN)).not.toBeNull(), WAIT);
    expect([again.failed, log.size]).toEqual([null, 3]);
    expect(watched.trouble()).toBeNull();
  });
});

describe('the addresses of witnesses', () => {
  it.each([
    ['http://10.0.0.7/w', 'neither https nor http to this machine'], ['http://witness.example/', 'neither https nor http'], ['ftp://127.0.0.1/', 'neither https nor http'], ['file:///etc/passwd', 'neither https nor http'],
    ['https://user:pw@witness.example/', 'more than an address'], ['https://witness.example/?log=1', 'more than an address'], ['not a url', 'line is'],
  ])('%s is refused', (url, why) => {
    const { line } = witnesses[0]!;
    const text = `${line.split(' ').slice(0, 3).join(' ')} ${url}\nquorum north\n`;
    const fault = (): string | null => {
      try {
        return witnessFault(parseTrustPolicy(text));
      } catch (error) {
        return String(error);
      }
    };
    expect(fault()).toContain(why);
  });

  it.each(['https://witness.example/deep/path', 'http://localhost:7380', 'http://[::1]:7380/', 'http://127.0.0.2:1/'])('%s may be asked', (url) => {
    expect(witnessFault(parseTrustPolicy(`${witnesses[0]!.line.split(' ').slice(0, 3).join(' ')} ${url}\nquorum north\n`))).toBeNull();
  });

  it('are needed where a quorum is demanded', () => {
    expect(witnessFault(parseTrustPolicy(`${witnesses[0]!.line.split(' ').slice(0, 3).join(' ')}\nquorum north\n`))).toBe('the quorum north is demanded, and no witness has a URL to be asked at');
  });
});
