import { describe, expect, it, vi } from 'vitest';
import type { AppendFile, Disk } from '../../ledger/index.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { revokeOrderSchema, type Dsse } from '../../src/protocol/signed.ts';
import { openTestSidecar, PROVISION, type TestSidecar } from '../support/sidecar.ts';

/** A disk whose appends begin to fail when told to. */
function failingDisk(): { wrap: (disk: Disk) => Disk; break(): void } {
  let broken = false;
  const wrapFile = (file: AppendFile): AppendFile => ({
    get size() {
      return file.size;
    },
    append: (bytes) => (broken ? Promise.reject(new Error('EIO')) : file.append(bytes)),
    sync: () => (broken ? Promise.reject(new Error('EIO')) : file.sync()),
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

const BY = 'person:ana';
const changeOf = (order: Dsse): string => readPayload(order, revokeOrderSchema).changeId;

/** Orders fail to go out while `fails` says so of their change. */
function interruptRevokes(sidecar: TestSidecar, fails: (changeId: string) => boolean): string[] {
  const sent: string[] = [];
  const { executor } = sidecar;
  const publish = executor.publishRevoke.bind(executor);
  executor.publishRevoke = (audience, order) => {
    if (fails(changeOf(order))) return Promise.reject(new Error('unreachable'));
    sent.push(changeOf(order));
    return publish(audience, order);
  };
  return sent;
}

describe('taking everything back from an identity', () => {
  it('is not held up by one order that cannot be handed over', async () => {
    const disk = failingDisk();
    const sidecar = await openTestSidecar({ disk: disk.wrap });
    try {
      const first = await sidecar.change('nhi:prod/billing-export', PROVISION);
      const second = await sidecar.change('nhi:prod/billing-export', PROVISION);
      disk.break();
      const sent = interruptRevokes(sidecar, (changeId) => changeId === first.id);
      await expect(sidecar.engine.revokeAll(BY, 'nhi:prod/billing-export', null)).rejects.toThrow('unreachable');
      expect(sent).toEqual([second.id]);
    } finally {
      await sidecar.close();
    }
  });
});

describe('a revoke that is durable', () => {
  it('goes on being sent although the ledger has failed since', async () => {
    const disk = failingDisk();
    const sidecar = await openTestSidecar({ disk: disk.wrap, limits: { retryMs: { first: 5, longest: 10 } } });
    try {
      const given = await sidecar.change('nhi:prod/billing-export', PROVISION);
      let reachable = false;
      let failedSince = 0;
      const sent = interruptRevokes(sidecar, () => {
        if (sidecar.log.failed !== null) failedSince += 1;
        return !reachable;
      });
      await sidecar.engine.revoke(BY, given.id, null);
      disk.break();
      await expect(sidecar.engine.request(['nhi:prod/billing-export'], PROVISION, null)).rejects.toThrow();
      expect(sidecar.log.failed).not.toBeNull();
      await vi.waitFor(() => expect(failedSince).toBeGreaterThan(0), { timeout: 10_000 });
      reachable = true;
      await vi.waitFor(() => expect(sent).toContain(given.id), { timeout: 10_000 });
    } finally {
      await sidecar.close();
    }
  });
});
