/** A short life of a ledger in which everything happens that a writer does, and what must be true of it wherever it was cut off. */
import { expect } from 'vitest';
import { digestOf, exitCodeOf, readCheckpoint, type Appending, type Disk, type Log, type LogPace, type Signer } from '../../ledger/index.ts';
import { appendOne, draft, ManualTime, objectOf, open, signer, verify } from './ledger-fixture.ts';

/** Everything that is done once in a while is done every few records. */
export const BRISK: LogPace = { baseEveryRunning: 4, baseEveryClosing: 3, journalFileBytes: 3_000 };

const IDLE_TURNS = 300;

/** Records that say what is erased: one long after it came, and one in the same group with it. */
const ERASING: ReadonlyMap<number, number> = new Map([0, 248].flatMap((begins) => [[begins + 5, begins + 2], [begins + 9, begins + 8]]));

/** What was promised, whatever happens after. */
export interface Promised {
  /** Numbers of records that were acknowledged. */
  readonly acknowledged: Set<number>;
  readonly erased: Set<number>;
  readonly signed: { readonly size: number; readonly root: string }[];
}

export const nothingPromised = (): Promised => ({ acknowledged: new Set(), erased: new Set(), signed: [] });

/** Notes every head that leaves it: whether or not it comes to the disk, somebody may have seen it. */
function noting(promised: Promised): Signer {
  return {
    ...signer,
    sign(message) {
      const text = Buffer.from(message).toString('utf8');
      if (!text.startsWith('countersign/base/')) {
        const [, size, root] = text.split('\n');
        promised.signed.push({ size: Number(size), root: root! });
      }
      return signer.sign(message);
    },
  };
}

function appendNext(log: Log, i: number, checkpoint: boolean): Appending {
  const erases = ERASING.get(i);
  if (erases === undefined) return appendOne(log, i, { checkpoint });
  return log.append([draft(i, { change: null, type: 'erasure', body: { i, erased: [digestOf(objectOf(erases))] } })], { checkpoint });
}

/** Opens, writes up to record `to`, closes. Ends early where the disk does; then what was promised by then is in `promised`. */
export async function live(disk: Disk, to: number, promised: Promised): Promise<void> {
  const time = new ManualTime();
  const log = await open(disk, time, { signer: noting(promised), pace: BRISK });
  try {
    for (let i = log.size; i < to; i++) {
      const together = i % 4 === 0 ? [i, i + 1] : [i];
      const appending = together.map((one) => appendNext(log, one, one % 3 === 0).durable.then(() => promised.acknowledged.add(one)));
      i += together.length - 1;
      await Promise.all(appending);
      if (i % 5 === 0) time.advance(1_000);
      // Nobody asks for anything for a while: that is when a base is begun.
      if (i % 2 === 0) for (let turn = 0; turn < IDLE_TURNS; turn++) await Promise.resolve();
      for (const one of together) {
        const erases = ERASING.get(one);
        if (erases === undefined) continue;
        await log.erase([digestOf(objectOf(erases))]);
        promised.erased.add(erases);
      }
    }
  } finally {
    await log.close();
  }
}

const REQUIRED = ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'];

/** Nothing that was promised is broken by what is on the disk now; it is gone on with, and verifies. */
export async function judge(disk: Disk, promised: Promised, what: string): Promise<void> {
  const log = await open(disk, new ManualTime(), { pace: BRISK }).catch((error: unknown) => {
    throw new Error(`${what}: it does not open: ${String(error)}`, { cause: error });
  });
  const found: unknown[] = [];
  for await (const { record } of log.entries(0)) found.push(record.body['i']);
  expect(found, `${what}: records are in order`).toEqual(found.map((_, i) => i));
  expect(Math.max(-1, ...promised.acknowledged), `${what}: an acknowledged record is lost`).toBeLessThan(found.length);
  for (const { size, root } of promised.signed) {
    expect(size, `${what}: a head was signed for records that are gone`).toBeLessThanOrEqual(log.size);
    expect(Buffer.from(log.root(size)).toString('base64'), `${what}: two histories`).toBe(root);
  }
  for (const i of promised.erased) expect(await log.object(digestOf(objectOf(i))), `${what}: erased and back`).toBeNull();
  const { size } = log;
  await log.close();
  await live(disk, size + 5, nothingPromised());
  expect(readCheckpoint(Buffer.from((await disk.read('ledger/checkpoint'))!).toString('utf8')).size, what).toBeGreaterThanOrEqual(size + 5);
  const verification = await verify(disk);
  expect(exitCodeOf(verification.verdicts, REQUIRED), `${what}: ${JSON.stringify(verification.verdicts)}`).toBe(0);
}
