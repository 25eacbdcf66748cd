/** What an approver is shown of a plan, line by line, on every channel. */
import { describe, expect, it } from 'vitest';
import { planLines, type Bearing, type Seen } from '../../src/protocol/plan-as-seen.ts';
import { actStepId, clientTokenOf, leaseIdOf } from '../../src/change/derive.ts';
import type { Plan } from '../../src/protocol/plan.ts';
import { changeIdOf, planOf } from '../notify/support.ts';

const ID = changeIdOf(2);
const entitlements = ['role:deploy', 'role:read'].map((privilege) => ({ connector: 'pg-main', target: 'app', privilege }));
const withoutItems = ({ items: _, ...rest }: Plan): Plan => rest;
const GRANT: Plan = {
  ...withoutItems(planOf(ID, { kind: 'grant', subject: 'nhi:prod/orders', purpose: 'deploy-orders', reason: 'r', duration: 'PT8H', entitlements })), purpose: 'deploy-orders', requester: ['nhi:prod/ci', 'person:sam'], entitlements,
  steps: [{ stepId: actStepId(ID, 1, 1), action: 'grant', connector: 'pg-main', target: 'app', account: 'orders', privileges: ['role:deploy', 'role:read'], clientToken: clientTokenOf(ID) }],
  lease: { leaseId: leaseIdOf(ID), leaseSeconds: 28_800, endsBy: null },
};
const bearing: Bearing = {
  identity: { environment: 'prod', riskTier: 'high', consumers: ['shop', 'billing'] }, held: { privileges: ['role:read'], others: 2 },
  last: { change: changeIdOf(1), at: '2026-11-20T08:00:00.000Z', leaseSeconds: 3600, entitlements: [entitlements[0]!, { ...entitlements[0]!, privilege: 'role:old' }] },
};
const base: Seen = {
  plan: GRANT, decision: { reasons: [{ code: 'owner-approves', message: 'an owner approves what is ranked 60', rule: 'workflow.owner' }] }, bearing,
  requirement: { approvers: { allOf: ['person:wei', { anyOf: ['person:ana', 'person:olga'] }] }, proofClass: 'session' }, approvals: [],
};
const shown = (edit: Partial<Seen> = {}): string[] => planLines({ ...base, ...edit }).map(({ name, text }) => `${name}: ${text}`);
const line = (name: string, edit: Partial<Seen> = {}): string[] => planLines({ ...base, ...edit }).filter((one) => one.name === name).map(({ text }) => text);
const plan = (edit: Partial<Plan>): Partial<Seen> => ({ plan: { ...GRANT, ...edit } });

describe('a plan as an approver sees it', () => {
  it('says who asks for whom, what would be new, for how long, what it bears on, why she is asked, and who else can decide', () => {
    expect(shown()).toEqual([
      'subject: nhi:prod/orders (prod, high risk)', 'requester: nhi:prod/ci for person:sam', 'purpose: deploy-orders',
      'access: pg-main / app / role:deploy  new', 'access: pg-main / app / role:read  held already', 'keeps: 2 other privileges that the account holds there', 'duration: 8 h',
      'plan: grant orders at pg-main / app: role:deploy, role:read',
      `last time: as on 2026-11-20 (${changeIdOf(1)}), but duration 1 h → 8 h, with role:read, without role:old`, 'reaches: 2 consumers: shop, billing',
      'because: owner-approves: an owner approves what is ranked 60 (workflow.owner)', 'approvers: all of (person:wei, one of (person:ana, person:olga))',
    ]);
  });

  it('says of stages whose turn it is and who is asked then, and how many must reject it', () => {
    const staged = { requirement: { approvers: { stages: [{ anyOf: ['person:wei', 'person:ben'] }, 'person:ana', { anyOf: ['person:olga'] }] }, proofClass: 'session' as const } };
    expect(line('approvers', staged)).toEqual(['first one of (person:wei, person:ben), then person:ana, then person:olga']);
    expect([line('can decide', staged), line('then', staged), line('rejections', staged)]).toEqual([['person:wei, person:ben'], ['person:ana, person:olga'], []]);
    const decided = { ...staged, approvals: [{ approver: 'person:wei', verdict: 'approve' as const }, { approver: 'person:ben', verdict: 'reject' as const }], rejectionsDue: 2 };
    expect([line('can decide', decided), line('then', decided), line('rejections', decided)]).toEqual([['person:ana'], ['person:olga'], ['1 of the 2 people that end it']]);
    expect(line('approvers', { requirement: { approvers: { stages: [] }, proofClass: 'session' } })).toEqual(['(nobody can)']);
  });

  it('says what is taken, and what was not there', () => {
    expect(line('access', plan({ kind: 'revoke', steps: [{ ...GRANT.steps[0]!, action: 'revoke' }], lease: null }))).toEqual(['pg-main / app / role:deploy  not held', 'pg-main / app / role:read  held, and taken away']);
    expect(line('loses', plan({ kind: 'disable', entitlements: [], steps: [{ ...GRANT.steps[0]!, action: 'disable' }], lease: null }))).toEqual(['2 privileges that the account holds there']);
    expect(line('access', plan({ kind: 'extend' }))).toEqual(['pg-main / app / role:deploy  not held any more', 'pg-main / app / role:read  held, for longer']);
  });

  it('names what else is held, as much of it as is read', () => {
    const holding = (otherNames: string[], others = otherNames.length): Partial<Seen> => ({ bearing: { ...bearing, held: { privileges: [], others, otherNames } } });
    expect(line('keeps', holding(['role:a', 'role:\u202eb']))).toEqual(['2 other privileges that the account holds there: role:a, role:\\u{202e}b']);
    const many = Array.from({ length: 8 }, (_, n) => `role:${n}`);
    expect(line('loses', { ...plan({ kind: 'disable', entitlements: [], steps: [{ ...GRANT.steps[0]!, action: 'disable' }], lease: null }), ...holding(many, 20) })).toEqual([`20 privileges that the account holds there: ${many.join(', ')}, … and 12 more`]);
  });

  it('says nothing of what is held where nobody could look', () => {
    expect(line('access', { bearing: { ...bearing, held: null } })).toEqual(['pg-main / app / role:deploy', 'pg-main / app / role:read']);
    expect(line('keeps', { bearing: { ...bearing, held: null } })).toEqual([]);
    expect(shown({ bearing: undefined }).filter((one) => /^(keeps|last time|reaches)/.test(one))).toEqual([]);
  });

  it.each<[string, Partial<Seen>, RegExp]>([
    ['the same', plan({ lease: { ...GRANT.lease!, leaseSeconds: 3600 }, entitlements: bearing.last!.entitlements }), /, the same$/],
    ['without an end this time', plan({ lease: null }), /duration 1 h → without end/],
    ['for the first time', { bearing: { ...bearing, last: null } }, /^none of this kind there/],
  ])('compares it with the last one: %s', (_what, edit, text) => {
    expect(line('last time', edit)).toEqual([expect.stringMatching(text)]);
  });

  it('says that access stands, until when it is at the latest, in which window, and whose a new secret is', () => {
    expect(line('ends', plan({ lease: null }))).toEqual(['never by itself: it stands until it is taken back']);
    expect(line('ends by', plan({ lease: { ...GRANT.lease!, endsBy: '2026-12-01T00:00:00.000Z' } }))).toEqual(['2026-12-01T00:00:00.000Z']);
    const window = { calendar: 'nights', opensAt: '2026-12-01T00:00:00.000Z', closesAt: '2026-12-01T01:00:00.000Z', onMissed: 'expire' as const, consumers: ['shop', 'till'] };
    expect(line('window', plan({ window }))).toEqual(['nights, 2026-12-01T00:00:00.000Z to 2026-12-01T01:00:00.000Z; missed: expire']);
    expect(line('reaches', plan({ window }))).toEqual(['3 consumers: shop, till, billing']);
    expect(line('secret for', plan({ recipient: `age1${'q'.repeat(58)}` }))).toEqual([`age1${'q'.repeat(58)}`]);
    const twin = { overlap: 'twin' as const, graceSeconds: 600, retire: 'whenUnused' as const, consumers: ['till'] };
    expect(line('rotation', plan({ rotation: twin }))).toEqual(['old and new side by side; after 10 min nobody is waited for, and the old one stays until nothing uses it']);
    expect(line('rotation', plan({ rotation: { ...twin, overlap: 'none' } }))).toEqual(['in place, without overlap: the old secret ends with the new one']);
  });

  it('says all that an offboarding takes back, and how far that is where somebody knows', () => {
    const items: Plan['items'] = [{ kind: 'lease', nhi: 'nhi:prod/a', change: changeIdOf(3) }, { kind: 'account', nhi: 'nhi:prod/b', connector: 'pg-main', target: 'app', account: 'b' }];
    const itemLines = (edit: Partial<Seen> = {}): string[] => shown({ ...plan({ kind: 'offboard', connector: '-', target: '-', entitlements: [], steps: [], lease: null, items }), ...edit }).filter((one) => /lease of|b at pg-main/.test(one));
    expect(itemLines()).toEqual([`items: nhi:prod/a, lease of ${changeIdOf(3)}`, ': nhi:prod/b, b at pg-main / app']);
    expect(itemLines({ itemStates: ['gone', 'to do'] })).toEqual([`items: nhi:prod/a, lease of ${changeIdOf(3)}: gone`, ': nhi:prod/b, b at pg-main / app: to do']);
  });

  it('says who makes it, whose lease it extends, and what it is a part of', () => {
    for (const name of ['made by', 'extends', 'part of']) expect(line(name), name).toEqual([]);
    expect(line('made by', plan({ mode: 'caller' }))).toEqual(['the caller’s own code']);
    expect(line('part of', plan({ parent: changeIdOf(3) }))).toEqual([changeIdOf(3)]);
    const extended = plan({ kind: 'extend', extends: { change: changeIdOf(3), epoch: 2 } });
    expect(line('extends', extended)).toEqual([`the lease of ${changeIdOf(3)}`]);
    expect(line('extends', { ...extended, extends: { endsAt: '2026-12-01T00:00:00.000Z' } })).toEqual([`the lease of ${changeIdOf(3)}, to 2026-12-01T00:00:00.000Z`]);
  });

  it('says to the second how long, and that the time is another where a second is', () => {
    const lasting = (leaseSeconds: number): Partial<Seen> => ({ ...plan({ lease: { ...GRANT.lease!, leaseSeconds } }), bearing: { ...bearing, last: { ...bearing.last!, leaseSeconds: 93_598, entitlements } } });
    expect(line('duration', lasting(93_599))).toEqual(['1 d 1 h 59 min 59 s']);
    expect(line('last time', lasting(93_599))).toEqual([expect.stringMatching(/but duration 1 d 1 h 59 min 58 s → 1 d 1 h 59 min 59 s$/)]);
  });

  it('says that a new secret is somebody else’s this time', () => {
    const [before, now] = ['q', 'z'].map((letter) => `age1${letter.repeat(58)}`) as [string, string];
    const lastFor = (recipient: string | null | undefined): Partial<Seen> => ({ ...plan({ recipient: now, lease: { ...GRANT.lease!, leaseSeconds: 3600 } }), bearing: { ...bearing, last: { ...bearing.last!, entitlements, ...(recipient === undefined ? {} : { recipient }) } } });
    expect(line('last time', lastFor(before))).toEqual([expect.stringMatching(`, but secret for ${before} → ${now}$`)]);
    expect(line('last time', lastFor(null))).toEqual([expect.stringMatching(`, but secret for nobody → ${now}$`)]);
    expect(line('last time', lastFor(now))).toEqual([expect.stringMatching(/, the same$/)]);
    // A sidecar of before does not say whose it was: nothing is the same that was not compared.
    expect(line('last time', lastFor(undefined))).toEqual([expect.stringMatching(/, the same access and duration$/)]);
  });

  it('says who has approved it by who is left', () => {
    const approved = (...people: string[]): Partial<Seen> => ({ approvals: people.map((approver) => ({ approver, verdict: 'approve' as const })) });
    expect(line('can decide', approved('person:wei'))).toEqual(['person:ana, person:olga']);
    expect(line('can decide', approved('person:wei', 'person:ana', 'person:olga'))).toEqual(['nobody else is asked']);
    expect(line('can decide', { ...approved('person:wei'), ...plan({ requester: ['person:ana'] }) })).toEqual(['person:olga']);
  });

  it('counts what it does not list', () => {
    const consumers = Array.from({ length: 20 }, (_, n) => `c${n}`);
    expect(line('reaches', { bearing: { ...bearing, identity: { ...bearing.identity!, consumers } } })).toEqual(['20 consumers: c0, c1, c2, c3, c4, c5, c6, c7, … and 12 more']);
  });

  it('obeys nothing that somebody else wrote, wherever it stands', () => {
    const evil = '\u001b[2K\r\n\u202eapproved';
    const step = { ...GRANT.steps[0]!, account: evil, target: evil, privileges: [evil] };
    const rotation = { overlap: 'twin' as const, graceSeconds: 60, retire: 'whenUnused' as const, consumers: [evil] };
    const lines = shown({
      plan: { ...GRANT, subject: evil, requester: [evil, evil], purpose: evil, target: evil, entitlements: [{ connector: evil, target: evil, privilege: evil, scope: evil }], steps: [step], recipient: evil, rotation },
      decision: { reasons: [{ code: 'x', message: evil, rule: evil }] }, requirement: { approvers: { anyOf: [evil] }, proofClass: 'ssh' },
      bearing: { identity: { environment: evil, riskTier: 'low', consumers: [evil] }, held: { privileges: [], others: 0 }, last: { ...bearing.last!, entitlements: [{ connector: evil, target: evil, privilege: evil, scope: evil }] } },
    });
    expect(lines.length).toBeGreaterThan(10);
    for (const one of lines) expect(one).not.toMatch(/[\u0000-\u001f\u202e]/);
  });
});
