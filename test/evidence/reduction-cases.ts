/** Stories of requests that an approver reduced, with one thing wrong in each. */
import type { NewEvent } from '../../src/change/events.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { editing, withBody } from '../support/edit-story.ts';
import { GRANT, sidecar, START_MS, Telling, toldUntilDecided, type Beat } from '../support/story.ts';
import type { Case } from './verified.ts';

const at = (target: string, privilege: string) => ({ connector: 'pg-main', target, privilege });
export const TWO: ChangeRequest = { ...GRANT, duration: 'PT8H', entitlements: [at('app', 'role:deploy'), at('app', 'role:admin')] } as ChangeRequest;
export const waiting = (): Telling => toldUntilDecided(TWO, START_MS).later(1_000);

/** Person:ben has left out the admin role. */
export const reduced = (telling: Telling = waiting()): Telling =>
  telling.do({ type: 'reduce', by: 'person:ben', planDigest: telling.now.planDigest!, without: [at('app', 'role:admin')], duration: null });

const edited = (body: object): readonly Beat[] => editing('change.revised', (event) => withBody(event, { ...body }))(reduced().beats);
const to = (edit: object): readonly Beat[] => edited({ request: { ...TWO, entitlements: [at('app', 'role:deploy')], ...edit } });
const by = (actor: string): readonly Beat[] => editing('change.revised', (event): NewEvent => ({ ...event, actor }))(reduced().beats);
const forced = (telling: Telling): readonly Beat[] => {
  const { planDigest, revision } = telling.now;
  return telling.force({ type: 'change.revised', actor: 'person:ben', body: { revision: revision + 1, request: { ...TWO, duration: 'PT1H' } as ChangeRequest, reduced: { revision, planDigest: planDigest ?? `sha256:${'0'.repeat(64)}` } } }).beats;
};

export const REDUCTION_CASES: readonly Case[] = [
  { title: 'a reduction for longer', code: 'reduction-mismatch', beats: () => to({ duration: 'P2D' }) },
  { title: 'a reduction to more', code: 'reduction-mismatch', beats: () => to({ entitlements: [at('app', 'role:deploy'), at('app', 'role:admin'), at('app', 'role:owner')] }) },
  { title: 'a reduction to something else', code: 'reduction-mismatch', beats: () => to({ entitlements: [at('app', 'role:owner')] }) },
  { title: 'a reduction to the same elsewhere', code: 'reduction-mismatch', beats: () => to({ entitlements: [at('payroll', 'role:deploy')] }) },
  { title: 'a reduction to the same as before', code: 'reduction-mismatch', beats: () => edited({ request: TWO }) },
  { title: 'a reduction that makes it an emergency', code: 'reduction-mismatch', beats: () => to({ urgency: 'emergency' }) },
  { title: 'a reduction for another identity', code: 'reduction-mismatch', beats: () => to({ subject: 'nhi:prod/other' }) },
  { title: 'a reduction with another reason', code: 'reduction-mismatch', beats: () => to({ reason: 'a better one' }) },
  { title: 'a reduction of a plan that was not decided', code: 'reduction-mismatch', beats: () => edited({ reduced: { revision: 1, planDigest: `sha256:${'0'.repeat(64)}` } }) },
  { title: 'a reduction of another revision', code: 'reduction-mismatch', beats: () => editing('change.revised', (event) => withBody(event, { reduced: { ...event.body.reduced, revision: 2 } }))(reduced().beats) },
  { title: 'a reduction after the time to decide', code: 'reduction-mismatch', beats: () => forced(waiting().later(3_600_000)) },
  { title: 'a reduction that is said to be for a missed window as well', code: 'reduction-mismatch', beats: () => edited({ cause: 'windowMissed' }) },
  { title: 'a reduction by somebody who might not approve', code: 'wrong-actor', beats: () => by('person:mallory') },
  { title: 'a reduction by who asked', code: 'wrong-actor', beats: () => by(GRANT.subject) },
  { title: 'a reduction by one of those who asked, whom the decision names as well', code: 'wrong-actor', beats: () => {
    const telling = new Telling(START_MS);
    telling.do({ type: 'request', by: GRANT.subject, request: TWO, requester: [GRANT.subject, 'person:ben'], idempotency: null });
    return forced(toldUntilDecided(TWO, START_MS, 'needsApproval', telling).later(1_000));
  } },
  { title: 'a reduction by the sidecar', code: 'wrong-actor', beats: () => by(sidecar) },
  { title: 'a reduction before anybody was asked', code: 'wrong-order', beats: () => forced(reduced()) },
  {
    title: 'a new request by an approver that is not said to be a reduction', code: 'wrong-actor',
    beats: () => editing('change.revised', (event) => ({ ...event, body: { revision: 2, request: { ...GRANT, duration: 'PT1H' } as ChangeRequest } }))(reduced().beats),
  },
];
