/** Locks in a ledger that were set elsewhere: the statement is the evidence, and the verifier opens it. */
import { expect, it } from 'vitest';
import type { Signer } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { freshLockId, signedLock } from '../support/locks.ts';
import { keys, START_MS } from '../support/story.ts';
import { verified } from './verified.ts';

const lockId = freshLockId();
const reason = 'something is wrong there';
const said = (op: 'set' | 'lift', by: Signer): Dsse => signedLock({ op, lockId, reason }, by);
const set = (statement: Dsse | null, actor = 'person:sam', nhi: string | null = null): DraftWithObjects =>
  systemDraft('lock.set', { lockId, nhi, connector: 'pg-main', reason, ...(statement === null ? {} : { statement }) }, actor, START_MS);
const lifted = (statement: Dsse | null, actor = 'person:sam'): DraftWithObjects => systemDraft('lock.lifted', { lockId, reason, ...(statement === null ? {} : { statement }) }, actor, START_MS);

async function violations(...records: readonly DraftWithObjects[]): Promise<readonly string[]> {
  const { workflow } = await verified([], {}, { extra: records });
  return workflow!.violations.map(({ code }) => code);
}

it.each<[string, readonly DraftWithObjects[]]>([
  ['set and lifted here', [set(null, 'person:olga'), lifted(null, 'person:olga')]],
  ['set here and lifted by a revoker', [set(null, 'person:olga'), lifted(said('lift', keys.revoker))]],
  ['set and lifted by a revoker', [set(said('set', keys.revoker)), lifted(said('lift', keys.revoker))]],
  ['set by a sidecar and lifted by it', [set(said('set', keys.ticket), 'person:olga'), lifted(said('lift', keys.ticket), 'person:olga')]],
  ['set by a sidecar and lifted by a revoker', [set(said('set', keys.ticket), 'person:olga'), lifted(said('lift', keys.revoker))]],
])('%s is as it should be', async (_what, records) => {
  expect(await violations(...records)).toEqual([]);
});

it.each<[string, readonly DraftWithObjects[]]>([
  ['set by nobody who may', [set(said('set', keys.stranger), 'person:olga')]],
  ['set by a revoker, of something else', [set(said('set', keys.revoker), 'person:sam', 'nhi:prod/other')]],
  ['set by a revoker, in the name of another', [set(said('set', keys.revoker), 'person:eve')]],
  ['set by a revoker, and lifted by the sidecar’s word', [set(said('set', keys.revoker)), lifted(null)]],
  ['set by a revoker, and lifted by a sidecar', [set(said('set', keys.revoker)), lifted(said('lift', keys.ticket), 'person:olga')]],
  ['set by a revoker, and lifted by the statement that set it', [set(said('set', keys.revoker)), lifted(said('set', keys.revoker))]],
  ['set here, and lifted by nobody who may', [set(null, 'person:olga'), lifted(said('lift', keys.stranger), 'person:olga')]],
])('%s is found out', async (_what, records) => {
  expect(await violations(...records)).toEqual(['lock-signature']);
});

