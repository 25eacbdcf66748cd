/**
 * An approval is taken once policy has said that this person may approve this plan, on the facts of the moment. What the change itself asks of an approval
 * (by whom, of which plan, in time) is decided first and stands whatever policy says: it only ever refuses more. A rejection is not its matter.
 */
import { decide, type Command, type Judged } from '../change/decide.ts';
import { systemOf } from '../change/derive.ts';
import type { ChangeState } from '../change/state.ts';
import { buildAcceptInput } from '../pdp/build-input.ts';
import { EngineFault } from '../pdp/fault.ts';
import type { ApprovalStatement } from '../protocol/signed.ts';
import { statementIn } from '../protocol/standing-approval.ts';
import { whyNoOtherPerson } from './approving.ts';
import { asOfRecord, provenanceOf, saltedInput } from './ask.ts';
import type { EngineContext } from './engine.ts';
import { extendedBy } from './extending.ts';
import { locksOn } from './locks.ts';
import { isNamedByFloor } from './own-floor.ts';
import { recordable } from './room.ts';
import type { Applied } from './store.ts';

type Approve = Extract<Command, { type: 'approve' }>;
export type Accepted = Applied | { readonly ok: false; readonly code: 'approval-not-judged'; readonly message: string };

/**
 * Sequences the approval with policy's answer about it, in one append; or says why not, and nothing was recorded. The answer is about the change, the facts and
 * the bundle that are in force when it comes: where one of them became another meanwhile, it is asked again.
 *
 * @param isDue asked in the same breath as it is recorded: where it says no, nothing is
 * @throws LedgerError nothing was added
 */
export async function acceptApproval(context: EngineContext, changeId: string, approve: Approve, isDue: () => boolean = () => true): Promise<Accepted> {
  const { logger, pdp, store } = context;
  for (;;) {
    const state = await store.load(changeId);
    if (!isDue()) return { ok: false, code: 'not-expected', message: 'it is not due any more' };
    const first = decide(state ?? null, approve, store.nextAtMs());
    const statement = state === undefined ? null : statementIn(approve.approval, state);
    const other = state === undefined || statement === null || !first.ok || first.events.length === 0 ? null : whyNoOtherPerson(context, state, statement);
    if (other !== null) return other;
    if (state === undefined || statement === null || !first.ok || first.events.length === 0 || statement.verdict === 'reject' || !canJudge(context)) return store.apply(changeId, approve);
    const { bundle } = pdp;
    const asked = await judge(context, state, statement).catch((error: unknown) => {
      if (error instanceof EngineFault) return error;
      throw error;
    });
    if (pdp.bundle !== bundle || store.inMemory(changeId)?.length !== state.length) continue;
    if (asked instanceof EngineFault) {
      logger.error({ changeId, code: asked.code }, 'policy gave no answer about an approval, which is not taken');
      return { ok: false, code: 'approval-not-judged', message: `policy has not answered whether it is accepted (${asked.code}): it is not taken, and the change waits` };
    }
    if (asked.judged.provenance.facts[0] !== context.factsDigest() || !isDue()) continue;
    const { effect, reasons } = asked.judged.acceptance;
    if (effect === 'refuse') logger.warn({ changeId, approver: statement.approver, codes: reasons.map(({ code }) => code) }, 'policy refuses an approval');
    return store.apply(changeId, { ...approve, judged: asked.judged }, [asked.input]);
  }
}

/** A bundle that was made before there was such a question has no say in it. Where there is none at all, that is a fault. */
function canJudge({ pdp }: EngineContext): boolean {
  return pdp.evidence?.listing.entrypoints.includes('workflow/accept') ?? true;
}

/** @throws EngineFault */
async function judge(context: EngineContext, state: ChangeState, { approver }: ApprovalStatement): Promise<{ readonly judged: Judged; readonly input: Uint8Array }> {
  const locks = locksOn(context.store.locks(), state.request.subject, systemOf(state.request)?.connector ?? null).map(({ lockId, reason }) => ({ lockId, reason }));
  const question = buildAcceptInput(state, approver, { ...asOfRecord(context), connectors: context.connectors, locks, extended: extendedBy(context, state), namedByFloor: isNamedByFloor(context, state, approver) });
  const input = saltedInput(context, question);
  // Before policy is asked: other facts may be in force when it answers.
  const provenance = provenanceOf(context, input);
  const acceptance = recordable(await context.pdp.accept(question));
  return { judged: { by: context.self, acceptance, provenance }, input };
}
