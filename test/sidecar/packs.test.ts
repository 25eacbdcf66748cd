import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCodeOf, LedgerError, nodeDisk, parseProof, readDirectory, verifyProof, type LedgerRecord } from '../../ledger/index.ts';
import { planPack } from '../../src/evidence/pack-plan.ts';
import { verifyPack } from '../../src/evidence/pack-verify.ts';
import { writePack } from '../../src/evidence/pack-write.ts';
import { HEADS_EVERY_MS, keepHeads } from '../../src/sidecar/packs.ts';
import { GRANT, openTestSidecar, problemIn, tokenOf, type TestSidecar } from '../support/sidecar.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { otherId } from '../support/ids.ts';

const DEPLOYER = 'nhi:prod/ci-deployer';
const AUDITOR = 'person:kim';
let sidecar: TestSidecar;
beforeEach(async () => {
  sidecar = await openTestSidecar();
});
afterEach(() => sidecar.close());

/** The app's answer as it is, in bytes. */
async function packOf(body: object, by = AUDITOR): Promise<{ status: number; bytes: Buffer; type: string | null }> {
  const answered = await sidecar.app.request('http://localhost/v1/evidence', {
    method: 'POST', body: JSON.stringify(body), headers: { authorization: `Bearer ${tokenOf(by)}`, 'content-type': 'application/json' },
  }, {});
  return { status: answered.status, bytes: Buffer.from(await answered.arrayBuffer()), type: answered.headers.get('content-type') };
}
const verify = (pack: Uint8Array): ReturnType<typeof verifyPack> => verifyPack({ pack, trust: sidecar.trust, wholeFolder: true });
async function statements(): Promise<LedgerRecord[]> {
  const found: LedgerRecord[] = [];
  for await (const { record } of sidecar.log.entries(0)) if (record.type === 'ledger.heads') found.push(record);
  return found;
}

describe('an evidence pack from a sidecar', () => {
  it('shows a change to its last record: the heads are stated when it is asked for, and again only once it has moved on', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    const first = await packOf({ change: change.id });
    expect([first.status, first.type]).toEqual([200, 'application/x-tar']);
    const found = await verify(first.bytes);
    expect(found.verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
    expect(exitCodeOf(found.verdicts)).toBe(0);
    expect((await packOf({ change: change.id })).bytes.equals(first.bytes)).toBe(true);
    expect(await statements()).toHaveLength(1);

    expect((await sidecar.send(DEPLOYER, 'POST', `/v1/changes/${change.id}/withdraw`, {})).status).toBe(200);
    expect(exitCodeOf((await verify((await packOf({ change: change.id })).bytes)).verdicts)).toBe(0);
    expect(await statements()).toHaveLength(2);
  });

  it('is what the folder gives, byte for byte', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    const { bytes } = await packOf({ change: change.id });
    const source = await readDirectory(nodeDisk(sidecar.directory), 'ledger');
    const pieces: Uint8Array[] = [];
    for await (const piece of writePack(source, await planPack(source, { change: change.id }))) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });

  it('is for auditors, of what there is', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    expect((await packOf({ change: change.id }, DEPLOYER)).status).toBe(403);
    expect((await packOf({ change: otherId(change.id) })).status).toBe(404);
    expect((await packOf({ nhi: 'nhi:prod/nobody' })).status).toBe(404);
    expect((await packOf({ change: change.id, nhi: DEPLOYER })).status).toBe(422);
    expect((await packOf({ nhi: DEPLOYER })).status).toBe(200);
    expect((await packOf({ from: '2020-01-01T00:00:00.000Z', to: '2099-01-01T00:00:00.000Z' })).status).toBe(200);
  });

  it('comes also where nothing can be recorded any more, and then does not show that it is whole', async () => {
    const change = await sidecar.change(DEPLOYER, GRANT);
    await sidecar.log.sync();
    sidecar.log.refuse(new LedgerError('unwritable', 'the disk is full'));
    const { status, bytes } = await packOf({ change: change.id });
    expect(status).toBe(200);
    const found = await verify(bytes);
    expect(found.verdicts.find(({ name }) => name === 'COMPLETENESS')).toMatchObject({ status: 'notEstablished' });
  });

  it('proves a single record', async () => {
    await sidecar.change(DEPLOYER, GRANT);
    const { status, text } = await sidecar.send(AUDITOR, 'GET', '/v1/evidence/proofs/2');
    expect(status, text).toBe(200);
    for await (const { bytes } of sidecar.log.entries(2, 3)) expect(verifyProof(bytes, parseProof(text), sidecar.trust.policy).origin).toBe(sidecar.log.origin);
    for (const seq of ['9999', '02', '-1', 'x']) expect(problemIn(await sidecar.send(AUDITOR, 'GET', `/v1/evidence/proofs/${seq}`)).code).toBe('not-found');
    expect((await sidecar.send(DEPLOYER, 'GET', '/v1/evidence/proofs/2')).status).toBe(403);
  });
});

describe('the heads of all changes', () => {
  it('are stated once an hour, while there is anything new', async () => {
    const clock = fakeClock(0);
    const end = keepHeads(sidecar.engine, clock.port());
    expect(await statements()).toHaveLength(0);
    await clock.advance(HEADS_EVERY_MS);
    await sidecar.log.durable();
    expect(await statements()).toHaveLength(1);
    await clock.advance(HEADS_EVERY_MS);
    await sidecar.log.durable();
    expect(await statements()).toHaveLength(1);
    await sidecar.change(DEPLOYER, GRANT);
    await clock.advance(HEADS_EVERY_MS);
    await sidecar.log.durable();
    expect(await statements()).toHaveLength(2);
    end();
    await sidecar.send(DEPLOYER, 'POST', '/v1/changes', GRANT);
    await clock.advance(HEADS_EVERY_MS);
    expect(await statements()).toHaveLength(2);
  });
});
