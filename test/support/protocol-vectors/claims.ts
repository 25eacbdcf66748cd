/** Claims of an executor's workers: what one posts over another's, and what that means for it. */
import { formatTime } from '../../../src/protocol/values.ts';
import { openClaims, type Claim, type Claims, type HeldClaim } from '../../../src/executor/claims.ts';
import { leaseIdOf } from '../../../src/change/derive.ts';
import { fakeClock } from '../fake-clock.ts';
import { START_MS } from '../story.ts';
import { CHANGE, type Vector } from './vector.ts';

export type Ask =
  | { readonly take: 'giving' | 'given' | 'replacing'; readonly untilMs: number }
  | { readonly cleared: true; readonly untilMs: number }
  | { readonly isElsewhere: true }
  /** `byPerson`: somebody ordered it, as opposed to a lease that ends. */
  | { readonly end: true; readonly byPerson: boolean };

const MINE = 'aaaaaaaaaaaaaaaa';
const OTHERS = 'bbbbbbbbbbbbbbbb';

function asked(claims: Claims, leaseId: string, ask: Ask): Promise<unknown> {
  if ('take' in ask) return claims.take(leaseId, ask.take, ask.untilMs);
  if ('cleared' in ask) return claims.cleared(leaseId, ask.untilMs).then(() => null);
  return 'isElsewhere' in ask ? claims.isElsewhere(leaseId) : claims.end(leaseId, ask.byPerson);
}

/** What the product's own worker posts and makes of it. */
export async function claimAnswer(worker: string, held: Claim | null, ask: Ask, nowMs: number): Promise<{ readonly post: Claim | null; readonly result: unknown }> {
  let post: Claim | null = null;
  const board = {
    read: (): Promise<HeldClaim> => Promise.resolve({ claim: held, sequence: held === null ? 0 : 7 }),
    post: (_leaseId: string, claim: Claim): Promise<number> => {
      post = claim;
      return Promise.resolve(8);
    },
  };
  const claims = openClaims({ board, worker, clock: fakeClock(nowMs).port(), untold: [], told: () => undefined });
  const result = await asked(claims, leaseIdOf(CHANGE), ask);
  return { post, result };
}

export async function claimVectors(): Promise<Vector[]> {
  const [past, future, until] = [START_MS - 1, START_MS + 60_000, START_MS + 36_000];
  const claim = (worker: string, state: Claim['state'], untilMs = 0): Claim => ({ v: 1, worker, state, untilMs });
  const giving: Ask = { take: 'giving', untilMs: until };
  const given: Ask = { take: 'given', untilMs: until };
  const replacing: Ask = { take: 'replacing', untilMs: until };
  const lapses: Ask = { end: true, byPerson: false };
  const ordered: Ask = { end: true, byPerson: true };
  const cases: readonly (readonly [string, string, Claim | null, Ask])[] = [
    ['giving-free', 'a lease that nobody has', null, giving],
    ['giving-mine', 'one’s own, again', claim(MINE, 'giving', past), giving],
    ['giving-anothers', 'another’s, whose attempt may still arrive', claim(OTHERS, 'giving', future), giving],
    ['giving-lapsed', 'another’s, whose attempt can arrive no more: what it may have left is undone first', claim(OTHERS, 'giving', past), giving],
    ['giving-while-clearing', 'one’s own, with what another left not yet undone', claim(MINE, 'clearing', future), giving],
    ['giving-anothers-clearing-lapsed', 'another that undid what a third had left, and has lapsed', claim(OTHERS, 'clearing', past), giving],
    ['giving-given-mine', 'an attempt of one’s own had its effect, and another is to be made', claim(MINE, 'given'), giving],
    ['giving-given-anothers', 'another’s attempt had its effect: it is that one’s for good', claim(OTHERS, 'given'), giving],
    ['giving-replacing-mine', 'the old access may be shut out by this worker', claim(MINE, 'replacing'), giving],
    ['giving-ended', 'it is over', claim(OTHERS, 'ended'), giving],
    ['giving-ended-mine', 'it is over by this worker', claim(MINE, 'ended'), giving],
    ['given-mine', 'what was claimed has had its effect', claim(MINE, 'giving', future), given],
    ['given-again', 'the same again', claim(MINE, 'given'), given],
    ['given-anothers', 'another has claimed it meanwhile', claim(OTHERS, 'giving', future), given],
    ['replacing-mine', 'the old login is about to be shut out', claim(MINE, 'given'), replacing],
    ['cleared-mine', 'what another left is undone', claim(MINE, 'clearing', future), { cleared: true, untilMs: until }],
    ['cleared-anothers', 'another was faster', claim(OTHERS, 'clearing', future), { cleared: true, untilMs: until }],
    ['elsewhere-free', 'nobody has begun', null, { isElsewhere: true }],
    ['elsewhere-mine', 'this worker has begun', claim(MINE, 'given'), { isElsewhere: true }],
    ['elsewhere-anothers', 'another worker has begun', claim(OTHERS, 'given'), { isElsewhere: true }],
    ['end-free', 'taking back what nobody claimed', null, lapses],
    ['end-mine', 'taking back one’s own', claim(MINE, 'given'), lapses],
    ['end-anothers-giving', 'taking back while another’s attempt may still arrive: final only after that', claim(OTHERS, 'giving', future), lapses],
    ['end-anothers-given', 'taking back what another gave', claim(OTHERS, 'given'), lapses],
    ['end-anothers-replacing', 'a lease that ends while another shuts out the old login: it is kept', claim(OTHERS, 'replacing'), lapses],
    ['end-anothers-replacing-ordered', 'the same, ordered by a person', claim(OTHERS, 'replacing'), ordered],
    ['end-mine-replacing', 'one’s own', claim(MINE, 'replacing'), lapses],
    ['end-ended', 'it is over already', claim(OTHERS, 'ended', future), lapses],
  ];
  return Promise.all(cases.map(async ([path, title, held, ask]) => ({
    path: `claims/${path}`, content: { title, worker: MINE, now: formatTime(START_MS), held, ask, expect: await claimAnswer(MINE, held, ask, START_MS) },
  })));
}
