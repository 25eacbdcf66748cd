/**
 * Which change of this ledger made what is found at a target, and whose a login is. Pure.
 *
 * A mark is a text at the target that anybody with rights there can copy, so by itself it explains nothing: it must be of a change that made a
 * login of that very name. And a name is only a name: one that looks like a rotation's is somebody's only if the ledger, or nothing else, can say so.
 */
import type { FoundAccount } from '../protocol/discovery.ts';
import type { PlanStep } from '../protocol/plan.ts';
import type { KnownIdentity } from './compare.ts';
import { FINAL_STATES, isPastCutover, type ChangeState } from './state.ts';

/** What a change says about access that bears its client token. */
export type Standing = 'given' | 'over' | 'onItsWay' | 'never';

/** The part of a page that says what the ledger could know of it. */
export interface Moment {
  readonly fromSeq: number;
  readonly atMs: number;
}

export function standingOf(change: ChangeState, page: Moment, marginMs: number): Standing {
  if (change.lastSeq >= page.fromSeq) return 'onItsWay';
  if (change.act === null) return 'never';
  if (change.ended !== null) return 'over';
  if (change.revokes.length > 0) return 'onItsWay';
  if (change.name === 'done') return 'given';
  if (change.name === 'active' && change.lease !== null) {
    if (page.atMs < change.lease.endsAtMs - marginMs) return 'given';
    return page.atMs < change.lease.endsAtMs + marginMs ? 'onItsWay' : 'over';
  }
  // Given up past its cutover: both credentials stand, and that is on record.
  if (change.name === 'withdrawn' && isPastCutover(change)) return 'given';
  return FINAL_STATES.has(change.name) ? 'over' : 'onItsWay';
}

/** The step by which the change makes something to log in with; undefined where it makes nothing. */
export function makingStep({ plan }: Pick<ChangeState, 'plan'>): PlanStep | undefined {
  return plan?.steps.find(({ action }) => action === 'provision' || action === 'stage');
}

/** The change that made this login: one whose mark it bears, and that made it under its name, or with its id where it was renamed since. */
export function makerOf(entry: FoundAccount, byToken: ReadonlyMap<string, ChangeState>): ChangeState | undefined {
  const marked = entry.marks.flatMap(({ what, clientToken }) => (what === 'made' ? [byToken.get(clientToken)] : []));
  return marked.find((change) => change !== undefined && hasMade(change, entry));
}

function hasMade(change: ChangeState, entry: FoundAccount): boolean {
  const step = makingStep(change);
  if (step === undefined) return false;
  if (step.account === entry.account) return true;
  // An id that the client token is could be given to another as well.
  const id = change.after?.touched['account'];
  return step.action === 'provision' && (typeof id === 'string' || typeof id === 'number') && String(id) === entry.nativeId && entry.nativeId !== step.clientToken;
}

/** The rotations with an overlap that have begun, in the order in which they did: at one target one is under way at a time. Of one that was adopted the records have another log's numbers. */
export function rotationsIn(changes: readonly ChangeState[]): ChangeState[] {
  return changes.filter((change) => change.act !== null && makingStep(change)?.action === 'stage').sort((a, b) => a.firstActAtMs! - b.firstActAtMs!);
}

/** The rotation that has retired the login of this name, where none has given it a new life since. */
export function retiredBy(account: string, rotations: readonly ChangeState[]): ChangeState | undefined {
  const last = rotations.findLast(({ plan, finished }) =>
    plan!.steps.some((step, n) => step.account === account && (step.action === 'stage' || (step.action === 'retire' && n < finished.length))));
  return last?.plan!.steps.some((step) => step.action === 'retire' && step.account === account) === true ? last : undefined;
}

/** The account that a login of this name would be a login of. */
export function twinOf(account: string): string | undefined {
  return /^(.+)_[ab]$/.exec(account)?.[1];
}

/** Whether a login that is called like one of a rotation is one; or why not, as the end of a sentence. `null`: what says so was not looked at. */
export type Twin = { readonly is: true } | { readonly is: null } | { readonly is: false; readonly why: string };

export interface Around {
  /** Whether all pages were read. */
  readonly complete: boolean;
  readonly entries: readonly FoundAccount[];
  /** Of accounts that the inventory knows. */
  readonly names: ReadonlySet<string>;
  readonly rotations: readonly ChangeState[];
}

/**
 * Of an account that cannot log in itself: the login that a rotation of its identity made; or the one login without a mark that has the
 * account's role, where no rotation has retired it: what was there before the first.
 */
export function isTwin(entry: FoundAccount, base: KnownIdentity, maker: ChangeState | undefined, { complete, entries, names, rotations }: Around): Twin {
  const account = entries.find((one) => one.account === base.account);
  if (account === undefined && !complete) return { is: null };
  if (account?.canLogin === true) return { is: false, why: `${base.account} can log in itself and has no other logins` };
  if (!entry.canLogin) return { is: true };
  const role = `role:${base.account}`;
  if (!entry.held.includes(role)) return { is: false, why: `it does not have ${role}` };
  if (maker !== undefined && maker.request.subject === base.nhi) return { is: true };
  if (isMarked(entry)) return { is: false, why: 'its mark is not of a rotation that made it' };
  const own = rotations.filter(({ request }) => request.subject === base.nhi);
  if (own.some(({ name }) => name === 'done')) return { is: false, why: `it has no mark, and the logins of ${base.account} have been rotated` };
  if (own.some((rotation) => !FINAL_STATES.has(rotation.name) && makingStep(rotation)?.other === entry.account)) return { is: true };
  const unmarked = entries.filter((one) => one.canLogin && !one.isOwn && !isMarked(one) && !names.has(one.account) && one.held.includes(role));
  return unmarked.length === 1 ? { is: true } : { is: false, why: `it has no mark, and ${unmarked.length} logins without one have ${role}` };
}

function isMarked({ marks }: FoundAccount): boolean {
  return marks.some(({ what }) => what === 'made');
}

/** What is known of a client token by which no plan gives anything here. @param erased by client token, changes whose plan was erased */
export function whoseToken(clientToken: string, erased: ReadonlyMap<string, ChangeState>): string {
  const change = erased.get(clientToken);
  return change === undefined ? 'that this ledger does not know' : `of ${change.changeId}, whose plan was erased: what that gave, and where, is known no more`;
}
