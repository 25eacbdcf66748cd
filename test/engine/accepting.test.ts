/** An approval is taken once policy has said that this person may give it, and an auditor sees that it did. */
import { describe, expect, it } from 'vitest';
import type { LedgerRecord } from '../../ledger/index.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import { factsOf, type Facts } from '../../src/facts/facts.ts';
import { EngineFault, type Pdp } from '../../src/pdp/engine.ts';
import type { AcceptInput } from '../../src/pdp/policy-input.ts';
import type { Acceptance } from '../../src/protocol/decision.ts';
import { floorSchema } from '../../src/protocol/trust.ts';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { askedOtherwise, settled, tell, usualPdp, verdictOf } from '../support/replayed.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, scriptedPdp, usualPolicy, type Answered, type TestOptions, type TestSidecar } from '../support/sidecar.ts';

const { reasons } = answerOf('allow');
const ACCEPTS: Acceptance = { effect: 'accept', reasons, controls: [] };

async function records({ log }: TestSidecar, ...types: string[]): Promise<LedgerRecord[]> {
  await log.sync();
  const found: LedgerRecord[] = [];
  for await (const { record } of log.entries(0)) if (types.includes(record.type)) found.push(record);
  return found;
}
const verdicts = (sidecar: TestSidecar): Promise<LedgerRecord[]> => records(sidecar, 'approval.judged', 'approval.recorded', 'approval.rejected');
const pending = async (sidecar: TestSidecar): Promise<ChangeView> => settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, GRANT), 'pending');
const say = (sidecar: TestSidecar, by: string, change: ChangeView, verdict: 'approve' | 'reject' = 'approve'): Promise<Answered> =>
  sidecar.send(by, 'POST', change.links.approvals, { verdict, planDigest: change.planDigest, ...(verdict === 'reject' ? { comment: 'not now' } : {}) });

async function opened(options: TestOptions, run: (sidecar: TestSidecar) => Promise<void>): Promise<void> {
  const sidecar = await openTestSidecar(options);
  try {
    await run(sidecar);
  } finally {
    await sidecar.close();
  }
}
const judging = (accept: Pdp['accept'], decide = usualPolicy): Pdp => ({ ...scriptedPdp(decide), accept });

/** Whoever it is has left. */
const without = (person: string) => ({ value }: Facts): Facts =>
  factsOf({ ...value, directory: { ...value.directory, people: value.directory.people.map((one) => (one.id === person ? { ...one, active: false } : one)) } }, Date.now());

describe('an approval that policy accepts', () => {
  it('rests on the record of what policy said, and an auditor who asks again gets the same', async () => {
    let changeId = '';
    const told = await tell(await usualPdp(), async (sidecar) => {
      const change = await pending(sidecar);
      changeId = change.id;
      expect((await say(sidecar, 'person:wei', change)).status).toBe(200);
      await settled(sidecar, GRANT.subject, change, 'active');
      const [judged, recorded, ...more] = await verdicts(sidecar);
      expect(more).toEqual([]);
      expect(judged).toMatchObject({
        type: 'approval.judged', actor: `sidecar:${sidecar.log.logId}`, body: { approver: 'person:wei', planDigest: change.planDigest, acceptance: { effect: 'accept', reasons: [{ code: 'approval-accepted' }] } },
      });
      expect(recorded).toMatchObject({ type: 'approval.recorded', seq: judged!.seq + 1, body: { acceptance: (judged!.body as { provenance: { input: string } }).provenance.input } });
      // The same again asks nobody and adds nothing.
      expect((await say(sidecar, 'person:wei', change)).status).toBe(200);
      expect(await verdicts(sidecar)).toHaveLength(2);
    });
    const verification = await told.verify();
    for (const name of ['INTEGRITY', 'COMPLETENESS', 'WORKFLOW', 'REPLAY']) expect(verdictOf(verification, name)).toMatchObject({ name, status: 'holds' });
    expect(verification.replay).toMatchObject({ decisions: 4, same: 4, unreplayed: [] });
    const pack = await told.verifyPackOf({ change: changeId });
    expect(pack.verdicts.filter(({ name }) => name === 'WORKFLOW' || name === 'REPLAY').map(({ status }) => status)).toEqual(['holds', 'holds']);

    type Draft = DraftWithObjects['draft'];
    const unsaid = ({ acceptance: _left, ...body }: Draft['body']): Draft['body'] => body;
    const forgeries: readonly [string, (draft: Draft) => Draft | null][] = [
      ['does not rest on policy’s answer', (draft) => (draft.type === 'approval.judged' ? null : draft)],
      ['no answer of its is on record', (draft) => (draft.type === 'approval.judged' ? null : draft.type === 'approval.recorded' ? { ...draft, body: unsaid(draft.body) } : draft)],
      ['does not rest on policy’s answer', (draft) => (draft.type === 'approval.recorded' ? { ...draft, body: unsaid(draft.body) } : draft)],
      ['does not rest on policy’s answer', (draft) => (draft.type === 'approval.recorded' ? { ...draft, body: { ...draft.body, acceptance: `sha256:${'0'.repeat(64)}` } } : draft)],
      ['does not rest on policy’s answer', (draft) => (draft.type === 'approval.judged' ? { ...draft, body: { ...draft.body, approver: 'person:ben' } } : draft)],
      ['policy refused the approval', (draft) => (draft.type === 'approval.judged' ? { ...draft, body: { ...draft.body, acceptance: { ...(draft.body['acceptance'] as object), effect: 'refuse' } } } : draft)],
      ['an approval of another plan', (draft) => (draft.type === 'approval.judged' ? { ...draft, body: { ...draft.body, planDigest: `sha256:${'0'.repeat(64)}` } } : draft)],
    ];
    for (const [message, edit] of forgeries) {
      const forged = await told.rewritten(({ draft, objects }) => {
        const edited = edit(draft);
        return edited === null ? [] : { draft: edited, objects };
      });
      const forgedVerification = await forged.verify({ replayer: null });
      expect(verdictOf(forgedVerification, 'WORKFLOW')).toMatchObject({ status: 'fails', message: expect.stringContaining(message) as string });
      expect(forgedVerification.workflow!.violations[0]).toMatchObject({ code: 'acceptance-mismatch' });
    }
    const lied = await told.rewritten(askedOtherwise('approval.judged', (input: AcceptInput) => ({ ...input, approval: { ...input.approval, approver: 'person:ben' } })));
    expect(verdictOf(await lied.verify(), 'REPLAY')).toMatchObject({ status: 'fails', message: expect.stringMatching(/another approval\.approver/) as string });
    const other = await told.rewritten(({ draft, objects }) => ({ draft: draft.type === 'approval.judged' ? { ...draft, body: { ...draft.body, acceptance: { effect: 'accept', reasons, controls: [] } } } : draft, objects }));
    expect(verdictOf(await other.verify(), 'REPLAY')).toMatchObject({ status: 'fails', message: expect.stringMatching(/policy says accept of the approval/) as string });
  });

  it('is asked about with who has approved meanwhile, and on the facts that are in force meanwhile', async () => {
    const asked: AcceptInput[] = [];
    let others: (() => Promise<unknown>) | null = null;
    const pdp = judging(async (input) => {
      asked.push(input);
      const meanwhile = others;
      others = null;
      await meanwhile?.();
      return ACCEPTS;
    }, () => answerOf('needsApproval', { allOf: ['person:wei', 'person:ana', 'person:olga'] }));
    await opened({ pdp }, async (sidecar) => {
      const change = await pending(sidecar);
      others = () => say(sidecar, 'person:ana', change);
      expect((await say(sidecar, 'person:wei', change)).status).toBe(200);
      expect(asked.map(({ approval }) => approval)).toEqual([{ approver: 'person:wei', approved: [] }, { approver: 'person:ana', approved: [] }, { approver: 'person:wei', approved: ['person:ana'] }]);
      others = async () => sidecar.load(without('person:sam')(sidecar.facts));
      expect((await say(sidecar, 'person:olga', change)).status).toBe(200);
      expect(asked.slice(3).map(({ facts }) => facts.directory.people.find(({ id }) => id === 'person:sam')?.active)).toEqual([true, false]);
      expect((await verdicts(sidecar)).map(({ type }) => type)).toEqual(Array(3).fill(['approval.judged', 'approval.recorded']).flat());
    });
  });
});

describe('whom the floor names', () => {
  const naming = (...approvers: string[]): TestOptions => ({
    trusts: (trust) => Object.assign(trust, { requirements: { ...trust.requirements, floors: [floorSchema.parse({ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'session', approvers, maxLeaseSeconds: null })] } }),
  });

  it('approves without a role in the directory, so that what the floor demands can be met; on record, and an auditor gets the same answer', async () => {
    const told = await tell(await usualPdp(), async (sidecar) => {
      const change = await pending(sidecar);
      expect((await say(sidecar, 'person:wei', change)).body).toMatchObject({ state: 'pending' });
      expect((await say(sidecar, 'person:mallory', change)).status).toBe(200);
      await settled(sidecar, GRANT.subject, change, 'active');
    }, naming('person:mallory'));
    const verification = await told.verify();
    for (const name of ['WORKFLOW', 'REPLAY']) expect(verdictOf(verification, name)).toMatchObject({ name, status: 'holds' });
    // It is not said of somebody for whom no floor on record asks.
    const lied = await told.rewritten(askedOtherwise('approval.judged', (input: AcceptInput) => ({ ...input, approval: { ...input.approval, namedByFloor: true } }), ({ approver }) => approver === 'person:wei'));
    expect(verdictOf(await lied.verify(), 'REPLAY')).toMatchObject({ status: 'fails', message: expect.stringMatching(/another approval\.namedByFloor/) as string });
  });

  it('approves only while it names her', async () => {
    await opened({ pdp: await usualPdp(), ...naming('person:mallory', 'person:ana') }, async (sidecar) => {
      const change = await pending(sidecar);
      Object.assign(sidecar.trust.requirements.floors[0]!, { approvers: ['person:ana'] });
      expect(problemIn(await say(sidecar, 'person:mallory', change))).toMatchObject({ code: 'approval-refused', reasons: [{ code: 'approver-without-role' }] });
    });
  });
});

describe('an approval that policy does not accept', () => {
  it('is refused with policy’s reasons, and the change waits as it did; a rejection by the same person counts', async () => {
    await opened({ pdp: await usualPdp() }, async (sidecar) => {
      const change = await pending(sidecar);
      sidecar.load(without('person:wei')(sidecar.facts));
      const problem = problemIn(await say(sidecar, 'person:wei', change));
      expect(problem).toMatchObject({ status: 403, code: 'approval-refused', detail: expect.stringContaining('approver-inactive') as string, reasons: [{ code: 'approver-inactive', rule: 'workflow.acceptance.deny' }] });
      expect(await verdicts(sidecar)).toEqual([]);
      expect(sidecar.engine.get(change.id)).toMatchObject({ name: 'pending', length: change.length });
      expect((await say(sidecar, 'person:wei', change, 'reject')).status).toBe(200);
      expect(sidecar.engine.get(change.id)?.name).toBe('rejected');
    });
  });

  it('is not taken where policy gives no answer, until it does; a rejection asks nobody', async () => {
    let fault: EngineFault | null = new EngineFault('timed-out', 'no answer in time');
    await opened({ pdp: judging(async () => (fault === null ? ACCEPTS : Promise.reject(fault))) }, async (sidecar) => {
      const [change, other] = [await pending(sidecar), await pending(sidecar)];
      const answered = await say(sidecar, 'person:wei', change);
      expect(problemIn(answered)).toMatchObject({ status: 503, code: 'approval-not-judged', detail: expect.stringContaining('timed-out') as string });
      expect(answered.headers.get('retry-after')).toBe('5');
      expect(await verdicts(sidecar)).toEqual([]);
      expect((await say(sidecar, 'person:wei', other, 'reject')).status).toBe(200);
      fault = null;
      expect((await say(sidecar, 'person:wei', change)).status).toBe(200);
    });
  });

  it('is not asked about where the change itself does not take it', async () => {
    await opened({ pdp: judging(() => Promise.reject(new Error('asked'))) }, async (sidecar) => {
      const change = await pending(sidecar);
      const otherPlan = { ...change, planDigest: `sha256:${'0'.repeat(64)}` };
      expect(problemIn(await say(sidecar, 'person:wei', otherPlan)).code).toBe('plan-changed');
    });
  });

  it('is taken as ever under a bundle that has no say in it', async () => {
    const usual = await usualPdp();
    const { listing, ...evidence } = usual.evidence!;
    const pdp: Pdp = { ...usual, evidence: { ...evidence, listing: { ...listing, entrypoints: listing.entrypoints.filter((name) => name !== 'workflow/accept') } }, accept: () => Promise.reject(new Error('asked')) };
    const told = await tell(pdp, async (sidecar) => {
      expect((await say(sidecar, 'person:wei', await pending(sidecar))).status).toBe(200);
      expect((await verdicts(sidecar)).map(({ body }) => 'acceptance' in body)).toEqual([false]);
    });
    expect(verdictOf(await told.verify({ replayer: null }), 'WORKFLOW').status).toBe('holds');
  });
});
