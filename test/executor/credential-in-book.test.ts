import { expect, test } from 'vitest';
import type { Disk } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { readCredentialInBook } from '../../src/executor/credential-in-book.ts';
import { fingerprintOf } from '../../src/protocol/fingerprint.ts';
import { makeStep, ROLE } from '../support/envelopes.ts';
import { EXECUTOR, keys, sign, START_MS } from '../support/story.ts';
import { createBench, type Bench } from '../support/worker-bench.ts';

/** What of a disk is looked at beside the worker that has it open. */
const diskOf = (bench: Bench): Disk => ({ read: (path: string) => Promise.resolve(bench.disk.files.get(path)?.bytes ?? null) }) as unknown as Disk;
/** Of the newest secret that the target has. */
const fingerprint = (bench: Bench): string => fingerprintOf(Buffer.alloc(32, 1), bench.target.secrets.at(-1)!);

test('a secret that this executor made is known, with what it opens, until that is taken back', async () => {
  const bench = createBench();
  const worker = await bench.start();
  const made = makeStep();
  await worker.step(made.envelope);
  await bench.clock.until(() => bench.of('acted').length === 1);
  const { credentials } = await readCredentialInBook(diskOf(bench), fingerprint(bench));
  const { changeId, subject, steps: [step] } = made.plan;
  expect(credentials).toEqual([expect.objectContaining({ changeId, subject, executor: EXECUTOR, action: 'provision', account: step!.account, endedBy: null })]);
  const [held] = credentials[0]!.opens;
  const { notBefore: _notBefore, cause: _cause, orderedBy: _orderedBy, ...template } = made.orderContent!;
  expect(held?.order).toEqual(template);

  await worker.revoke(sign.order(deriveRevokeOrder(made.plan, EXECUTOR, START_MS, 'early', 'person:sam')!, keys.revoker));
  await bench.clock.until(() => bench.of('revoked').length === 1);
  expect((await readCredentialInBook(diskOf(bench), fingerprint(bench))).credentials).toEqual([expect.objectContaining({ changeId, endedBy: changeId, opens: [] })]);
});

test('a secret that replaced another stands, and no order ends it', async () => {
  const bench = createBench();
  const worker = await bench.start();
  bench.target.accounts.set(ROLE, { token: null, secret: 'of before', validUntil: null });
  await worker.step(makeStep({ action: 'replace' }).envelope);
  await bench.clock.until(() => bench.of('acted').length === 1);
  expect(bench.of('acted')[0]).toMatchObject({ outcome: 'done' });
  expect((await readCredentialInBook(diskOf(bench), fingerprint(bench))).credentials).toEqual([expect.objectContaining({ action: 'replace', endedBy: null, opens: [] })]);
});

test('a secret that nobody made here, and a book that is not there, tell nothing', async () => {
  const bench = createBench();
  expect((await readCredentialInBook(diskOf(bench), 'ab'.repeat(32))).credentials).toEqual([]);
  const worker = await bench.start();
  await worker.step(makeStep().envelope);
  await bench.clock.until(() => bench.of('acted').length === 1);
  expect((await readCredentialInBook(diskOf(bench), 'ab'.repeat(32))).credentials).toEqual([]);
});
