/**
 * Ledgers in which approvals are signed by those who gave them. Whoever has the sidecar's keys can write all the rest of a ledger, and sign every
 * word of it: what people must have signed stays theirs.
 */
import { expect, it } from 'vitest';
import { nodeDisk } from '../../ledger/index.ts';
import type { NewEvent } from '../../src/change/events.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { approvalStatementSchema, type Approval, type ApprovalStatement } from '../../src/protocol/signed.ts';
import { editing, restated, without, type Of } from '../support/edit-story.ts';
import { ledgerOf, linesOf } from '../support/packs.ts';
import { testSshKey } from '../support/ssh.ts';
import { ANA, decision, GRANT, ORIGIN, provenance, sidecar, sign, START_MS, statementOf, storyTrust, toldUntilActive, toldUntilArmed, toldUntilDecided, type Beat, type Telling, type TrustEdit } from '../support/story.ts';
import { expectCaught, verified, workflowOf, type Case } from './verified.ts';

const [ana, stranger] = [testSshKey(), testSshKey()];
const SIGNED: TrustEdit = { proofClass: 'ssh', signers: `person:ana ${ana.publicLine}\n` };

/** A grant whose owner approved it, by whatever makes the approval. */
function approved(approval: (statement: ApprovalStatement) => Approval): Telling {
  const telling = toldUntilDecided(GRANT, START_MS);
  telling.later(60_000).do({ type: 'approve', approval: approval(statementOf(telling, 'person:ana')), comment: null });
  return toldUntilActive(toldUntilArmed(telling));
}
const bySsh = (): readonly Beat[] => approved((statement) => ana.approval(statement)).beats;
const bySession = (): readonly Beat[] => approved((statement) => sign.approval(statement)).beats;
/** The approval made anew of its statement. */
const reproven = (prove: (statement: ApprovalStatement) => Approval, of: () => readonly Beat[] = bySsh) => (): readonly Beat[] =>
  editing('approval.recorded', (event: Of<'approval.recorded'>): NewEvent => ({ ...event, body: { ...event.body, approval: prove(readPayload(event.body.approval.envelope, approvalStatementSchema)) } }))(of());

it('what its approver signed herself holds, under a floor that asks for it and under one that does not', async () => {
  for (const trust of [SIGNED, { signers: SIGNED.signers! }]) expect(workflowOf(await verified(bySsh(), trust, { asOfMs: START_MS + 600_000 })).status).toBe('holds');
});

it('… while the key was good', async () => {
  const until = (time: string): TrustEdit => ({ ...SIGNED, signers: `person:ana valid-before="${time}" ${ana.publicLine}` });
  expect(workflowOf(await verified(bySsh(), until('202611231902Z'), { asOfMs: START_MS + 600_000 })).status).toBe('holds');
  expect(workflowOf(await verified(bySsh(), until('202611231901Z'), { asOfMs: START_MS + 600_000 })).status).toBe('fails');
});

it('… which it was not by then, though the records are dated back to when it was', async () => {
  const retired: TrustEdit = { ...SIGNED, signers: `person:ana valid-before="202611231930Z" ${ana.publicLine}` };
  const at = (ms: number): DraftWithObjects => systemDraft('ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }, sidecar, START_MS + ms);
  const day = 86_400_000;
  const late = await verified(bySsh(), retired, { asOfMs: START_MS + 190 * day, first: [at(190 * day)] });
  expect(late.workflow!.violations.map(({ code }) => code)).toContain('approval-signature');
  // A clock that was an hour ahead and is right again is no lie.
  expect(workflowOf(await verified(bySsh(), retired, { asOfMs: START_MS + 600_000, first: [at(3_600_000)] })).status).toBe('holds');
});

it('what had expired by then approves nothing, though the records are dated back to before', async () => {
  const session = bySession();
  const opened = systemDraft('ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }, sidecar, START_MS + 190 * 86_400_000);
  const grant = session.findIndex(({ event }) => event.type === 'step.authorised' && event.body.kind === 'act');
  const all = await verified(session, {}, { first: [opened] });
  expect(all.workflow!.violations.map(({ code }) => code)).toContain('approval-expired');
  // Recorded in time, and used when it was over.
  const lines = linesOf(session);
  const ledger = await ledgerOf([...lines.slice(0, grant), opened, ...lines.slice(grant)]);
  try {
    const used = await verifyEvidence({ disk: nodeDisk(ledger.directory), directory: 'ledger', trust: storyTrust(), wholeFolder: true });
    expect(used.workflow!.violations.map(({ code }) => code)).toContain('approvals-insufficient');
  } finally {
    ledger.remove();
  }
});

const asOfMs = START_MS + 600_000;
const CASES: readonly Case[] = [
  { title: 'a session, where the floor asks for a signature', code: 'below-floor', beats: bySession, trust: SIGNED, asOfMs },
  { title: 'a session of somebody who signed', code: 'below-floor', beats: reproven((statement) => sign.approval(statement)), trust: SIGNED, asOfMs },
  { title: 'a signature by a key that the sidecar chose', code: 'approval-signature', beats: reproven((statement) => stranger.approval(statement)), trust: SIGNED, asOfMs, amongOthers: true },
  { title: 'a signature by a key that only the sidecar’s trust folder has', code: 'approval-signature', beats: bySsh, asOfMs, amongOthers: true },
  { title: 'an envelope of the sidecar’s that is said to be a signature', code: 'approval-signature', beats: reproven((statement) => ({ ...sign.approval(statement), proofClass: 'ssh' })), trust: SIGNED, asOfMs, amongOthers: true },
  { title: 'a signature that is said to be a session', code: 'approval-signature', beats: reproven((statement) => ({ ...ana.approval(statement), proofClass: 'session' })), trust: SIGNED, asOfMs, amongOthers: true },
  { title: 'a signature that is said to be of a passkey', code: 'approval-signature', beats: reproven((statement) => ({ ...ana.approval(statement), proofClass: 'passkey' })), trust: SIGNED, asOfMs, amongOthers: true },
  {
    title: 'a step on what the decision before it has counted no more', code: 'approvals-insufficient', trust: SIGNED, asOfMs, amongOthers: true,
    beats: () => {
      const beats = bySsh();
      const uncounted = beats.flatMap(({ event }) => (event.type === 'approval.recorded' ? [event.body.approval.approvalId] : []));
      return editing('policy.decided', (event: Of<'policy.decided'>): NewEvent => ({ ...event, body: { ...event.body, uncounted } }), 1)(beats);
    },
  },
  { title: 'her signature of another plan', code: 'approval-mismatch', beats: reproven((statement) => ana.approval({ ...statement, planDigest: `sha256:${'3'.repeat(64)}` })), trust: SIGNED, asOfMs, amongOthers: true },
  { title: 'her signature of an earlier revision', code: 'approval-mismatch', beats: reproven((statement) => ana.approval({ ...statement, revision: 2 })), trust: SIGNED, asOfMs, amongOthers: true },
  { title: 'her rejection, recorded as an approval', code: 'approval-mismatch', beats: reproven((statement) => ana.approval({ ...statement, verdict: 'reject' })), trust: SIGNED, asOfMs, amongOthers: true },
  { title: 'somebody else’s approval, with her signature', code: 'approval-signature', beats: reproven((statement) => ana.approval(statement), () => editing('approval.recorded', (event) => restated(event, { approver: 'person:ben' }))(bySsh())), trust: SIGNED, asOfMs, amongOthers: true },
  {
    title: 'a session, where policy asked for a signature', code: 'approvals-insufficient', asOfMs, trust: { signers: SIGNED.signers! },
    beats: () => {
      const asked = (event: Of<'policy.decided'>): NewEvent => ({
        ...event, body: { ...event.body, decision: { ...event.body.decision, obligations: { ...event.body.decision.obligations, proofClass: 'ssh' } }, requirement: { ...event.body.requirement, proofClass: 'ssh' } },
      });
      const authorised = (event: Of<'step.authorised'>): NewEvent => (event.body.kind === 'act' ? { ...event, body: { ...event.body, requirement: { ...event.body.requirement, proofClass: 'ssh' } } } : event);
      return editing('step.authorised', authorised, 1)(editing('policy.decided', asked, 1)(editing('policy.decided', asked, 0)(bySession())));
    },
    amongOthers: true,
  },
  { title: 'a decision that asks for nobody, where the floor asks for a signature', code: 'below-floor', trust: SIGNED, asOfMs, beats: () => unasked() },
];

it.each(CASES)('is found: $title', (one) => expectCaught(one, bySsh));

/** A sidecar that claims a laxer policy: allowed, and carried out, with nobody asked. */
function unasked(): readonly Beat[] {
  const nobody = { approvers: null, proofClass: 'session' } as const;
  const allowed = (event: Of<'policy.decided'>): NewEvent => ({
    ...event, body: { ...event.body, decision: decision('allow'), requirement: nobody, approvalsBy: null },
  });
  const authorised = (event: Of<'step.authorised'>): NewEvent => (event.body.kind === 'act' ? { ...event, body: { ...event.body, requirement: nobody, approvals: [] } } : event);
  return editing('step.authorised', authorised, 1)(editing('policy.decided', allowed, 1)(editing('policy.decided', allowed, 0)(without('approval.recorded')(bySsh()))));
}

it('a person who is asked for a signature is not counted for having been there', () => {
  const telling = toldUntilDecided(GRANT, START_MS);
  const asks = { ...decision('needsApproval', ANA), obligations: { ...decision('needsApproval', ANA).obligations, proofClass: 'ssh' as const } };
  telling.later(60_000).do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana')), comment: null });
  expect(telling.now.name).toBe('scheduled');
  // Policy asks for more before dispatch: what counted does not any more, and the same person may sign.
  telling.later(10).do({ type: 'recordDecision', by: sidecar, phase: 'dispatch', plan: telling.now.plan!, decision: asks, provenance, approvalSeconds: 3600 });
  expect(telling.now.name).toBe('pending');
  expect(() => telling.later(10).do({ type: 'approve', approval: sign.approval(statementOf(telling, 'person:ana')), comment: null })).toThrow(/proof-too-weak/);
  telling.later(10).do({ type: 'approve', approval: ana.approval(statementOf(telling, 'person:ana')), comment: null });
  expect(telling.now.name).toBe('scheduled');
});
