/** What a ledger's own records of cosigned checkpoints show to whoever verifies it: another history, and when its records were written. */
import { describe, expect, it } from 'vitest';
import {
  ANCHOR_TYPE, formatCheckpoint, formatSignatureLine, generateSignerKey, parseCosigner, parseNote, parseTrustPolicy, sha256, signCheckpoint,
  type Cosigner, type Log, type TrustPolicy, type Verification,
} from '../../ledger/index.ts';
import { TimeBrackets } from '../../ledger/verify-time.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { AT_MS, draft, open, ORIGIN, signer, signerOf, verdict, verify } from './ledger-fixture.ts';

const cosignerOf = (name: string): Cosigner => parseCosigner(generateSignerKey(`witness.test/${name}`, sha256(Buffer.from(name)), 4).skey);
const [north, south] = [cosignerOf('north'), cosignerOf('south')];
const policyOf = (quorum: string): TrustPolicy =>
  parseTrustPolicy(`log ${signer.vkey}\nwitness north ${north.vkey}\nwitness south ${south.vkey}\ngroup both all north south\n${quorum}\n`);
const trust = policyOf('quorum both');

function cosigned(note: string, times: readonly (readonly [Cosigner, number])[]): string {
  const { text } = parseNote(note);
  return note + times.map(([by, ms]) => formatSignatureLine(by.keyName, by.cosign(text, Math.floor(ms / 1000)))).join('');
}
const both = (ms: number): readonly (readonly [Cosigner, number])[] => [[north, ms], [south, ms]];

interface Place {
  readonly disk: FaultyDisk;
  readonly log: Log;
  /** Appends `count` records that say they were written at `atMs`. */
  add(count: number, atMs?: number): Promise<void>;
  /** Appends a record that holds the note; default: the newest checkpoint, cosigned by both. */
  anchor(atMs: number, note?: string, body?: Record<string, string | number>): Promise<void>;
  verified(trusted?: TrustPolicy | null): Promise<Verification>;
}

async function place(): Promise<Place> {
  const disk = new FaultyDisk();
  const log = await open(disk);
  const at = (ms: number): { at: string } => ({ at: new Date(ms).toISOString() });
  return {
    disk, log,
    async add(count, atMs = AT_MS) {
      for (let i = 0; i < count; i += 1_000) log.append(Array.from({ length: Math.min(1_000, count - i) }, (_, n) => draft(i + n, { ...at(atMs), change: null, body: {} })));
      await log.sync();
    },
    async anchor(atMs, note = cosigned(log.checkpoint().text, both(atMs)), body = { checkpoint: note, size: Number(note.split('\n')[1]) }) {
      await log.append([draft(0, { ...at(atMs), change: null, type: ANCHOR_TYPE, body })], { checkpoint: true }).durable;
    },
    async verified(trusted = trust) {
      await log.close();
      return verify(disk, { trust: trusted });
    },
  };
}

const MINUTE = 60_000;

describe('an anchor', () => {
  it('of this history, at every size, is no fault; what its quorum has seen is said though the checkpoint is not cosigned', async () => {
    const ledger = await place();
    for (let i = 0; i < 300; i++) {
      await ledger.add(1);
      await ledger.anchor(AT_MS);
    }
    const verification = await ledger.verified();
    expect(verdict(verification, 'COMPLETENESS')).toMatchObject({ status: 'holds' });
    expect(verdict(verification, 'WITNESS')).toEqual({ name: 'WITNESS', status: 'fails', message: '0/2: the quorum (both: 2 of 2) is not met; by the first 599 records it is, as record 599 shows' });
    expect(verification.notProven).toContain('records after the last anchored checkpoint');
  });

  it('is held to the records however far back they are, past every width of tile', async () => {
    const ledger = await place();
    const notes: string[] = [];
    for (const size of [1, 255, 256, 257, 65_535, 65_536, 65_537, 65_800, 66_100]) {
      await ledger.add(size - ledger.log.size);
      notes.push(cosigned(ledger.log.checkpoint().text, both(AT_MS)));
    }
    for (const note of notes) await ledger.anchor(AT_MS, note);
    const verification = await ledger.verified();
    expect(verdict(verification, 'COMPLETENESS')).toMatchObject({ status: 'holds' });
    expect(verdict(verification, 'WITNESS').message).toContain('by the first 66100 records it is, as record 66108 shows');
  }, 60_000);

  it('of another history is a split view: both heads are named, and the records themselves still hold', async () => {
    const ledger = await place();
    await ledger.add(300);
    const root = sha256(Buffer.from('another history'));
    await ledger.anchor(AT_MS, cosigned(signCheckpoint({ origin: ORIGIN, size: 259, root }, signer), both(AT_MS)));
    await ledger.add(20);
    const here = Buffer.from(ledger.log.root(259)).toString('base64');
    const verification = await ledger.verified();
    expect(verdict(verification, 'COMPLETENESS')).toMatchObject({
      status: 'fails', seq: 300,
      message: `split view: record 300 holds a signed checkpoint of 259 records with root ${Buffer.from(root).toString('base64')}, cosigned by witness.test/north, witness.test/south, of another history than this ledger, whose first 259 records have root ${here}`,
    });
    expect(verdict(verification, 'INTEGRITY').status).toBe('holds');
    // What is of another history bounds nothing here.
    expect(verdict(verification, 'TIME').status).toBe('notEstablished');
  });

  it('of more records than stand before it is a split view: nothing can hold a checkpoint over itself', async () => {
    const ledger = await place();
    await ledger.add(5);
    await ledger.anchor(AT_MS, cosigned(signCheckpoint({ origin: ORIGIN, size: 6, root: sha256(Buffer.from('longer')) }, signer), both(AT_MS)));
    await ledger.add(20);
    expect(verdict(await ledger.verified(), 'COMPLETENESS')).toMatchObject({ status: 'fails', seq: 5, message: expect.stringContaining('which has 5 before it') as string });
  });

  it('that the auditor has no reason to believe says nothing, for or against', async () => {
    const ledger = await place();
    await ledger.add(5);
    const other = signCheckpoint({ origin: ORIGIN, size: 5, root: sha256(Buffer.from('other')) }, signerOf(ORIGIN, 'a thief'));
    const strange = signerOf('log.test/another');
    await ledger.anchor(AT_MS, cosigned(other, both(AT_MS)));
    await ledger.anchor(AT_MS, cosigned(signCheckpoint({ origin: 'log.test/another', size: 5, root: sha256(Buffer.from('other')) }, strange), both(AT_MS)));
    const bad = cosigned(ledger.log.checkpoint().text, both(AT_MS)).replace(/\n— witness.test\/south .*/, (line) => line.slice(0, -6) + (line.at(-6) === 'A' ? 'B' : 'A') + line.slice(-5));
    await ledger.anchor(AT_MS, bad);
    await ledger.anchor(AT_MS, 'no note', { checkpoint: 'no note', size: 1 });
    await ledger.anchor(AT_MS, '', { size: 5 });
    await ledger.anchor(AT_MS, '', { checkpoint: cosigned(ledger.log.checkpoint().text, both(AT_MS)), size: 4 });
    const trusted = parseTrustPolicy(`log ${signer.vkey}\nlog ${strange.vkey}\nwitness north ${north.vkey}\nwitness south ${south.vkey}\nquorum north\n`);
    const verification = await ledger.verified(trusted);
    expect(verdict(verification, 'COMPLETENESS').status).toBe('holds');
    expect(verdict(verification, 'WITNESS').message).toBe('0/2: the quorum (north) is not met');
    expect(verdict(verification, 'TIME').status).toBe('notEstablished');
    expect(verification.notProven).toContain('no external anchor: rollback not excluded');
    expect(verdict(await verify(ledger.disk, { trust: null }), 'COMPLETENESS').status).toBe('holds');
  });
});

describe('the times that anchors state', () => {
  it('bracket what was written between them, from below and from above', async () => {
    const ledger = await place();
    await ledger.add(10, AT_MS);
    await ledger.anchor(AT_MS + MINUTE);
    await ledger.add(10, AT_MS + MINUTE);
    await ledger.anchor(AT_MS + 2 * MINUTE);
    const { text } = ledger.log.checkpoint();
    await ledger.log.cosign(cosigned(text, both(AT_MS + 3 * MINUTE)));
    const verification = await ledger.verified();
    expect(verdict(verification, 'TIME')).toEqual({
      name: 'TIME', status: 'holds',
      message: 'records say 2026-11-23T19:05:00.123Z to 2026-11-23T19:07:00.123Z, none more than 5 s before an earlier one; all were there by 2026-11-23T19:08:00.000Z, when '
        + 'witness.test/north cosigned them; those from 10 on came after times that witnesses had stated, the last 2026-11-23T19:07:00.000Z in record 21',
    });
  });

  it('catch a record that is dated back behind an anchor, though it is not earlier than the record before it', async () => {
    const ledger = await place();
    await ledger.add(10, AT_MS);
    await ledger.anchor(AT_MS + 2_000, cosigned(ledger.log.checkpoint().text, both(AT_MS + MINUTE)));
    await ledger.add(3, AT_MS + 3_000);
    expect(verdict(await ledger.verified(), 'TIME')).toEqual({
      name: 'TIME', status: 'fails', seq: 10,
      message: 'record 10 says 2026-11-23T19:05:02.123Z, and it was written after 2026-11-23T19:06:00.000Z, which witness.test/north had stated by record 10',
    });
  });

  it('catch a record that is dated forward past the first time that anyone had seen it, and not one after it', async () => {
    const ledger = await place();
    await ledger.add(10, AT_MS);
    await ledger.add(1, AT_MS + MINUTE);
    await ledger.anchor(AT_MS + MINUTE, cosigned(ledger.log.checkpoint().text, [[north, AT_MS + MINUTE], [south, AT_MS + 30_000]]));
    expect(verdict(await ledger.verified(), 'TIME')).toEqual({
      name: 'TIME', status: 'fails', seq: 10, message: 'record 10 says 2026-11-23T19:06:00.123Z, and witness.test/south had cosigned it by 2026-11-23T19:05:30.000Z',
    });
    const next = await place();
    await next.add(10, AT_MS);
    const note = cosigned(next.log.checkpoint().text, both(AT_MS + 30_000));
    await next.add(1, AT_MS + MINUTE);
    await next.anchor(AT_MS + MINUTE, note);
    expect(verdict(await next.verified(), 'TIME')).toMatchObject({ status: 'notEstablished', message: expect.stringContaining('the first 10 were there by 2026-11-23T19:05:30.000Z') as string });
  });

  it('are clocks, and clocks differ by some seconds', async () => {
    const ledger = await place();
    await ledger.add(10, AT_MS);
    await ledger.anchor(AT_MS, cosigned(ledger.log.checkpoint().text, [[north, AT_MS - 4_000], [south, AT_MS + 4_000]]));
    expect(verdict(await ledger.verified(), 'TIME').status).toBe('notEstablished');
  });

  it('of nobody in the trust policy bound nothing', async () => {
    const ledger = await place();
    await ledger.add(10, AT_MS);
    await ledger.anchor(AT_MS + 2_000, cosigned(ledger.log.checkpoint().text, both(AT_MS + MINUTE)));
    expect(verdict(await ledger.verified(parseTrustPolicy(`log ${signer.vkey}\nquorum none\n`)), 'TIME').message).toContain('no witness states one');
  });

  it('are waited for in bounded memory, and a record that is dated wrongly in a long wait is still found', () => {
    const brackets = new TimeBrackets();
    const at = (ms: number): string => new Date(ms).toISOString();
    const before = process.memoryUsage().heapUsed;
    const wrong = 1_999_990;
    for (let seq = 0; seq < 2_000_000; seq++) {
      const ms = AT_MS + seq * 50 + (seq === wrong ? 10 * MINUTE : 0);
      brackets.record(seq, ms, seq % 1_000 === 0 || seq === wrong ? at(ms) : '');
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000);
    brackets.covered(2_000_000, { by: 'w', ms: AT_MS + 2_000_000 * 50 }, true);
    const span = { first: at(AT_MS), last: at(AT_MS + 2_000_000 * 50), latestMs: 0, worstStepBackMs: 0, worstSeq: 0 };
    expect(brackets.verdict(span, 2_000_000)).toMatchObject({ status: 'fails', seq: wrong });
  });

  it('never come over another text', async () => {
    const ledger = await place();
    await ledger.add(3);
    const note = ledger.log.checkpoint().text;
    const wrong = formatCheckpoint({ origin: ORIGIN, size: 2, root: ledger.log.root(2) });
    await ledger.anchor(AT_MS, note + formatSignatureLine(north.keyName, north.cosign(wrong, Math.floor(AT_MS / 1000))));
    expect(verdict(await ledger.verified(), 'TIME').message).toContain('no witness states one');
  });
});
