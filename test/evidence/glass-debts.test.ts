/**
 * What a broken glass leaves owed, as an auditor looks for it. Whoever has the sidecar's keys can say that a login was rotated, or that somebody reviewed it:
 * the one is the word of an executor, in a change of its own; the other, where her floor asks for that, of a key that no sidecar has.
 */
import { describe, expect, it } from 'vitest';
import { GLASS, glassOf, GLASS_SALT, glassStatement, letting, REASON, reviewBy, toldUntilGiven } from '../support/break-glass.ts';
import { ledgerOf, linesOf, verifyStoryPack } from '../support/packs.ts';
import { PROVISION, START_MS, storyTrust, Telling, toldUntilActive, toldUntilDecided, toldUntilEnded } from '../support/story.ts';
import { DAY, given } from './break-glass-cases.ts';
import { BY_PASSKEY, LATER_MS, ONE, PASSKEY_CASES, reviewedByPasskey, rotated, ROTATION_CASES, SIGNED, SIGNED_CASES, signedReview, twice, untold, waived } from './glass-debts-cases.ts';
import { expectCaught, verified, workflowOf } from './verified.ts';

const asOfMs = LATER_MS;

describe('a rotation that is owed', () => {
  it('is made by one that began after the lease and has come to its end, with or without an overlap', async () => {
    for (const beats of [rotated(), rotated({ overlap: 'twin', steps: 3 })]) expect(workflowOf(await verified(beats, ONE, { asOfMs }))).toMatchObject({ status: 'holds' });
  });

  it('is not needed once a reviewer says so, with her review or later', async () => {
    for (const beats of [waived(), given().later(60_000).do(reviewBy({ rotation: 'notNeeded' })).beats]) expect(workflowOf(await verified(beats, ONE, { asOfMs }))).toMatchObject({ status: 'holds' });
  });

  it('comes with a pack of the change in which the glass was broken', async () => {
    const beats = rotated();
    const ledger = await ledgerOf(linesOf(beats));
    try {
      const change = beats[0]!.changeId;
      const other = beats.find((beat) => beat.changeId !== change)!.changeId;
      expect((await ledger.plan({ change })).changes).toEqual([change, other].sort());
      expect((await verifyStoryPack(await ledger.pack({ change }), { trust: storyTrust(ONE), asOfMs })).workflow?.violations).toEqual([]);
    } finally {
      ledger.remove();
    }
  });

  it('is not owed by an account that was provisioned, nor in a ledger of before, nor before its time', async () => {
    const telling = toldUntilDecided(PROVISION, START_MS, 'needsApproval', new Telling(START_MS), letting()).later(60_000);
    telling.do({ type: 'breakGlass', statement: glassOf(glassStatement(telling)), reason: REASON, salt: GLASS_SALT, limits: GLASS, owed: null });
    toldUntilEnded(toldUntilActive(toldUntilGiven(telling)), telling.now.lease!.order);
    expect(workflowOf(await verified(telling.do(reviewBy()).beats, ONE, { asOfMs }))).toMatchObject({ status: 'holds' });
    const before = given().later(60_000).do(reviewBy()).beats;
    expect(workflowOf(await verified(untold(before), ONE, { asOfMs }))).toMatchObject({ status: 'holds' });
    expect(workflowOf(await verified(before, ONE, { asOfMs: START_MS + DAY }))).toMatchObject({ status: 'holds' });
  });

  it('that was made, late or not, lets her break the next glass', async () => {
    for (const rotatedAfterMs of [DAY / 2, DAY + 7_200_000]) expect(workflowOf(await verified(twice(rotatedAfterMs), ONE, { asOfMs: START_MS + 2 * DAY + 3_600_000 }))).toMatchObject({ status: 'holds' });
  });

  it.each(ROTATION_CASES)('is found: $title', (one) => expectCaught({ asOfMs, trust: ONE, ...one }, rotated));
});

describe('a review by signature', () => {
  it('holds where the floor asks for it, and where it does not', async () => {
    for (const trust of [SIGNED, { ...SIGNED, breakGlass: ONE.breakGlass! }]) expect(workflowOf(await verified(signedReview(), trust, { asOfMs }))).toMatchObject({ status: 'holds' });
  });

  it.each(SIGNED_CASES)('is found: $title', (one) => expectCaught({ asOfMs, trust: SIGNED, ...one }, signedReview));
});

describe('a review by passkey', () => {
  it('holds where the floor asks for it, for a signature, or for neither', async () => {
    for (const { breakGlass } of [BY_PASSKEY, SIGNED, ONE]) expect(workflowOf(await verified(reviewedByPasskey(), { ...BY_PASSKEY, breakGlass: breakGlass! }, { asOfMs }))).toMatchObject({ status: 'holds' });
  });

  it.each(PASSKEY_CASES)('is found: $title', (one) => expectCaught({ asOfMs, trust: BY_PASSKEY, ...one }, reviewedByPasskey));
});
