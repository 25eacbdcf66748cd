/** What people wrote is shown while it is there; once it is erased, nothing of it is left anywhere, and nothing that was decided is another. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { canonicalBytes, digestOf, nodeDisk, type LedgerRecord } from '../../ledger/index.ts';
import { tellStory } from '../../src/evidence/story.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { changeViewSchema, evidenceSchema, type ChangeView, type ErasureView, type Evidence } from '../../src/sidecar/schemas.ts';

import { settled } from '../support/replayed.ts';
import { GRANT, openTestSidecar, problemIn, type Answered, type TestOptions, type TestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
const REASON = 'because Zaphod Beeblebrox rang twice';
const COMMENT = 'Trillian McMillan says that he may';
const BASIS = 'letter of Arthur Dent';
const ASKED = { ...GRANT, reason: REASON };
const opened: TestSidecar[] = [];
afterEach(async () => {
  for (const sidecar of opened.splice(0)) await sidecar.close().catch(() => undefined);
});

async function open(options: TestOptions = {}): Promise<TestSidecar> {
  const sidecar = await openTestSidecar(options);
  opened.push(sidecar);
  return sidecar;
}

const erase = (sidecar: TestSidecar, body: object): Promise<Answered> => sidecar.send('person:vera', 'POST', '/v1/erasures', { basis: BASIS, ...body });
const look = async (sidecar: TestSidecar, { links }: ChangeView): Promise<ChangeView> => changeViewSchema.parse((await sidecar.send(CALLER, 'GET', links.self)).body);
const evidenceOf = async (sidecar: TestSidecar, { links }: ChangeView): Promise<Evidence> => evidenceSchema.parse((await sidecar.send(CALLER, 'GET', links.evidence)).body);
const storyOf = ({ records, disclosures }: Evidence): string => tellStory(records, disclosures).map(({ text }) => text).join('\n');

async function records(sidecar: TestSidecar): Promise<LedgerRecord[]> {
  const found: LedgerRecord[] = [];
  for await (const { record } of sidecar.log.entries(0)) found.push(record);
  return found;
}

/** Every byte below the directory. */
function bytesOf(directory: string): string {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
}

/** Approved with a comment, given, and taken back with another. */
async function over(sidecar: TestSidecar): Promise<ChangeView> {
  const pending = await sidecar.change(CALLER, ASKED);
  await sidecar.send('person:wei', 'POST', pending.links.approvals, { verdict: 'approve', planDigest: pending.planDigest, comment: COMMENT });
  const active = await settled(sidecar, CALLER, pending, 'active');
  await sidecar.send('person:olga', 'POST', `${active.links.self}/revoke`, { comment: COMMENT });
  return settled(sidecar, CALLER, active, 'revoked');
}

describe('while it is there', () => {
  it('what people wrote is shown, and is in no record', async () => {
    const sidecar = await open();
    const view = await over(sidecar);
    expect(view.reason).toBe(REASON);
    const evidence = await evidenceOf(sidecar, view);
    expect(evidence.disclosures.map(({ name, text, erasedUnder }) => [name, text, erasedUnder])).toEqual([['reason', REASON, null], ['comment', COMMENT, null], ['comment', COMMENT, null]]);
    expect(storyOf(evidence)).toContain(`“${REASON}”`);
    expect(storyOf(evidence).split(`“${COMMENT}”`)).toHaveLength(3);
    const said = JSON.stringify(await records(sidecar));
    for (const word of ['Zaphod', 'Trillian']) expect(said).not.toContain(word);
  });

  it.each<[string, (sidecar: TestSidecar, view: ChangeView) => Promise<Answered>]>([
    ['a rejection', (sidecar, view) => sidecar.send('person:wei', 'POST', view.links.approvals, { verdict: 'reject', planDigest: view.planDigest, comment: COMMENT })],
    ['a withdrawal', (sidecar, view) => sidecar.send(CALLER, 'POST', `${view.links.self}/withdraw`, { comment: COMMENT })],
    ['a revision', (sidecar, view) => sidecar.send(CALLER, 'POST', `${view.links.self}/revisions`, { ...ASKED, reason: COMMENT })],
  ])('%s is told with its words', async (_what, say) => {
    const sidecar = await open();
    const view = await sidecar.change(CALLER, ASKED);
    expect((await say(sidecar, view)).status).toBe(200);
    const evidence = await evidenceOf(sidecar, view);
    expect(evidence.disclosures.map(({ text }) => text)).toEqual([REASON, COMMENT]);
    expect(JSON.stringify(evidence.records)).not.toContain('Trillian');
  });
});

describe('once it is erased', () => {
  it('no byte of it is left, the views and the verifier say under which record it went, and all else is as it was', async () => {
    const sidecar = await open({ snapshots: true });
    const view = await over(sidecar);
    expect(bytesOf(sidecar.directory)).toMatch(/Zaphod[^]*Trillian/);
    const { erased } = (await erase(sidecar, { change: view.id, kinds: ['disclosure'] })).body as ErasureView;
    expect(erased.map(({ kind }) => kind)).toEqual(['disclosure', 'disclosure', 'disclosure']);
    const { seq } = erased[0]!;
    for (const word of ['Zaphod', 'Trillian']) expect(bytesOf(sidecar.directory)).not.toContain(word);

    const now = await look(sidecar, view);
    expect(now).toEqual({ ...view, reason: null });
    const evidence = await evidenceOf(sidecar, view);
    expect(evidence.disclosures.map(({ text, erasedUnder }) => [text, erasedUnder])).toEqual([[null, seq], [null, seq], [null, seq]]);
    expect(storyOf(evidence)).toContain(`; the reason was erased under seq ${seq}.`);
    expect(storyOf(evidence).split(`; the comment was erased under seq ${seq}`)).toHaveLength(3);

    await sidecar.log.sync();
    const verification = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
    expect(verification.verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
    expect(new Set(verification.erased.map((one) => `${one.kind} ${one.change} ${one.seq}`))).toEqual(new Set([`disclosure ${view.id} ${seq}`]));
  });

  it('the basis of it is a text that may be erased, too', async () => {
    const sidecar = await open();
    const view = await over(sidecar);
    const { erased } = (await erase(sidecar, { change: view.id, kinds: ['disclosure'] })).body as ErasureView;
    const erasure = (await records(sidecar)).find(({ seq }) => seq === erased[0]!.seq)!;
    expect([erasure.v, erasure.objects.length, JSON.stringify(erasure).includes('Dent')]).toEqual([2, 1, false]);
    expect(bytesOf(sidecar.directory)).toContain('Arthur Dent');
    const again = await sidecar.send('person:vera', 'POST', '/v1/erasures', { objects: erasure.objects, basis: 'for the same reason' });
    expect((again.body as ErasureView).erased.map(({ kind, changes }) => [kind, changes])).toEqual([['disclosure', []]]);
    expect(bytesOf(sidecar.directory)).not.toContain('Arthur Dent');
  });

  it('of a change that is open, that goes on to its end, also after the next start and from a snapshot', async () => {
    const first = await open({ snapshots: true });
    const pending = await first.change(CALLER, ASKED);
    const other = await first.change(CALLER, { ...ASKED, reason: 'another' });
    expect(problemIn(await erase(first, { change: pending.id })).code).toBe('not-erasable');
    expect((await erase(first, { change: pending.id, kinds: ['disclosure'] })).status).toBe(200);
    expect([(await look(first, pending)).reason, (await look(first, other)).reason]).toEqual([null, 'another']);
    const told = first.engine.get(pending.id)!;
    await first.close('keep');
    expect(bytesOf(first.directory)).not.toContain('Zaphod');
    expect(bytesOf(join(first.directory, 'state'))).toContain(pending.id);

    const second = await open({ after: first, snapshots: true });
    expect(second.engine.get(pending.id)).toEqual(told);
    expect(storyOf(await evidenceOf(second, pending))).toMatch(/; the reason was erased under seq \d+\./);
    await second.send('person:wei', 'POST', pending.links.approvals, { verdict: 'approve', planDigest: pending.planDigest });
    await settled(second, CALLER, pending, 'active');
  });

  it('a snapshot that has it still, from before, is not used', async () => {
    const first = await open({ snapshots: true });
    const pending = await first.change(CALLER, ASKED);
    await first.close('keep');
    const kept = new Map(readdirSync(join(first.directory, 'state')).map((name) => [name, readFileSync(join(first.directory, 'state', name))]));
    expect([...kept.values()].some((bytes) => bytes.includes('Zaphod'))).toBe(true);
    const second = await open({ after: first, snapshots: true });
    await erase(second, { change: pending.id, kinds: ['disclosure'] });
    await second.close('keep');
    for (const [name, bytes] of kept) writeFileSync(join(first.directory, 'state', name), bytes);
    const third = await open({ after: first, snapshots: true });
    expect((await look(third, pending)).reason).toBeNull();
    await vi.waitFor(() => expect(bytesOf(join(first.directory, 'state'))).not.toContain('Zaphod'), { timeout: 10_000 });
  });

  it('of what was revised, each reason goes by itself', async () => {
    const sidecar = await open();
    const pending = await sidecar.change(CALLER, ASKED);
    await sidecar.send(CALLER, 'POST', `${pending.links.self}/revisions`, { ...ASKED, reason: 'a better one' });
    const [asked, revised] = (await records(sidecar)).filter(({ type }) => type === 'change.requested' || type === 'change.revised').map(({ objects: [digest] }) => digest!);
    await erase(sidecar, { objects: [asked] });
    expect((await look(sidecar, pending)).reason).toBe('a better one');
    await erase(sidecar, { objects: [revised] });
    expect((await look(sidecar, pending)).reason).toBeNull();
    const [told] = [sidecar.engine.get(pending.id)!];
    await sidecar.close('keep');
    const next = await open({ after: sidecar });
    expect(next.engine.get(pending.id)).toMatchObject({ request: told.request, idempotency: told.idempotency });
  });
});

describe('an Idempotency-Key', () => {
  const ask = (sidecar: TestSidecar, request: object): Promise<Answered> => sidecar.send(CALLER, 'POST', '/v1/changes', request, { 'idempotency-key': '"run-1"' });

  it('has nothing on record from which a reason could be guessed', async () => {
    const sidecar = await open();
    await ask(sidecar, ASKED);
    const said = JSON.stringify((await records(sidecar)).find(({ type }) => type === 'change.requested'));
    for (const guess of [ASKED, REASON, { reason: REASON }]) expect(said).not.toContain(digestOf(canonicalBytes(guess)));
  });

  it('is held to the reason while that is known, and to all else for ever', async () => {
    const sidecar = await open();
    const { id } = changeViewSchema.parse((await ask(sidecar, ASKED)).body);
    expect(problemIn(await ask(sidecar, { ...ASKED, reason: 'another' })).code).toBe('idempotency-key-reused');
    await erase(sidecar, { change: id, kinds: ['disclosure'] });
    for (const request of [ASKED, { ...ASKED, reason: 'another' }]) expect(changeViewSchema.parse((await ask(sidecar, request)).body).id).toBe(id);
    expect(problemIn(await ask(sidecar, { ...ASKED, duration: 'PT16M' })).code).toBe('idempotency-key-reused');
    await sidecar.close('keep');
    const next = await open({ after: sidecar });
    for (const request of [ASKED, { ...ASKED, reason: 'another' }]) expect(changeViewSchema.parse((await ask(next, request)).body).id).toBe(id);
    expect(problemIn(await ask(next, { ...ASKED, duration: 'PT16M' })).code).toBe('idempotency-key-reused');
  });
});
