import { describe, expect, it } from 'vitest';
import { tellStory } from '../../src/evidence/story.ts';
import { extendAgain, extendedLease, extensionUntilArmed, extensionUntilDecided, extensionUntilDone, runningLease, VERIFIED } from '../support/extension-story.ts';
import { provenance, sidecar, START_MS, toldUntilEnded, toldUntilOrdered, type Beat } from '../support/story.ts';
import { extendedStory, EXTENSION_CASES } from './extension-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

const MINUTE = 60_000;

async function held(beats: readonly Beat[], asOfMs?: number): Promise<string> {
  const verification = await verified(beats, {}, asOfMs === undefined ? {} : { asOfMs });
  expect(verification.workflow?.violations).toEqual([]);
  expect(workflowOf(verification).status).toBe('holds');
  return workflowOf(verification).message;
}

describe('an honest extension', () => {
  it('is followed to the later end', async () => {
    expect(await held(extendedStory())).toBe('2 changes: 2 closed, 0 open; 1 grant: 1 taken back (the latest 0.4 s after its end), extended 1 time');
  });

  it('is what a lease that runs past its first end is judged by', async () => {
    expect(await held(extendedLease(START_MS).ledger, START_MS + 45 * MINUTE)).toContain('1 running, extended 1 time');
  });

  it('may be followed by another', async () => {
    const told = extendedLease(START_MS);
    extendAgain(told, { duration: 'PT2H' });
    toldUntilEnded(told.lease, told.lease.now.lease!.order);
    expect(await held(told.ledger)).toContain('extended 2 times');
  });

  it('is cut short by a person, or by an order of its earlier epoch that an executor without the proof carried out', async () => {
    for (const order of ['early', 'earlier'] as const) {
      const told = extendedLease(START_MS);
      const earlier = told.lease.beats.find(({ event }) => event.type === 'step.authorised' && event.body.kind === 'act')!.event;
      if (order === 'early') toldUntilEnded(told.lease.later(MINUTE), toldUntilOrdered(told.lease, 'person:olga'), 200);
      else if (earlier.type === 'step.authorised' && earlier.body.kind === 'act') toldUntilEnded(told.lease, earlier.body.lease!.order);
      expect(await held(told.ledger), order).toContain('1 taken back');
    }
  });

  it('that came to nothing leaves the earlier end', async () => {
    const ledger: Beat[] = [];
    const lease = runningLease(START_MS, ledger);
    const extension = extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease));
    lease.atMs = extension.atMs;
    toldUntilEnded(lease, toldUntilOrdered(lease, 'person:olga'), 10);
    extension.atMs = lease.atMs;
    extension.do({ type: 'recordVerification', by: sidecar, verification: VERIFIED, provenance });
    expect(await held(ledger)).not.toContain('extended');
  });
});

describe('an extension with one thing wrong', () => {
  it.each(EXTENSION_CASES)('is caught: $title ($code)', (one) => expectCaught(one, extendedStory));
});

describe('the story of an extension', () => {
  it('says of both changes what happened', () => {
    const { lease, extension } = extendedLease(START_MS);
    const told = (beats: readonly Beat[]): string => tellStory(beats.map(({ event, atMs }, seq) => ({ seq, type: event.type, at: new Date(atMs).toISOString(), actor: event.actor, body: event.body }))).map(({ text }) => text).join('\n');
    expect(told(lease.beats)).toContain(`The access ends later: at ${new Date(lease.now.lease!.endsAtMs).toISOString()}, by ${extension.changeId}.`);
    expect(told(lease.beats)).toContain('is armed no more.');
    expect(told(extension.beats)).toContain(`asked to extend what ${lease.changeId} gave`);
    expect(told(extension.beats)).toContain('to give role:deploy of ci_deployer a later end');
  });
});
