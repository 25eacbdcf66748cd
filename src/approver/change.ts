/** A change as the command shows it, and the verdict on it. */
import { describeChange } from '../cli/describe.ts';
import type { Output } from '../cli/output.ts';
import { differingField } from '../cli/shown-plan.ts';
import { statementFault } from '../cli/shown-statement.ts';
import { planDigest } from '../protocol/plan.ts';
import { isToReview, reviewing } from './glass.ts';
import { assertStatement } from './passkey.ts';
import type { Shown } from './shown.ts';
import type { SidecarDoor } from './sidecar.ts';

const same = (text: string): string => text;
const nothing = (): void => undefined;
/** Lines without colour; each stands in the page as text. */
const PAPER: Output = { json: false, line: nothing, document: nothing, say: nothing, progress: nothing, bold: same, dim: same, good: same, bad: same };

/** @throws Refused where the sidecar does not show it */
export async function shownChange(door: SidecarDoor, id: string): Promise<Shown> {
  const change = await door.change(id);
  const { plan } = change;
  const differing = plan === null ? null : change.id === id ? differingField(change) : 'id';
  const isOpen = plan !== null && change.state === 'pending';
  return {
    what: 'plan', lines: describeChange(change, PAPER, { nowMs: Date.now() }), digest: plan === null ? null : planDigest(plan), unchecked: null,
    closed: differing !== null ? { how: 'bad', why: `What is shown beside the plan is not what the plan says (${differing}). Decide nothing here.` }
      : isOpen ? null : { how: 'open', why: `This change is ${change.state}: there is nothing to decide.` },
    async decide(verdict, comment) {
      const own = verdict === 'approve' ? { passkey: await proofFor() } : {};
      const decided = await door.decide(change.id, { verdict, planDigest: change.planDigest!, ...(comment === '' ? {} : { comment }), ...own });
      return `${verdict === 'approve' ? 'Approved' : 'Rejected'} ${change.planDigest!}. The change is ${decided.state}.`;
    },
    ...(differing === null && isToReview(change) ? reviewing(door, change) : {}),
  };

  /** Asked for only once what is to be signed is the plan that is shown. */
  async function proofFor(): ReturnType<typeof assertStatement> {
    const answer = await door.statement(change.id, 'approve');
    const fault = statementFault(change, answer.statement, 'approve', Date.now());
    if (fault !== null) throw new Error(`What is to be signed is ${fault}. Nothing was signed.`);
    return assertStatement(answer);
  }
}
