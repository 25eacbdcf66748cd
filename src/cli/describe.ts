/** A change, in lines for a person. Every text that somebody else wrote goes through `plain`. */
import type { ChangeView } from '../client/index.ts';
import type { Observed } from '../protocol/decision.ts';
import { formatLength } from '../protocol/plain.ts';
import { BY_CALLER, describeApprovers, planLines, reasonLine, type PlanLine } from '../protocol/plan-as-seen.ts';
import type { Failure } from './failure.ts';
import { formatSpan, inertCell, inertLine, plain, spaced, type Output } from './output.ts';

export { describeApprovers };

export interface DescribeOptions {
  readonly nowMs: number;
  /** What is known of why it failed. */
  readonly failure?: Failure | null;
}

/** The whole change: who, what, what policy said, who is asked, what became of it. */
export function describeChange(change: ChangeView, out: Output, { nowMs, failure = null }: DescribeOptions): string[] {
  const lines: string[] = [];
  const field = (name: string, text: string): void => void lines.push(lineOf(out, name, inertCell(text)));
  lines.push(`${out.bold(spaced(change.id))}  ${inertCell(stateText(change, out))}`);
  field('kind', `${change.kind}, revision ${change.revision}`);
  if (change.reduced !== null) field('reduced', `by ${plain(change.reduced.by)} at ${change.reduced.at}, from revision ${change.reduced.revision}`);
  for (const { name, text } of shownLines({ ...change, decision: null })) lines.push(lineOf(out, name, text));
  field('reason', change.reason === null ? out.dim('erased; `changes why` says under which record') : plain(change.reason));
  if (change.adoptedFrom !== null) field('adopted', `from log ${change.adoptedFrom}: nothing more is gained by it`);
  lines.push(...describeProgress(change, out));
  if (change.planDigest !== null) field('plan digest', change.planDigest);
  lines.push(...describeDecision(change, out));
  for (const one of change.approvals) field(one.verdict === 'approve' ? 'approved' : 'rejected', `by ${plain(one.approver)}${whereText(one)}${one.proofClass === 'session' ? '' : `, proven by ${one.proofClass}`}${one.standing === undefined ? '' : `, by a standing approval: use ${one.standing.use} of ${one.standing.uses}, until ${one.standing.expiresAt}`}, record ${one.record}`);
  if (change.breakGlass !== undefined) field('glass', `broken by ${plain(change.breakGlass.usedBy)}, record ${change.breakGlass.record}; ${change.breakGlass.review === null ? reviewDue(change.breakGlass) : `${change.breakGlass.review.verdict}, says ${plain(change.breakGlass.review.by)}`}`);
  lines.push(...describeOwedRotation(change, out));
  if (change.state === 'pending' && change.approvalsBy !== null) field('decide by', `${change.approvalsBy} (${relative(Date.parse(change.approvalsBy), nowMs)})`);
  if (change.links.approve !== undefined) field('decide at', plain(change.links.approve));
  lines.push(...describeEscalation(change, out, nowMs));
  if (change.result !== null) field('effect', `${change.result.outcome} at ${change.result.at}${change.result.byUse === 'notTried' ? '' : `; by use it ${change.result.byUse}`}`);
  if (failure !== null) field('failed', `${out.bad(failure.code ?? failure.outcome)}${failure.detail === null ? '' : `: ${plain(failure.detail)}`}, record ${failure.record}`);
  if (change.verification?.effect === 'deny') for (const reason of change.verification.reasons) field('read back', `${out.bad(reason.code)}: ${plain(reason.message)}`);
  if (change.lease !== null && change.ended === null) field('lease', `ends ${change.lease.endsAt} (${relative(Date.parse(change.lease.endsAt), nowMs)})${change.lease.armed ? ', revoke armed' : ''}`);
  if (change.ended !== null) field('ended', `${change.ended.outcome} at ${change.ended.at}`);
  if (change.delivery !== null) field('delivery', `${change.delivery.status}, ${change.delivery.digest}`);
  if (change.waitingFor !== null) field('waits', plain(change.waitingFor));
  if (change.stuck !== null) field('stuck', `since ${change.stuck.since}${change.stuck.owner === null ? '' : `, for ${plain(change.stuck.owner)}`}: ${change.stuck.nextTry}`);
  for (const finding of change.findings) field('finding', `${out.bad(finding.code)}: ${plain(finding.message)}${finding.owner === null ? '' : ` (${plain(finding.owner)})`}`);
  field('record', `${change.lastRecord} at ${change.updatedAt}`);
  // A sidecar may answer with anything: who signs by this on a machine of her own is to see each line where it stands, and none besides.
  return lines.map(inertLine);
}

/** @param text in which two blanks are ours */
const lineOf = (out: Output, name: string, text: string): string => `  ${out.dim(name.padEnd(12))}${text}`;

/** By when, and by whom, the review is due. */
export function reviewDue({ reviewBy, reviewers }: NonNullable<ChangeView['breakGlass']>): string {
  // A sidecar of before says nothing of whom.
  const by = reviewers === undefined ? 'somebody else' : reviewers.length === 0 ? 'nobody who is there' : reviewers.map(plain).join(' or ');
  return `to be reviewed by ${reviewBy}, by ${by}`;
}

function whereText({ channel }: Pick<ChangeView['approvals'][number], 'channel'>): string {
  return channel === undefined ? '' : { slack: ' in Slack', relay: ' at another sidecar' }[channel];
}

/** What is to be seen of the change: its plan, or what was asked for while there is none. */
export function shownLines(change: ChangeView): PlanLine[] {
  const { plan } = change;
  return plan === null ? requestLines(change) : planLines({ ...change, plan, itemStates: change.items.map(itemState) });
}

/** What was asked for, while there is no plan of it. */
function requestLines(change: ChangeView): PlanLine[] {
  const { connector, target } = change.system ?? {};
  const lines: PlanLine[] = [
    { name: 'subject', text: plain(change.subject) }, { name: 'requester', text: change.requester.map(plain).join(' for ') }, { name: 'purpose', text: plain(change.purpose) },
    ...(change.entitlements.length > 0 || connector === undefined || target === undefined ? [] : [{ name: 'system', text: `${plain(connector)} / ${plain(target)}` }]),
    ...change.entitlements.map((one) => ({ name: 'access', text: `${plain(one.connector)} / ${plain(one.target)} / ${plain(one.privilege)}${one.scope === undefined ? '' : ` (${plain(one.scope)})`}` })),
    ...(change.duration === null ? [] : [{ name: 'duration', text: change.duration }]), ...(change.endsBy === null ? [] : [{ name: 'ends by', text: change.endsBy }]),
    ...(change.extends === null ? [] : [{ name: 'extends', text: `the lease of ${change.extends.change}` }]), ...(change.parent === null ? [] : [{ name: 'part of', text: change.parent }]),
    ...(change.mode === 'caller' ? [{ name: 'made by', text: BY_CALLER }] : []),
    ...(change.requirement.approvers === null ? [] : [{ name: 'approvers', text: describeApprovers(change.requirement.approvers) }]),
  ];
  return lines.map(({ name, text }) => ({ name, text: spaced(text) }));
}

/** The new credential that a login owes after somebody broke the glass: what became of it, or by when it is due and how it is asked for. */
function describeOwedRotation({ breakGlass, subject, purpose }: ChangeView, out: Output): string[] {
  const owed = breakGlass?.rotation;
  if (owed == null) return [];
  const { account, connector, target, rotateBy, change, waivedBy } = owed;
  const line = (name: string, text: string): string => lineOf(out, name, spaced(text));
  const login = `${plain(account)} at ${plain(connector)}/${plain(target)}`;
  if (change !== null) return [line('rotation', `of ${login}: made by ${change}`)];
  if (waivedBy !== null) return [line('rotation', `of ${login}: not needed, says ${plain(waivedBy)}`)];
  return [
    line('rotation', `of ${login} is owed by ${rotateBy}: have it approved, or a reviewer says that none is needed`),
    line('', `countersign request --kind rotate --subject ${plain(subject)} --connector ${plain(connector)} --target ${plain(target)} --purpose ${plain(purpose)} --recipient <age1…|kv:…> --reason <text>`),
  ];
}

/** Who is told as well, in a sentence; nothing once nobody is and nobody was. */
function describeEscalation({ escalation, state, approvalsBy }: ChangeView, out: Output, nowMs: number): string[] {
  if (escalation === null) return [];
  const people = escalation.to.map(plain).join(', ');
  if (escalation.at !== null) return [lineOf(out, 'escalated', spaced(`${people} told at ${escalation.at}; who may approve has not changed`))];
  if (state !== 'pending' || (approvalsBy !== null && escalation.dueAt >= approvalsBy)) return [];
  return [lineOf(out, 'escalates', spaced(`${escalation.dueAt} (${relative(Date.parse(escalation.dueAt), nowMs)}): then ${people} told as well`))];
}

function itemState(item: ChangeView['items'][number]): string {
  const by = item.kind === 'account' && item.change !== null ? ` by ${item.change}` : '';
  const open = item.outcome === 'open' ? `: ${plain(item.detail ?? '')}${item.owner === null ? '' : ` (${plain(item.owner)})`}` : '';
  return `${item.outcome ?? 'to do'}${by}${open}`;
}

/** How far a rotation is, and the window. */
function describeProgress(change: ChangeView, out: Output): string[] {
  const lines: string[] = [];
  const field = (name: string, text: string): void => void lines.push(lineOf(out, name, spaced(text)));
  if (change.window !== null && change.window.state !== 'planned') field('window', change.window.state);
  const { rotation } = change;
  if (rotation !== null) {
    field(rotation.overlap === 'twin' ? 'old login' : 'old secret', rotation.oldCredential);
    for (const { consumer, confirmed } of rotation.consumers) field('consumer', `${plain(consumer)}${confirmed ? ' has confirmed' : ''}`);
    if (rotation.graceEndsAt !== null && change.state === 'staged') field('grace', `until ${rotation.graceEndsAt}`);
  }
  return lines;
}

/** What policy said: effect, reasons, what was too much, and what would go through. */
export function describeDecision(change: ChangeView, out: Output): string[] {
  const { decision } = change;
  if (decision === null) return [];
  const lines = [lineOf(out, 'policy', effectText(decision.effect, out))];
  const more = (text: string): void => void lines.push(lineOf(out, '', text));
  for (const reason of decision.reasons) more(spaced(reasonLine(reason)));
  for (const { id, rule, owner, until } of decision.exceptions ?? []) more(spaced(`exception ${id} of ${owner}, until ${until}: ${rule} does not deny`));
  observedLines(decision.observed).forEach(more);
  for (const one of decision.excess) more(spaced(`beyond the purpose: ${one.connector} / ${one.target} / ${one.privilege}`));
  const offer = decision.counterOffer;
  if (offer !== null) {
    const access = offer.entitlements.map((one) => `${one.connector}/${one.target}/${one.privilege}`).join(', ');
    more(spaced(`this would do: ${access}${offer.leaseSeconds === null ? '' : ` for ${formatLength(offer.leaseSeconds)}`}`));
  }
  return lines;
}

/** What policy says of a change that is under observe, and is not enforced. */
export function observedLines(observed: Observed | undefined): string[] {
  if (observed === undefined) return [];
  const { scope, owner, until, effect, approvers, reasons } = observed;
  const by = approvers === null ? '' : ` by ${describeApprovers(approvers)}`;
  return [
    spaced(`under observe until ${until} (${scope} of ${owner}), not enforced: ${effect === 'deny' ? 'denied' : `needs approval${by}`}`),
    ...reasons.map(({ code, message }) => `  ${spaced(`${code}: ${message}`)}`),
  ];
}

function effectText(effect: 'deny' | 'needsApproval' | 'allow', out: Output): string {
  if (effect === 'deny') return out.bad('denied');
  return effect === 'allow' ? out.good('allowed') : 'needs approval';
}

export function stateText(change: Pick<ChangeView, 'state'>, out: Output): string {
  if (['denied', 'rejected', 'expired', 'failed', 'stuck'].includes(change.state)) return out.bad(change.state);
  return ['active', 'done'].includes(change.state) ? out.good(change.state) : change.state;
}

function relative(atMs: number, nowMs: number): string {
  return atMs >= nowMs ? `in ${formatSpan(atMs - nowMs)}` : `${formatSpan(nowMs - atMs)} ago`;
}
