/**
 * What is there at a target, compared with what the ledger, the inventory and the catalogue say is there. Pure: no I/O, clock or randomness.
 *
 * Whatever is on its way is neither found nor cleared: a change that has moved since the page was asked for, one between authorised and
 * verified, one being taken back, and one whose lease ends about now. What is undecided is said to be, and looked at the next time.
 */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import type { Found, FoundAccount, FoundGrant } from '../protocol/discovery.ts';
import { isUndoable } from '../protocol/plan.ts';
import { entitlementsOf } from '../protocol/request.ts';
import { judgeCredentials } from './credentials.ts';
import { clientTokenOf } from './derive.ts';
import { isTwin, makerOf, makingStep, retiredBy, rotationsIn, standingOf, twinOf, whoseToken, type Moment } from './origin.ts';
import { FINAL_STATES, type ChangeState } from './state.ts';

/**
 * - `account-unknown`: an account can log in and is of no identity, and no change of this ledger made it, whatever name and mark it bears;
 * - `access-unexplained`: an identity's account holds, is lent, or can be logged in to by, what no record and none of its purposes explains;
 * - `access-missing`: what a change gave, and nothing has ended, is not there;
 * - `access-past-end`: what a change gave is still there, or there again, and its lease is over or it was taken back;
 * - `access-returned`: an account, login or credential that was shut out or retired lets somebody in again.
 */
export const DISCREPANCY_CODES = ['account-unknown', 'access-unexplained', 'access-missing', 'access-past-end', 'access-returned'] as const;
export type DiscrepancyCode = (typeof DISCREPANCY_CODES)[number];

export interface LookedAt {
  readonly connector: string;
  readonly target: string;
  /** Whether all pages were read: only then is what was not found not there. */
  readonly complete: boolean;
  readonly pages: readonly {
    readonly digest: string;
    /** Of the record that authorised the page: what changed after it may or may not be in it. */
    readonly fromSeq: number;
    /** When it was answered, by the clock that leases are judged by, in epoch ms. */
    readonly atMs: number;
    readonly entries: readonly Found[];
  }[];
}

export interface KnownIdentity {
  readonly nhi: string;
  readonly owner: string | null;
  readonly account: string;
  /** What its purposes need all the time, and what comes with that. */
  readonly standing: ReadonlySet<string>;
}

export interface Known {
  /** Every change of this ledger, whatever its connector. */
  readonly changes: Iterable<ChangeState>;
  /** Those with an account at the connector. */
  readonly identities: readonly KnownIdentity[];
  /** Who answers for what is nobody's. */
  readonly security: string | null;
  readonly ownerOf: (nhi: string) => string | null;
  /** How long about its end access is neither there nor gone. */
  readonly marginMs: number;
}

/** Something that is not as it is recorded. */
export interface Discrepancy {
  /** The same for the same thing, however often it is found. */
  readonly findingId: string;
  readonly code: DiscrepancyCode;
  readonly account: string;
  readonly nhi: string | null;
  /** The change whose access it is; null where there is none. */
  readonly change: string | null;
  readonly owner: string | null;
  /** At most {@link PRIVILEGES_MAX}. */
  readonly privileges: readonly string[];
  readonly message: string;
  /** Digests of the pages that show it. */
  readonly evidence: readonly string[];
}

export interface Counts {
  /** Accounts that can log in, but for the connector's own. */
  readonly accounts: number;
  /** Of these, the ones of no known identity and no change. */
  readonly unknownAccounts: number;
  /** Privileges held, each account's counted for itself: what follows says of how many whether they should be. */
  readonly held: number;
  readonly explained: number;
  readonly unexplained: number;
  readonly pastEnd: number;
  /** On its way, or left out of a list. */
  readonly undecided: number;
  /** Of those held, the ones that nothing ends by itself. */
  readonly standing: number;
  /** Changes that say that they give something now. */
  readonly recorded: number;
  /** Of these, the ones whose access is not there. */
  readonly missing: number;
}

export interface Comparison {
  readonly found: readonly Discrepancy[];
  /** Ids of findings that may or may not be so: none of these is opened or cleared. */
  readonly undecided: ReadonlySet<string>;
  readonly counts: Counts;
}

export const PRIVILEGES_MAX = 32;

/** Ids of what could be found about one thing. */
function idsAbout(at: Pick<LookedAt, 'connector' | 'target'>, about: string): Record<DiscrepancyCode, string> {
  const idOf = (code: DiscrepancyCode): string => `fnd_${digestOf(canonicalBytes({ connector: at.connector, target: at.target, code, about })).slice('sha256:'.length, 'sha256:'.length + 32)}`;
  return Object.fromEntries(DISCREPANCY_CODES.map((code) => [code, idOf(code)])) as Record<DiscrepancyCode, string>;
}

export function compare(at: LookedAt, known: Known): Comparison {
  const byToken = new Map<string, ChangeState>();
  /** Changes whose plan was erased: it is known no more where they gave what. */
  const erased = new Map<string, ChangeState>();
  const here: ChangeState[] = [];
  for (const change of known.changes) {
    if (change.plan === null && change.planDigest !== null) erased.set(clientTokenOf(change.changeId), change);
    if (change.plan?.connector !== at.connector || change.plan.target !== at.target) continue;
    here.push(change);
    byToken.set(clientTokenOf(change.changeId), change);
  }
  const byAccount = new Map(known.identities.map((identity) => [identity.account, identity]));
  const rotations = rotationsIn(here);
  const around = {
    complete: at.complete, rotations, names: new Set(byAccount.keys()),
    entries: at.pages.flatMap(({ entries }) => entries.filter((entry): entry is FoundAccount => entry.kind === 'account')),
  };
  const found: Discrepancy[] = [];
  const undecided = new Set<string>();
  const seen = new Set<string>();
  const counts = { accounts: 0, unknownAccounts: 0, held: 0, explained: 0, unexplained: 0, pastEnd: 0, undecided: 0, standing: 0, recorded: 0, missing: 0 };

  const leaveOpen = (about: string): void => Object.values(idsAbout(at, about)).forEach((id) => undecided.add(id));
  const find = (code: DiscrepancyCode, about: string, evidence: readonly string[], what: Pick<Discrepancy, 'account' | 'nhi' | 'change' | 'privileges' | 'message'>): void => {
    const owner = (what.nhi === null ? null : known.ownerOf(what.nhi)) ?? known.security;
    found.push({ ...what, findingId: idsAbout(at, about)[code], code, owner, evidence, privileges: what.privileges.slice(0, PRIVILEGES_MAX), message: what.message.slice(0, 500) });
  };
  const count = (as: 'explained' | 'unexplained' | 'pastEnd' | 'undecided', privileges: number): void => {
    counts.held += privileges;
    counts[as] += privileges;
  };

  for (const page of at.pages) {
    for (const entry of page.entries) {
      if (entry.kind === 'grant') lookAtGrant(entry, page);
      else lookAtAccount(entry, page);
    }
  }
  for (const change of here) lookForWhatWasGiven(change);
  return { found, undecided, counts };

  function lookAtGrant(entry: FoundGrant, page: LookedAt['pages'][number]): void {
    const change = byToken.get(entry.clientToken);
    const about = `grant:${entry.clientToken}`;
    const size = (entry.held.length + entry.heldLeftOut) * (entry.accounts.length + entry.accountsLeftOut);
    const account = entry.accounts[0] ?? '-';
    const what = { account, nhi: change?.request.subject ?? byAccount.get(account)?.nhi ?? null, change: change?.changeId ?? null, privileges: entry.held };
    if (change !== undefined) entry.accounts.forEach((one) => seen.add(`${entry.clientToken} ${one}`));
    // It lends nobody anything: what is left of one that is being taken back, or of a lost account.
    if (entry.accounts.length === 0) return;
    if (change === undefined) {
      count('unexplained', size);
      counts.standing += size;
      return find('access-unexplained', about, [page.digest], { ...what, message: `${account} is lent privileges under ${entry.clientToken}, a client token ${whoseToken(entry.clientToken, erased)}` });
    }
    switch (standingOf(change, page, known.marginMs)) {
      case 'given': {
        if (change.lease === null) counts.standing += size;
        const more = entry.accounts.filter((one) => one !== change.plan?.steps[0]?.account);
        const beyond = entry.held.filter((privilege) => change.plan?.steps[0]?.privileges.includes(privilege) !== true);
        count('explained', size);
        if (more.length === 0 && beyond.length === 0) return;
        const message = more.length > 0 ? `what was lent to ${change.plan?.steps[0]?.account ?? '-'} is lent to ${more[0]!} as well` : `what is lent has grown by ${beyond[0]!} since it was given`;
        return find('access-unexplained', about, [page.digest], { ...what, account: more[0] ?? account, privileges: beyond.length > 0 ? beyond : entry.held, message });
      }
      case 'over':
        count('pastEnd', size);
        return find('access-past-end', about, [page.digest], { ...what, message: pastEnd(change) });
      case 'never':
        count('unexplained', size);
        counts.standing += size;
        return find('access-unexplained', about, [page.digest], { ...what, message: `${account} is lent privileges under the client token of a change that gave nothing` });
      case 'onItsWay':
        count('undecided', size);
        return leaveOpen(about);
    }
  }

  function lookAtAccount(entry: FoundAccount, page: LookedAt['pages'][number]): void {
    const about = `account:${entry.nativeId}`;
    const change = makerOf(entry, byToken);
    const named = byAccount.get(entry.account);
    const base = named === undefined ? byAccount.get(twinOf(entry.account) ?? '') : undefined;
    const twin = base === undefined ? null : isTwin(entry, base, change, around);
    const identity = named ?? (twin?.is === true ? base : undefined);
    if (entry.canLogin) {
      for (const { clientToken } of entry.marks) seen.add(`${clientToken} ${entry.account}`);
      if (change !== undefined) seen.add(`${clientTokenOf(change.changeId)} ${makingStep(change)!.account}`);
    }
    for (const credential of entry.credentials) if (credential.clientToken !== null) seen.add(`${credential.clientToken} ${entry.account}`);
    if (entry.isOwn || (!entry.canLogin && identity === undefined)) return;
    if (entry.canLogin) counts.accounts += 1;
    const size = entry.held.length + entry.heldLeftOut;
    const isGiven = change !== undefined && entry.canLogin && standingOf(change, page, known.marginMs) === 'given';
    // Whatever it is called now: what has ended is taken away by its mark. But not in the name of a mark that somebody put on an identity's own.
    const ending = change ?? (named === undefined ? markedBy(entry) : undefined);
    const what = { account: entry.account, nhi: identity?.nhi ?? ending?.request.subject ?? null, change: ending?.changeId ?? null, privileges: entry.held };

    if (ending !== undefined && entry.canLogin) {
      const standing = standingOf(ending, page, known.marginMs);
      if (standing === 'over') {
        count('pastEnd', size);
        return find('access-past-end', about, [page.digest], { ...what, message: pastEnd(ending) });
      }
      if (standing === 'onItsWay' && change !== undefined) {
        count('undecided', size);
        return leaveOpen(about);
      }
    }
    if (isShutOut(entry, named ?? base, page)) return;
    lookAtCredentials(entry, change, page);
    if (identity === undefined && !isGiven) {
      if (twin?.is === null) {
        count('undecided', size);
        return leaveOpen(about);
      }
      counts.unknownAccounts += 1;
      count('unexplained', size);
      if (entry.endsAt === null) counts.standing += size;
      const why = twin?.is === false ? `; it is called like a login of ${base!.account}, and ${twin.why}` : '';
      return find('account-unknown', about, [page.digest], { ...what, nhi: change?.request.subject ?? null, change: change?.changeId ?? null, message: `${entry.account} can log in and is of no identity in the inventory${ofLogin(entry, page)}${ofMark(entry)}${why}` });
    }
    const given = new Set(isGiven ? change.plan!.steps.flatMap(({ privileges }) => privileges) : []);
    const explained = entry.held.filter((privilege) => given.has(privilege) || isStanding(identity, entry, privilege));
    const beyond = entry.held.filter((privilege) => !explained.includes(privilege));
    count('explained', explained.length);
    count('unexplained', beyond.length);
    count('undecided', entry.heldLeftOut);
    if (entry.endsAt === null && (!isGiven || change.lease === null)) counts.standing += size;
    if (entry.canLogin && rotations.some((rotation) => twinOf(makingStep(rotation)!.account) === entry.account && rotation.request.subject === identity?.nhi)) {
      find('access-unexplained', `login:${entry.nativeId}`, [page.digest], { ...what, privileges: [], message: `${entry.account} can log in itself, beside the logins by which it is rotated` });
    }
    if (beyond.length === 0) return;
    find('access-unexplained', about, [page.digest], { ...what, privileges: beyond, message: `${entry.account} holds ${beyond.length} ${beyond.length === 1 ? 'privilege' : 'privileges'} that no record and no purpose of its identity explains${ofLogin(entry, page)}` });
  }

  /** Of a rotation that came to nothing, the new secret may be left; the account that it opens is somebody's all the same. */
  function lookAtCredentials(entry: FoundAccount, maker: ChangeState | undefined, page: LookedAt['pages'][number]): void {
    if (!entry.canLogin) return;
    for (const [{ id }, judged] of judgeCredentials({ entry, maker, byToken, erased, rotations, page, marginMs: known.marginMs })) {
      const about = `credential:${id}`;
      const nhi = byAccount.get(entry.account)?.nhi ?? maker?.request.subject ?? null;
      if (judged.is === 'fine') continue;
      if (judged.is === 'open') leaveOpen(about);
      else if (judged.is === 'over') find('access-past-end', about, [page.digest], { account: entry.account, nhi: judged.change.request.subject, change: judged.change.changeId, privileges: entry.held, message: pastEnd(judged.change) });
      // No privileges: what the account holds is not what should go.
      else find(judged.is === 'returned' ? 'access-returned' : 'access-unexplained', about, [page.digest], { account: entry.account, nhi, change: judged.change?.changeId ?? null, privileges: [], message: `a credential of ${entry.account} (${id}) ${judged.why}` });
    }
  }

  /** A login that this ledger shut out or retired last, and that lets somebody in. */
  function isShutOut(entry: FoundAccount, identity: KnownIdentity | undefined, page: LookedAt['pages'][number]): boolean {
    if (!entry.canLogin) return false;
    const mark = entry.marks.find(({ what }) => what === 'retired');
    const last = mark === undefined ? retiredBy(entry.account, rotations) ?? disabledBy(identity) : byToken.get(mark.clientToken);
    if (mark === undefined && last === undefined) return false;
    const about = `account:${entry.nativeId}`;
    if (last !== undefined && last.lastSeq >= page.fromSeq) {
      leaveOpen(about);
      count('undecided', entry.held.length + entry.heldLeftOut);
      return true;
    }
    count('pastEnd', entry.held.length + entry.heldLeftOut);
    const what = { account: entry.account, nhi: identity?.nhi ?? last?.request.subject ?? null, change: last?.changeId ?? null, privileges: entry.held };
    find('access-returned', about, [page.digest], { ...what, message: `${entry.account} was ${last?.request.kind === 'disable' ? 'shut out' : 'retired'} and can log in again${mark === undefined || last !== undefined ? '' : `; it bears ${mark.clientToken}, a client token ${whoseToken(mark.clientToken, erased)}`}` });
    return true;
  }

  /** The change that shut the identity's account out, where nothing that stands has touched it since. */
  function disabledBy(identity: KnownIdentity | undefined): ChangeState | undefined {
    const touching = here.filter(({ request, act, plan, name }) => act !== null && plan !== null && request.subject === identity?.nhi && ['disable', 'rotate'].includes(request.kind) && !FINAL_STATES.has(name));
    const last = touching.sort((a, b) => a.lastSeq - b.lastSeq).at(-1);
    return last?.request.kind === 'disable' && last.name === 'done' ? last : undefined;
  }

  function markedBy(entry: FoundAccount): ChangeState | undefined {
    const made = entry.marks.find(({ what }) => what === 'made');
    return made === undefined ? undefined : byToken.get(made.clientToken);
  }

  /** What its mark says, where that does not explain it. */
  function ofMark(entry: FoundAccount): string {
    const made = entry.marks.find(({ what }) => what === 'made');
    if (made === undefined) return '';
    const change = byToken.get(made.clientToken);
    const step = change === undefined || change.act === null ? undefined : makingStep(change);
    const whose = change === undefined ? whoseToken(made.clientToken, erased) : change.act === null ? 'of a change that gave nothing' : `of a change that made ${step?.account ?? 'no login'}`;
    return `; it bears ${made.clientToken}, a client token ${whose}`;
  }

  function lookForWhatWasGiven(change: ChangeState): void {
    const step = change.plan?.steps.find(({ action }) => isUndoable(action));
    const last = at.pages.at(-1);
    if (step === undefined || last === undefined || step.action === 'stage') return;
    const about = `change:${change.changeId}`;
    // Whatever was asked for first was there from then on.
    const standings = [at.pages[0]!, last].map((page) => standingOf(change, { fromSeq: at.pages[0]!.fromSeq, atMs: page.atMs }, known.marginMs));
    if (standings.some((standing) => standing === 'onItsWay') || (!at.complete && standings.includes('given'))) return leaveOpen(about);
    if (!standings.every((standing) => standing === 'given')) return;
    counts.recorded += 1;
    if (seen.has(`${step.clientToken} ${step.account}`)) return;
    // Shutting an account out takes with it what it was lent.
    if (here.some(({ request, name, act }) => request.kind === 'disable' && request.subject === change.request.subject && act !== null && !FINAL_STATES.has(name))) return leaveOpen(about);
    counts.missing += 1;
    const privileges = entitlementsOf(change.request).map(({ privilege }) => privilege);
    find('access-missing', about, at.pages.map(({ digest }) => digest), {
      account: step.account, nhi: change.request.subject, change: change.changeId, privileges, message: `${change.changeId} gave this access, nothing has ended it, and it is not there`,
    });
  }
}

function isStanding(identity: KnownIdentity | undefined, entry: FoundAccount, privilege: string): boolean {
  if (identity === undefined) return false;
  return identity.standing.has(privilege) || (entry.account !== identity.account && privilege === `role:${identity.account}`);
}

function pastEnd(change: ChangeState): string {
  if (change.ended !== null) return `${change.changeId} gave this access and it was taken back: it is there again`;
  if (change.lease !== null) return `${change.changeId} gave this access until ${new Date(change.lease.endsAtMs).toISOString()}: it is still there`;
  return `${change.changeId} came to nothing: what bears its client token should not be there`;
}

/** When it ends and when it was last used, as far as the target knows. */
function ofLogin(entry: FoundAccount, page: Moment): string {
  const isPast = entry.endsAt !== null && Date.parse(entry.endsAt) <= page.atMs;
  return `${isPast ? `, though its end was ${entry.endsAt}, which not every way of logging in looks at` : ''}${lastUseOf(entry)}`;
}

function lastUseOf({ lastUsedAt, sessions }: FoundAccount): string {
  if (lastUsedAt !== null) return `, last used ${lastUsedAt}`;
  return sessions === null ? '' : ', not in use now, and when it last was is not known';
}
