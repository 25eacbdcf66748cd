import { describe, expect, it } from 'vitest';
import { compare, type Comparison, type DiscrepancyCode, type Known, type KnownIdentity } from '../../src/change/compare.ts';
import { clientTokenOf } from '../../src/change/derive.ts';
import type { ChangeState } from '../../src/change/state.ts';
import type { Found, FoundAccount, FoundGrant } from '../../src/protocol/discovery.ts';
import { CHANGE, decision, expectOk, GRANT, Story, T0 } from './story.ts';

const TOKEN = clientTokenOf(CHANGE);
const UNKNOWN_TOKEN = clientTokenOf(CHANGE.replace('0000A', '0000B'));
const PAGE = `sha256:${'1'.repeat(64)}`;
const MARGIN_MS = 30_000;
const DEPLOYER: KnownIdentity = { nhi: 'nhi:prod/ci-deployer', owner: 'person:wei', account: 'ci_deployer', standing: new Set(['database:CONNECT']) };

const account = (edit: Partial<FoundAccount> = {}): FoundAccount => ({
  kind: 'account', key: '1', account: 'ci_deployer', nativeId: '16401', canLogin: true, isOwn: false, endsAt: null, held: [], heldLeftOut: 0, marks: [], credentials: [], credentialsLeftOut: 0,
  sessions: 0, lastUsedAt: null, ...edit,
});
const lent = (edit: Partial<FoundGrant> = {}): FoundGrant => ({
  kind: 'grant', key: '2', clientToken: TOKEN, nativeId: '16500', accounts: ['ci_deployer'], accountsLeftOut: 0, held: ['role:deploy'], heldLeftOut: 0, ...edit,
});

interface Look {
  readonly entries: readonly Found[];
  readonly changes?: readonly ChangeState[];
  readonly identities?: readonly KnownIdentity[];
  readonly fromSeq?: number;
  readonly atMs?: number;
  readonly complete?: boolean;
}
function compared({ entries, changes = [], identities = [DEPLOYER], fromSeq = 1_000, atMs = T0 + 60_000, complete = true }: Look): Comparison {
  const known: Known = { changes, identities, security: 'person:sol', ownerOf: (nhi) => identities.find((one) => one.nhi === nhi)?.owner ?? null, marginMs: MARGIN_MS };
  return compare({ connector: 'pg-main', target: 'app', complete, pages: [{ digest: PAGE, fromSeq, atMs, entries }] }, known);
}
const codes = (comparison: Comparison): DiscrepancyCode[] => comparison.found.map(({ code }) => code);

/** An active grant of fifteen minutes. */
function active(): Story {
  const story = new Story().armed();
  expectOk(story.claimed());
  expectOk(story.acted('done'));
  expectOk(story.verified());
  return story;
}
function ended(): ChangeState {
  const story = active();
  story.nowMs = T0 + 900_000;
  expectOk(story.revoked('done'));
  return story.now;
}

describe('what is as it is recorded', () => {
  it('is found by nobody: an identity’s login, what it needs all the time, and what a running lease lends', () => {
    const comparison = compared({ entries: [account({ held: ['database:CONNECT'] }), lent()], changes: [active().now] });
    expect(comparison.found).toEqual([]);
    expect(comparison.counts).toMatchObject({ accounts: 1, held: 2, explained: 2, standing: 1, recorded: 1, missing: 0 });
  });

  it.each([
    ['the connector’s own login', account({ account: 'admin', isOwn: true })],
    ['a role that nobody logs in to', account({ account: 'app_owner', canLogin: false, held: ['table:a.b:SELECT'] })],
    ['a shell that an ended lease has left', account({ account: 'shell', canLogin: false, marks: [{ clientToken: TOKEN, what: 'made' }] })],
    ['a holder that lends nobody anything any more', lent({ accounts: [] })],
  ])('%s', (_what, entry) => {
    expect(compared({ entries: [entry], changes: [ended()] }).found).toEqual([]);
  });

  it('the logins of a rotation, by the account that they are logins of', () => {
    const orders = { nhi: 'nhi:prod/orders-api', owner: 'person:wei', account: 'orders', standing: new Set<string>() };
    expect(compared({ entries: [account({ account: 'orders_b', held: ['role:orders'] })], identities: [orders] }).found).toEqual([]);
    // Its name alone makes no login one of theirs.
    expect(codes(compared({ entries: [account({ account: 'orders_b', held: [] })], identities: [orders] }))).toEqual(['account-unknown']);
  });
});

describe('what no record explains', () => {
  it('a login of no identity, which security owns', () => {
    const { found, counts } = compared({ entries: [account({ account: 'planted', nativeId: '9', held: ['role:app_owner'] })] });
    expect(found).toMatchObject([{ code: 'account-unknown', account: 'planted', nhi: null, change: null, owner: 'person:sol', privileges: ['role:app_owner'], evidence: [PAGE] }]);
    expect(counts).toMatchObject({ unknownAccounts: 1, unexplained: 1, explained: 0 });
  });

  it('what an identity holds beyond its purposes, which its owner owns', () => {
    const { found } = compared({ entries: [account({ held: ['database:CONNECT', 'role:app_owner'] })] });
    expect(found).toMatchObject([{ code: 'access-unexplained', nhi: DEPLOYER.nhi, owner: 'person:wei', privileges: ['role:app_owner'] }]);
  });

  it.each([
    ['a client token that this ledger does not know', [] as ChangeState[], UNKNOWN_TOKEN],
    ['the client token of a change that gave nothing', [denied()], TOKEN],
  ])('what is lent under %s', (_what, changes, clientToken) => {
    expect(codes(compared({ entries: [lent({ clientToken })], changes }))).toEqual(['access-unexplained']);
  });

  it.each([
    ['somebody else', lent({ accounts: ['ci_deployer', 'mallory'] }), 'mallory'],
    ['a privilege that was not given', lent({ held: ['role:deploy', 'role:app_owner'] }), 'ci_deployer'],
  ])('a running grant that has grown by %s', (_what, entry, who) => {
    expect(compared({ entries: [entry], changes: [active().now] }).found).toMatchObject([{ code: 'access-unexplained', account: who }]);
  });

  it('has the same id each time, and another for another thing', () => {
    const of = (nativeId: string): string => compared({ entries: [account({ account: 'planted', nativeId })] }).found[0]!.findingId;
    expect(of('9')).toBe(of('9'));
    expect(of('9')).not.toBe(of('10'));
  });
});

describe('recorded access', () => {
  it('that is gone is missed', () => {
    const { found, counts } = compared({ entries: [account()], changes: [active().now] });
    expect(found).toMatchObject([{ code: 'access-missing', change: CHANGE, account: 'ci_deployer', privileges: ['role:deploy'] }]);
    expect(counts).toMatchObject({ recorded: 1, missing: 1 });
  });

  it('is not missed by who did not look to the end', () => {
    const comparison = compared({ entries: [account()], changes: [active().now], complete: false });
    expect(comparison.found).toEqual([]);
    expect(comparison.undecided.size).toBeGreaterThan(0);
  });

  it('of a lease that was taken back and is there again is past its end', () => {
    const { found, counts } = compared({ entries: [account(), lent()], changes: [ended()], atMs: T0 + 1_000_000 });
    expect(found).toMatchObject([{ code: 'access-past-end', change: CHANGE, account: 'ci_deployer', owner: 'person:wei' }]);
    expect(counts).toMatchObject({ pastEnd: 1, explained: 0, recorded: 0 });
  });

  it('of a lease that is over by more than the margin and that nobody took back is past its end, once', () => {
    const comparison = compared({ entries: [lent()], changes: [active().now], atMs: T0 + 900_000 + MARGIN_MS });
    expect(codes(comparison)).toEqual(['access-past-end']);
  });

  it('of a login that was shut out, and lets somebody in again, has returned', () => {
    const story = new Story();
    story.allowed({ kind: 'disable', subject: DEPLOYER.nhi, connector: 'pg-main', target: 'app', reason: 'gone' });
    story.stepDone();
    expect(story.now.name).toBe('done');
    expect(codes(compared({ entries: [account()], changes: [story.now] }))).toEqual(['access-returned']);
    expect(compared({ entries: [account({ canLogin: false })], changes: [story.now] }).found).toEqual([]);
  });
});

describe('what is on its way is neither found nor cleared', () => {
  const nothing = (look: Look): void => {
    const comparison = compared(look);
    expect(comparison.found).toEqual([]);
    expect(comparison.undecided.size).toBeGreaterThan(0);
  };
  const { now: running } = active();

  it('a change that has moved since the page was asked for, there or not', () => {
    nothing({ entries: [lent()], changes: [ended()], fromSeq: running.lastSeq });
    nothing({ entries: [], changes: [running], fromSeq: running.lastSeq });
  });

  it('one between authorised and verified, however long ago it moved last', () => {
    const story = new Story().armed();
    nothing({ entries: [lent()], changes: [story.now] });
    nothing({ entries: [], changes: [story.now] });
    expectOk(story.claimed());
    nothing({ entries: [lent()], changes: [story.now] });
  });

  it('one that is being taken back', () => {
    const story = active();
    story.must({ type: 'orderRevoke', by: 'person:wei', order: story.order('early', T0), comment: null });
    nothing({ entries: [lent()], changes: [story.now] });
    nothing({ entries: [], changes: [story.now] });
  });

  it.each([-MARGIN_MS + 1, 0, MARGIN_MS - 1])('one whose lease ends about now (%i ms after)', (ms) => {
    const atMs = T0 + 900_000 + ms;
    nothing({ entries: [lent()], changes: [running], atMs });
    nothing({ entries: [], changes: [running], atMs });
  });
});

function denied(): ChangeState {
  const story = new Story().requested(GRANT).read();
  expectOk(story.decided(decision('deny')));
  return story.now;
}
