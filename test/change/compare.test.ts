import { describe, expect, it } from 'vitest';
import { compare, type Comparison, type DiscrepancyCode, type Known, type KnownIdentity } from '../../src/change/compare.ts';
import { clientTokenOf } from '../../src/change/derive.ts';
import type { ChangeState } from '../../src/change/state.ts';
import type { Found, FoundAccount, FoundGrant } from '../../src/protocol/discovery.ts';
import type { TargetState } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { CHANGE, decision, expectOk, GRANT, ROTATE, SIDECAR, STATE_BEFORE, Story, T0, TWINS } from './story.ts';

const TOKEN = clientTokenOf(CHANGE);
const UNKNOWN_TOKEN = clientTokenOf(CHANGE.replace('0000A', '0000B'));
const PAGE = `sha256:${'1'.repeat(64)}`;
const MARGIN_MS = 30_000;
const DEPLOYER: KnownIdentity = { nhi: 'nhi:prod/ci-deployer', owner: 'person:wei', account: 'ci_deployer', standing: new Set(['database:CONNECT']) };

const MADE: FoundAccount['marks'] = [{ clientToken: TOKEN, what: 'made' }];
/** What its logins are members of. */
const ORDERS_API: KnownIdentity = { nhi: ROTATE.subject, owner: 'person:wei', account: 'orders', standing: new Set() };

const account = (edit: Partial<FoundAccount> = {}): FoundAccount => ({
  kind: 'account', key: '1', account: 'ci_deployer', nativeId: '16401', canLogin: true, isOwn: false, endsAt: null, held: [], heldLeftOut: 0, marks: [], credentials: [], credentialsLeftOut: 0,
  sessions: 0, lastUsedAt: null, ...edit,
});
const lent = (edit: Partial<FoundGrant> = {}): FoundGrant => ({
  kind: 'grant', key: '2', clientToken: TOKEN, nativeId: '16500', accounts: ['ci_deployer'], accountsLeftOut: 0, held: ['role:deploy'], heldLeftOut: 0, ...edit,
});

const ORDERS = account({ account: 'orders', nativeId: '1', canLogin: false });
const login = (name: string, marks: FoundAccount['marks'] = []): FoundAccount => account({ account: name, nativeId: name, held: ['role:orders'], marks });
const RETIRED = account({ account: 'orders_a', nativeId: '2', canLogin: false, marks: [{ clientToken: TOKEN, what: 'retired' }] });

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
/** An account that was made for fifteen minutes, and how it was read afterwards. */
function provisioned(touched: TargetState['touched'] = { account: TOKEN }): Story {
  const story = new Story();
  story.allowed({ ...GRANT, kind: 'provision', recipient: `age1${'q'.repeat(58)}` } as ChangeRequest);
  expectOk(story.decided(decision('allow'), 'dispatch'));
  expectOk(story.authorise());
  story.must({ type: 'recordArmed', by: SIDECAR, orderDigest: story.now.lease!.orderDigest });
  expectOk(story.claimed());
  expectOk(story.acted('done'));
  expectOk(story.verified());
  story.state = { ...story.now, after: { ...STATE_BEFORE, touched } };
  return story;
}

/** A rotation whose new login is there and verified, beside the old one. */
function staged(touched: Partial<TargetState['touched']> = {}): Story {
  const story = new Story();
  story.allowed(ROTATE, { ...TWINS, touched: { ...TWINS.touched, ...touched } as TargetState['touched'] });
  story.stepDone();
  return story;
}
/** One that is done. */
function rotated(touched: Partial<TargetState['touched']> = {}): Story {
  const story = staged(touched);
  story.nowMs = T0 + 601_000;
  story.stepDone();
  story.stepDone();
  expect(story.now.name).toBe('done');
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

  it('the one login of an account that cannot log in itself, before any rotation', () => {
    expect(compared({ entries: [ORDERS, login('orders_a')], identities: [ORDERS_API] }).found).toEqual([]);
  });

  it('both logins of a rotation that is under way, and the new one once it is done', () => {
    const story = staged();
    expect(compared({ entries: [ORDERS, login('orders_a'), login('orders_b', MADE)], changes: [story.now], identities: [ORDERS_API] }).found).toEqual([]);
    const { now } = rotated();
    expect(compared({ entries: [ORDERS, RETIRED, login('orders_b', MADE)], changes: [now], identities: [ORDERS_API] }).found).toEqual([]);
  });

  it('both logins, and both credentials, of a rotation that was given up past its cutover: taking the new one back could leave none', () => {
    const givenUp = (touched: Partial<TargetState['touched']> = {}): ChangeState => {
      const story = staged(touched);
      story.nowMs = T0 + 601_000;
      story.stepDone();
      story.must({ type: 'openFinding', by: SIDECAR, code: 'rotation-stalled', message: 'the old login stays in use', owner: null });
      story.must({ type: 'withdraw', by: 'person:wei', comment: 'nobody moves over', isResponder: true });
      expect(story.now.name).toBe('withdrawn');
      return story.now;
    };
    expect(compared({ entries: [ORDERS, login('orders_a'), login('orders_b', MADE)], changes: [givenUp()], identities: [ORDERS_API] }).found).toEqual([]);
    const credentials = [null, TOKEN].map((clientToken, n) => ({ id: String(n), createdAt: null, expiresAt: null, usesLeft: null, clientToken }));
    const change = givenUp({ currentName: 'app#0', nextName: `app#${TOKEN}`, privilege: 'role:app' });
    expect(compared({ entries: [account({ account: 'app', credentials })], changes: [change], identities: [{ ...ORDERS_API, account: 'app' }] }).found).toEqual([]);
  });

  it('an account that a change made, under its own name or, by its id, another that somebody gave it', () => {
    const { now } = provisioned({ account: 16_700 });
    const { account: name } = now.plan!.steps[0]!;
    const made = account({ account: name, nativeId: '16700', held: ['role:deploy'], marks: MADE });
    expect(compared({ entries: [made], changes: [now], identities: [] }).found).toEqual([]);
    expect(compared({ entries: [{ ...made, account: 'renamed' }], changes: [now], identities: [] }).found).toEqual([]);
  });
});

describe('a login that is called like one of a rotation', () => {
  const found = (entries: readonly Found[], changes: readonly ChangeState[] = [], identities = [ORDERS_API]): unknown[] =>
    compared({ entries: [ORDERS, ...entries], changes, identities }).found.map(({ code, account: name }) => [code, name]);

  it('is nobody’s beside another without a mark: either could be the planted one', () => {
    expect(found([login('orders_a'), login('orders_b')])).toEqual([['account-unknown', 'orders_a'], ['account-unknown', 'orders_b']]);
    expect(found([login('orders_old'), login('orders_b')])).toEqual([['account-unknown', 'orders_old'], ['account-unknown', 'orders_b']]);
  });

  it('is nobody’s where its account can log in itself', () => {
    const sync = { ...ORDERS_API, account: 'warehouse_sync' };
    const entries = [account({ account: 'warehouse_sync' }), account({ account: 'warehouse_sync_a', nativeId: '9', held: ['role:warehouse_sync'] })];
    expect(compared({ entries, identities: [sync] }).found).toMatchObject([{ code: 'account-unknown', account: 'warehouse_sync_a', nhi: null, owner: 'person:sol' }]);
  });

  it('is nobody’s without the account’s role', () => {
    expect(found([account({ account: 'orders_b' })])).toEqual([['account-unknown', 'orders_b']]);
  });

  it('is nobody’s beside a rotation that is under way and names others', () => {
    expect(found([login('orders_b'), login('orders_a')], [staged().now])).toEqual([['account-unknown', 'orders_b']]);
  });

  it('is nobody’s without a mark once the logins have been rotated', () => {
    const { now } = rotated({ currentName: 'orders_old', nextName: 'orders_a' });
    expect(found([login('orders_a', MADE), login('orders_b')], [now])).toEqual([['account-unknown', 'orders_b']]);
  });

  it('is nobody’s with the mark of a change of somebody else', () => {
    expect(found([login('orders_b', MADE)], [provisioned().now])).toEqual([['account-unknown', 'orders_b'], ['access-missing', 'ci_deployer']]);
  });

  it('has returned where it was retired, whatever its comment says now', () => {
    const { now } = rotated();
    expect(found([{ ...RETIRED, canLogin: true }, login('orders_b', MADE)], [now])).toEqual([['access-returned', 'orders_a']]);
    expect(found([login('orders_a'), login('orders_b', MADE)], [now])).toEqual([['access-returned', 'orders_a']]);
    expect(found([{ ...RETIRED, canLogin: true, marks: [{ clientToken: UNKNOWN_TOKEN, what: 'retired' }] }])).toEqual([['access-returned', 'orders_a']]);
  });

  it('has returned where its account was shut out, though a rotation was tried since', () => {
    const story = new Story();
    story.allowed({ kind: 'disable', subject: ORDERS_API.nhi, connector: 'pg-main', target: 'app', reason: 'gone' });
    story.stepDone();
    expect(found([login('orders_b')], [story.now])).toEqual([['access-returned', 'orders_b']]);
    const tried: ChangeState = { ...staged().now, name: 'failed', changeId: CHANGE.replace('0000A', '0000B') };
    expect(found([login('orders_b')], [story.now, tried])).toEqual([['access-returned', 'orders_b']]);
  });

  it('is undecided where the account was not looked at', () => {
    const comparison = compared({ entries: [login('orders_a')], identities: [ORDERS_API], complete: false });
    expect([comparison.found.length, comparison.undecided.size > 0]).toEqual([0, true]);
  });

  it('does not hide that the account itself lets somebody in', () => {
    expect(compared({ entries: [{ ...ORDERS, canLogin: true }], changes: [rotated().now], identities: [ORDERS_API] }).found)
      .toMatchObject([{ code: 'access-unexplained', account: 'orders', nhi: ORDERS_API.nhi, privileges: [] }]);
  });
});

describe('a mark that was copied', () => {
  it('makes no other login one that a change made', () => {
    const { now } = provisioned({ account: 16_700 });
    const { account: name } = now.plan!.steps[0]!;
    const made = account({ account: name, nativeId: '16700', held: ['role:deploy'], marks: MADE });
    const copied = account({ account: 'backdoor', nativeId: '9', held: ['role:deploy'], marks: MADE });
    const { found, counts } = compared({ entries: [made, copied], changes: [now], identities: [] });
    expect(found).toMatchObject([{ code: 'account-unknown', account: 'backdoor', nhi: null, change: null, owner: 'person:sol' }]);
    expect(counts).toMatchObject({ unknownAccounts: 1, explained: 1, unexplained: 1 });
  });

  it('of what is only lent makes nothing of a login, an identity’s own included', () => {
    const { now } = active();
    expect(compared({ entries: [lent(), account({ account: 'backdoor', marks: MADE })], changes: [now] }).found).toMatchObject([{ code: 'account-unknown', account: 'backdoor' }]);
    expect(compared({ entries: [lent(), account({ held: ['role:deploy'], marks: MADE })], changes: [now] }).found).toMatchObject([{ code: 'access-unexplained', privileges: ['role:deploy'] }]);
  });

  it('of a change that is over takes away no identity’s own account', () => {
    expect(compared({ entries: [account({ marks: MADE })], changes: [ended()] }).found).toEqual([]);
    expect(compared({ entries: [account({ account: 'x', marks: MADE })], changes: [ended()] }).found).toMatchObject([{ code: 'access-past-end', account: 'x' }]);
  });
});

it('says whose a client token is where the plan of its change was erased: and that it is known no more what that gave', () => {
  const erased: ChangeState = { ...active().now, plan: null };
  const { found } = compared({ entries: [lent(), account({ account: 'somebody', nativeId: '9', marks: MADE })], changes: [erased] });
  const whose = `a client token of ${CHANGE}, whose plan was erased: what that gave, and where, is known no more`;
  expect(found.map(({ code, message }) => [code, message.includes(whose), message.includes('does not know')])).toEqual([['access-unexplained', true, false], ['account-unknown', true, false]]);
});

describe('a credential of an account', () => {
  const IDENTITY = { ...ORDERS_API, account: 'app' };
  const OLD = '11111111-1111-1111-1111-111111111111';
  const secretIds: Partial<TargetState['touched']> = { currentName: `app#${OLD}`, nextName: `app#${TOKEN}`, privilege: 'role:app' };
  const credential = (clientToken: string | null, edit: Partial<FoundAccount['credentials'][number]> = {}): FoundAccount['credentials'][number] =>
    ({ id: 'new', createdAt: '2026-11-23T18:00:00.000Z', expiresAt: null, usesLeft: null, clientToken, ...edit });
  const found = (credentials: FoundAccount['credentials'], changes: readonly ChangeState[] = [], edit: Partial<FoundAccount> = {}, look: Partial<Look> = {}): unknown[] =>
    compared({ entries: [account({ account: 'app', credentials, ...edit })], changes, identities: [IDENTITY], ...look }).found
      .map(({ code, message, privileges }) => [code, message.replace(/^.*\((.*?)\) (?:bears|was) (.*)$/, '$1: $2').slice(0, 40), privileges]);

  it('is as it should be where somebody else keeps them, or the rotation’s is the one that is left', () => {
    expect(found([credential(null), credential(null, { id: 'other' })])).toEqual([]);
    expect(found([credential(TOKEN)], [rotated(secretIds).now])).toEqual([]);
    expect(found([credential(TOKEN), credential(null, { id: OLD })], [staged(secretIds).now])).toEqual([]);
  });

  it('bears a client token that this ledger does not know', () => {
    expect(found([credential(UNKNOWN_TOKEN)])).toEqual([['access-unexplained', `new: ${UNKNOWN_TOKEN}, a client`.slice(0, 40), []]]);
    expect(found([credential(UNKNOWN_TOKEN, { usesLeft: 0 }), credential(UNKNOWN_TOKEN, { expiresAt: '2026-11-23T19:00:00.000Z' })])).toEqual([]);
  });

  it('bears none, where this ledger has rotated or is rotating', () => {
    expect(found([credential(TOKEN), credential(null, { id: 'planted' })], [rotated(secretIds).now])).toMatchObject([['access-unexplained', expect.stringContaining('planted: no client token'), []]]);
    expect(found([credential(TOKEN), credential(null, { id: OLD }), credential(null, { id: 'planted' })], [staged(secretIds).now])).toMatchObject([['access-unexplained', expect.stringContaining('planted'), []]]);
    const { now } = rotated(secretIds);
    expect(found([credential(null, { id: OLD })], [now], {}, { fromSeq: now.lastSeq })).toEqual([]);
  });

  it('bears none, where this ledger has made the account', () => {
    const { now } = provisioned();
    const made = { account: now.plan!.steps[0]!.account, nativeId: TOKEN, held: ['role:deploy'], marks: MADE };
    expect(found([credential(TOKEN)], [now], made)).toEqual([]);
    expect(found([credential(TOKEN), credential(null, { id: 'planted' })], [now], made)).toMatchObject([['access-unexplained', expect.stringContaining('planted'), []]]);
  });

  it('bears one that is another’s, a second time, or of a change that gave nothing', () => {
    expect(found([credential(TOKEN)], [provisioned().now])).toMatchObject([['access-unexplained', expect.stringContaining('new'), []], ['access-missing', expect.anything(), ['role:deploy']]]);
    const copy = credential(TOKEN, { id: 'copy', createdAt: '2026-11-23T18:30:00.000Z' });
    expect(found([copy, credential(TOKEN)], [rotated(secretIds).now])).toMatchObject([['access-unexplained', expect.stringContaining('copy'), []]]);
    expect(found([credential(TOKEN)], [denied()])).toMatchObject([['access-unexplained', expect.stringContaining('new'), []]]);
  });

  it('was retired by a later rotation', () => {
    const { now } = rotated(secretIds);
    const changeId = CHANGE.replace('0000A', '0000B');
    const plan = { ...now.plan!, changeId, steps: now.plan!.steps.map((step) => ({ ...step, clientToken: UNKNOWN_TOKEN, account: step.account.replace(TOKEN, UNKNOWN_TOKEN) })) };
    const later: ChangeState = { ...now, changeId, plan, act: { ...now.act!, seq: now.act!.seq - 1 }, firstActAtMs: now.firstActAtMs! + 1 };
    expect(found([credential(UNKNOWN_TOKEN), credential(TOKEN, { id: 'old' })], [now, later])).toMatchObject([['access-returned', expect.stringContaining('old'), []]]);
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
