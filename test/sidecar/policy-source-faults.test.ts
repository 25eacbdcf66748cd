/** A policy bundle that is good and let, and whose coming into force fails on the way: it is not forgotten, and what was in force stays, on disk too. */
import { expect, it } from 'vitest';
import { NotApproved } from '../../src/engine/bundles.ts';
import { absentPdp, type Pdp } from '../../src/pdp/engine.ts';
import type { OpaBundle } from '../../src/pdp/opa-bundle.ts';
import type { Fetched } from '../../src/sidecar/fetch-bundle.ts';
import { openPolicySource, type PolicySource } from '../../src/sidecar/policy-source.ts';
import { DiskFault, FaultyDisk } from '../fault/faulty-disk.ts';

const KEPT = 'policy/bundle.tar.gz';

/** A server of one bundle at a time, which answers 304 to who has it; people who let a bundle, or do not; and a disk. A bundle's bytes are its revision. */
class Surroundings {
  disk = new FaultyDisk();
  offered = '17';
  /** What people say of the bundle after 17. */
  verdict: 'none' | 'let' | 'rejected' = 'none';
  /** Told before a bundle is recorded as in force. */
  beforeActivation: () => void = () => undefined;
  readonly asked: (string | null)[] = [];

  async open(): Promise<PolicySource> {
    const source = await openPolicySource({
      read: (archive) => Promise.resolve({ digest: `sha256:${Buffer.from(archive).toString()}`, revision: Buffer.from(archive).toString() } as OpaBundle),
      run: ({ digest, revision }) => Promise.resolve<Pdp>({ ...absentPdp('it answers nothing'), bundle: digest, revision }),
      fetch: (etag) => {
        this.asked.push(etag);
        return Promise.resolve<Fetched>(etag === this.offered ? { is: 'same' } : { is: 'new', bytes: Buffer.from(this.offered), etag: this.offered });
      },
      disk: this.disk, random: (length) => new Uint8Array(length), everyMs: 60_000,
      clock: { nowMs: () => 0, after: () => () => undefined },
      logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    });
    const isLet = (revision: string | undefined): boolean => revision === '17' || this.verdict === 'let';
    source.follow({
      mayNotActivate: () => null,
      proposeBundle: ({ revision }) => Promise.resolve(isLet(revision) ? null : this.verdict === 'rejected' ? `revision ${revision!} was rejected` : `revision ${revision!} waits for approval`),
      activateBundle: (next) => {
        this.beforeActivation();
        if (!isLet(next.revision)) return Promise.reject(new NotApproved());
        source.pdp.replace(next);
        return Promise.resolve();
      },
    });
    await source.look();
    return source;
  }

  kept(): string | undefined {
    return this.disk.files.get(KEPT)?.toString();
  }

  /** The next write fails, with or without effect; the one after it works. */
  failOnce(kind: 'refused' | 'done'): void {
    this.disk.failKind = kind;
    this.disk.failCode = 'ENOSPC';
    this.disk.failAt = this.disk.operations + 1;
  }
}

/** 17 is in force, and 18 waits for people. */
async function waiting(): Promise<{ on: Surroundings; source: PolicySource }> {
  const on = new Surroundings();
  const source = await on.open();
  expect(source.state()).toEqual({ ok: true, message: 'revision 17 is in force' });
  on.offered = '18';
  await source.look();
  expect(source.state()).toEqual({ ok: true, message: 'revision 17 is in force; revision 18 waits for approval' });
  await source.look();
  expect(on.asked).toEqual([null, '17', '17', '18']);
  return { on, source };
}

it.each([['look', 'refused'], ['settle', 'refused'], ['look', 'done'], ['settle', 'done']] as const)('one that people have let and that could not be kept comes into force at the next %s (the write was %s)', async (next, kind) => {
  const { on, source } = await waiting();
  on.verdict = 'let';
  on.failOnce(kind);
  await source.settle();
  expect(source.state()).toEqual({ ok: false, message: 'revision 17 is in force; it could not be kept or recorded' });
  expect(on.kept()).toBe('17');
  await source[next]();
  expect(source.state()).toEqual({ ok: true, message: 'revision 18 is in force' });
  expect([source.pdp.revision, on.kept()]).toEqual(['18', '18']);
  await source.look();
  expect(on.asked.at(-1)).toBe(next === 'look' ? '18' : null);
  expect(source.state().ok).toBe(true);
});

it('one that is rejected while it is being kept leaves the one before in force, on disk too', async () => {
  const { on, source } = await waiting();
  on.verdict = 'let';
  on.beforeActivation = () => (on.verdict = 'rejected');
  await source.settle();
  expect(source.state()).toEqual({ ok: false, message: 'revision 17 is in force; people no longer let it come into force' });
  expect([source.pdp.revision, on.kept()]).toEqual(['17', '17']);
  await source.look();
  expect(source.state()).toEqual({ ok: true, message: 'revision 17 is in force; revision 18 was rejected' });
  await source.stop();
  on.disk = on.disk.reboot();
  expect((await on.open()).pdp.revision).toBe('17');
});

it('the first of all that is rejected while it is being kept is not kept', async () => {
  const on = new Surroundings();
  on.offered = '18';
  on.verdict = 'let';
  on.beforeActivation = () => (on.verdict = 'rejected');
  const source = await on.open();
  expect([source.pdp.revision, on.kept()]).toEqual([undefined, undefined]);
});

it.each(['look', 'settle'] as const)('what was in force is put back on disk by the next %s where it could not be at once', async (next) => {
  const { on, source } = await waiting();
  on.verdict = 'let';
  on.beforeActivation = () => {
    on.verdict = 'rejected';
    on.failOnce('refused');
  };
  await source.settle();
  expect(on.kept()).toBe('18');
  // Kept once more, and once more in vain: it is not what was there before.
  if (next === 'settle') on.verdict = 'let';
  on.beforeActivation = () => (on.verdict = 'rejected');
  await source[next]();
  expect([source.pdp.revision, on.kept()]).toEqual(['17', '17']);
});

it('once it answers it stays on disk, whatever became of its record', async () => {
  const { on, source } = await waiting();
  on.verdict = 'let';
  const { replace } = source.pdp;
  source.pdp.replace = (next) => {
    replace(next);
    throw new DiskFault('EIO');
  };
  await source.settle();
  expect([source.pdp.revision, on.kept()]).toEqual(['18', '18']);
  await source.look();
  expect(source.state()).toEqual({ ok: true, message: 'revision 18 is in force' });
  expect(on.kept()).toBe('18');
});
