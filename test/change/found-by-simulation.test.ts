/** What the simulation found in the core, told as the shortest story that shows it. */
import { expect, it } from 'vitest';
import { nextWork, type WorkLimits } from '../../src/change/work.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { REPORT_TYPE, type Report } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { CHANGE, decision, executorSigner, EXECUTOR, expectOk, Story } from './story.ts';

const LIMITS: WorkLimits = { overdueAfterMs: 30_000, deliveryMs: 86_400_000, stalledAfterMs: 600_000 };
const STANDING: ChangeRequest = {
  kind: 'provision', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a key that stands', recipient: `age1${'q'.repeat(58)}`,
  entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
};

function claim(story: Story): void {
  const { stepId, issue } = story.now.act!;
  const report: Report = { kind: 'claimed', v: 1, executor: EXECUTOR, log: '0123456789abcdef', changeId: CHANGE, at: formatTime(story.nowMs), stepId, issue };
  story.must({ type: 'recordReport', report, envelope: signDsse(REPORT_TYPE, report, executorSigner), states: new Map(), order: null });
}

it('a change that policy denies after a ticket went out is taken back, standing or not: the ticket may have been carried out unheard of', () => {
  const story = new Story().requested(STANDING).read();
  expectOk(story.decided(decision('allow')));
  expectOk(story.decided(decision('allow'), 'dispatch'));
  expectOk(story.authorise());
  story.nowMs += 301_000;
  expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'dispatch' });
  expectOk(story.decided(decision('deny'), 'dispatch'));
  expect(story.now.name).toBe('revoking');
  expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'compensate' });
});

it('a step that was claimed is not looked at again because its ticket ran out: a wake-up in the past would come at once, for ever', () => {
  const story = new Story().armed();
  claim(story);
  story.nowMs += 301_000;
  expect(nextWork(story.now, story.nowMs, LIMITS)).toEqual({ work: { do: 'publishAct' }, wakeAtMs: null });
});

it('a revoke that was ordered while the step came to nothing is the end of the change, not the failure before it', () => {
  const story = new Story().requested(STANDING).read();
  expectOk(story.decided(decision('allow')));
  expectOk(story.decided(decision('allow'), 'dispatch'));
  expectOk(story.authorise());
  const order = story.order('early', story.nowMs);
  story.must({ type: 'orderRevoke', by: 'person:sam', order, comment: null });
  expectOk(story.acted('failed', 'target-rejected'));
  expect(story.now.name).toBe('revoking');
  expect(nextWork(story.now, story.nowMs, LIMITS).work).toEqual({ do: 'publishRevoke' });
});
