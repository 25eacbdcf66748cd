import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import { readCredential, type CredentialReading } from '../../src/evidence/credential.ts';
import { DISABLE, ROTATE, rotation, stagedRotation, toldUntilPlanned, toldUntilStep, toldUntilUndone } from '../support/step-stories.ts';
import { EXECUTOR, GRANT, PROVISION, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, writeStory, type Beat, type Telling } from '../support/story.ts';

/** Of every secret in the stories. */
const FINGERPRINT = 'ab'.repeat(32);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-credential-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function look(beats: readonly Beat[], fingerprint = FINGERPRINT): Promise<CredentialReading> {
  await writeStory(directory, beats);
  return readCredential(nodeDisk(directory), 'ledger', fingerprint);
}

const active = (request: typeof PROVISION, atMs = START_MS): Telling => toldUntilActive(toldUntilArmed(toldUntilDecided(request, atMs)));
const replaced = (atMs = START_MS): Telling => toldUntilStep(toldUntilPlanned(ROTATE, atMs, { overlap: 'none' }));

it('tells whose it is, what made it and what it opens', async () => {
  const provision = active(PROVISION);
  const stranger = active(GRANT, START_MS + 1_000_000);
  const { credentials, unreadable } = await look([...provision.beats, ...stranger.beats]);
  expect(unreadable).toBe(0);
  expect(credentials).toEqual([expect.objectContaining({
    changeId: provision.changeId, subject: PROVISION.subject, executor: EXECUTOR, action: 'provision', connector: 'pg-main', target: 'app', account: 'billing_export_1', endedBy: null,
  })]);
  expect(credentials[0]!.opens.map(({ changeId, order }) => [changeId, order.clientToken])).toEqual([[provision.changeId, provision.now.plan!.steps[0]!.clientToken]]);
});

it('knows nothing of a fingerprint that no seal has', async () => {
  expect((await look(active(PROVISION).beats, 'cd'.repeat(32))).credentials).toEqual([]);
});

it('tells that what was taken back opens nothing', async () => {
  const provision = active(PROVISION);
  toldUntilEnded(provision, provision.now.lease!.order);
  const { credentials } = await look(provision.beats);
  expect(credentials).toEqual([expect.objectContaining({ endedBy: provision.changeId, opens: [] })]);
});

it('a login that is staged is taken back by an order; one that is the only one left is not', async () => {
  const staged = stagedRotation();
  expect((await look(staged.beats)).credentials[0]).toMatchObject({ action: 'stage', account: 'orders_b', endedBy: null, opens: [{ changeId: staged.changeId }] });
});

it('the login that a rotation has left is not ended by any order', async () => {
  expect((await look(rotation().beats)).credentials[0]).toMatchObject({ action: 'stage', endedBy: null, opens: [] });
});

it('a staged login that was taken back is ended', async () => {
  const undone = toldUntilUndone(stagedRotation());
  expect((await look(undone.beats)).credentials[0]).toMatchObject({ endedBy: undone.changeId, opens: [] });
});

it('a secret that was replaced, or whose account is shut out, is ended by the change that did it, and the newest stands', async () => {
  const first = replaced();
  const second = replaced(START_MS + 10_000_000);
  const disabled = toldUntilStep(toldUntilPlanned(DISABLE, START_MS + 20_000_000, { effect: 'allow' }));
  const { credentials } = await look([...first.beats, ...second.beats]);
  expect(credentials.map(({ changeId, endedBy }) => [changeId, endedBy])).toEqual([[second.changeId, null], [first.changeId, second.changeId]]);
  rmSync(directory, { recursive: true });
  const after = await look([...first.beats, ...second.beats, ...disabled.beats]);
  expect(after.credentials.map(({ endedBy }) => endedBy)).toEqual([disabled.changeId, second.changeId]);
});

it('reads what there is of a ledger that is cut, and says how much it could not', async () => {
  const provision = active(PROVISION);
  await look([...provision.beats, ...active(GRANT, START_MS + 1_000_000).beats]);
  const folder = join(directory, 'ledger', 'tile', 'entries', '000.p');
  const path = join(folder, readdirSync(folder)[0]!);
  truncateSync(path, statSync(path).size - 10);
  expect(await readCredential(nodeDisk(directory), 'ledger', FINGERPRINT)).toMatchObject({ unreadable: 1, credentials: [{ changeId: provision.changeId }] });
});
