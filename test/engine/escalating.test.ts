import { expect, it, vi } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { answerOf, GRANT, openTestSidecar, type TestOptions, type TestSidecar } from '../support/sidecar.ts';
import { movedClock } from '../support/moved-clock.ts';

const CALLER = 'nhi:prod/ci-deployer';
const APPROVERS = { anyOf: ['person:wei', 'person:ana'] };
const escalating = (afterSeconds: number): NonNullable<TestOptions['decide']> => () => {
  const asked = answerOf('needsApproval', APPROVERS);
  return { ...asked, obligations: { ...asked.obligations, escalation: { afterSeconds, to: ['person:mallory', 'person:sam'] } } };
};

const told = ({ engine }: TestSidecar, changeId: string): ChangeState['escalated'] | undefined => engine.get(changeId)?.escalated;

async function recordsOf(sidecar: TestSidecar, changeId: string, type: string): Promise<number> {
  let found = 0;
  for await (const { record } of sidecar.log.entries(0)) if (record.change === changeId && record.type === type) found += 1;
  return found;
}

it('further people are told on time, once; they see the change, cannot approve it, and those who were asked can', async () => {
  const clock = movedClock();
  const sidecar = await openTestSidecar({ clock, decide: escalating(600) });
  try {
    const { id, links, planDigest, requirement, escalation } = await sidecar.change(CALLER, GRANT);
    expect(escalation).toMatchObject({ to: ['person:mallory', 'person:sam'], at: null });
    expect((await sidecar.send('person:mallory', 'GET', links.self)).status).toBe(404);
    clock.move(599_000);
    expect(told(sidecar, id)).toBeNull();
    clock.move(2_000);
    await vi.waitFor(() => expect(told(sidecar, id)).not.toBeNull(), { timeout: 10_000 });
    clock.move(3_600_000);
    const seen = await sidecar.send('person:mallory', 'GET', links.self);
    expect(seen.status).toBe(200);
    expect(seen.body as ChangeView).toMatchObject({ state: 'pending', requirement, escalation: { to: ['person:mallory', 'person:sam'], dueAt: escalation!.dueAt } });
    expect((await sidecar.send('person:mallory', 'POST', links.approvals, { verdict: 'approve', planDigest })).body).toMatchObject({ code: 'not-an-approver' });
    expect((await sidecar.send('person:wei', 'POST', links.approvals, { verdict: 'approve', planDigest })).status).toBe(200);
    await vi.waitFor(() => expect(sidecar.engine.get(id)?.name).toBe('active'), { timeout: 10_000 });
    expect(await recordsOf(sidecar, id, 'approval.escalated')).toBe(1);
  } finally {
    await sidecar.close();
  }
});

it('a sidecar that was dead when it was time records it at its next start, once; one that comes back after the time to decide does not', async () => {
  const clock = movedClock();
  const options: TestOptions = { clock, decide: escalating(600) };
  const first = await openTestSidecar(options);
  const { id } = await first.change(CALLER, GRANT);
  const late = (await first.change(CALLER, { ...GRANT, reason: 'and another' })).id;
  await first.close('keep');
  clock.move(7_200_000);
  const second = await openTestSidecar({ ...options, after: first });
  await vi.waitFor(() => expect(told(second, id)).not.toBeNull(), { timeout: 10_000 });
  expect(told(second, id)!.atMs - told(second, id)!.dueAtMs).toBeGreaterThan(6_500_000);
  const third = await second.close('keep').then(() => openTestSidecar({ ...options, after: first }));
  await vi.waitFor(() => expect(told(third, late)).not.toBeNull(), { timeout: 10_000 });
  expect([await recordsOf(third, id, 'approval.escalated'), await recordsOf(third, late, 'approval.escalated')]).toEqual([1, 1]);
  const unheard = (await third.change(CALLER, { ...GRANT, reason: 'a third' })).id;
  await third.close('keep');
  clock.move(2 * 86_400_000);
  const last = await openTestSidecar({ ...options, after: first });
  try {
    await vi.waitFor(() => expect([id, late, unheard].map((one) => last.engine.get(one)?.name)).toEqual(['expired', 'expired', 'expired']), { timeout: 10_000 });
    expect(await recordsOf(last, unheard, 'approval.escalated')).toBe(0);
    await last.log.sync();
    const { verdicts, workflow } = await verifyEvidence({ disk: nodeDisk(last.directory), directory: 'ledger', trust: last.trust, wholeFolder: true });
    expect(workflow?.violations).toEqual([]);
    expect(verdicts.find(({ name }) => name === 'WORKFLOW')?.status).toBe('holds');
  } finally {
    await last.close();
  }
});

it('what is decided or withdrawn in the same instant has one outcome: it is told of before that, or not at all', async () => {
  const clock = movedClock();
  const sidecar = await openTestSidecar({ clock, decide: escalating(600) });
  try {
    const ends = [
      (view: ChangeView) => sidecar.engine.withdraw(CALLER, view.id, null),
      (view: ChangeView) => sidecar.engine.decideApproval('person:wei', view.id, 'reject', view.planDigest!, 'no'),
      (view: ChangeView) => sidecar.engine.decideApproval('person:wei', view.id, 'approve', view.planDigest!, null),
    ];
    for (const [n, end] of [...ends, ...ends].entries()) {
      const view = await sidecar.change(CALLER, { ...GRANT, reason: `attempt ${n}` });
      const moved = (): void => clock.move(600_000);
      if (n < ends.length) moved();
      const ending = end(view);
      if (n >= ends.length) moved();
      expect(await ending).toMatchObject({ ok: true });
      const types: string[] = [];
      for await (const { record } of sidecar.log.entries(0)) if (record.change === view.id) types.push(record.type);
      const ended = types.findIndex((type) => ['change.withdrawn', 'approval.rejected', 'approval.recorded'].includes(type));
      const escalated = types.flatMap((type, at) => (type === 'approval.escalated' ? [at] : []));
      expect(escalated.length, types.join(' ')).toBeLessThanOrEqual(1);
      expect(escalated.every((at) => at < ended), types.join(' ')).toBe(true);
      // An approval is on record once policy has said that it is accepted, and until then the change waits.
      if (n >= ends.length && n % ends.length < 2) expect(escalated, types.join(' ')).toEqual([]);
    }
  } finally {
    await sidecar.close();
  }
});
