/** An approver reduces what is asked for. */
import { describe, expect, it } from 'vitest';
import { changeEventBodies, REVISIONS_MAX } from '../../src/change/events.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { decision, expectOk, GRANT, SIDECAR, Story } from './story.ts';

const EITHER = { allOf: ['person:wei', { anyOf: ['person:olga', 'person:ben'] }] };
const TWO: ChangeRequest = { ...GRANT, duration: 'PT8H', entitlements: ['role:deploy', 'role:admin'].map((privilege) => ({ connector: 'pg-main', target: 'app', privilege })) } as ChangeRequest;
const ADMIN = { connector: 'pg-main', target: 'app', privilege: 'role:admin' };
const pending = (requester?: readonly string[]): Story => {
  const story = new Story().requested(TWO, requester).read();
  expectOk(story.decided(decision('needsApproval', EITHER)));
  return story;
};
const reduce = (story: Story, by: string, edit: object = {}) => story.try({ type: 'reduce', by, planDigest: story.now.planDigest!, without: [ADMIN], duration: null, ...edit });

describe('a reduction by who is asked', () => {
  it('is a new revision of the same request, on which every approval is void', () => {
    const story = pending();
    expectOk(story.approve('person:wei'));
    const { planDigest } = story.now;
    expectOk(reduce(story, 'person:olga', { duration: 'PT1H' }));
    expect(story.events.at(-1)).toMatchObject({ type: 'change.revised', actor: 'person:olga', body: { revision: 2, reduced: { revision: 1, planDigest } } });
    expect(story.now).toMatchObject({ name: 'requested', revision: 2, approvals: [], plan: null, reduced: { by: 'person:olga', revision: 1 }, request: { ...TWO, duration: 'PT1H', entitlements: [{ privilege: 'role:deploy' }] } });
  });

  it('leaves the requirement what it was, whatever policy then asks for, and the requester who asked', () => {
    const story = pending();
    expectOk(reduce(story, 'person:olga'));
    story.read();
    expectOk(story.decided(decision('allow')));
    expect(story.now).toMatchObject({ name: 'pending', requirement: { approvers: EITHER }, requester: ['nhi:prod/ci-deployer'] });
    expect(story.now.plan!.requester).toEqual(['nhi:prod/ci-deployer']);
    // Whoever reduced it is no requester: she approves like everybody else, and not for everybody else.
    expectOk(story.approve('person:olga'));
    expect(story.now.name).toBe('pending');
    expectOk(story.approve('person:wei'));
    expect(story.now.name).toBe('scheduled');
  });

  it('may come on top of another, and is gone from view once who asked has revised', () => {
    const story = pending();
    expectOk(reduce(story, 'person:olga'));
    story.read();
    expectOk(story.decided(decision('needsApproval', EITHER)));
    expectOk(reduce(story, 'person:ben', { without: [], duration: 'PT2H' }));
    expect(story.now.reduced).toMatchObject({ by: 'person:ben', revision: 2 });
    story.must({ type: 'revise', by: 'nhi:prod/ci-deployer', request: TWO });
    expect(story.now).toMatchObject({ revision: 4, reduced: null });
  });

  it.each<[string, () => ReturnType<typeof reduce>, string]>([
    ['by who is not asked', () => reduce(pending(), 'person:mallory'), 'not-an-approver'],
    ['by the sidecar', () => reduce(pending(), SIDECAR), 'not-an-approver'],
    ['by who asked, even if policy named her', () => reduce(pending(['nhi:prod/ci-deployer', 'person:wei']), 'person:wei'), 'self-approval'],
    ['of another plan', () => reduce(pending(), 'person:wei', { planDigest: `sha256:${'1'.repeat(64)}` }), 'plan-changed'],
    ['to more', () => reduce(pending(), 'person:wei', { without: [], duration: 'PT9H' }), 'not-a-reduction'],
    ['to nothing', () => reduce(pending(), 'person:wei', { without: [ADMIN, { ...ADMIN, privilege: 'role:deploy' }] }), 'not-a-reduction'],
    ['after the time to decide', () => {
      const story = pending();
      story.nowMs += 3_600_000;
      return reduce(story, 'person:wei');
    }, 'approval-expired'],
    ['before there is a plan', () => reduce(new Story().requested(TWO), 'person:wei'), 'plan-changed'],
    ['once it is approved', () => {
      const story = pending();
      expectOk(story.approve('person:wei'));
      expectOk(story.approve('person:ben'));
      return reduce(story, 'person:wei');
    }, 'already-decided'],
  ])('%s is refused', (_what, attempt, code) => {
    expect(attempt()).toMatchObject({ ok: false, code });
  });
});

it('nor a revision is one more than a record has room for: what is on record is read again after a restart', () => {
  const story = pending();
  story.state = { ...story.now, revision: REVISIONS_MAX };
  expect(reduce(story, 'person:wei')).toMatchObject({ ok: false, code: 'too-late' });
  expect(story.try({ type: 'revise', by: 'nhi:prod/ci-deployer', request: TWO })).toMatchObject({ ok: false, code: 'too-late' });
  story.state = { ...story.now, revision: REVISIONS_MAX - 1 };
  const [last] = story.must({ type: 'revise', by: 'nhi:prod/ci-deployer', request: TWO });
  expect(changeEventBodies['change.revised'].safeParse(last!.body).success).toBe(true);
});
