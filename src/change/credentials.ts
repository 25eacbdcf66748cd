/**
 * Whose the credentials of an account are: each by the client token that it bears, which is a text that can be copied. Pure.
 *
 * A credential without one is whoever's made it, and explained by its account; but not where this ledger has made all that there should be.
 */
import type { FoundAccount } from '../protocol/discovery.ts';
import { makingStep, standingOf, whoseToken, type Moment } from './origin.ts';
import type { ChangeState } from './state.ts';

type Credential = FoundAccount['credentials'][number];

/**
 * - `fine`: a change gave it, or nothing says that it should not be there; `open`: that is on its way;
 * - `unexplained`, `returned`: nothing gave it, or it was retired;
 * - `over`: what gave it has ended.
 */
export type Judged =
  | { readonly is: 'fine' }
  | { readonly is: 'open' }
  | { readonly is: 'unexplained' | 'returned'; readonly change: ChangeState | null; readonly why: string }
  | { readonly is: 'over'; readonly change: ChangeState };

export interface OfAccount {
  readonly entry: FoundAccount;
  /** The change that made the account. */
  readonly maker: ChangeState | undefined;
  readonly byToken: ReadonlyMap<string, ChangeState>;
  /** By client token, changes whose plan was erased. */
  readonly erased: ReadonlyMap<string, ChangeState>;
  readonly rotations: readonly ChangeState[];
  readonly page: Moment;
  readonly marginMs: number;
}

/** Each credential that still opens something, with what is to be said of it. */
export function judgeCredentials(about: OfAccount): [Credential, Judged][] {
  const { entry, page } = about;
  const alive = entry.credentials.filter(({ expiresAt, usesLeft }) => usesLeft !== 0 && (expiresAt === null || Date.parse(expiresAt) > page.atMs));
  const byAge = alive.toSorted((a, b) => (a.createdAt ?? '').localeCompare(b.createdAt ?? ''));
  return byAge.map((credential, n) => {
    const isCopy = credential.clientToken !== null && byAge.slice(0, n).some(({ clientToken }) => clientToken === credential.clientToken);
    return [credential, credential.clientToken === null ? judgeUnmarked(credential, about) : judgeMarked(credential.clientToken, isCopy, about)];
  });
}

function judgeMarked(clientToken: string, isCopy: boolean, { entry, byToken, erased, maker, rotations, page, marginMs }: OfAccount): Judged {
  const change = byToken.get(clientToken);
  if (change === undefined) return { is: 'unexplained', change: null, why: `bears ${clientToken}, a client token ${whoseToken(clientToken, erased)}` };
  const standing = standingOf(change, page, marginMs);
  if (standing === 'onItsWay') return { is: 'open' };
  if (standing === 'never' || (change !== maker && !isFor(change, entry))) return { is: 'unexplained', change: null, why: `bears ${clientToken}, the client token of a change that gave it nothing` };
  // What is said of the account says it of what opens it.
  if (standing === 'over') return change === maker ? { is: 'fine' } : { is: 'over', change };
  const settled = settledBy(entry, rotations, page, marginMs);
  if (settled !== undefined && settled !== change && settled.firstActAtMs! > change.firstActAtMs!) return { is: 'returned', change: settled, why: 'was retired and is there again' };
  return isCopy ? { is: 'unexplained', change: null, why: `bears ${clientToken}, which another bears as well` } : { is: 'fine' };
}

function judgeUnmarked({ id }: Credential, { entry, maker, rotations, page, marginMs }: OfAccount): Judged {
  if (maker !== undefined) return { is: 'unexplained', change: null, why: 'bears no client token, and this ledger made the account' };
  const settled = settledBy(entry, rotations, page, marginMs);
  if (settled !== undefined) return { is: 'unexplained', change: null, why: `bears no client token, and ${settled.changeId} has rotated the account's` };
  const running = rotations.findLast((one) => isFor(one, entry) && standingOf(one, page, marginMs) === 'onItsWay');
  if (running === undefined || makingStep(running)?.other === loginOf(entry, id)) return { is: 'fine' };
  return running.lastSeq >= page.fromSeq ? { is: 'open' } : { is: 'unexplained', change: null, why: `bears no client token, and is not the one that ${running.changeId} rotates` };
}

/** The last rotation of the account's credentials that is done. */
function settledBy(entry: FoundAccount, rotations: readonly ChangeState[], page: Moment, marginMs: number): ChangeState | undefined {
  return rotations.findLast((one) => one.name === 'done' && isFor(one, entry) && standingOf(one, page, marginMs) === 'given');
}

/** Whether the change makes a login of this account: the account itself, or a credential of it. */
function isFor(change: ChangeState, entry: FoundAccount): boolean {
  const step = makingStep(change);
  return step !== undefined && (step.account === entry.account || step.account === loginOf(entry, step.clientToken));
}

/** Of a login that is no account of its own, its name: that of the account, and its id or client token. */
function loginOf({ account }: FoundAccount, id: string): string {
  return `${account}#${id}`;
}
