/** Ledgers of any length, for benches and for tests of what does not grow: of whole changes, really signed, or of records that mean nothing. */
import { digestOf, nodeDisk, openLog, type Log } from '../../ledger/index.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import {
  GRANT, keys, ORIGIN, PROVISION, sidecar, START_MS, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered,
} from './story.ts';
import { draftOf } from './drafts.ts';

/** From one change's request to the next one's: each is over before. */
const BETWEEN_MS = 7_200_000;
const APPENDED_AT_ONCE = 1_024;

/** What is told of change `n`: of four, one runs its lease, one is taken back early, one is provisioned, one is denied. */
function change(n: number, atMs: number): Telling {
  if (n % 4 === 3) return toldUntilDecided(GRANT, atMs, 'deny', new Telling(atMs, [], n + 1));
  const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(n % 4 === 0 ? PROVISION : GRANT, atMs, 'needsApproval', new Telling(atMs, [], n + 1))));
  return toldUntilEnded(telling, n % 4 === 1 ? toldUntilOrdered(telling.later(1_000), 'person:olga') : telling.now.lease!.order);
}

async function filled(directory: string, fill: (log: Log, setNow: (ms: number) => void) => Promise<void>): Promise<number> {
  let nowMs = START_MS;
  const log = await openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => nowMs });
  await fill(log, (ms) => (nowMs = ms));
  await log.sync();
  const { size } = log;
  await log.close();
  return size;
}

/** A ledger of at least `records` records in `directory`/ledger, of whole changes under the keys of `story.ts`. Resolves with how many there are. */
export function writeChanges(directory: string, records: number): Promise<number> {
  return filled(directory, async (log, setNow) => {
    const opened = systemDraft('ledger.opened', { origin: ORIGIN, epoch: 1, version: '0.1.0' }, sidecar, START_MS);
    log.append([opened.draft], { objects: opened.objects });
    for (let n = 0; log.size < records; n += 1) {
      for (const { changeId, event, atMs } of change(n, START_MS + n * BETWEEN_MS).beats) {
        setNow(atMs);
        const { draft, objects } = draftOf(changeId, event, atMs);
        log.append([draft], { objects });
      }
      if (n % 64 === 0) await log.sync();
    }
  });
}

/** A ledger of `records` records of about `bytes` bytes each in `directory`/ledger, of changes of ten records; `objects`: each brings one of its own. */
export function writeRecords(directory: string, records: number, bytes: number, objects = false): Promise<number> {
  return filled(directory, async (log, setNow) => {
    const padding = 'x'.repeat(Math.max(1, bytes - 440));
    for (let at = 0; at < records; at += APPENDED_AT_ONCE) {
      const count = Math.min(APPENDED_AT_ONCE, records - at);
      setNow(START_MS + at);
      const payloads = objects ? Array.from({ length: count }, (_, i) => Buffer.from(`{"salt":"${at + i}","window":"nightly"}`)) : [];
      log.append(Array.from({ length: count }, (_, i) => ({
        v: 1, change: `chg_${Math.floor((at + i) / 10)}`, type: 'policy.decided', at: new Date(START_MS + at + i).toISOString(), actor: 'sidecar:bench',
        body: { i: at + i, padding }, objects: objects ? [digestOf(payloads[i]!)] : [],
      })), { objects: payloads });
      await log.durable();
    }
  });
}
