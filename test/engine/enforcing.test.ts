/** Under observe a floor is asked as an executor asks it: what it does not count, nobody is let off by. */
import { expect, it } from 'vitest';
import { unlessFloorAsks } from '../../src/engine/enforcing.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { parseTime } from '../../src/protocol/values.ts';
import { counting, COUNTING, standingOf, TEMPLATE, toldUntilUsed, useOf } from '../support/standing.ts';
import { decision, START_MS, storyTrust, type TrustEdit } from '../support/story.ts';

const said = (standing: boolean): Decision => ({
  ...decision('allow'), ...(standing ? { obligations: { ...counting().obligations, approvers: null } } : {}),
  observed: { scope: 'trial', owner: 'person:olga', until: '2027-01-01T00:00:00.000Z', effect: 'needsApproval', reasons: counting().reasons, approvers: counting().obligations.approvers },
});

/** The effect for what a standing approval has approved. */
function effectUnder(trust: TrustEdit, observed: Decision): string {
  const { now, atMs } = toldUntilUsed(useOf(standingOf(TEMPLATE)));
  const store = { nextAtMs: () => Math.max(atMs, START_MS, parseTime(TEMPLATE.notBefore)) };
  return unlessFloorAsks({ trust: storyTrust(trust), store }, now, now.plan, observed).effect;
}

it('lets what is observed through where a floor counts the standing approval that it was approved by', () => {
  expect(effectUnder(COUNTING, said(true))).toBe('allow');
});

it('has policy’s word enforced where a floor counts no standing approvals, or policy does not any more', () => {
  expect(effectUnder({ signers: COUNTING.signers! }, said(true))).toBe('needsApproval');
  expect(effectUnder(COUNTING, said(false))).toBe('needsApproval');
});
