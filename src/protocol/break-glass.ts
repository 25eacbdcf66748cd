/**
 * Breaking the glass: one person's own signature in the place of the approvals that a lease needs, when nobody can be waited for. Executors and verifiers
 * believe it by their own trust folders alone: the key in `allowed_signers`, and the person, the longest lease and the time for the review in
 * `requirements.json` (`breakGlass`). A trust folder that names nobody lets nobody break it, whatever a sidecar or policy says.
 *
 * It is for what a lease takes back by itself (`provision` and `grant`), and for nothing else: what lets policy come into force, and what is said about
 * the ledger, are other statements under other namespaces, and no route takes this one for them.
 */
import { z } from 'zod';
import type { AllowedSigners } from './allowed-signers.ts';
import { commitmentSchema } from './disclosure.ts';
import { meets, type ProofClass } from './decision.ts';
import { payloadDigest, readPayload } from './dsse.ts';
import { ProtocolError } from './errors.ts';
import type { Plan, PlanStep } from './plan.ts';
import type { Dsse } from './signed.ts';
import { signerBySsh } from './ssh-proof.ts';
import type { FloorDemand, Shortfall } from './sufficiency.ts';
import type { BreakGlassFloor, RequirementsFile } from './trust.ts';
import { changeIdSchema, digestSchema, logIdSchema, parseTime, personIdSchema, timeSchema } from './values.ts';

/** `ssh-keygen -Y sign -n breakglass@countersign`: an approval is never taken for this, nor this for an approval. */
export const BREAK_GLASS_NAMESPACE = 'breakglass@countersign';
export const BREAK_GLASS_TYPE = 'application/vnd.countersign.break-glass+json';
/** The longest that a statement is good for: it is for now. */
export const BREAK_GLASS_SECONDS_MAX = 3_600;

/** The bytes that whoever breaks the glass signs: RFC 8785 of this. */
export const breakGlassStatementSchema = z.strictObject({
  v: z.literal(1),
  log: logIdSchema,
  changeId: changeIdSchema,
  revision: z.int().min(1),
  planDigest: digestSchema,
  /** To why: without a reason there is no statement. What is signed cannot be erased, and the text can. */
  reason: commitmentSchema,
  usedBy: personIdSchema,
  expiresAt: timeSchema,
});
export type BreakGlassStatement = z.infer<typeof breakGlassStatementSchema>;

/** What the floor allows, and what it asks for afterwards: the strictest of all that speak of it. */
export type BreakGlassLimits = Pick<BreakGlassFloor, 'people' | 'maxLeaseSeconds' | 'reviewWithinSeconds' | 'rotateWithinSeconds' | 'reviewProofClass' | 'reviewers'>;

/** Both at once. */
export function stricterOf(a: BreakGlassLimits, b: BreakGlassLimits): BreakGlassLimits {
  const reviewProofClass = a.reviewProofClass === undefined || b.reviewProofClass === undefined ? (a.reviewProofClass ?? b.reviewProofClass) : meets(a.reviewProofClass, b.reviewProofClass) ? a.reviewProofClass : b.reviewProofClass;
  const rotateWithinSeconds = soonerOf(a.rotateWithinSeconds, b.rotateWithinSeconds);
  const reviewers = namedByBoth(a.reviewers, b.reviewers);
  return {
    people: a.people.filter((one) => b.people.includes(one)),
    maxLeaseSeconds: Math.min(a.maxLeaseSeconds, b.maxLeaseSeconds), reviewWithinSeconds: Math.min(a.reviewWithinSeconds, b.reviewWithinSeconds),
    ...(rotateWithinSeconds === undefined ? {} : { rotateWithinSeconds }), ...(reviewProofClass === undefined ? {} : { reviewProofClass }),
    ...(reviewers === undefined ? {} : { reviewers }),
  };
}

/** Whom both lists name; where one is left out, whom the other does. */
export function namedByBoth(a: string[] | undefined, b: string[] | undefined): string[] | undefined {
  return a === undefined || b === undefined ? (a ?? b) : a.filter((one) => b.includes(one));
}

/** The shorter of two times of which each may be left out. */
export function soonerOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

/**
 * The statement, once the person's own key proves it. What it is about has not been compared with anything.
 *
 * @param proofs `atMs`: when it was, or is to be, counted @throws ProtocolError `approval-invalid`; nothing was believed
 */
export function openBreakGlass(envelope: Dsse, proofs: { readonly signers: AllowedSigners; readonly atMs: number }): BreakGlassStatement {
  const signer = signerBySsh(envelope, { payloadType: BREAK_GLASS_TYPE, namespace: BREAK_GLASS_NAMESPACE, what: 'breaking the glass' }, proofs);
  const statement = readPayload(envelope, breakGlassStatementSchema);
  if (statement.usedBy !== signer.person) throw new ProtocolError('approval-invalid', `a key of ${signer.person} under the name of ${statement.usedBy}`);
  return statement;
}

export function readBreakGlass(envelope: Dsse): BreakGlassStatement {
  return readPayload(envelope, breakGlassStatementSchema);
}

/** By which a step names the statement that it was authorised with. */
export const breakGlassDigest = (envelope: Dsse): string => payloadDigest(envelope);

/** Actions that a lease takes back, and which may so be given at the word of one. */
const BREAKABLE: ReadonlySet<PlanStep['action']> = new Set(['provision', 'grant']);

/** Whether the plan gives only what its lease takes back by itself. */
export function isBreakable({ lease, steps, mode, extends: extended }: Pick<Plan, 'lease' | 'steps' | 'mode' | 'extends'>): boolean {
  return lease !== null && mode === 'executor' && extended === undefined && steps.length > 0 && steps.every(({ action }) => BREAKABLE.has(action));
}

/** Who may break the glass for this step, and how far; null where the floor names nobody for one of its privileges. Silence is no. */
export function breakGlassFor({ breakGlass = [] }: Pick<RequirementsFile, 'breakGlass'>, { connector, target, privileges }: Pick<PlanStep, 'connector' | 'target' | 'privileges'>): BreakGlassLimits | null {
  const speaksOf = (floor: BreakGlassFloor, privilege: string): boolean =>
    (floor.connector === '*' || floor.connector === connector) && (floor.target === '*' || floor.target === target) && (floor.privilege === '*' || floor.privilege === privilege);
  const asked = privileges.length === 0 ? [''] : privileges;
  const speaking = asked.map((privilege) => breakGlass.filter((floor) => speaksOf(floor, privilege)));
  if (speaking.some((floors) => floors.length === 0)) return null;
  return speaking.flat().map(({ connector: _connector, target: _target, privilege: _privilege, ...limits }): BreakGlassLimits => limits).reduce(stricterOf);
}

/** The weakest proof by which a glass that was broken at these places is reviewed: the strictest of what the floor asks for at any of them. */
export function reviewProofAt(requirements: Pick<RequirementsFile, 'breakGlass'>, places: readonly Pick<PlanStep, 'connector' | 'target' | 'privileges'>[]): ProofClass {
  return places.map((place) => breakGlassFor(requirements, place)?.reviewProofClass ?? 'session').reduce<ProofClass>((a, b) => (meets(a, b) ? a : b), 'session');
}

/** Whose review alone the floor counts of a glass that was broken at these places: whom each entry that names anybody does. Undefined where none does. */
export function reviewersAt(requirements: Pick<RequirementsFile, 'breakGlass'>, places: readonly Pick<PlanStep, 'connector' | 'target' | 'privileges'>[]): readonly string[] | undefined {
  return places.map((place) => breakGlassFor(requirements, place)?.reviewers).reduce(namedByBoth, undefined);
}

/**
 * Why the statement does not stand for the approvals of this step; null where it does. The quorum of the floor is what it stands for; the longest lease of
 * the floor holds all the same.
 *
 * @param asOfMs when the step is authorised @param leaseSeconds null for standing access, which nobody gives so
 */
export function breakGlassShortfall(
  limits: BreakGlassLimits | null, floor: FloorDemand | null, { usedBy, expiresAt }: BreakGlassStatement, { action, asOfMs, leaseSeconds, skewMs }: { readonly action: PlanStep['action']; readonly asOfMs: number; readonly leaseSeconds: number | null; readonly skewMs: number },
): Shortfall | null {
  const below = (message: string): Shortfall => ({ code: 'below-floor', message });
  if (!BREAKABLE.has(action) || leaseSeconds === null) return below('the glass is broken for what a lease takes back, and for nothing else');
  if (limits === null || !limits.people.includes(usedBy)) return below(`the floor does not let ${usedBy} break the glass for this`);
  const longest = Math.min(limits.maxLeaseSeconds, floor?.maxLeaseSeconds ?? Infinity);
  if (leaseSeconds > longest) return below(`a lease of ${leaseSeconds} s where the floor allows ${longest} s when the glass is broken`);
  const untilMs = parseTime(expiresAt);
  if (untilMs <= asOfMs) return { code: 'approvals-insufficient', message: `what ${usedBy} signed to break the glass was good until ${expiresAt}` };
  return untilMs > asOfMs + BREAK_GLASS_SECONDS_MAX * 1000 + skewMs ? below(`what ${usedBy} signed to break the glass is good for longer than ${BREAK_GLASS_SECONDS_MAX} s`) : null;
}
