import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateSignerKey, nodeDisk, openLog, parseSigner, type Log } from '../../ledger/index.ts';
import type { NewEvent } from '../../src/change/events.ts';
import type { ChangeState } from '../../src/change/state.ts';

import { ChangeIndex } from '../../src/engine/change-index.ts';
import { notificationsOf, type Told } from '../../src/notify/derive.ts';
import { recentHistory } from '../../src/notify/history.ts';
import { changeIdOf, decided, found, memoryLedger, planOf, requested, ROTATE } from './support.ts';
import { draftOf } from '../support/drafts.ts';

const START = Date.parse('2026-11-23T19:00:00.000Z');
const HOUR = 3_600_000;

let directory: string;
let log: Log;
/** As the engine keeps it. */
const index = new ChangeIndex();
let sequenced = 0;
let atMs = START;
/** The same as the log, kept in memory: what is expected. */
const ledger = memoryLedger(() => atMs);
const states = new Map<string, ChangeState>();
function add(n: number, ...events: readonly NewEvent[]): void {
  const changeId = changeIdOf(n);
  const { state } = ledger.add(changeId, atMs, ...events);
  states.set(changeId, state);
  for (const _ of events) index.note(sequenced++, state);
  const drafts = events.map((event) => draftOf(changeId, event, atMs));
  log.append(drafts.map(({ draft }) => draft), { objects: drafts.flatMap(({ objects }) => objects) });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-history-'));
  const signer = parseSigner(generateSignerKey('history.example', new Uint8Array(32).fill(1)).skey);
  log = await openLog({ origin: 'history.example', disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer, now: () => atMs });
  for (let n = 0; n < 60; n += 1) {
    add(n, requested(ROTATE), decided(planOf(changeIdOf(n), ROTATE), 'needsApproval', { approvers: ['person:wei'] }));
    atMs += HOUR;
  }
  add(20, found('policy-fault'));
  await log.sync();
});
afterAll(async () => {
  await log.close();
  await rm(directory, { recursive: true });
});

async function read(sinceMs: number): Promise<{ told: Told[]; read: number }> {
  let count = 0;
  const counted: Pick<Log, 'entries' | 'object'> = {
    object: (digest) => log.object(digest),
    async *entries(from, to) {
      for await (const entry of log.entries(from, to)) {
        count += 1;
        yield entry;
      }
    },
  };
  const told: Told[] = [];
  for await (const one of recentHistory(counted, index.recordsSince(sinceMs))) told.push(one);
  return { told, read: count };
}

describe('the recent past', () => {
  it('is every event of the changes that were touched since, with the state that each came to', async () => {
    const sinceMs = START + 50 * HOUR;
    const { told } = await read(sinceMs);
    const recent = new Set([...states.values()].filter(({ lastAtMs }) => lastAtMs > sinceMs).map(({ changeId }) => changeId));
    expect(recent).toContain(changeIdOf(20));
    expect(recent.size).toBe(10);
    expect(told).toEqual(ledger.told.filter(({ event }) => recent.has(event.changeId)));
    expect(told.flatMap((one) => notificationsOf(one, () => []))).toEqual(ledger.told.filter(({ event }) => recent.has(event.changeId)).flatMap((one) => notificationsOf(one, () => [])));
  });

  it('is read record by record, and little of what stands between', async () => {
    const all = await read(0);
    expect(all.told).toHaveLength(ledger.told.length);
    const some = await read(START + 59 * HOUR - 1);
    expect(new Set(some.told.map(({ event }) => event.changeId))).toEqual(new Set([changeIdOf(20), changeIdOf(59)]));
    // 121 records; change 20 begins at the 40th, and comes again at the end.
    expect(some.read).toBeLessThanOrEqual(8);
  });

  it('is nothing where nothing was touched, and then nothing is read', async () => {
    expect(await read(atMs + HOUR)).toEqual({ told: [], read: 0 });
  });
});
