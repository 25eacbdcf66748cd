/** What a floor asks for beyond a requirement. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { approversNamed, isSatisfied, requirementSchema, type ApproverExpression, type Requirement } from '../../src/protocol/decision.ts';
import { floorPart, floorText, leastOf, whyUnreachable, type People } from '../../src/protocol/floor-part.ts';
import type { FloorDemand } from '../../src/protocol/sufficiency.ts';

const FLOOR: FloorDemand = { quorum: 2, proofClass: 'session', approvers: null, maxLeaseSeconds: null };
const PEOPLE: People = { answerable: ['person:olga', 'person:vera'], isSame: (one, other) => one.split('-')[0] === other.split('-')[0] };
const asks = (approvers: Requirement['approvers'], proofClass: Requirement['proofClass'] = 'session'): Requirement => ({ approvers, proofClass });
const beyond = (requirement: Requirement, floor: Partial<FloorDemand> = {}, requester: string[] = ['nhi:prod/ci']): Requirement | null => floorPart(requirement, { ...FLOOR, ...floor }, requester, PEOPLE);
const of = (quorum: number, ...people: ApproverExpression[]): Requirement => asks({ atLeast: quorum, of: people });

describe('a floor asks for nothing more', () => {
  it.each<[string, Requirement, Partial<FloorDemand>]>([
    ['where it asks nobody', asks(null), { quorum: 0, proofClass: 'passkey' }],
    ['than as many people as policy does', asks({ allOf: ['person:ana', 'person:wei'] }), {}],
    ['than as many of the people whom it names', asks({ atLeast: 2, of: ['person:ana', 'person:wei'] }), { approvers: ['person:wei', 'person:ana', 'person:olga'] }],
    ['than somebody of each of two groups that share nobody', asks({ stages: [{ anyOf: ['person:ana', 'person:ben'] }, { anyOf: ['person:wei'] }] }), {}],
    ['than it has asked for already', asks({ allOf: ['person:ana', { atLeast: 2, of: ['person:ana', 'person:olga'] }] }), {}],
  ])('%s', (_why, requirement, floor) => expect(beyond(requirement, floor)).toBeNull());
});

describe('a floor asks for more', () => {
  it.each<[string, Requirement, Partial<FloorDemand>, Requirement]>([
    ['of those whom policy asks, where they are enough', asks({ anyOf: ['person:ana', 'person:wei'] }), {}, of(2, 'person:ana', 'person:wei')],
    ['of who answers for the identity, where they are not', asks('person:ana'), {}, of(2, 'person:ana', 'person:olga', 'person:vera')],
    ['of who answers for the identity, where policy asks nobody', asks(null), { quorum: 1 }, of(1, 'person:olga', 'person:vera')],
    ['of those whom it names, and nobody else', asks('person:ana'), { quorum: 1, approvers: ['person:sam'] }, of(1, 'person:sam')],
    ['where two groups may be met by one person', asks({ allOf: [{ anyOf: ['person:ana', 'person:ben'] }, { anyOf: ['person:ana', 'person:wei'] }] }), {}, of(2, 'person:ana', 'person:ben', 'person:wei')],
    ['in proof alone', asks({ allOf: ['person:ana', 'person:wei'] }), { proofClass: 'passkey' }, asks(null, 'passkey')],
    ['and counts a person once', asks({ anyOf: ['person:ana', 'person:ana-adm', 'person:wei'] }), {}, of(2, { anyOf: ['person:ana', 'person:ana-adm'] }, 'person:wei')],
  ])('%s', (_what, requirement, floor, part) => expect(beyond(requirement, floor)).toEqual(part));

  it('of all whom it names, and of no more than an expression has where it names nobody', () => {
    const people = (count: number): string[] => Array.from({ length: count }, (_, i) => `person:p${i}`);
    const named = beyond(asks('person:ana'), { quorum: 16, approvers: people(64) });
    expect(named).toEqual(of(16, ...people(64)));
    expect(requirementSchema.parse(named)).toEqual(named);
    expect(floorPart(asks('person:ana'), FLOOR, [], { ...PEOPLE, answerable: people(300) })).toEqual(of(2, 'person:ana', ...people(63)));
    expect(requirementSchema.safeParse(of(1, ...people(65))).success).toBe(false);
  });

  it('and never of who asked, by whichever of their ids', () => {
    expect(beyond(asks({ anyOf: ['person:ana', 'person:wei'] }), {}, ['person:ana-adm'])).toEqual(of(2, 'person:wei', 'person:olga', 'person:vera'));
  });
});

it('says why nobody can meet it, and what it asks for', () => {
  expect(whyUnreachable(of(2, 'person:ana'))).toBe('the floor asks for 2 approvals, and one person is asked whose approval counts there');
  expect(whyUnreachable(of(2, 'person:ana', 'person:wei'))).toBeNull();
  expect(floorText({ ...of(2, 'person:ana', 'person:wei'), proofClass: 'passkey' })).toBe('2 approvals with a passkey, of person:ana, person:wei');
});

const expression: fc.Arbitrary<ApproverExpression> = fc.letrec<{ any: ApproverExpression }>((tie) => {
  const parts = fc.array(tie('any'), { maxLength: 4 });
  return {
    any: fc.oneof(
      { maxDepth: 3, withCrossShrink: true }, fc.constantFrom('person:a', 'person:b', 'person:c', 'person:d'),
      parts.map((allOf) => ({ allOf })), parts.map((anyOf) => ({ anyOf })), parts.map((stages) => ({ stages })), fc.tuple(fc.integer({ min: 1, max: 3 }), parts).map(([atLeast, all]) => ({ atLeast, of: all })),
    ),
  };
}).any;

it('never takes an expression to ask for more people than meet it', () => {
  const counts = (person: string): boolean => person !== 'person:d';
  fc.assert(fc.property(expression, fc.uniqueArray(fc.constantFrom('person:a', 'person:b', 'person:c', 'person:d')), (asked, approved: string[]) => {
    fc.pre(isSatisfied(asked, new Set(approved)));
    expect(leastOf(asked, counts)).toBeLessThanOrEqual(approversNamed(asked).filter((person) => approved.includes(person) && counts(person)).length);
  }), { numRuns: 2_000 });
});
