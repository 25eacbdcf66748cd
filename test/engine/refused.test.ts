/** What was set aside unbelieved: counted, shown, and one record an hour of each executor, however often either side starts again. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { generateSignerKey, parseSigner } from '../../ledger/index.ts';
import { reportMaker } from '../../src/executor/reports.ts';
import type { SystemRecordBody } from '../../src/evidence/record.ts';
import { movedClock } from '../support/moved-clock.ts';
import { EXECUTOR, openTestSidecar, type TestSidecar } from '../support/sidecar.ts';
import { makeStep } from '../support/envelopes.ts';

const HOUR_MS = 3_600_000;
const [FIRST, SECOND] = ['a'.repeat(16), 'b'.repeat(16)];
type Body = SystemRecordBody<'messages.refused'>;

const clock = movedClock();
let open: TestSidecar | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});
const start = async (after?: TestSidecar): Promise<TestSidecar> => (open = await openTestSidecar({ clock, ...(after === undefined ? {} : { after }) }));
async function recordsIn(sidecar: TestSidecar): Promise<Body[]> {
  await sidecar.log.durable();
  const found: Body[] = [];
  for await (const { record } of sidecar.log.entries(0)) {
    if (record.type !== 'messages.refused') continue;
    expect(record.actor).toBe(`sidecar:${sidecar.log.logId}`);
    found.push(record.body as Body);
  }
  return found;
}
const readiness = async (sidecar: TestSidecar): Promise<{ ok: boolean; message: string }> => {
  const { body } = await sidecar.send(null, 'GET', '/readyz');
  return (body as { checks: { check: string; ok: boolean; message: string }[] }).checks.find(({ check }) => check === EXECUTOR)!;
};

describe('messages that were set aside', () => {
  test('are one record of a burst, and the next an hour later, with what is more', async () => {
    const sidecar = await start();
    sidecar.executor.sayState({ run: FIRST, refused: [{ code: 'malformed', count: 98 }] });
    sidecar.executor.sayState({ run: FIRST, refused: [{ code: 'bad-signature', count: 476 }, { code: 'malformed', count: 98 }] });
    expect(await recordsIn(sidecar)).toEqual([]);
    clock.move(6_000);
    const first: Body = { executor: EXECUTOR, refused: [{ run: FIRST, code: 'bad-signature', count: 476 }, { run: FIRST, code: 'malformed', count: 98 }] };
    expect(await recordsIn(sidecar)).toEqual([first]);
    for (let count = 99; count < 300; count += 1) {
      sidecar.executor.sayState({ run: FIRST, refused: [{ code: 'bad-signature', count: 476 }, { code: 'malformed', count }] });
      clock.move(10_000);
    }
    expect(await recordsIn(sidecar)).toEqual([first]);
    clock.move(HOUR_MS);
    expect(await recordsIn(sidecar)).toEqual([first, { executor: EXECUTOR, refused: [{ run: FIRST, code: 'malformed', count: 201 }] }]);
    clock.move(3 * HOUR_MS);
    expect(await recordsIn(sidecar)).toHaveLength(2);
  });

  test('are not recorded again where either side starts anew, and a worker that begins at none is one more run', async () => {
    let sidecar = await start();
    sidecar.executor.sayState({ run: FIRST, refused: [{ code: 'malformed', count: 5 }] });
    clock.move(6_000);
    await sidecar.log.durable();
    await sidecar.close('keep');
    sidecar = await start(sidecar);
    sidecar.executor.sayState({ run: FIRST, refused: [{ code: 'malformed', count: 5 }] });
    clock.move(2 * HOUR_MS);
    expect(await recordsIn(sidecar)).toHaveLength(1);
    sidecar.executor.sayState({ run: SECOND, refused: [{ code: 'malformed', count: 2 }] });
    clock.move(HOUR_MS);
    expect((await recordsIn(sidecar)).slice(1)).toEqual([{ executor: EXECUTOR, refused: [{ run: SECOND, code: 'malformed', count: 2 }] }]);
    // The hour is kept over a start as well.
    await sidecar.close('keep');
    sidecar = await start(sidecar);
    sidecar.executor.sayState({ run: SECOND, refused: [{ code: 'malformed', count: 3 }] });
    clock.move(6_000);
    expect(await recordsIn(sidecar)).toHaveLength(2);
    clock.move(HOUR_MS);
    expect((await recordsIn(sidecar)).at(-1)).toEqual({ executor: EXECUTOR, refused: [{ run: SECOND, code: 'malformed', count: 1 }] });
  });

  test('by the sidecar itself are counted with them: a report that no trusted executor has signed', async () => {
    const sidecar = await start();
    const { plan } = makeStep();
    const stranger = parseSigner(generateSignerKey('example.org/stranger', new Uint8Array(32).fill(3)).skey);
    const report = reportMaker(EXECUTOR, stranger, clock)({ kind: 'claimed', log: sidecar.log.logId, changeId: plan.changeId, stepId: plan.steps[0]!.stepId, issue: 1 });
    await expect(sidecar.executor.report(report)).rejects.toMatchObject({ code: 'bad-signature' });
    clock.move(6_000);
    await vi.waitFor(async () => expect(await recordsIn(sidecar)).toEqual([{ executor: EXECUTOR, refused: [{ run: null, code: 'bad-signature', count: 1 }] }]), { timeout: 10_000 });
  });

  test('are shown where the executor is', async () => {
    const sidecar = await start();
    expect(await readiness(sidecar)).toMatchObject({ ok: true, message: 'connected' });
    sidecar.executor.sayState({ run: FIRST, refused: [{ code: 'unknown-sidecar', count: 2 }, { code: 'malformed', count: 7 }] });
    expect(await readiness(sidecar)).toMatchObject({ ok: true, message: 'connected; set aside since the start: 9 (unknown-sidecar 2, malformed 7)' });
    sidecar.executor.sayState({ run: FIRST, trouble: 'lease-book' });
    expect(await readiness(sidecar)).toMatchObject({ ok: false, message: 'connected; a lease book cannot be written: its worker takes back and gives nothing' });
  });
});
