/** What each entrypoint owes. Anything else that policy says is a fault, not a decision. */
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { parseBy } from '../protocol/compiled.ts';
import { acceptanceSchema, decisionSchema, redecisionSchema, verificationSchema, type Acceptance, type Decision, type Redecision, type Verification } from '../protocol/decision.ts';
import { EngineFault } from './fault.ts';
import { proposalSchema, scheduleSchema, type ChangeInput, type Proposal, type Schedule } from './policy-input.ts';

/** @throws EngineFault `null-result`, `not-an-object` or `malformed-result`, as they all do */
export function asDecision(value: unknown): Decision {
  const decision = parse(decisionSchema, value);
  // An effect and its approvers that contradict each other: neither is to be believed.
  const { approvers } = decision.obligations;
  if (decision.effect === 'needsApproval' && approvers === null) throw new EngineFault('malformed-result', 'needsApproval without approvers');
  if (decision.effect === 'allow' && approvers !== null) throw new EngineFault('malformed-result', 'allow with approvers');
  if (decision.effect === 'allow' && decision.exceptions !== undefined) throw new EngineFault('malformed-result', 'allow by an exception');
  const { observed } = decision;
  if (observed !== undefined && decision.effect !== 'allow') throw new EngineFault('malformed-result', `observed, and ${decision.effect}`);
  if (observed?.effect === 'needsApproval' && observed.approvers === null) throw new EngineFault('malformed-result', 'observed needsApproval without approvers');
  return decision;
}

/** @throws EngineFault `malformed-result` */
export function asVerification(value: unknown): Verification {
  return parse(verificationSchema, value);
}

/** A window that was not offered was made up: nobody is told of it, and no calendar holds it open. @throws EngineFault `malformed-result` */
export function asSchedule(value: unknown, input: ChangeInput): Schedule {
  const schedule = parse(scheduleSchema, value);
  const { window } = schedule;
  const isOffered = window === null || input.facts.calendar?.windows.some((one) => isDeepStrictEqual(one, window)) === true;
  if (!isOffered) throw new EngineFault('malformed-result', 'a window that is not one of those in the question');
  return schedule;
}

/** @throws EngineFault `malformed-result` */
export function asProposal(value: unknown): Proposal {
  return parse(proposalSchema, value);
}

/** @throws EngineFault `malformed-result` */
export function asRedecision(value: unknown): Redecision {
  return parse(redecisionSchema, value);
}

/** @throws EngineFault `malformed-result` */
export function asAcceptance(value: unknown): Acceptance {
  return parse(acceptanceSchema, value);
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  if (value === null) throw new EngineFault('null-result', 'null where an object is due');
  if (typeof value !== 'object' || Array.isArray(value)) throw new EngineFault('not-an-object', `${Array.isArray(value) ? 'an array' : `a ${typeof value}`} where an object is due`);
  const parsed = parseBy(schema, value);
  if (!parsed.success) {
    const issues = parsed.error.issues.slice(0, 3).map((issue) => `/${issue.path.join('/')}: ${issue.message}`);
    throw new EngineFault('malformed-result', issues.join('; ').slice(0, 300));
  }
  return parsed.data;
}
