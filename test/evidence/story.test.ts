import { describe, expect, it } from 'vitest';
import { tellStory } from '../../src/evidence/story.ts';
import type { ChangeEvent, EventBody } from '../../src/change/events.ts';
import type { ProofClass } from '../../src/protocol/decision.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { called, offboarding, rotation, toldUntilActed, toldUntilAuthorised, toldUntilClaimed, toldUntilPlanned, toldUntilUndone, fetchedRotation, CALLED } from '../support/step-stories.ts';
import { standingOf, TEMPLATE, usedTimes } from '../support/standing.ts';
import { cleanStory, GRANT, START_MS, type Beat } from '../support/story.ts';

const ofChange = (beats: readonly Beat[]): string[] =>
  tellStory(beats.map(({ event, atMs }, seq) => ({ seq, type: event.type, at: formatTime(atMs), actor: event.actor, body: event.body }))).map(({ text }) => text);
const told = (beats: readonly Beat[], type: ChangeEvent['type'], nth = 0): string | undefined =>
  ofChange(beats)[beats.map(({ event }, i) => ({ event, i })).filter(({ event }) => event.type === type)[nth]?.i ?? -1];

describe('the story of a change', () => {
  it('has a sentence for every record, of every kind', () => {
    const items = [{ kind: 'account' as const, nhi: GRANT.subject, connector: 'pg-main', target: 'app', account: 'ci_deployer' }];
    const stories = [cleanStory().beats, rotation().beats, toldUntilUndone(fetchedRotation()).beats, called().beats, offboarding(items, [], START_MS).beats];
    for (const text of stories.flatMap(ofChange)) {
      expect(text).toMatch(/^[^{}]+\.$|^[^{}]+[.”]$/);
      expect(text).not.toMatch(/cannot be read|does not know\.|is not what it should be|undefined|\[object/);
    }
  });

  it('says by whose word it is who asked and who approved, where that is an issuer’s', () => {
    const authentication = { kind: 'person' as const, issuer: 'https://login.acme.example', subject: '8f14e45f', key: `sha256:${'0'.repeat(64)}` };
    const beats = cleanStory().beats.map((beat) => (['change.requested', 'approval.recorded'].includes(beat.event.type) ? { ...beat, event: { ...beat.event, body: { ...beat.event.body, authentication } } as ChangeEvent } : beat));
    for (const type of ['change.requested', 'approval.recorded'] as const) {
      expect(told(beats, type)).toMatch(/^\S+, by the word of https:\/\/login\.acme\.example, (?:asked|approved) /);
      expect(told(cleanStory().beats, type)).not.toContain('by the word of');
    }
  });

  it('lets nobody end the quotation of what they wrote and go on in our words', () => {
    const reason = 'release 42”. person:ana approved plan sha256:000000000000… of revision 1: “fine';
    const beats = cleanStory().beats.map((beat) => (beat.event.type === 'change.requested' ? { ...beat, event: { ...beat.event, body: { ...beat.event.body, request: { ...beat.event.body.request, reason } } } } : beat));
    expect(told(beats, 'change.requested')).toMatch(/: “release 42\\u\{201d\}\. person:ana [^”]*”\.$/);
  });

  it('says by what an approver proved her word, where that is more than a session', () => {
    const [given] = usedTimes(standingOf(TEMPLATE), [1]).filter(({ event }) => event.type === 'approval.recorded');
    const proven = (beat: Beat, proofClass: ProofClass): string => ofChange([{ ...beat, event: { ...beat.event, body: { ...beat.event.body, approval: { ...(beat.event.body as EventBody<'approval.recorded'>).approval, proofClass } } } as ChangeEvent }])[0]!;
    const approved = cleanStory().beats.find(({ event }) => event.type === 'approval.recorded')!;
    for (const beat of [approved, given!]) {
      expect(proven(beat, 'ssh')).toMatch(/ approved .*, by an SSH key of their own[.:]/);
      expect(proven(beat, 'passkey')).toMatch(/ approved .*, by a passkey of their own[.:]/);
      expect(proven(beat, 'session')).not.toMatch(/their own/);
    }
  });

  it('names the logins of a rotation at each of its steps', () => {
    const { beats } = rotation();
    expect(told(beats, 'step.authorised', 1)).toContain('to make orders_b a login with role:orders, beside orders_a');
    expect(told(beats, 'step.authorised', 2)).toContain('to see whether orders_b can take over from orders_a');
    expect(told(beats, 'step.authorised', 3)).toContain('to shut orders_a out, now that orders_b has taken over');
  });

  it('lets a caller speak for itself, and for nobody else', () => {
    expect(told(called().beats, 'step.succeeded')).toMatch(/^caller:[0-9a-f]{32} says that its code did it, by .+ \(exit-0\)\.$/);
    const failed = toldUntilActed(toldUntilClaimed(toldUntilAuthorised(toldUntilPlanned(CALLED, START_MS))), { outcome: 'failed', code: 'exit-1' });
    expect(told(failed.beats, 'step.failed')).toMatch(/says that its code did not do it \(exit-1\)\.$/);
  });

  it('does not say that a state was read where nobody but the caller saw it', () => {
    const [verified] = called({ unread: true }).beats.filter(({ event }) => event.type === 'entitlement.verified');
    const { event, atMs } = verified!;
    if (event.type !== 'entitlement.verified') throw new Error('the story verifies nothing');
    const saying = (...codes: string[]): string => {
      const verification = { ...event.body.verification, reasons: codes.map((code) => ({ code, message: code, rule: 'access' })) };
      return ofChange([{ event: { ...event, body: { ...event.body, verification } }, atMs } as Beat])[0]!;
    };
    expect(saying('reported-done', 'self-reported')).toBe('Nobody but the caller saw the state after its code ran; its report is believed.');
    expect(saying('as-planned')).toBe('What was read after the effect is what was decided.');
  });
});
