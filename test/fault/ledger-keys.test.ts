/** The log's key: away for a while, taken over by another, or not the one that the log is of. */
import { describe, expect, it } from 'vitest';
import { exitCodeOf, LedgerError, openCheckpoint, parseTrustPolicy, signCheckpoint, type LedgerRecord, type Log, type LogSigner, type TrustPolicy } from '../../ledger/index.ts';
import { draftRotation } from '../../ledger/key-rotation.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { AT_MS, appendOne, draft, fill, ManualTime, open, ORIGIN, signer, signerOf, verdict, verify } from './ledger-fixture.ts';

const second = signerOf(ORIGIN, 'second key');
const third = signerOf(ORIGIN, 'third key');
const ACTOR = 'sidecar:test';
const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];
const listing = (...keys: readonly LogSigner[]): TrustPolicy => parseTrustPolicy([...keys.map(({ vkey }) => `log ${vkey}`), 'quorum none', ''].join('\n'));
const untrusted = expect.objectContaining({ code: 'untrusted' }) as Error;

const rotate = (disk: FaultyDisk, from: LogSigner, to: LogSigner): Promise<Log> => open(disk, new ManualTime(), { signer: to, rotateFrom: { signer: from, actor: ACTOR } });

async function lastRecord(log: Log): Promise<LedgerRecord> {
  for await (const { record } of log.entries(log.size - 1)) return record;
  throw new Error('no records');
}

/** Twelve records, a rotation, and a record by the new key. */
async function rotated(): Promise<FaultyDisk> {
  const disk = new FaultyDisk();
  await fill(disk, 12);
  const log = await rotate(disk, signer, second);
  await log.append([draft(13)], { checkpoint: true }).durable;
  await log.close();
  return disk;
}

describe('a key that takes over', () => {
  it('is on record, signed by both; from then on the checkpoint is its own', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 12);
    const log = await rotate(disk, signer, second);
    expect(await lastRecord(log)).toMatchObject({ seq: 12, type: 'key.rotated', actor: ACTOR, body: { old: signer.vkey, new: second.vkey } });
    expect(openCheckpoint(log.checkpoint().text, listing(second))).toMatchObject({ size: 13, logKey: second.keyName });
    await log.close();
    const verification = await verify(disk, { trust: listing(second) });
    expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(0);
  });

  it('does so once: the log opens with it from then on, with the old one named or not', async () => {
    const disk = await rotated();
    for (const open_ of [() => rotate(disk, signer, second), () => open(disk, new ManualTime(), { signer: second })]) {
      const log = await open_();
      expect(log.size).toBe(14);
      await log.close();
    }
  });

  it('is found again by a log whose base was written since', async () => {
    const disk = await rotated();
    const log = await open(disk, new ManualTime(), { signer: second });
    for (let i = 14; i < 5_000; i += 500) log.append(Array.from({ length: 500 }, (_, j) => draft(i + j)));
    await log.close();
    expect([...disk.files.keys()].filter((path) => path.includes('base'))).not.toEqual([]);
    await expect(open(disk)).rejects.toThrow(untrusted);
    const again = await rotate(disk, second, third);
    expect(await lastRecord(again)).toMatchObject({ type: 'key.rotated', body: { old: second.vkey, new: third.vkey } });
    await again.close();
    expect(exitCodeOf((await verify(disk, { trust: listing(third) })).verdicts, REQUIRED)).toBe(0);
  });

  it('is durable with its record, wherever a crash comes', async () => {
    const before = new FaultyDisk();
    await fill(before, 12);
    const whole = before.reboot();
    await (await rotate(whole, signer, second)).close();
    for (let failAt = 1; failAt <= whole.operations; failAt++) {
      const disk = before.reboot();
      disk.failAt = failAt;
      disk.failKind = failAt % 2 === 0 ? 'done' : 'half';
      await rotate(disk, signer, second).then((log) => log.close(), () => undefined);
      const found = disk.reboot();
      const log = await rotate(found, signer, second);
      expect(log.size, `crash at ${failAt}`).toBe(13);
      await log.close();
      expect(exitCodeOf((await verify(found, { trust: listing(second) })).verdicts, REQUIRED), `crash at ${failAt}`).toBe(0);
    }
  });
});

describe('a log of another key', () => {
  it('is not opened, and nothing of it is changed', async () => {
    const disk = new FaultyDisk();
    await fill(disk, 5);
    const before = new Map(disk.files);
    await expect(open(disk, new ManualTime(), { signer: second })).rejects.toThrow(/the log is of the key .*, and this is/);
    await expect(rotate(disk, third, second)).rejects.toThrow(untrusted);
    expect(new Map(disk.files)).toEqual(before);
  });

  it('is not opened with the key that was taken over from', async () => {
    const disk = await rotated();
    await expect(open(disk)).rejects.toThrow(untrusted);
    await expect(rotate(disk, second, signer)).resolves.toBeDefined();
  });
});

describe('a verifier', () => {
  it('does not take a checkpoint by a key that a record has ended, though it trusts it', async () => {
    const disk = await rotated();
    const { size, root } = openCheckpoint(disk.files.get('ledger/checkpoint')!.toString(), listing(second));
    disk.files.set('ledger/checkpoint', Buffer.from(signCheckpoint({ origin: ORIGIN, size, root }, signer)));
    const verification = await verify(disk, { trust: listing(signer, second) });
    expect(verdict(verification, 'SIGNATURE')).toMatchObject({ status: 'fails', seq: 12, message: expect.stringContaining(`record 12 ended ${signer.keyName}`) as string });
    expect(exitCodeOf(verification.verdicts, REQUIRED)).toBe(1);
  });

  it('takes no key from the evidence: the new one has to be trusted, and it says which that is', async () => {
    const verification = await verify(await rotated(), { trust: listing(signer) });
    expect(verdict(verification, 'SIGNATURE')).toMatchObject({ status: 'fails', message: expect.stringContaining(`record 12 says that ${second.vkey} took over`) as string });
  });

  it.each([
    ['the old key has not signed', { old: signer, next: second, by: [third, second] }],
    ['the new key has not signed', { old: signer, next: second, by: [signer, third] }],
  ])('does not believe a rotation that %s', async (_name, { old, next, by }) => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    await appendOne(log, 0).durable;
    const lie = (as: LogSigner, real: LogSigner): LogSigner => ({ name: as.name, keyName: as.keyName, vkey: as.vkey, sign: (message) => real.sign(message) });
    const forged = await draftRotation({ origin: ORIGIN, seq: 1, old: lie(old, by[0]!), next: lie(next, by[1]!), at: new Date(AT_MS).toISOString(), actor: ACTOR });
    await log.append([forged], { checkpoint: true }).durable;
    expect(verdict(await verify(disk, { trust: listing(signer, second) }), 'SIGNATURE')).toMatchObject({ status: 'fails', seq: 1 });
  });

  it.each([
    ['from another place', 7, ORIGIN],
    ['from another log', 1, 'log.test/other'],
  ])('does not believe a rotation %s', async (_name, seq, origin) => {
    const disk = new FaultyDisk();
    const log = await open(disk);
    await appendOne(log, 0).durable;
    const moved = await draftRotation({ origin, seq, old: signer, next: second, at: new Date(AT_MS).toISOString(), actor: ACTOR });
    await log.append([moved], { checkpoint: true }).durable;
    expect(verdict(await verify(disk, { trust: listing(signer, second) }), 'SIGNATURE')).toMatchObject({ status: 'fails', seq: 1 });
  });

  it('does not believe a key that comes back, or one that takes over from a key that is not in force', async () => {
    for (const [old, next] of [[second, signer], [signer, third]] as const) {
      const disk = await rotated();
      const log = await open(disk, new ManualTime(), { signer: second });
      const forged = await draftRotation({ origin: ORIGIN, seq: log.size, old, next, at: new Date(AT_MS + 20).toISOString(), actor: ACTOR });
      await log.append([forged], { checkpoint: true }).durable.catch(() => undefined);
      expect(verdict(await verify(disk, { trust: listing(signer, second, third) }), 'SIGNATURE')).toMatchObject({ status: 'fails', seq: 14 });
    }
  });
});

describe('a key that cannot be asked', () => {
  interface Service extends LogSigner {
    isDown: boolean;
    asked: number;
  }

  function service(answer: (message: Uint8Array) => Uint8Array = (message) => signer.sign(message)): Service {
    const key: Service = {
      name: signer.name, keyName: signer.keyName, vkey: signer.vkey, isDown: false, asked: 0,
      async sign(message) {
        key.asked++;
        await Promise.resolve();
        if (key.isDown) throw new Error('connection refused');
        return answer(message);
      },
    };
    return key;
  }

  it('holds up who waits for a checkpoint and nobody else, and is asked again once a second', async () => {
    const [disk, time, key] = [new FaultyDisk(), new ManualTime(), service()];
    const log = await open(disk, time, { signer: key });
    await appendOne(log, 0, { checkpoint: true }).durable;
    key.isDown = true;
    let told = false;
    const waiting = appendOne(log, 1, { checkpoint: true }).durable.then(() => (told = true));
    await appendOne(log, 2).durable;
    await expect(log.sync()).rejects.toThrow(/connection refused/);
    expect(log).toMatchObject({ durableSize: 3, failed: null, keyTrouble: { message: 'connection refused' } });
    expect([log.checkpoint().size, told]).toEqual([1, false]);
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
    const asked = key.asked;
    time.advance(999);
    expect(key.asked).toBe(asked);
    key.isDown = false;
    time.advance(1);
    await waiting;
    expect([log.checkpoint().size, log.keyTrouble]).toEqual([3, null]);
    await log.close();
    expect(exitCodeOf((await verify(disk)).verdicts, REQUIRED)).toBe(0);
  });

  it('loses nothing where the log is closed meanwhile', async () => {
    const [disk, key] = [new FaultyDisk(), service()];
    const log = await open(disk, new ManualTime(), { signer: key });
    key.isDown = true;
    await appendOne(log, 0).durable;
    await log.close();
    await expect(open(disk.reboot(), new ManualTime(), { signer: key })).rejects.toThrow(LedgerError);
    key.isDown = false;
    const again = await open(disk, new ManualTime(), { signer: key });
    expect(again.checkpoint().size).toBe(1);
    await again.close();
  });

  it('puts no signature on disk that does not hold', async () => {
    const disk = new FaultyDisk();
    let isLying = false;
    const log = await open(disk, new ManualTime(), { signer: service((message) => (isLying ? second : signer).sign(message)) });
    isLying = true;
    await appendOne(log, 0).durable;
    await expect(log.sync()).rejects.toThrow(/does not hold/);
    expect(disk.files.get('ledger/checkpoint')!.toString()).toBe(log.checkpoint().text);
    expect(log.checkpoint().size).toBe(0);
  });
});
