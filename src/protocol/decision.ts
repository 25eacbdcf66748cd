/** What policy answers, and the expression of who must approve. */
import { z } from 'zod';
import { canonicalText } from '../../ledger/index.ts';
import { isSameJson } from './same-json.ts';
import { digestSchema, entitlementSchema, personIdSchema, plainTextSchema, timeSchema } from './values.ts';

/**
 * Who must approve. A string is one person. An empty list is nobody, never everybody: it cannot be satisfied.
 */
export type ApproverExpression =
  | string
  | { allOf: ApproverExpression[] }
  | { anyOf: ApproverExpression[] }
  | { atLeast: number; of: ApproverExpression[] }
  /** One after the other: who is in a stage is asked once those before it are met. */
  | { stages: ApproverExpression[] };

/** As many people as a floor may name, and so as a part of an expression may be of: all whom it names are asked. */
export const PEOPLE_MAX = 64;

export const approverExpressionSchema: z.ZodType<ApproverExpression> = z.lazy(() =>
  z.union([
    personIdSchema,
    z.strictObject({ allOf: z.array(approverExpressionSchema).max(32) }),
    z.strictObject({ anyOf: z.array(approverExpressionSchema).max(PEOPLE_MAX) }),
    z.strictObject({ atLeast: z.int().min(1).max(32), of: z.array(approverExpressionSchema).max(PEOPLE_MAX) }),
    z.strictObject({ stages: z.array(approverExpressionSchema).max(32) }),
  ]),
);

/**
 * How an approval is proven, weakest first. `session`: an authenticated session, attested by the sidecar. `ssh`: the approver's own signature. `passkey`:
 * an assertion of hers, for which her authenticator made sure that it was she.
 */
export const PROOF_CLASSES = ['session', 'ssh', 'passkey'] as const;
export const proofClassSchema = z.enum(PROOF_CLASSES);
export type ProofClass = z.infer<typeof proofClassSchema>;

/** Whether a proof of class `has` is at least what is demanded. */
export const meets = (has: ProofClass, demanded: ProofClass): boolean => PROOF_CLASSES.indexOf(has) >= PROOF_CLASSES.indexOf(demanded);

export const reasonSchema = z.strictObject({
  /** Stable, kebab-case. */
  code: z.string().regex(/^[a-z][a-z0-9-]{1,63}$/),
  message: plainTextSchema(500),
  /** The Rego package and rule that said so; `engine` where the policy engine itself failed. */
  rule: plainTextSchema(128),
});
export const controlSchema = z.strictObject({
  /** `OWASP NHI Top 10 2025`, `NIST CSF 2.0`, `NIST SP 800-207`, … */
  framework: plainTextSchema(64),
  id: plainTextSchema(32),
  rule: plainTextSchema(128),
});

export const counterOfferSchema = z.strictObject({
  entitlements: z.array(entitlementSchema).max(16),
  /** Seconds; null where the request had none or may keep what it asked. */
  leaseSeconds: z.int().min(1).nullable(),
});

/** Who is told as well, and after how long, of a change that still waits for approvals. Told, and no more: who may approve is `approvers`. */
export const escalationSchema = z.strictObject({
  /** From when the change began to wait. At most a year. */
  afterSeconds: z.int().min(1).max(31_536_000),
  to: z.array(personIdSchema).min(1).max(32),
});
export type Escalation = z.infer<typeof escalationSchema>;

/** Policy lets a person whom the floor names give this lease alone, at most for so long, and have it reviewed by then; and, from its end on, what was lent to rotated by then. */
export const breakGlassObligationSchema = z.strictObject({
  maxLeaseSeconds: z.int().min(1).max(86_400), reviewWithinSeconds: z.int().min(1).max(2_592_000), /** Left out: policy has no say in it. */ rotateWithinSeconds: z.int().min(1).max(2_592_000).optional(),
});

/** Policy lets standing approvals count, of what is leased for at most so long. */
export const standingApprovalObligationSchema = z.strictObject({ maxLeaseSeconds: z.int().min(1).max(2_592_000) });

/** An exception that took a denial away: by that alone nothing is allowed. */
export const exceptionUsedSchema = z.strictObject({
  id: plainTextSchema(64),
  /** The code of the reason that does not deny for it. */
  rule: reasonSchema.shape.code,
  owner: personIdSchema,
  until: timeSchema,
});
export type ExceptionUsed = z.infer<typeof exceptionUsedSchema>;

/** What policy says of a change that is under observe, and is not enforced. */
export const observedSchema = z.strictObject({
  /** The scope among the facts that it is in, whose it is, and until when. */
  scope: plainTextSchema(64),
  owner: personIdSchema,
  until: timeSchema,
  effect: z.enum(['deny', 'needsApproval']),
  reasons: z.array(reasonSchema).min(1).max(64),
  /** Who would approve it, were it not denied; null: nobody. They are asked once it is not under observe any more. */
  approvers: approverExpressionSchema.nullable(),
});
export type Observed = z.infer<typeof observedSchema>;

export const decisionSchema = z.strictObject({
  effect: z.enum(['deny', 'needsApproval', 'allow']),
  reasons: z.array(reasonSchema).min(1).max(64),
  obligations: z.strictObject({
    approvers: approverExpressionSchema.nullable(),
    proofClass: proofClassSchema,
    maxLeaseSeconds: z.int().min(1).nullable(),
    verification: z.enum(['readBack', 'byUse']),
    /** Not to be dispatched before then (a freeze ends): the change waits and is asked again. */
    notBefore: timeSchema.optional(),
    /** Absent: nobody is told but those who are asked. */
    escalation: escalationSchema.optional(),
    /** How many people must reject before that ends the change. Absent: one. */
    rejections: z.int().min(1).max(32).optional(),
    /** Absent: nobody may break the glass for it. */
    breakGlass: breakGlassObligationSchema.optional(),
    /** Absent: no standing approval counts for it. */
    standingApproval: standingApprovalObligationSchema.optional(),
  }),
  entitlements: z.strictObject({
    requested: z.array(entitlementSchema).max(16),
    held: z.array(plainTextSchema(256)).max(1024),
    used: z.array(plainTextSchema(256)).max(1024),
    excess: z.array(entitlementSchema).max(16),
    counterOffer: counterOfferSchema.nullable(),
  }),
  controls: z.array(controlSchema).max(128),
  /** Absent: no exception took anything away. */
  exceptions: z.array(exceptionUsedSchema).min(1).max(32).optional(),
  /** Absent: what policy says is enforced. Otherwise `effect` is `allow`, and this is what it says. */
  observed: observedSchema.optional(),
});
export type Decision = z.infer<typeof decisionSchema>;

/** Whether the state that was read after the effect is what policy allows. */
export const verificationSchema = z.strictObject({
  effect: z.enum(['deny', 'allow']),
  reasons: z.array(reasonSchema).min(1).max(64),
  controls: z.array(controlSchema).max(128),
});
export type Verification = z.infer<typeof verificationSchema>;

/** What is to become of a lease that runs, now that facts or policy are others. */
export const redecisionSchema = z.strictObject({
  /** `revoke`: taken back before its end. `finding`: a person looks at it. */
  effect: z.enum(['keep', 'revoke', 'finding']),
  reasons: z.array(reasonSchema).min(1).max(64),
  controls: z.array(controlSchema).max(128),
});
export type Redecision = z.infer<typeof redecisionSchema>;

/** Whether a person's approval of a plan is taken, on the facts of the moment at which it comes. */
export const acceptanceSchema = z.strictObject({
  effect: z.enum(['accept', 'refuse']),
  reasons: z.array(reasonSchema).min(1).max(64),
  controls: z.array(controlSchema).max(128),
});
export type Acceptance = z.infer<typeof acceptanceSchema>;

/** Which bundle, input and facts an answer came from: enough to ask again and get the same. */
export const provenanceSchema = z.strictObject({
  bundle: digestSchema.nullable(),
  input: digestSchema,
  facts: z.array(digestSchema).max(16),
});
export type Provenance = z.infer<typeof provenanceSchema>;

/** What must be met before a step that gives access: the decision's, made stricter by each executor's own floor. */
export const requirementSchema = z.strictObject({
  approvers: approverExpressionSchema.nullable(),
  proofClass: proofClassSchema,
});
export type Requirement = z.infer<typeof requirementSchema>;

/** What a decision asks for, enforced or not: it is what counts once the change is not under observe any more. */
export function demandOf({ obligations: { approvers, proofClass }, observed }: Decision): Requirement {
  return { approvers: observed === undefined ? approvers : observed.approvers, proofClass };
}

/** What of a requirement is enforced under the latest decision: under observe nobody's approval. */
export function enforcedUnder(decision: Decision | null, requirement: Requirement): Requirement {
  return decision?.observed === undefined ? requirement : { approvers: null, proofClass: requirement.proofClass };
}

/** Policy's word, enforced: of a decision that says that it is not. */
export function asEnforced({ observed, ...decision }: Decision): Decision {
  if (observed === undefined) return decision;
  const { effect, reasons, approvers } = observed;
  return { ...decision, effect, reasons, obligations: { ...decision.obligations, approvers: effect === 'deny' ? null : approvers } };
}

/** The parts of a group, in the order in which it has them. */
export function partsOf(group: Exclude<ApproverExpression, string>): readonly ApproverExpression[] {
  if ('allOf' in group) return group.allOf;
  if ('anyOf' in group) return group.anyOf;
  return 'stages' in group ? group.stages : group.of;
}

/**
 * Whether distinct people in `approved` satisfy the expression. An empty group is never satisfied. Of stages all are needed; in which order they were met is
 * seen when each approval comes (`mayApprove`), and in the order of the ledger.
 */
export function isSatisfied(expression: ApproverExpression, approved: ReadonlySet<string>): boolean {
  if (typeof expression === 'string') return approved.has(expression);
  const parts = partsOf(expression);
  if ('anyOf' in expression) return parts.some((part) => isSatisfied(part, approved));
  if ('of' in expression) return parts.filter((part) => isSatisfied(part, approved)).length >= Math.max(1, expression.atLeast);
  return parts.length > 0 && parts.every((part) => isSatisfied(part, approved));
}

/** Everyone the expression names, each once, in order of first mention. */
export function approversNamed(expression: ApproverExpression | null): string[] {
  const named = new Set<string>();
  const visit = (part: ApproverExpression): void => {
    if (typeof part === 'string') named.add(part);
    else partsOf(part).forEach(visit);
  };
  if (expression !== null) visit(expression);
  return [...named];
}

/** As many parts as an `allOf` may have. */
const PARTS_MAX = 32;

/** What must hold beside one another, each once, in order of first mention. An empty `allOf` holds never, so it stays. */
function conjunctsOf(expression: ApproverExpression): ApproverExpression[] {
  const all = new Map<string, ApproverExpression>();
  const visit = (part: ApproverExpression): void => {
    if (typeof part !== 'string' && 'allOf' in part && part.allOf.length > 0) part.allOf.forEach(visit);
    else all.set(canonicalText(part), part);
  };
  visit(expression);
  return [...all.values()];
}

/**
 * The requirement that holds only when both do: max(old, new) of invariant 2. What is demanded again and again, by policies that take turns, is in it once: a
 * requirement grows by what is new and by nothing else, and a record is not nested deeper for it.
 */
export function strictest(a: Requirement, b: Requirement): Requirement {
  const proofClass = meets(a.proofClass, b.proofClass) ? a.proofClass : b.proofClass;
  if (a.approvers === null || b.approvers === null) return { approvers: a.approvers ?? b.approvers, proofClass };
  const before = conjunctsOf(a.approvers);
  let parts = conjunctsOf({ allOf: [...before, ...conjunctsOf(b.approvers)] });
  if (parts.length === before.length) return { approvers: a.approvers, proofClass };
  while (parts.length > PARTS_MAX) parts = [{ allOf: parts.slice(0, PARTS_MAX) }, ...parts.slice(PARTS_MAX)];
  return { approvers: { allOf: parts }, proofClass };
}

/** Whether both demand the same, however it is put: versions before nested it. */
export function isSameRequirement(a: Requirement, b: Requirement): boolean {
  const demands = ({ approvers }: Requirement): string[] | null => (approvers === null ? null : conjunctsOf(approvers).map((part) => canonicalText(part)).sort());
  return a.proofClass === b.proofClass && isSameJson(demands(a), demands(b));
}

/** A record has 60 KiB for everything: people beyond these are not told. */
export const ESCALATED_TO_MAX = 128;

/** The escalation that holds when both do: the earlier one, to everybody whom either names. It never shrinks. */
export function soonestEscalation(a: Escalation | null, b: Escalation | null): Escalation | null {
  if (a === null || b === null) return a ?? b;
  return { afterSeconds: Math.min(a.afterSeconds, b.afterSeconds), to: [...new Set([...a.to, ...b.to])].slice(0, ESCALATED_TO_MAX) };
}

/** The rejections that end the change where both hold: the fewer. A decision that asks nobody says nothing of them. null: nobody was asked yet. */
export function fewestRejections(before: number | null, decision: Decision): number | null {
  if (demandOf(decision).approvers === null) return before;
  return Math.min(before ?? Infinity, decision.obligations.rejections ?? 1);
}
