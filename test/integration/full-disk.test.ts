/** A file system that is really full, under a real sidecar: what gives is refused, what takes back is on record, and with room everything goes on. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { RESERVE_BYTES } from '../../ledger/index.ts';
import { revokeAnswerSchema, type ChangeView, type Readiness } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar, problemIn, PROVISION } from '../support/sidecar.ts';

const root = mkdtempSync(join(tmpdir(), 'countersign-full-'));
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m,mode=700', 'tmpfs', root], { stdio: 'ignore' }).status === 0;
if (!isMounted) {
  const message = 'SKIPPED: no file system can be mounted here, so a full disk is not tried';
  if (process.env['CI'] === 'true') throw new Error(message);
  process.stderr.write(`\n*** ${message} ***\n\n`);
}

const filler = join(root, 'filler');

function fillToTheLastByte(): void {
  const file = openSync(filler, 'a');
  try {
    for (let bytes = 1_048_576; bytes >= 1; ) {
      try {
        writeSync(file, Buffer.alloc(bytes, 'x'));
      } catch {
        bytes = Math.floor(bytes / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

afterAll(() => {
  if (isMounted) spawnSync('umount', ['-l', root]);
  rmSync(root, { recursive: true, force: true });
});

test.skipIf(!isMounted)('grants are refused with 503 and a revoke is on record while the disk is full; then it goes on, without a restart', async () => {
  const directory = join(root, 'data');
  mkdirSync(directory);
  const sidecar = await openTestSidecar({ directory, reserveBytes: RESERVE_BYTES });
  const reserve = join(directory, 'journal/reserve');
  try {
    const given = await sidecar.change('nhi:prod/billing-export', PROVISION);
    expect(existsSync(reserve)).toBe(true);
    fillToTheLastByte();
    expect(statfsSync(root).bavail).toBe(0);

    const size = sidecar.log.size;
    const refused = await sidecar.send('nhi:prod/ci-deployer', 'POST', '/v1/changes', GRANT);
    expect(problemIn(refused)).toMatchObject({ status: 503, code: 'ledger-unwritable', detail: 'there is no room on the disk but for what takes back: nothing was recorded and nothing is given until there is' });
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect(sidecar.log.size).toBe(size);
    const ready = await sidecar.send(null, 'GET', '/readyz');
    expect(ready.status).toBe(503);
    expect((ready.body as Readiness).checks).toContainEqual(expect.objectContaining({ check: 'ledger', ok: false }));

    const revoked = await sidecar.send('person:ana', 'POST', `/v1/changes/${given.id}/revoke`, {});
    expect(revoked.status, revoked.text).toBe(202);
    expect(revokeAnswerSchema.parse(revoked.body).recorded).toBe(true);
    await sidecar.log.sync();
    expect([sidecar.log.failed, existsSync(reserve)]).toEqual([null, false]);
    expect((await sidecar.send('nhi:prod/ci-deployer', 'POST', '/v1/changes', GRANT)).status).toBe(503);

    rmSync(filler);
    while ((await sidecar.send(null, 'GET', '/readyz')).status !== 200) await new Promise(setImmediate);
    const again = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    expect((again satisfies ChangeView).state).toBe('pending');
    expect(existsSync(reserve)).toBe(true);
  } finally {
    rmSync(filler, { force: true });
    await sidecar.close();
  }
});
