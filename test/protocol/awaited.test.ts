import fc from 'fast-check';
import { expect, it } from 'vitest';
import { awaitedBy } from '../../src/protocol/awaited.ts';
import { approversNamed, isSatisfied, type ApproverExpression } from '../../src/protocol/decision.ts';

it.each<[string, ApproverExpression, string[], string[]]>([
  ['all of them at first', { allOf: ['a', { anyOf: ['b', 'c'] }] }, [], ['a', 'b', 'c']],
  ['nobody of a part that somebody has met', { allOf: ['a', { anyOf: ['b', 'c'] }] }, ['b'], ['a']],
  ['who is left', { atLeast: 2, of: ['a', 'b', 'c'] }, ['a'], ['b', 'c']],
  ['nobody once it is met', { atLeast: 2, of: ['a', 'b', 'c'] }, ['a', 'c'], []],
  ['both ways to it', { anyOf: ['a', { allOf: ['b', 'c'] }] }, ['b'], ['a', 'c']],
])('%s', (_what, expression, approved, awaited) => {
  expect([...awaitedBy(expression, new Set(approved))].sort()).toEqual(awaited);
});

it('brings any expression that can be met nearer, person by person, until it is', () => {
  const person = fc.constantFrom('a', 'b', 'c', 'd');
  const { expression } = fc.letrec<{ expression: ApproverExpression }>((tie) => {
    const parts = fc.array(tie('expression'), { minLength: 1, maxLength: 3 });
    return { expression: fc.oneof({ maxDepth: 3 }, person, parts.map((allOf) => ({ allOf })), parts.map((anyOf) => ({ anyOf })), fc.record({ atLeast: fc.integer({ min: 1, max: 3 }), of: parts })) };
  });
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
