/** Stories of leases that were given under observe, and of sidecars that say so where nothing was. */
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { Decision, Observed } from '../../src/protocol/decision.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { exampleFacts } from '../pdp/support.ts';
import { editing, withBody } from '../support/edit-story.ts';
import { ANA, decision, GRANT, salt, sidecar, START_MS, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, type Beat } from '../support/story.ts';
import type { Case, Change } from './verified.ts';

const { value } = await exampleFacts();
export const SCOPE = { id: 'prod-trial', environments: ['prod'], reason: 'the rules are tried out', owner: 'person:wei', from: '2026-11-01', until: '2026-12-20' };
export const UNTIL = '2026-12-20T00:00:00.000Z';

/** Facts with these scopes, loaded. */
export function loaded(scopes: readonly object[] = [SCOPE], atMs = START_MS, by = sidecar): { readonly digest: string; readonly draft: DraftWithObjects } {
  const bytes = canonicalBytes({ v: 1, salt: salt(7), kind: 'facts', value: { ...value, exceptions: { v: 1, exceptions: [], observe: scopes } } });
  return { digest: digestOf(bytes), draft: systemDraft('facts.loaded', { facts: digestOf(bytes) }, by, atMs, [bytes]) };
}

/** What policy says of it, and what is not enforced. */
export function observedDecision(said: Partial<Observed> = {}): Decision {
  const real = decision('deny');
  return { ...real, effect: 'allow', reasons: [{ code: 'observed', message: 'on record', rule: 'access.observe.note' }], observed: { scope: SCOPE.id, owner: SCOPE.owner, until: UNTIL, effect: 'deny', reasons: real.reasons, approvers: ANA, ...said } };
}

/** A grant that policy denies, given under observe and in use. */
export function toldUnderObserve(facts: string, { request = GRANT, atMs = START_MS, said = {} }: { readonly request?: ChangeRequest; readonly atMs?: number; readonly said?: Partial<Observed> } = {}): Telling {
  const decided = toldUntilDecided(request, atMs, 'allow', new Telling(atMs), observedDecision(said), [facts]);
  return toldUntilActive(toldUntilArmed(decided, observedDecision(said), [facts]));
}

const usual = loaded();
const first = [usual.draft];
/** In both decisions. */
const saying = (said: Partial<Observed>): Change => (beats) => [0, 1].reduce<Beat[]>((edited, nth) => editing('policy.decided', (event) => withBody(event, { decision: observedDecision(said) }), nth)(edited), [...beats]);
const trust = { quorum: 0 };
const told = (facts = usual.digest): readonly Beat[] => toldUnderObserve(facts).beats;
const elsewhere = (scope: object, beats?: () => readonly Beat[]): Pick<Case, 'beats' | 'first' | 'trust'> => {
  const facts = loaded([scope]);
  return { trust, first: [facts.draft], beats: beats ?? (() => told(facts.digest)) };
};
const short = loaded([{ ...SCOPE, until: '2026-11-24' }]);
const LATE_MS = Date.parse('2026-11-23T23:40:00.000Z');

export const OBSERVE_CASES: readonly Case[] = [
  { title: 'a scope that is in no facts', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, id: 'another' }) },
  { title: 'a scope of another owner', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, owner: 'person:ana' }) },
  { title: 'a scope that ends at another time', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, until: '2026-12-21' }) },
  { title: 'a scope that has not begun', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, from: '2026-11-24' }) },
  { title: 'a scope that was over', code: 'observe-unfounded', trust, first: [short.draft], beats: () => saying({ until: '2026-11-23T00:00:00.000Z' })(told(short.digest)) },
  { title: 'a scope of another environment', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, environments: ['dev'] }) },
  { title: 'a scope of another connector', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, connectors: ['pg-other'] }) },
  { title: 'a scope of other identities', code: 'observe-unfounded', ...elsewhere({ ...SCOPE, prefixes: ['nhi:prod/billing'] }) },
  { title: 'a scope in facts that were not loaded', code: 'observe-unfounded', trust, beats: told },
  { title: 'a scope in facts that others had replaced', code: 'observe-unfounded', trust, first: [loaded([SCOPE], START_MS - 120_000).draft, loaded([], START_MS - 90_000).draft], beats: told },
  { title: 'a scope in facts that their record does not hold', code: 'observe-unfounded', trust, first: [{ ...usual.draft, draft: { ...usual.draft.draft, objects: [] }, objects: [] }], beats: told },
  { title: 'a scope in what are no facts', code: 'observe-unfounded', ...elsewhere({ id: 'prod-trial' }) },
  { title: 'a decision that names no facts', code: 'observe-unfounded', trust, first, beats: () => {
    const decided = toldUntilDecided(GRANT, START_MS, 'allow', new Telling(START_MS), observedDecision());
    return toldUntilActive(toldUntilArmed(decided, observedDecision(), [usual.digest])).beats;
  } },
  { title: 'an emergency under observe', code: 'observe-unfounded', trust, first, beats: () => toldUnderObserve(usual.digest, { request: { ...GRANT, urgency: 'emergency' } as ChangeRequest }).beats },
  { title: 'a denial that is said not to be enforced', code: 'observe-unfounded', trust, first, beats: () => toldUntilDecided(GRANT, START_MS, 'deny', new Telling(START_MS), { ...observedDecision(), effect: 'deny' }, [usual.digest]).beats },
  { title: 'a requirement that leaves out what is not enforced', code: 'requirement-shrunk', trust, first, beats: () => editing('policy.decided', (event) => withBody(event, { requirement: { approvers: null, proofClass: 'session' } }))(told()) },
  { title: 'a step without approvals once it is not under observe any more', code: 'requirement-shrunk', amongOthers: true, trust, first, beats: () => editing('policy.decided', (event) => withBody(event, { decision: decision('needsApproval', ANA) }), 1)(told()) },
  { title: 'a lease that outlasts its scope', code: 'lease-mismatch', trust, first: [short.draft], beats: () => saying({ until: '2026-11-24T00:00:00.000Z' })(toldUnderObserve(short.digest, { atMs: LATE_MS }).beats) },
  { title: 'a scope that nobody has granted, where the auditor has people grant', code: 'exception-ungranted', trust: { quorum: 0, exceptionGrants: { quorum: 1, approvers: ['person:olga'] } }, first, beats: told },
  { title: 'an effect under observe where the floor asks for approvals', code: 'below-floor', trust: { quorum: 1 }, first, beats: told },
];

export function ended(telling: Telling): readonly Beat[] {
  return toldUntilEnded(telling, telling.now.lease!.order).beats;
}
