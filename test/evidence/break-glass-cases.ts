/** Ledgers in which somebody broke the glass, and what must be found of each lie about it. */
import type { NewEvent } from '../../src/change/events.ts';
import type { BreakGlassStatement } from '../../src/protocol/break-glass.ts';
import { readBreakGlass } from '../../src/protocol/break-glass.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { BREAKABLE, GLASS, glassOf, GLASS_SALT, SAM, samsKey, toldUntilBroken, toldUntilGiven } from '../support/break-glass.ts';
import { editing, following, withBody, without, type Of } from '../support/edit-story.ts';
import { testSshKey } from '../support/ssh.ts';
import { logId, sidecar, START_MS, toldUntilActive, toldUntilEnded, type Beat, type Telling, type TrustEdit } from '../support/story.ts';
import type { Case } from './verified.ts';

const stranger = testSshKey();
export const DAY = 86_400_000;
/** When what is told here is over, and the review not yet due. */
export const asOfMs = START_MS + 7_200_000;

export function given(ledger: Beat[] = [], atMs = START_MS): Telling {
  const telling = toldUntilActive(toldUntilGiven(toldUntilBroken(atMs, ledger)));
  return toldUntilEnded(telling, telling.now.lease!.order);
}
export const used = (): readonly Beat[] => given().beats;
export function reviewed(by = 'person:ana'): readonly Beat[] {
  return given().later(60_000).do({ type: 'reviewBreakGlass', by, verdict: 'justified', comment: 'the exports ran again', rotation: 'notNeeded', demanded: 'session' }).beats;
}

/** What Sam signed made anew, with its record in the name of whoever it says. */
const restated = (edit: Partial<BreakGlassStatement>, key = samsKey, options: Parameters<typeof glassOf>[2] = {}) =>
  editing('breakglass.used', (event: Of<'breakglass.used'>): NewEvent => {
    const statement = { ...readBreakGlass(event.body.statement), ...edit };
    return withBody<'breakglass.used'>({ ...event, actor: statement.usedBy }, { statement: glassOf(statement, key, options) });
  });

const limited = (edit: object): TrustEdit => ({ ...BREAKABLE, breakGlass: [{ ...GLASS, ...edit }] });
const lease = (maxLeaseSeconds: number) => (event: Of<'policy.decided'>): NewEvent =>
  withBody(event, { decision: { ...event.body.decision, obligations: { ...event.body.decision.obligations, breakGlass: { maxLeaseSeconds, reviewWithinSeconds: 86_400 } } } });
const unlet = (event: Of<'policy.decided'>): NewEvent => {
  const { breakGlass: _, ...obligations } = event.body.decision.obligations;
  return withBody(event, { decision: { ...event.body.decision, obligations } });
};

/** Nobody was to approve but Sam, by every decision. */
function samAlone(beats: readonly Beat[]): Beat[] {
  const requirement = { approvers: SAM, proofClass: 'session' as const };
  const alone = (event: Of<'policy.decided'>): NewEvent => withBody(event, { requirement, decision: { ...event.body.decision, obligations: { ...event.body.decision.obligations, approvers: SAM } } });
  return editing('step.authorised', (event: Of<'step.authorised'>) => withBody(event, { requirement }), 1)(editing('policy.decided', alone, 1)(editing('policy.decided', alone)(beats)));
}

/** Told of {@link used}, as of {@link asOfMs} and under a floor that lets Sam, unless a case says otherwise. */
export const BREAK_GLASS_CASES: readonly Case[] = [
  { title: 'a signature by a key of nobody', code: 'break-glass-signature', change: restated({}, stranger) },
  { title: 'a signature in another’s name', code: 'break-glass-signature', change: restated({ usedBy: 'person:olga' }) },
  { title: 'what was signed as an approval', code: 'break-glass-signature', change: restated({}, samsKey, { namespace: 'approval@countersign' }) },
  { title: 'a key that was retired before', code: 'break-glass-signature', trust: { ...BREAKABLE, signers: `${SAM} valid-before="20261101Z" ${samsKey.publicLine}` } },
  { title: 'a key that may sign approvals only', code: 'break-glass-signature', trust: { ...BREAKABLE, signers: `${SAM} namespaces="approval@countersign" ${samsKey.publicLine}` } },
  { title: 'a statement without a reason', code: 'break-glass-signature', change: editing('breakglass.used', (event: Of<'breakglass.used'>) => {
    const { reason: _, ...unsaid } = readBreakGlass(event.body.statement);
    return withBody(event, { statement: glassOf(unsaid as BreakGlassStatement) });
  }) },
  { title: 'another reason than was signed', code: 'break-glass-mismatch', change: restated({ reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: 'because' }) }) },
  {
    title: 'a reason that says nothing', code: 'break-glass-mismatch',
    change: (beats) => restated({ reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: ' ' }) })(editing('breakglass.used', (event: Of<'breakglass.used'>) => withBody(event, { reason: ' ' }))(beats)),
  },
  { title: 'a statement about another plan', code: 'break-glass-mismatch', change: restated({ planDigest: `sha256:${'3'.repeat(64)}` }), amongOthers: true },
  { title: 'a statement about another change', code: 'break-glass-mismatch', change: restated({ changeId: `chg_${logId}_01JD00000000000000000000AA` }) },
  { title: 'a record in another’s name', code: 'wrong-actor', change: editing('breakglass.used', (event) => ({ ...event, actor: 'person:olga' })) },
  { title: 'somebody whom no floor names', code: 'break-glass-not-allowed', trust: limited({ people: ['person:olga'] }) },
  { title: 'a floor that names nobody', code: 'break-glass-not-allowed', trust: { quorum: 2, signers: BREAKABLE.signers! } },
  { title: 'a floor that names her elsewhere', code: 'break-glass-not-allowed', trust: limited({ target: 'another' }) },
  { title: 'a lease that is longer than the floor lets it be', code: 'break-glass-not-allowed', trust: limited({ maxLeaseSeconds: 1_799 }) },
  { title: 'a lease that is longer than any of the floor may be', code: 'below-floor', trust: { ...BREAKABLE, maxLeaseSeconds: 1_799 } },
  { title: 'a lease that is longer than policy lets it be', code: 'break-glass-not-allowed', change: editing('policy.decided', lease(1_799)) },
  { title: 'a policy that lets nobody', code: 'break-glass-not-allowed', change: editing('policy.decided', unlet) },
  { title: 'a policy that lets nobody any more at dispatch', code: 'approvals-insufficient', change: editing('policy.decided', unlet, 1), amongOthers: true },
  { title: 'what nobody else could review', code: 'break-glass-not-allowed', change: samAlone },
  { title: 'what nobody else may review by the floor', code: 'break-glass-not-allowed', trust: { ...BREAKABLE, breakGlass: [{ ...GLASS, reviewers: [SAM, 'person:ben'] }, { ...GLASS, reviewers: [SAM, 'person:olga'] }] } },
  { title: 'a review by whom the floor does not name for it', code: 'not-an-approver', change: (beats) => [...beats, ...review(beats, 'person:ana')], trust: limited({ reviewers: ['person:ben', 'person:olga'] }) },
  { title: 'a review that is due later than the floor says', code: 'break-glass-not-allowed', trust: limited({ reviewWithinSeconds: 86_399 }) },
  { title: 'what had expired', code: 'break-glass-not-allowed', change: restated({ expiresAt: formatTime(START_MS) }), amongOthers: true },
  { title: 'what is good for longer than it may be', code: 'break-glass-not-allowed', change: restated({ expiresAt: formatTime(START_MS + DAY) }), amongOthers: true },
  { title: 'a step as if the glass were broken, which nobody did', code: 'wrong-order', change: without('breakglass.used'), amongOthers: true },
  { title: 'a step without its broken glass', code: 'approvals-insufficient', change: editing('step.authorised', (event: Of<'step.authorised'>): NewEvent => {
    const { breakGlass: _, ...body } = event.body as Extract<Of<'step.authorised'>['body'], { kind: 'act' }>;
    return { ...event, body };
  }, 1) },
  { title: 'a step under another’s', code: 'approvals-insufficient', change: editing('step.authorised', (event: Of<'step.authorised'>) => withBody(event, { breakGlass: `sha256:${'4'.repeat(64)}` }), 1) },
  { title: 'a glass that is broken twice', code: 'wrong-order', change: (beats) => following('breakglass.used', () => beats.find(({ event }) => event.type === 'breakglass.used')!.event)(beats) },
  { title: 'a review by who broke it', code: 'own-review', change: (beats) => [...beats, ...review(beats, SAM)] },
  { title: 'a review by who asked', code: 'wrong-actor', change: (beats) => [...beats, ...review(beats, 'nhi:prod/ci-deployer')] },
  { title: 'a review by who was not asked', code: 'not-an-approver', change: (beats) => [...beats, ...review(beats, 'person:olga')] },
  { title: 'a review by the sidecar', code: 'wrong-actor', change: (beats) => [...beats, ...review(beats, sidecar)] },
  { title: 'a second review', code: 'wrong-order', change: (beats) => [...beats, ...review(beats, 'person:ana'), ...review(beats, 'person:ben')], amongOthers: true },
  { title: 'a review that nobody has done', code: 'review-overdue', asOfMs: START_MS + 2 * DAY },
  { title: 'a second glass while the review of the first is overdue', code: 'review-overdue', beats: () => again(2 * DAY, null), asOfMs: START_MS + 2 * DAY + 3_600_000 },
  { title: 'one that was reviewed late, and a second before that', code: 'review-overdue', beats: () => again(2 * DAY, 3 * DAY), asOfMs: START_MS + 3 * DAY },
];

/** Another glass, so long after the first; and when the first is reviewed, if ever. */
export function again(afterMs: number, reviewAfterMs: number | null): readonly Beat[] {
  const ledger: Beat[] = [];
  const first = given(ledger);
  const review = (): void => {
    if (reviewAfterMs === null) return;
    first.atMs = START_MS + reviewAfterMs;
    first.do({ type: 'reviewBreakGlass', by: 'person:ana', verdict: 'justified', comment: 'as it should be', rotation: 'notNeeded', demanded: 'session' });
  };
  if (reviewAfterMs !== null && reviewAfterMs < afterMs) review();
  given(ledger, START_MS + afterMs);
  if (reviewAfterMs !== null && reviewAfterMs >= afterMs) review();
  return ledger;
}

function review(beats: readonly Beat[], by: string): Beat[] {
  const last = beats.at(-1)!;
  return [{ changeId: last.changeId, atMs: last.atMs + 60_000, event: { type: 'breakglass.reviewed', actor: by, body: { verdict: 'justified', comment: 'it was I' } } }];
}
