/**
 * Races for one change, hundreds of them: one outcome, in the ledger's order; whoever lost is told to what; and what anybody was told is what the ledger says.
 *
 * `COUNTERSIGN_RACES=1000` (or `COUNTERSIGN_SEEDS`, which is of all of the simulation) runs more of them; `COUNTERSIGN_RACE=1234` replays one with an account of what happened.
 */
import { expect, test } from 'vitest';
import { race } from './race.ts';

const replayed = process.env['COUNTERSIGN_RACE'];
const count = Number(process.env['COUNTERSIGN_RACES'] ?? process.env['COUNTERSIGN_SEEDS'] ?? 100);
const CHUNK = 50;
const CHUNK_MS = 300_000;

if (replayed !== undefined) {
  test(`race ${replayed} has one outcome`, async () => {
    expect((await race(Number(replayed), { trace: (line) => process.stdout.write(`${line}\n`) })).violations).toEqual([]);
  }, CHUNK_MS);
} else {
  const total: Record<string, number> = {};
  for (let from = 1; from <= count; from += CHUNK) {
    const to = Math.min(from + CHUNK - 1, count);
    test(`races ${from} to ${to} have one outcome each, and everybody is told of it`, async () => {
      for (let seed = from; seed <= to; seed += 1) {
        const { violations, seen } = await race(seed);
        expect(violations, `race ${seed}: replay with COUNTERSIGN_RACE=${seed}`).toEqual([]);
        for (const [name, times] of Object.entries(seen)) total[name] = (total[name] ?? 0) + times;
      }
    }, CHUNK_MS);
  }

  test('the races see every outcome won, and lost to', () => {
    const wanted = [
      'is rejected', 'is withdrawn', 'is expired', 'approval.recorded', 'change.revised', 'approval.escalated', 'approve 200', 'reject 200', 'withdraw 200', 'stop 200', 'revise 200', 'revoke 202', 'approve approval-refused', 'approve approval-not-judged',
      'approve lost to rejected', 'approve lost to withdrawn', 'approve lost to expired', 'approve lost to requested', 'approve lost to pending', 'reject lost to scheduled', 'withdraw lost to rejected', 'revise lost to withdrawn', 'stop lost to rejected',
    ];
    if (count >= 100) expect(wanted.filter((name) => (total[name] ?? 0) === 0)).toEqual([]);
  });

  test('a race replays: the same run, event for event', async () => {
    const account = async (): Promise<string[]> => {
      const lines: string[] = [];
      await race(7, { trace: (line) => lines.push(line) });
      return lines;
    };
    expect(await account()).toEqual(await account());
  });
}
