import { describe, expect, it } from 'vitest';
import { approverExpressionSchema, isSameRequirement, isSatisfied, partsOf, strictest, type ApproverExpression, type Requirement } from '../../src/protocol/decision.ts';

const of = (approvers: ApproverExpression | null, proofClass: Requirement['proofClass'] = 'session'): Requirement => ({ approvers, proofClass });
const OWNER = { anyOf: ['person:ana', 'person:ben'] };
const BOTH = { allOf: ['person:ana', { anyOf: ['person:sam', 'person:wei'] }] };
const depthOf = (part: ApproverExpression): number => (typeof part === 'string' ? 0 : 1 + Math.max(0, ...partsOf(part).map(depthOf)));

describe('the strictest of two requirements', () => {
  it('is met by whom both are met by, and by nobody else', () => {
    const people = ['person:ana', 'person:ben', 'person:sam', 'person:wei'];
    const both = strictest(of(OWNER), of(BOTH)).approvers!;
    for (let bits = 0; bits < 16; bits += 1) {
      const approved = new Set(people.filter((_, n) => (bits & (1 << n)) !== 0));
      expect(isSatisfied(both, approved)).toBe(isSatisfied(OWNER, approved) && isSatisfied(BOTH, approved));
    }
  });

  it('grows by what is new alone, however often policies take turns', () => {
    let requirement = strictest(of(OWNER), of(BOTH));
    const first = requirement;
    for (let turn = 0; turn < 200; turn += 1) requirement = strictest(requirement, of(turn % 2 === 0 ? OWNER : BOTH));
    expect(requirement).toEqual(first);
    expect(requirement.approvers).toEqual({ allOf: [OWNER, 'person:ana', { anyOf: ['person:sam', 'person:wei'] }] });
  });

  it('is what an expression may be, however many demand something else', () => {
    let requirement = of('person:p0');
    for (let n = 1; n <= 200; n += 1) requirement = strictest(requirement, of(`person:p${n}`));
    expect(approverExpressionSchema.safeParse(requirement.approvers).success).toBe(true);
    expect(depthOf(requirement.approvers!)).toBeLessThan(10);
    expect(isSatisfied(requirement.approvers!, new Set(Array.from({ length: 201 }, (_, n) => `person:p${n}`)))).toBe(true);
    expect(isSatisfied(requirement.approvers!, new Set(Array.from({ length: 200 }, (_, n) => `person:p${n}`)))).toBe(false);
  });

  it('is met by all of the stages, and never by none', () => {
    const stages = { stages: ['person:ana', 'person:sam'] };
    expect(isSatisfied(stages, new Set(['person:ana']))).toBe(false);
    expect(isSatisfied(stages, new Set(['person:ana', 'person:sam']))).toBe(true);
    expect(isSatisfied({ stages: [] }, new Set(['person:ana']))).toBe(false);
    expect(strictest(of(stages), of('person:ana')).approvers).toEqual({ allOf: [stages, 'person:ana'] });
    expect(isSameRequirement(of(stages), of({ stages: ['person:sam', 'person:ana'] }))).toBe(false);
    expect(isSameRequirement(of(stages), of({ allOf: ['person:ana', 'person:sam'] }))).toBe(false);
  });

  it('stays what nobody can meet where one of them is', () => {
    const nobody = { allOf: [] };
    for (const both of [strictest(of(nobody), of(OWNER)), strictest(of(OWNER), of(nobody))]) expect(isSatisfied(both.approvers!, new Set(['person:ana', 'person:ben']))).toBe(false);
  });

  it('keeps the words of the first where the second demands nothing more', () => {
    expect(strictest(of(BOTH, 'ssh'), of('person:ana'))).toEqual(of(BOTH, 'ssh'));
    expect(strictest(of(null), of(BOTH, 'ssh'))).toEqual(of(BOTH, 'ssh'));
    expect(strictest(of(BOTH, 'ssh'), of(null))).toEqual(of(BOTH, 'ssh'));
  });
});

describe('two requirements are the same', () => {
  it('as versions before nested it', () => {
    expect(isSameRequirement(of({ allOf: [{ allOf: [OWNER, 'person:sam'] }, OWNER] }), of({ allOf: ['person:sam', OWNER] }))).toBe(true);
  });

  it.each([
    ['of whom one demands more', of({ allOf: [OWNER, 'person:sam'] }), of(OWNER)],
    ['of whom one demands nobody', of(null), of(OWNER)],
    ['of whom one can be met by nobody', of({ allOf: [OWNER, { allOf: [] }] }), of(OWNER)],
    ['of another class', of(OWNER, 'ssh'), of(OWNER)],
    ['of whom one lets anybody of both', of({ anyOf: [OWNER, 'person:sam'] }), of({ allOf: [OWNER, 'person:sam'] })],
  ])('not where they are two %s', (_what, a, b) => {
    expect(isSameRequirement(a, b)).toBe(false);
    expect(isSameRequirement(b, a)).toBe(false);
  });
});
