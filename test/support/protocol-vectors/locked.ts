/** Steps that come while locks stand. */
import type { Edits } from '../envelopes.ts';
import { NHI, signedLock } from './locks.ts';
import { headOf, keptOf, made, stepVector, type Setting, type StepVector } from './steps.ts';

const refused = (path: string, title: string, edits: Edits, locks: NonNullable<Setting['locks']>): StepVector => {
  const { envelope, log } = made(edits);
  return stepVector(`refused-locked-${path}`, title, { json: envelope }, { refused: 'locked', answer: 'report', head: headOf(log) }, { locks });
};
const admitted = (path: string, title: string, edits: Edits, locks: NonNullable<Setting['locks']>): StepVector => {
  const { envelope, log } = made(edits);
  return stepVector(`admitted-locked-${path}`, title, { json: envelope }, { admitted: 'act', head: keptOf({ envelope, log }) }, { locks });
};

export function lockedVectors(): StepVector[] {
  const everybody = [signedLock()];
  return [
    refused('connector', 'a grant, with everybody locked at its connector', { action: 'grant' }, everybody),
    refused('identity', 'a new credential of an identity that is locked', { action: 'provision' }, [signedLock({ nhi: NHI, connector: null })]),
    refused('rotation', 'a new login of an identity that is locked', { action: 'stage' }, everybody),
    admitted('another-identity', 'a grant, with another identity locked', { action: 'grant' }, [signedLock({ nhi: 'nhi:prod/other' })]),
    admitted('taking-away', 'a step that only takes away, with everybody locked', { action: 'revoke' }, everybody),
  ];
}
