/**
 * What somebody can do about a change, and why not: what the buttons say. No authority: the sidecar decides, each time; a button that is enabled
 * here may be refused there, and the refusal is shown.
 */
import type { BreakGlassReviewAnswer, ChangeView, Me, StatementAnswer } from '../client/index.ts';
import { approversNamed } from '../protocol/decision.ts';
import { describeApprovers } from '../protocol/plan-as-seen.ts';

export type May = { readonly may: true } | { readonly may: false; readonly why: string };

export interface Acts {
  readonly approve: May & { readonly proofs: Proofs };
  readonly reject: May;
  readonly reduce: May;
  readonly withdraw: May;
  readonly revoke: May;
  /** That the glass was broken; null where nobody has. */
  readonly review: Reviewing | null;
}

export type Reviewing = May & {
  readonly proofs: Proofs;
  /** What somebody has said already, and what is left is the rotation. */
  readonly verdict: NonNullable<NonNullable<ChangeView['breakGlass']>['review']>['verdict'] | null;
  /** A rotation is owed, of which she may say that none is needed. */
  readonly mayWaive: boolean;
};

/** How she can prove it, the first as it is asked for. */
type Proofs = readonly ('session' | 'passkey')[];

export interface Who {
  readonly me: Me;
  /** What she would sign; null where the sidecar was not asked, or has none. */
  readonly statement: StatementAnswer | null;
  /** What she would sign of a broken glass; null where the sidecar was not asked, or has none. */
  readonly review: BreakGlassReviewAnswer | null;
}

const YES: May = { may: true };
const no = (why: string): May => ({ may: false, why });

export function actsOf(change: ChangeView, who: Who, nowMs: number): Acts {
  const decide = mayDecide(change, who, nowMs);
  const { proofs, why } = proofsOf(who.statement, `countersign approve ${change.id} --ssh-key FILE`);
  return {
    approve: { ...(decide.may && proofs.length === 0 ? no(why) : hasApproved(change, who.me) ? no('You have approved this plan.') : decide), proofs },
    reject: mayReject(change, who, nowMs),
    reduce: decide.may ? mayReduce(change) : decide,
    withdraw: mayWithdraw(change),
    revoke: mayRevoke(change),
    review: mayReview(change, who),
  };
}

function mayDecide(change: ChangeView, { me }: Who, nowMs: number): May {
  if (change.state !== 'pending') return no(change.state === 'requested' ? 'Policy has not answered yet.' : `There is nothing to decide: the change is ${change.state}.`);
  if (change.approvalsBy !== null && nowMs >= Date.parse(change.approvalsBy)) return no('The time to decide is over.');
  if (change.requester.includes(me.principal)) return no('You asked for this: somebody else decides.');
  if (!me.roles.includes('approver')) return no('Your sign-in has not the role approver.');
  const { approvers } = change.requirement;
  if (approvers !== null && approversNamed(approvers).includes(me.principal)) return YES;
  return no(`You are not asked. It takes ${describeApprovers(approvers)}.`);
}

/** What a standing approval met may be rejected until the dispatch: nobody has looked at the plan. */
function mayReject(change: ChangeView, who: Who, nowMs: number): May {
  const isOpen = change.state === 'scheduled' && change.approvals.some(({ standing }) => standing !== undefined);
  return mayDecide(isOpen ? { ...change, state: 'pending', approvalsBy: null } : change, who, nowMs);
}

/** She has, and it counts: whose turn it is has not. */
const hasApproved = ({ approvals, turns }: ChangeView, { principal }: Me): boolean => approvals.some(({ approver, verdict }) => approver === principal && verdict === 'approve') && turns?.now.includes(principal) !== true;

/** A passkey proves more than is asked for where a session or an SSH key is. */
function proofsOf(statement: Pick<StatementAnswer, 'proofClass' | 'passkeys'> | null, command: string): { proofs: Proofs; why: string } {
  if (statement === null) return { proofs: [], why: 'What would be signed cannot be had from the sidecar just now.' };
  const passkey = statement.passkeys.length > 0 ? (['passkey'] as const) : [];
  if (statement.proofClass === 'session') return { proofs: ['session', ...passkey], why: '' };
  const inTerminal = statement.proofClass === 'ssh' ? ` Or sign in a terminal: ${command}` : '';
  return { proofs: passkey, why: `This takes a passkey of yours, and the sidecar’s trust folder lists none that is good now.${inTerminal}` };
}

/** What is still owed of it, and nothing else: those who were asked, but neither who broke it nor who asked for the change. */
function mayReview(change: ChangeView, { me: { principal, roles }, review }: Who): Reviewing | null {
  const { breakGlass, requirement: { approvers }, requester, id } = change;
  if (breakGlass === undefined) return null;
  const { review: said, rotation, usedBy } = breakGlass;
  const mayWaive = rotation !== null && rotation.change === null && rotation.waivedBy === null;
  const { proofs, why } = proofsOf(review, `countersign breakglass review ${id} --verdict … --comment … --ssh-key FILE`);
  const may = said !== null && !mayWaive ? no('It is reviewed.')
    : usedBy === principal || requester.includes(principal) ? no(`${usedBy === principal ? 'You broke it' : 'You asked for this'}: somebody else reviews it.`)
      : !roles.includes('approver') || !(approversNamed(approvers).includes(principal) || review?.standsIn !== undefined) ? no(`Those who were asked review it: ${describeApprovers(approvers)}.`)
        : review?.reviewers?.includes(principal) === false ? no(`The floor counts a review by ${review.reviewers.join(', ') || 'nobody'}.`)
          : breakGlass.reviewers?.includes(principal) === false ? no(`A review counts by ${breakGlass.reviewers.join(', ') || 'nobody'}.`)
            : proofs.length === 0 ? no(why) : YES;
  return { ...may, proofs, verdict: said?.verdict ?? null, mayWaive };
}

/** Whether what this plan gives is something that she could approve once for many times. */
export function mayStand(change: ChangeView, { me: { principal, roles } }: Pick<Who, 'me'>): boolean {
  const { approvers } = change.requirement;
  return roles.includes('approver') && approvers !== null && approversNamed(approvers).includes(principal) && !change.requester.includes(principal);
}

function mayReduce(change: ChangeView): May {
  if (!['grant', 'provision', 'extend'].includes(change.kind)) return no(`Less of a ${change.kind} would leave more access: approve it or reject it.`);
  return change.entitlements.length > 1 || change.duration !== null ? YES : no('There is nothing that could be taken off.');
}

const BEFORE_EFFECT: ReadonlySet<ChangeView['state']> = new Set(['requested', 'pending', 'scheduled', 'authorised', 'executing', 'verifying', 'staged', 'stuck']);

function mayWithdraw({ state }: ChangeView): May {
  return BEFORE_EFFECT.has(state) ? YES : no(`A change that is ${state} cannot be withdrawn.`);
}

function mayRevoke({ state, lease, ended }: ChangeView): May {
  if (ended !== null || state === 'revoking') return no('It is taken back already, or just now.');
  return lease !== null || state === 'active' || state === 'done' ? YES : no('It has given nothing that could be taken back.');
}
