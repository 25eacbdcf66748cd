import { describe, expect, it } from 'vitest';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import type { RevokeOrder } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { COUNTS, FINDING, freshDiscoveryId, reconciliation, type ReconciliationEdits } from '../support/discoveries.ts';
import { cleanStory, EXECUTOR, keys, sidecar, sign, START_MS, type Telling } from '../support/story.ts';
import { expectCaught, verified, workflowOf, type Case } from './verified.ts';

const AT_MS = START_MS + 9_000_000;
const otherDigest = `sha256:${'0'.repeat(64)}`;
const { beats, provision } = cleanStory();
const caught = (title: string, code: Case['code'], edits: ReconciliationEdits): Case => ({ title, code, extra: reconciliation(edits).drafts, amongOthers: true });

describe('a reconciliation on record', () => {
  it('holds, and NOT PROVEN says when each connector was last compared', async () => {
    const verification = await verified(beats, {}, { extra: reconciliation().drafts });
    expect(workflowOf(verification).status).toBe('holds');
    expect(verification.notProven[0]).toBe(`changes made outside Countersign since the last reconcile: pg-main at ${formatTime(START_MS + 8_000_020)}; pg-other never`);
    expect(verification.verdicts.find(({ name }) => name === 'NOT PROVEN')?.message).toContain('pg-main at ');
  });

  it('that did not look to the end says so', async () => {
    const { drafts, discoveryId, page } = reconciliation();
    const partly = systemDraft('reconcile.compared', { discoveryId, connector: 'pg-main', target: 'app', complete: false, pages: [page], counts: COUNTS, found: 0, cleared: 0 }, sidecar, AT_MS);
    const { notProven } = await verified(beats, {}, { extra: [...drafts, partly] });
    expect(notProven[0]).toContain(`pg-main at ${formatTime(AT_MS)}, not to its end`);
  });

  it('found, cleared and found again, with an order in between, holds', async () => {
    const first = reconciliation({}, { code: 'access-past-end', change: provision.changeId });
    const second = reconciliation({}, { code: 'access-past-end', change: provision.changeId });
    const cleared = systemDraft('reconcile.cleared', { findingId: FINDING, discoveryId: second.discoveryId, evidence: [second.page] }, sidecar, AT_MS);
    const extra = [...first.drafts, ordered(provision), ...second.drafts.slice(0, 2), cleared, ...second.drafts.slice(2)];
    expect(workflowOf(await verified(beats, {}, { extra })).message).not.toContain('violation');
    expect(workflowOf(await verified(beats, {}, { extra })).status).toBe('holds');
  });

  const first = reconciliation();
  const CASES: readonly Case[] = [
    caught('a look that somebody else has signed for', 'ticket-signature', { ticketSigner: keys.stranger }),
    caught('a look whose ticket is for another page', 'ticket-mismatch', { ticket: (ticket) => ({ ...ticket, query: { ...ticket.query, connector: 'pg-other' } }) }),
    caught('a look that nobody of this log asked for', 'wrong-actor', { authorisedBy: 'person:sam' }),
    caught('an answer that its executor did not sign', 'report-signature', { reportSigner: keys.otherExecutor }),
    caught('an answer about another discovery', 'report-mismatch', { report: (report) => ({ ...report, discoveryId: freshDiscoveryId() }) }),
    caught('an answer to what was not asked', 'not-authorised', { report: (report) => ({ ...report, stepId: report.stepId.replace('_p1', '_p2') }) }),
    caught('an executor that may not speak for the connector', 'report-signature', { reportedBy: EXECUTOR, reportSigner: keys.stranger }),
    caught('an answer of an executor nobody knows', 'unknown-executor', { reportedBy: 'executor:ghost' }),
    caught('an answer of an executor of another connector', 'executor-not-entitled', { reportedBy: 'executor:other', reportSigner: keys.otherExecutor }),
    caught('a page that is not with its record', 'state-missing', { withoutPage: true }),
    caught('a finding whose pages were not read', 'state-mismatch', { evidence: [otherDigest] }),
    caught('a comparison of pages that were not read', 'state-mismatch', { pages: [otherDigest] }),
    caught('a comparison in the name of a person', 'wrong-actor', { comparedBy: 'person:sam' }),
    { title: 'what is found again and was not cleared', code: 'wrong-order', extra: [...first.drafts, ...reconciliation().drafts], amongOthers: true },
    { title: 'what is cleared and was not found', code: 'wrong-order', extra: [systemDraft('reconcile.cleared', { findingId: FINDING, discoveryId: first.discoveryId, evidence: [otherDigest] }, sidecar, AT_MS)] },
    { title: 'an order of what was not found', code: 'wrong-order', extra: [ordered(provision)] },
    { title: 'an order of another change than was found', code: 'order-mismatch', extra: [...reconciliation({}, { code: 'access-past-end' }).drafts, ordered(provision)] },
    { title: 'an order of what is not past its end', code: 'order-mismatch', extra: [...reconciliation({}, { code: 'access-returned', change: provision.changeId }).drafts, ordered(provision)] },
    { title: 'an order that somebody else has signed', code: 'order-signature', extra: [...pastEnd(), ordered(provision, {}, keys.stranger)] },
    { title: 'an order that does not say why', code: 'order-mismatch', extra: [...pastEnd(), ordered(provision, { cause: 'leaseEnd' })] },
  ];
  it.each(CASES)('$title is caught', async (one) => {
    await expectCaught(one, () => beats);
  });
});

function pastEnd(): ReturnType<typeof reconciliation>['drafts'] {
  return reconciliation({}, { code: 'access-past-end', change: provision.changeId }).drafts;
}

function ordered(telling: Telling, edit: Partial<RevokeOrder> = {}, by = keys.ticket): ReturnType<typeof systemDraft> {
  const order = sign.order({ ...deriveRevokeOrder(telling.now.plan!, EXECUTOR, AT_MS, 'reconcile', sidecar)!, ...edit }, by);
  return systemDraft('reconcile.ordered', { findingId: FINDING, order }, sidecar, AT_MS);
}
