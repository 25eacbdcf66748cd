/** What could not be read again is not written: a ledger that has it would not be opened any more. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeDisk, openLog, type Log } from '../../ledger/index.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { openStore, type Store } from '../../src/engine/store.ts';
import { cleanStory, GRANT, keys, ORIGIN, START_MS, writeStory } from '../support/story.ts';

const LATER_MS = START_MS + 9_000_000;
const options = { nowMs: () => LATER_MS, actor: 'sidecar:test', random: (length: number) => new Uint8Array(length), changed: () => undefined };
const CHANGE = 'chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W';
let directory: string;
let log: Log;
let store: Store;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-store-'));
  await writeStory(directory, cleanStory().beats);
  log = await openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => LATER_MS });
  store = await openStore(log, options);
});
afterEach(async () => {
  await store.close();
  await log.close();
  rmSync(directory, { recursive: true });
});

const asking = (request: ChangeRequest) => ({ type: 'request' as const, by: GRANT.subject, request, requester: [GRANT.subject], idempotency: null });

it.each<[string, () => unknown]>([
  ['an event of a change', () => store.apply(CHANGE, asking({ ...GRANT, duration: 'a while' } as ChangeRequest))],
  ['an event beside others', () => store.applyBeside(CHANGE, asking(GRANT), 'messages.refused', { executor: 'executor:pg-1', refused: [] }, [])],
  ['a record of no change', () => store.record('messages.refused', { executor: 'executor:pg-1', refused: [] })],
])('%s: nothing is written or folded, and the ledger opens again', async (_what, write) => {
  const before = log.size;
  expect(write).toThrow(/^(?:change\.requested|messages\.refused) is not written/);
  expect(log.size).toBe(before);
  expect(store.get(CHANGE)).toBeUndefined();
  // What is as it should be goes on.
  expect(store.apply(CHANGE, asking(GRANT)).ok).toBe(true);
  await log.sync();
  expect((await openStore(log, options)).get(CHANGE)?.name).toBe('requested');
});
