/** What a ledger from an attacker costs grows with it, and not with its square: what the rules look at for a record does not grow with what came before. */
import { describe, expect, it } from 'vitest';
import type { Audited } from '../../src/evidence/audited.ts';
import { openExtensions } from '../../src/evidence/check-extension.ts';
import { openCases } from '../../src/evidence/check-offboarding.ts';
import { openLocks } from '../../src/evidence/check-lock.ts';
import { openTargets } from '../../src/evidence/check-target.ts';
import type { ChangeState } from '../../src/change/state.ts';
import { cleanStory, GRANT, START_MS, storyTrust, toldUntilArmed, toldUntilDecided } from '../support/story.ts';
import { OFFBOARD } from '../support/step-stories.ts';
import { stepsOf } from '../support/iteration-steps.ts';

const MANY = 400;
const each = (work: (i: number) => void): void => {
  for (let i = 0; i < MANY; i += 1) work(i);
};
const asAudited = (state: ChangeState, more: Partial<ChangeState> = {}): Audited => ({ state: { ...state, ...more }, planErased: false }) as Audited;

describe('a rule that looks at what came before', () => {
  it('counts what is counted', () => {
    const set = new Set([1, 2, 3]);
    expect(stepsOf(() => expect([...set]).toHaveLength(3))).toBeGreaterThanOrEqual(4);
    expect(stepsOf(() => void set.has(2))).toBe(0);
  });

  it('does not look at every extension that was verified, for every change that ends', () => {
    const over = cleanStory().provision.now;
    const base = asAudited({ ...over, changeId: 'chg_base', ended: null });
    const extensions = openExtensions(new Map([['chg_base', base]]));
    const extension = { change: 'chg_base', leaseId: 'lse_1', epoch: 2, endsAtMs: START_MS, orderDigest: 'sha256:' } as NonNullable<ChangeState['extension']>;
    const done = { extension, ended: null, result: { ...over.result!, outcome: 'done' }, verification: { effect: 'allow' } } as unknown as Partial<ChangeState>;
    const steps = stepsOf(() => {
      each((i) => extensions.follow(asAudited(over, { ...done, changeId: `chg_extension_${i}` })));
      each((i) => extensions.follow(asAudited(over, { changeId: `chg_over_${i}` })));
    });
    expect(steps).toBeLessThanOrEqual(4 * MANY);
  });

  it('does not look at everybody who has a target, for each that takes it', () => {
    const state = toldUntilArmed(toldUntilDecided(GRANT, START_MS)).now;
    const targets = openTargets();
    const step = state.plan!.steps[0]!;
    const waiting = { ...cleanStory().denied.now };
    const found: (string | undefined)[] = [];
    const steps = stepsOf(() => {
      each((i) => targets.follow(asAudited(state, { changeId: `chg_${i}` })));
      each((i) => found.push(targets.check(asAudited(waiting, { changeId: `chg_${i}` }), step)?.code));
    });
    expect(new Set(found)).toEqual(new Set(['target-taken']));
    expect(steps).toBeLessThanOrEqual(4 * MANY);
  });

  it('does not look at every open offboarding, nor at all that is closed or open, for each change or item', () => {
    const open = new Map<string, Audited>();
    const cases = openCases(open);
    const over = cleanStory().provision.now;
    const closed = (changeId: string): Audited => ({ ...asAudited(over, { changeId }), withoutEffect: false });
    const asked: ChangeState = { ...over, request: OFFBOARD, name: 'pending', ended: null, lease: null, act: null };
    const running = toldUntilArmed(toldUntilDecided(GRANT, START_MS)).now;
    const item = { kind: 'lease', nhi: 'nhi:prod/gone', change: 'chg_closed_1', connector: 'pg-main' };
    const caseOf = (i: number, more: object = {}): Audited => asAudited(asked, { changeId: `chg_case_${i}`, ...more });
    const listing = (i: number): Audited => caseOf(i, { name: 'executing', plan: { ...asked.plan!, items: [{ ...item, change: `chg_closed_${i}` }] }, items: new Map([[0, { change: `chg_closed_${i}`, outcome: null }]]) });
    const told = (one: Audited): void => {
      open.set(one.state.changeId, one);
      cases.follow(one);
    };
    const found: unknown[] = [];
    const steps = stepsOf(() => {
      each((i) => told(caseOf(i, { plan: null })));
      each((i) => cases.follow(closed(`chg_closed_${i}`)));
      each((i) => told(asAudited(running, { changeId: `chg_running_${i}` })));
      each((i) => told(listing(i)));
      each((i) => found.push(cases.checkSettled(listing(i), { body: { item: 0, outcome: 'gone' } } as Parameters<typeof cases.checkSettled>[1])));
      each((i) => found.push(cases.takingFrom(`nhi:prod/other-${i}`)));
    });
    expect(new Set(found)).toEqual(new Set([null]));
    expect(cases.takingFrom('nhi:prod/gone')).toBe('chg_case_0');
    expect(steps).toBeLessThanOrEqual(20 * MANY);
  });

  it('does not look at every lock that is set, for each ticket', () => {
    const locks = openLocks(storyTrust());
    const lock = (i: number, more: object): Parameters<typeof locks.set>[0] => ({ lockId: `lck_${i}`, nhi: `nhi:prod/n${i}`, connector: null, reason: 'r', ...more });
    const found: (string | null)[] = [];
    const steps = stepsOf(() => {
      each((i) => locks.set(lock(i, {}), 'person:sam'));
      each(() => found.push(locks.covering('nhi:prod/other', 'pg-main')));
    });
    expect(new Set(found)).toEqual(new Set([null]));
    expect(steps).toBeLessThanOrEqual(4 * MANY);
  });
});

describe('a lock', () => {
  it.each([
    ['of the identity', { nhi: 'nhi:a', connector: null }, ['nhi:a', 'pg'], ['nhi:b', 'pg']],
    ['of the connector', { nhi: null, connector: 'pg' }, ['nhi:b', 'pg'], ['nhi:b', 'vault']],
    ['of both', { nhi: 'nhi:a', connector: 'pg' }, ['nhi:a', 'pg'], ['nhi:a', 'vault']],
  ] satisfies [string, { nhi: string | null; connector: string | null }, [string, string], [string, string]][])('%s covers that and no more, until it is lifted; of several the oldest is named', (_name, of, covered, free) => {
    const locks = openLocks(storyTrust());
    locks.set({ lockId: 'lck_1', reason: 'r', ...of }, 'person:sam');
    locks.set({ lockId: 'lck_2', reason: 'r', ...of }, 'person:sam');
    expect([locks.covering(...covered), locks.covering(...free)]).toEqual(['lck_1', null]);
    locks.set({ lockId: 'lck_3', reason: 'r', nhi: covered[0], connector: null }, 'person:sam');
    expect(locks.covering(...covered)).toBe('lck_1');
    locks.lift({ lockId: 'lck_1', reason: 'r' }, 'person:sam');
    expect(locks.covering(...covered)).toBe('lck_2');
    for (const lockId of ['lck_2', 'lck_3']) locks.lift({ lockId, reason: 'r' }, 'person:sam');
    expect(locks.covering(...covered)).toBeNull();
  });
});
