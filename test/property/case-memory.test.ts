/** What is remembered for offboardings, against the plain way of saying it: whatever happens in whatever order. */
import { expect, it } from 'vitest';
import { openCaseMemory } from '../../src/evidence/case-memory.ts';
import { randomOf } from '../fault/power-disk.ts';

interface Known {
  readonly parent: string | null;
  readonly n: number;
}

/** Everything is looked at every time. */
function plainMemory(): ReturnType<typeof openCaseMemory<Known>> {
  const cases = new Map<string, ReadonlySet<string> | null>();
  const closed = new Map<string, Known>();
  const isWanted = (changeId: string, { parent }: Known): boolean => [...cases].some(([caseId, listed]) => listed === null || listed.has(changeId) || parent === caseId);
  const forget = (): void => {
    for (const [changeId, known] of closed) if (!isWanted(changeId, known)) closed.delete(changeId);
  };
  return {
    closed(changeId, known) {
      if (isWanted(changeId, known)) closed.set(changeId, known);
    },
    find: (changeId) => closed.get(changeId) ?? null,
    opened(caseId, listed) {
      const before = cases.get(caseId);
      if (before !== undefined && (before === null) === (listed === null)) return;
      cases.set(caseId, listed);
      forget();
    },
    ended(caseId) {
      if (cases.delete(caseId)) forget();
    },
  };
}

const CHANGES = Array.from({ length: 8 }, (_, i) => `chg_${i}`);
const CASES = ['case_0', 'case_1', 'case_2'];

it('is what the plain way remembers, after every step of any story', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = randomOf(seed);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    const [plain, memory] = [plainMemory(), openCaseMemory<Known>()];
    const parents = new Map(CHANGES.map((changeId) => [changeId, random() < 0.3 ? pick(CASES) : null]));
    for (let n = 0; n < 60; n += 1) {
      const what = random();
      const changeId = pick(CHANGES);
      const listed = random() < 0.5 ? null : new Set(CHANGES.filter(() => random() < 0.3));
      const caseId = pick(CASES);
      for (const one of [plain, memory]) {
        if (what < 0.5) one.closed(changeId, { parent: parents.get(changeId)!, n });
        else if (what < 0.8) one.opened(caseId, listed);
        else one.ended(caseId);
      }
      expect(CHANGES.map((one) => memory.find(one)), `seed ${seed}, step ${n}`).toEqual(CHANGES.map((one) => plain.find(one)));
    }
  }
});
