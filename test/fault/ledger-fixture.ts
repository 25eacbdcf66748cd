/** Small ledgers for the tests that harm them. */
import {
  digestOf, generateSignerKey, openLog, parseSigner, parseTrustPolicy, sha256, verifyLedger,
  type Appending, type Disk, type Log, type LogOptions, type RecordDraft, type Signer, type TrustPolicy, type Verdict, type VerifyOptions,
} from '../../ledger/index.ts';

export const ORIGIN = 'log.test/ledger';
export const AT_MS = Date.UTC(2026, 10, 23, 19, 5, 0, 123);

export function signerOf(name: string, seed = name): Signer {
  return parseSigner(generateSignerKey(name, sha256(Buffer.from(seed))).skey);
}

export const signer = signerOf(ORIGIN);
export const trust: TrustPolicy = parseTrustPolicy(`log ${signer.vkey}\nquorum none\n`);

/** A clock that moves only when told to, and the timers that are due by it. */
export class ManualTime {
  nowMs = AT_MS;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();
  readonly now = (): number => this.nowMs;
  readonly setTimer = (callback: () => void, delayMs: number): (() => void) => {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get pending(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.nowMs) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}

export function open(disk: Disk, time = new ManualTime(), more: Partial<LogOptions> = {}): Promise<Log> {
  return openLog({ origin: ORIGIN, disk, directory: 'ledger', journal: 'journal', signer, now: time.now, setTimer: time.setTimer, ...more });
}

export function draft(i: number, more: Partial<RecordDraft> = {}): RecordDraft {
  const change = i % 5 === 4 ? null : `chg_${i % 3}`;
  return { v: 1, change, type: 'policy.decided', at: new Date(AT_MS + i).toISOString(), actor: 'sidecar:test', body: { i, text: `é ${i}` }, objects: [], ...more };
}

/** Appends record `i`; every second one brings an object of its own. */
export function appendOne(log: Log, i: number, options: { checkpoint?: boolean } = {}): Appending {
  if (i % 2 === 1) return log.append([draft(i)], options);
  const object = objectOf(i);
  return log.append([draft(i, { objects: [digestOf(object)] })], { objects: [object], ...options });
}

export function objectOf(i: number): Uint8Array {
  return Buffer.from(JSON.stringify({ salt: `salt ${i}`, facts: 'x'.repeat(10 + (i % 7)) }));
}

/** A closed ledger of `size` records on `disk`, committed in groups of about `every`. */
export async function fill(disk: Disk, size: number, every = 4): Promise<void> {
  const log = await open(disk);
  for (let i = log.size; i < size; i++) {
    const { durable } = appendOne(log, i, { checkpoint: i % (3 * every - 1) === 0 });
    if (i % every === 0) await durable;
  }
  await log.close();
}

/** What is found at once: nobody is writing there, unless `pause` says who. */
export function verify(disk: Disk, more: Partial<VerifyOptions> = {}): ReturnType<typeof verifyLedger> {
  return verifyLedger({ disk, directory: 'ledger', trust, pause: null, ...more });
}

export function verdict(verification: { readonly verdicts: readonly Verdict[] }, name: string): Verdict {
  const found = verification.verdicts.find((v) => v.name === name);
  if (found === undefined) throw new Error(`no verdict ${name}`);
  return found;
}
