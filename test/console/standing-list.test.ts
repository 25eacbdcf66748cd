/** The list of standing approvals, a page at a time: what ends meanwhile moves none of the others. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StandingApprovalView } from '../../src/client/index.ts';
import { approvalIdSchema, formatTime } from '../../src/protocol/values.ts';
import { pageOf } from '../../src/sidecar/paged.ts';
import { openTestConsole, placeOf, type TestBrowser } from '../support/console.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { tokenOf } from '../support/sidecar.ts';
import { TEMPLATE } from '../support/standing.ts';

const ENDS_MS = Date.now() + 86_400_000;
const given = (n: number): StandingApprovalView => ({
  approvalId: approvalIdSchema.parse(`apr_${String(n).padStart(32, '0')}`), statement: { ...TEMPLATE, expiresAt: formatTime(ENDS_MS) }, proofClass: 'ssh', used: 0, at: formatTime(ENDS_MS - 90_000_000 - n), revoked: null,
});
const keyOf = ({ at, approvalId }: StandingApprovalView): string => `${at} ${approvalId}`;
let sidecar: ServedSidecar;
let held: StandingApprovalView[];
let browser: TestBrowser;
beforeAll(async () => {
  sidecar = await serveTestSidecar();
  const place = placeOf('eu', sidecar);
  const listed = async ({ limit, cursor, state }: { limit: number; cursor?: string; state: string }): Promise<object> => {
    const wanted = held.filter(({ revoked }) => (revoked === null) === (state === 'inForce')).sort((a, b) => (keyOf(a) < keyOf(b) ? 1 : -1));
    const { page, next } = pageOf(wanted, keyOf, { limit: String(limit), cursor }, (key, other) => key < other);
    return { log: TEMPLATE.log, principal: 'person:wei', passkeys: [], standingApprovals: page, next, count: wanted.length, all: held.length };
  };
  browser = openTestConsole([{ ...place, open: (token) => ({ ...place.open(token), standingApprovals: listed as never }) }]).browser();
  await browser.signIn(tokenOf('person:wei'));
});
afterAll(() => sidecar.close());

async function turn(path: string): Promise<{ shown: string[]; next: string | null }> {
  const { text } = await browser.get(path);
  return { shown: [...new Set([...text.matchAll(/apr_[0-9]{32}/g)].map(([id]) => id))], next: /href="([^"]+)" rel="next"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? null };
}

it('is all that is in force, also where the last that was shown is revoked before the next page; and what is over, by itself', async () => {
  held = Array.from({ length: 60 }, (_, n) => given(n));
  const first = await turn('/standing');
  expect(first.next).not.toBe(null);
  expect(first.shown).toEqual(held.slice(0, 25).map(({ approvalId }) => approvalId));
  for (const n of [24, 30]) held[n] = { ...held[n]!, revoked: { by: 'person:ana', reason: null, at: formatTime(ENDS_MS - 80_000_000) } };
  const seen = new Set(first.shown);
  for (let { next } = first; next !== null;) {
    const page = await turn(next);
    for (const id of page.shown) seen.add(id);
    ({ next } = page);
  }
  expect(held.filter(({ approvalId, revoked }) => revoked === null && !seen.has(approvalId))).toEqual([]);
  expect((await turn('/standing?state=over')).shown).toEqual([held[24]!.approvalId, held[30]!.approvalId]);
});

it('begins at its beginning by what is no cursor of it', async () => {
  held = [given(0)];
  for (const cursor of ['x', 'apr_1', '2', '0']) expect((await turn(`/standing?after=eu:${cursor}`)).shown).toHaveLength(1);
});
