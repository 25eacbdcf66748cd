import fc from 'fast-check';
import { expect, it } from 'vitest';
import { awaitedBy, mayApprove, turnsOf } from '../../src/protocol/awaited.ts';
import { approversNamed, isSatisfied, partsOf, strictest, type ApproverExpression } from '../../src/protocol/decision.ts';

it.each<[string, ApproverExpression, string[], string[]]>([
  ['all of them at first', { allOf: ['a', { anyOf: ['b', 'c'] }] }, [], ['a', 'b', 'c']],
  ['nobody of a part that somebody has met', { allOf: ['a', { anyOf: ['b', 'c'] }] }, ['b'], ['a']],
  ['who is left', { atLeast: 2, of: ['a', 'b', 'c'] }, ['a'], ['b', 'c']],
  ['nobody once it is met', { atLeast: 2, of: ['a', 'b', 'c'] }, ['a', 'c'], []],
  ['the first stage', { stages: ['a', { anyOf: ['b', 'c'] }, 'd'] }, [], ['a']],
  ['the stage that is open', { stages: ['a', { anyOf: ['b', 'c'] }, 'd'] }, ['a'], ['b', 'c']],
  ['in a stage those alone who are left of it', { stages: ['a', { atLeast: 2, of: ['a', 'b', 'c'] }] }, ['a'], ['b', 'c']],
  ['nobody of a stage that is not open, whatever else names her', { allOf: ['b', { stages: ['a', 'b'] }] }, [], ['a']],
  ['nobody of no stages', { stages: [] }, [], []],
  ['both ways to it', { anyOf: ['a', { allOf: ['b', 'c'] }] }, ['b'], ['a', 'c']],
])('%s', (_what, expression, approved, awaited) => {
  expect([...awaitedBy(expression, new Set(approved))].sort()).toEqual(awaited);
});

const person = fc.constantFrom('a', 'b', 'c', 'd');
const drawn = (isStaged: boolean): fc.Arbitrary<ApproverExpression> => fc.letrec<{ expression: ApproverExpression }>((tie) => {
  const parts = fc.array(tie('expression'), { minLength: 1, maxLength: 3 });
  const groups = [parts.map((allOf) => ({ allOf })), parts.map((anyOf) => ({ anyOf })), fc.record({ atLeast: fc.integer({ min: 1, max: 3 }), of: parts })];
  return { expression: fc.oneof({ maxDepth: 3 }, person, ...groups, ...(isStaged ? [parts.map((stages) => ({ stages }))] : [])) };
}).expression;

/** Whether everybody of `order` came when it was her turn. */
function inTurn(expression: ApproverExpression, order: readonly string[]): boolean {
  return order.every((one, at) => !approversNamed(expression).includes(one) || mayApprove(expression, new Set(order.slice(0, at))).has(one));
}

/** The stages in it that are in no other stage. */
function stagesIn(expression: ApproverExpression): ApproverExpression[] {
  return typeof expression === 'string' ? [] : 'stages' in expression ? [expression] : partsOf(expression).flatMap(stagesIn);
}

it('asks everybody at once where there are no stages', () => {
  fc.assert(fc.property(drawn(false), fc.uniqueArray(person), (all, given) => {
    expect([...mayApprove(all, new Set(given))]).toEqual(approversNamed(all));
  }));
});

it('keeps the order of both where two are asked together, and asks nobody whom one of them does not', () => {
  fc.assert(fc.property(drawn(true), drawn(true), fc.uniqueArray(person), (one, other, order) => {
    const both = strictest({ approvers: one, proofClass: 'session' }, { approvers: other, proofClass: 'session' }).approvers!;
    expect(isSatisfied(both, new Set(order))).toBe(isSatisfied(one, new Set(order)) && isSatisfied(other, new Set(order)));
    if (inTurn(both, order)) for (const part of [one, other]) expect(inTurn(part, order)).toBe(true);
  }));
});

it('lets nobody approve who is in a later stage alone', () => {
  fc.assert(fc.property(drawn(true), fc.uniqueArray(person), (all, order) => {
    if (!inTurn(all, order)) return;
    for (const staged of stagesIn(all)) {
      const stages = typeof staged === 'string' ? [] : partsOf(staged);
      order.forEach((one, at) => {
        const first = stages.findIndex((stage) => approversNamed(stage).includes(one));
        if (first > 0) expect(stages.slice(0, first).every((stage) => isSatisfied(stage, new Set(order.slice(0, at))))).toBe(true);
      });
    }
  }));
});

it('tells whose turn it is, and who is asked then', () => {
  const all: ApproverExpression = { stages: ['a', { anyOf: ['b', 'c'] }, 'd'] };
  expect(turnsOf(all, [], ['c'])).toEqual({ now: ['a'], then: ['b', 'd'] });
  expect(turnsOf(all, [{ approver: 'a', verdict: 'approve' }, { approver: 'b', verdict: 'reject' }], [])).toEqual({ now: ['c'], then: ['d'] });
});

it('brings any expression that can be met nearer, person by person, until it is', () => {
  const expression = drawn(false);
  fc.assert(fc.property(expression, fc.uniqueArray(person), (all, given) => {
    const approved = new Set<string>(given);
    expect(awaitedBy(all, approved).size > 0 || isSatisfied(all, approved) || !isSatisfied(all, new Set(approversNamed(all)))).toBe(true);
    for (let awaited = awaitedBy(all, approved); awaited.size > 0; awaited = awaitedBy(all, approved)) {
      const [next] = awaited;
      expect(approved.has(next!)).toBe(false);
      approved.add(next!);
    }
    expect(isSatisfied(all, approved)).toBe(isSatisfied(all, new Set(approversNamed(all))));
  }));
});
