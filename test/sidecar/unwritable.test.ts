import { describe, expect, it } from 'vitest';
import type { AppendFile, Disk } from '../../ledger/index.ts';
import { revokeAllAnswerSchema, revokeAnswerSchema, type ChangeView, type Readiness } from '../../src/sidecar/schemas.ts';
import { ALLOWED, decisionIn, DEV, ONE } from '../support/authzen.ts';
import { GRANT, openTestSidecar, problemIn, PROVISION, type TestSidecar } from '../support/sidecar.ts';

/** A disk whose appends begin to fail when told to. */
function failingDisk(): { wrap: (disk: Disk) => Disk; break(): void } {
  let broken = false;
  const fail = (): void => {
    if (broken) throw new Error('EIO');
  };
  const wrapFile = (file: AppendFile): AppendFile => ({
    get size() {
      return file.size;
    },
    async append(bytes) {
      fail();
      await file.append(bytes);
    },
    async sync() {
      fail();
      await file.sync();
    },
    truncate: (size) => file.truncate(size),
    close: () => file.close(),
    check: () => file.check(),
  });
  return {
    wrap: (disk) => ({ ...disk, openAppend: async (path) => wrapFile(await disk.openAppend(path)) }),
    break() {
      broken = true;
    },
  };
}

async function withBrokenLedger(run: (sidecar: TestSidecar, given: ChangeView, pending: ChangeView) => Promise<void>): Promise<void> {
  const disk = failingDisk();
  const sidecar = await openTestSidecar({ disk: disk.wrap });
  try {
    const given = await sidecar.change('nhi:prod/billing-export', PROVISION);
    const pending = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    disk.break();
    await run(sidecar, given, pending);
  } finally {
    await sidecar.close();
  }
}

describe('a ledger that cannot be written', () => {
  it('gives nothing: requests and approvals are 503, and no step goes out', () => withBrokenLedger(async (sidecar, _given, pending) => {
    const steps = sidecar.executor.steps.length;
    const refused = await sidecar.send('nhi:prod/ci-deployer', 'POST', '/v1/changes', GRANT);
    expect(problemIn(refused)).toMatchObject({ status: 503, code: 'ledger-unwritable' });
    expect(refused.headers.get('retry-after')).not.toBeNull();
    const approval = await sidecar.send('person:wei', 'POST', `/v1/changes/${pending.id}/approvals`, { verdict: 'approve', planDigest: pending.planDigest });
    expect(problemIn(approval)).toMatchObject({ status: 503, code: 'ledger-unwritable' });
    expect(sidecar.executor.steps).toHaveLength(steps);
  }));

  it('is a no to an evaluation of what would be given, and none to what takes back', () => withBrokenLedger(async (sidecar) => {
    const taken = { subject: { type: 'nhi', id: DEV }, action: { name: 'disable' }, resource: { type: 'target', id: 'pg-dev/app_dev' } };
    expect(decisionIn(await sidecar.send(DEV, 'POST', ONE, ALLOWED))).toMatchObject({ decision: true });
    expect((await sidecar.send('nhi:prod/ci-deployer', 'POST', '/v1/changes', GRANT)).status).toBe(503);
    expect(decisionIn(await sidecar.send(DEV, 'POST', ONE, ALLOWED))).toMatchObject({ decision: false, context: { code: 'not-ready' } });
    expect(decisionIn(await sidecar.send(DEV, 'POST', ONE, taken))).toMatchObject({ decision: true });
  }));

  it('does not show what was never made durable', () => withBrokenLedger(async (sidecar, _given, pending) => {
    await sidecar.send('person:wei', 'POST', `/v1/changes/${pending.id}/approvals`, { verdict: 'approve', planDigest: pending.planDigest });
    const shown = await sidecar.send('person:wei', 'GET', `/v1/changes/${pending.id}`);
    if (shown.status === 200) expect((shown.body as ChangeView).state).toBe('pending');
    else expect(problemIn(shown)).toMatchObject({ status: 503, code: 'ledger-unwritable' });
  }));

  it('still takes back, and says that this is not recorded', () => withBrokenLedger(async (sidecar, given) => {
    const answered = await sidecar.send('person:ana', 'POST', `/v1/changes/${given.id}/revoke`, {});
    expect(answered.status, answered.text).toBe(202);
    expect(revokeAnswerSchema.parse(answered.body).recorded).toBe(false);
    expect(sidecar.executor.orders).toHaveLength(1);
    const all = await sidecar.send('person:ana', 'POST', '/v1/nhis/nhi:prod%2Fbilling-export/revoke', {});
    expect(revokeAllAnswerSchema.parse(all.body).revokes).toEqual([{ changeId: given.id, recorded: false }]);
  }));

  it('makes the sidecar not ready, and says why', () => withBrokenLedger(async (sidecar) => {
    await sidecar.send('nhi:prod/ci-deployer', 'POST', '/v1/changes', GRANT);
    const ready = await sidecar.send(null, 'GET', '/readyz');
    expect(ready.status).toBe(503);
    expect((ready.body as Readiness).checks).toContainEqual(expect.objectContaining({ check: 'ledger', ok: false, required: true }));
    expect((await sidecar.send(null, 'GET', '/healthz')).status).toBe(200);
  }));
});
