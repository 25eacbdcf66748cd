import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { readHeld } from '../../src/evidence/held.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { revokeOrderSchema } from '../../src/protocol/signed.ts';
import { called, DISABLE, rotation, fetchedRotation, toldUntilPlanned, toldUntilStep, toldUntilUndone } from '../support/step-stories.ts';
import { cleanStory, GRANT, PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, writeStory, type Telling } from '../support/story.ts';

let directory: string;
let grant: Telling;
let provision: Telling;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-held-'));
  const over = cleanStory();
  provision = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS + 5_000_000)));
  // Authorised and armed, and nobody knows yet whether it was done: it may be there.
  grant = toldUntilArmed(toldUntilDecided(GRANT, START_MS + 6_000_000));
  await writeStory(directory, [...over.beats, ...provision.beats, ...grant.beats]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('finds what was authorised and has not ended, with the order that takes it back', async () => {
  const { held, unreadable } = await readHeld(nodeDisk(directory), 'ledger');
  expect(unreadable).toBe(0);
  expect(held.map(({ changeId, subject }) => [changeId, subject])).toEqual([[provision.changeId, PROVISION.subject], [grant.changeId, GRANT.subject]]);
  const { notBefore: _notBefore, cause: _cause, orderedBy: _orderedBy, ...armed } = readPayload(provision.now.lease!.order, revokeOrderSchema);
  expect(held[0]?.order).toEqual(armed);
});

it('reads a cut bundle up to the cut, and says how many records are missing', async () => {
  const folder = join(directory, 'ledger', 'tile', 'entries', '000.p');
  const path = join(folder, readdirSync(folder)[0]!);
  truncateSync(path, statSync(path).size - 10);
  const { held, unreadable } = await readHeld(nodeDisk(directory), 'ledger');
  expect(unreadable).toBe(1);
  expect(held.map(({ changeId }) => changeId)).toEqual([provision.changeId, grant.changeId]);
  truncateSync(path, 100);
  expect((await readHeld(nodeDisk(directory), 'ledger')).held).toEqual([]);
});

it('finds the new login of a rotation, whatever came after it, and nothing of what only took away or ran elsewhere', async () => {
  const place = join(directory, 'steps');
  const finished = rotation();
  const undone = toldUntilUndone(fetchedRotation({}, START_MS + 20_000_000));
  const disabled = toldUntilStep(toldUntilPlanned(DISABLE, START_MS + 30_000_000, { effect: 'allow' }));
  await writeStory(place, [...finished.beats, ...undone.beats, ...disabled.beats, ...called().beats]);
  const { held } = await readHeld(nodeDisk(place), 'ledger');
  expect(held.map(({ changeId }) => changeId)).toEqual([finished.changeId]);
  expect(held[0]?.order).toMatchObject({ action: 'stage', account: 'orders_b', privileges: ['role:orders'], leaseId: finished.changeId.replace('chg', 'lse'), epoch: 1 });
});
