/** A move to an archive that is cut off: before any step, on either disk, by the loss of power, and by any failure. */
import { describe, expect, it } from 'vitest';
import { archiveLedger, exitCodeOf, openLog } from '../../ledger/index.ts';
import { compacted, logOptions, options, records, REQUIRED, verifyOver } from '../fault/archive-fixture.ts';
import { PowerDisk, randomOf, type Loss } from '../fault/power-disk.ts';

describe('a move that is cut off', () => {
  const SHORT = 1_100;
  const ALL: readonly Loss[] = ['all', 'none', 'names', 'any', 'any'];
  let begun: PowerDisk;
  let points = 0;

  async function whatIsLeft(disk: PowerDisk, to: PowerDisk, what: string): Promise<void> {
    expect(exitCodeOf((await verifyOver(disk, to)).verdicts, REQUIRED), `${what}: verified`).toBe(0);
    const log = await openLog(logOptions(disk, to));
    expect(await records(log), `${what}: read`).toEqual(Array.from({ length: SHORT }, (_, i) => i));
    await log.close();
    await archiveLedger(options(disk, to));
    expect(disk.paths.filter((path) => path.startsWith('ledger/tile/entries/')), `${what}: finished`).toEqual(['000', '003', '004.p/76'].map((name) => `ledger/tile/entries/${name}`));
    expect(exitCodeOf((await verifyOver(disk, to)).verdicts, REQUIRED), `${what}: finished and verified`).toBe(0);
    points += 1;
  }

  it('loses nothing, wherever and however, and is finished by the next', { timeout: 120_000 }, async () => {
    begun = (await compacted(new PowerDisk(), SHORT)).afterPowerLoss('none', randomOf(1));
    const [disk, to] = [begun.restarted(), new PowerDisk('there')];
    await archiveLedger(options(disk, to));
    const steps = { ledger: disk.steps, archive: to.steps };
    expect(to.trace.some((step) => /^sync tile\/entries/.test(step)), to.trace.join('\n')).toBe(true);
    for (const where of ['ledger', 'archive'] as const) {
      for (let at = 1; at <= steps[where]; at++) {
        for (const [way, loss] of ALL.entries()) {
          const [here, there] = [begun.restarted(), new PowerDisk('there')];
          (where === 'ledger' ? here : there).dieAt = at;
          await expect(archiveLedger(options(here, there))).rejects.toThrow();
          const random = randomOf(at * 10 + way);
          await whatIsLeft(here.afterPowerLoss(loss, random), there.afterPowerLoss(loss, random), `${where} step ${at}, ${loss}`);
        }
        for (const kind of ['refused', 'half', 'done'] as const) {
          const [here, there] = [begun.restarted(), new PowerDisk('there')];
          (where === 'ledger' ? here : there).fault = { at, kind, code: 'EIO' };
          await archiveLedger(options(here, there)).catch(() => undefined);
          await whatIsLeft(here.restarted(), there.restarted(), `${where} step ${at}, ${kind}`);
        }
      }
    }
    expect(points).toBeGreaterThanOrEqual(130);
  });
});
