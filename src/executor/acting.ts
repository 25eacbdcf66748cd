/**
 * One step, from its claim to its report: at least once asked, at most one effect.
 *
 * Before anything is applied, the attempt is in the lease book with the state it starts from and the secret it will set, sealed. So whatever
 * kills the process, the next one finds either no attempt, or one whose effect it can look for at the target by client token. An attempt is
 * given up for cleared only if the effect is absent after the last moment at which it could still have come. A cutover has no effect: it is
 * a look at the target, which is taken again, and leaves no attempt.
 *
 * A secret that the target chooses is in nobody's hands but its answer's: it is sealed before anything else is done with it. One that was lost on the
 * way, with the process or the answer, opens nothing for anybody: what it was made for is taken back by client token, and made again.
 *
 * Where an executor has several workers, nothing is done or said of a step without the claim to its lease: what another began and left is
 * undone by client token first, and what another has taken over is let go without a word.
 */
import { canonicalText } from '../../ledger/index.ts';
import { leaseIdOf } from '../change/derive.ts';
import { leaseChangeOf } from '../change/extension.ts';
import { isUndoable, makesSecret, type Plan, type PlanStep, type TargetState } from '../protocol/plan.ts';
import { placeOf } from '../protocol/request.ts';
import type { ActedReport, Refusal } from '../protocol/signed.ts';
import { formatTime, parseTime } from '../protocol/values.ts';
import { isInWindow } from './admission.ts';
import type { Attempt, Claim, StepState } from './book-entries.ts';
import { TargetError, type ApplyInput, type Connector, type Issued } from './connector.ts';
import type { WorkerContext } from './context.ts';
import { backoffMs, within } from './deadline.ts';
import { keepSecret, publishSecret, settleSecret, unstageSecret } from './keeping.ts';
import { locked } from './locked.ts';
import { isEnded, isFenced, leaseEndMs } from './order-fence.ts';
import { namedState, plainDetail, saltState, type SaltedState } from './reports.ts';

/** An attempt of which nothing has been sent yet. The secret is nowhere else but in its seal. */
interface Prepared {
  readonly attempt: number;
  readonly secret: string | null;
  readonly before: SaltedState;
}

/** What this process knows of a step and does not write down. */
interface Run {
  readonly stepId: string;
  readonly changeId: string;
  readonly leaseId: string;
  prepared: Prepared | null;
  /** The secret of the attempt that was applied; null after a restart. */
  secret: string | null;
  saidAmbiguous: boolean;
  failures: number;
  /** What the target said that the step waits for, when it was asked last; null where that was not the answer. */
  waitsFor: string | null;
  /** Another worker has it: nothing is done or said of it here. */
  isElsewhere: boolean;
  /** Until when an attempt may be begun under the claim, in epoch ms; Infinity for a step that needs none. */
  claimedUntilMs: number;
  /** When an attempt found at opening can have no effect any more. */
  readonly foundQuietAtMs: number;
}

type Resolution = Pick<ActedReport, 'outcome' | 'code' | 'detail'> & { readonly before?: SaltedState | null; readonly after?: SaltedState; readonly byUse?: ActedReport['byUse'] };

/**
 * Runs the step until it is resolved, or the worker closes. The target is its own for each `turn`; while it waits for something to become so
 * it lets others have theirs.
 *
 * @throws BookError when the lease book cannot be written: nothing is given from then on
 */
export async function runStep(context: WorkerContext, stepId: string, turn: (task: () => Promise<void>) => Promise<void>): Promise<void> {
  const { ticket, plan } = stepOf(context, stepId).claim!;
  const { applyTimeoutMs, settleMs } = context.limits;
  const run: Run = {
    stepId, changeId: ticket.changeId, leaseId: leaseIdOf(leaseChangeOf(plan)), prepared: null, secret: null, saidAmbiguous: false, failures: 0, waitsFor: null, isElsewhere: false, claimedUntilMs: Infinity,
    foundQuietAtMs: context.clock.nowMs() + applyTimeoutMs + settleMs,
  };
  for (let waits = 0; isUnderWay(context, run); waits += 1) {
    if (waits > 0) await waitForTarget(context, stepId, waits - 1);
    await turn(() => advanceUntilWaiting(context, run));
  }
}

function isUnderWay(context: WorkerContext, run: Run): boolean {
  return stepOf(context, run.stepId).resolved === null && !context.isClosing() && !run.isElsewhere;
}

/** No longer than the ticket is good: that it did not become so in time is said at once. */
async function waitForTarget(context: WorkerContext, stepId: string, waits: number): Promise<void> {
  const { ticket } = stepOf(context, stepId).claim!;
  const leftMs = parseTime(ticket.notAfter) + context.trust.requirements.clockSkewMs - context.clock.nowMs();
  const waitMs = backoffMs(context.limits.notYetRetryMs, waits);
  await context.pauses.pause(leftMs > 0 ? Math.min(waitMs, leftMs) : waitMs);
}

async function advanceUntilWaiting(context: WorkerContext, run: Run): Promise<void> {
  while (isUnderWay(context, run)) {
    try {
      await advance(context, run);
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      const reason = plainDetail(error.message);
      run.waitsFor = error.kind === 'notYet' ? (reason ?? 'the target does not say what') : null;
      if (run.waitsFor !== null) {
        context.logger.info({ stepId: run.stepId, reason }, 'the step waits for its target');
        return;
      }
      context.logger.warn({ stepId: run.stepId, kind: error.kind, reason }, 'the target does not answer as it should; trying again');
      await context.pauses.pause(backoffMs(context.limits.retryMs, run.failures));
      run.failures += 1;
    }
  }
}

function stepOf(context: WorkerContext, stepId: string): StepState {
  const step = context.book.state.steps.get(stepId);
  if (step === undefined) throw new Error(`no step ${stepId} in the lease book`);
  return step;
}

/** Does the next thing that is due. @throws TargetError where the same is due again */
async function advance(context: WorkerContext, run: Run): Promise<void> {
  const { claim } = stepOf(context, run.stepId);
  const { action, connector: id } = claim!.ticket.step;
  const connector = context.connectors.get(id);
  if (connector === undefined) return resolve(context, run, { outcome: 'refused', ...refusal('unknown-connector', 'no such connector here') });
  // The target is asked while the claim is: what it says is used only where nobody else had a hand in it.
  let asked = isFenced(action) ? askEarly(context, run, claim!, connector) : null;
  if (isFenced(action)) {
    const turn = await turnOf(context, run, claim!, connector);
    if (turn === 'not mine') return;
    if (turn === 'cleared') asked = null;
  }
  const last = stepOf(context, run.stepId).attempts.at(-1) ?? null;
  const open = last?.status === 'open' && run.prepared === null;
  const touched = open || last?.status === 'applied';
  // What an order does not undo is told as it is: an old login that may be shut out is looked for, whatever was ordered meanwhile.
  if (isOver(context, run, claim!) && (isUndoable(action) || action === 'extend' || !touched)) return afterLease(context, run, touched);
  if (last?.status === 'applied' && isLost(connector, action, last)) return undoLost(context, run, claim!, connector, last);
  if (last?.status === 'applied') return finish(context, run, claim!, connector, last);
  if (open) return settle(context, run, claim!, connector, last);
  return attemptOnce(context, run, claim!, connector, asked);
}

/** Asks for the state that a first attempt would start from; null where nothing could be begun. Never rejects by itself: whoever uses it hears of its error. */
function askEarly(context: WorkerContext, run: Run, claim: Claim, connector: Connector): Promise<Asked | TargetError> | null {
  const mayBegin = stepOf(context, run.stepId).attempts.length === 0 && isOpenNow(context, claim) && !isOver(context, run, claim) && locked(context, claim.plan, claim.ticket) === null;
  if (!mayBegin) return null;
  const asked = askState(context, claim, connector);
  asked.catch(() => undefined);
  return asked;
}

/**
 * Whether this worker holds the claim now, with nothing of another's left at the target; `cleared`: something was, so that what was read before
 * is not as it is now. @throws TargetError where that cannot be said yet
 */
async function turnOf(context: WorkerContext, run: Run, { ticket }: Claim, connector: Connector): Promise<'mine' | 'cleared' | 'not mine'> {
  const { clock, claims, limits, book } = context;
  const { action } = ticket.step;
  run.claimedUntilMs = clock.nowMs() + 2 * limits.askTimeoutMs;
  const untilMs = run.claimedUntilMs + limits.applyTimeoutMs + limits.settleMs;
  // The lease that is extended is this worker's, given and claimed before. A secret that was replaced cannot be cleared away: which one is set only who began knows.
  const hasNothingToSend = action === 'cutover' || action === 'extend' || action === 'replace' || stepOf(context, run.stepId).attempts.at(-1)?.status === 'applied';
  const turn = await claims.take(run.leaseId, action === 'retire' ? 'replacing' : hasNothingToSend ? 'given' : 'giving', untilMs);
  switch (turn.whose) {
    case 'mine':
      return 'mine';
    case 'ended':
      context.ending.add(run.leaseId);
      return 'mine';
    case 'elsewhere':
      if (turn.untilMs > 0) await context.pauses.pause(turn.untilMs - clock.nowMs() + 1);
      else run.isElsewhere = true;
      if (run.isElsewhere) context.logger.info({ stepId: run.stepId }, 'another worker has this step');
      return 'not mine';
    case 'cleared first': {
      context.logger.warn({ stepId: run.stepId }, 'another worker began this step and has left it: what it may have done is undone first');
      if (isUndoable(action)) {
        const undone = await within(clock, limits.revokeTimeoutMs, (signal) => connector.revoke({ ...ticket.step, action }, signal));
        if (undone === 'mismatch') throw new TargetError('unreachable', 'something of that name is there that this lease did not give');
      }
      run.prepared = null;
      const left = stepOf(context, run.stepId).attempts.filter(({ status }) => status !== 'cleared');
      await book.append(...left.map(({ attempt }) => ({ t: 'cleared' as const, stepId: run.stepId, attempt })));
      await claims.cleared(run.leaseId, untilMs);
      return 'cleared';
    }
  }
}

function isOver(context: WorkerContext, { leaseId }: Run, { ticket }: Claim): boolean {
  return isFenced(ticket.step.action) && isEnded(context, leaseId);
}

/** Resolves a step whose lease is over; one that may have had its effect only once that has been taken back. @throws TargetError `notYet` until then */
async function afterLease(context: WorkerContext, run: Run, touched: boolean): Promise<void> {
  const ended = { code: 'lease-ended', detail: 'what the change gives was to end before this was done' } as const;
  if (!touched) return resolve(context, run, { outcome: 'refused', ...ended });
  if (context.book.state.ended.has(run.leaseId)) return resolve(context, run, { outcome: 'failed', ...ended });
  // Another worker may have it, and this book hears of that at the lease's end: the target is not kept from others until then.
  throw new TargetError('notYet', 'what this gave is being taken back');
}

/** @param early what the target was asked already, and nobody has touched since; null: it is asked now */
async function attemptOnce(context: WorkerContext, run: Run, claim: Claim, connector: Connector, early: Promise<Asked | TargetError> | null): Promise<void> {
  const { clock, limits, book } = context;
  if (!isOpenNow(context, claim)) return resolve(context, run, { outcome: 'refused', ...ranOut(run, claim) });
  const lock = locked(context, claim.plan, claim.ticket);
  if (lock !== null) return resolve(context, run, { outcome: 'refused', ...refusal(lock.code, lock.message) });
  const asked = await (early ?? askState(context, claim, connector));
  if (asked instanceof TargetError) return resolve(context, run, { outcome: 'failed', code: 'target-rejected', detail: plainDetail(asked.message) });
  const before = asked.state;
  if (!isAsPlanned(claim.plan, asked.touched)) {
    return resolve(context, run, { outcome: 'drifted', code: 'drifted', detail: 'the target is not as it was when the plan was made', before });
  }
  if (claim.ticket.step.action === 'cutover') return check(context, run, claim, connector, before);
  run.prepared ??= await prepare(context, run, claim, connector, before);
  const { prepared } = run;
  if (prepared === null) return resolve(context, run, { outcome: 'failed', code: 'cannot-seal', detail: 'the secret could not be sealed to its recipient, or kept where it says; nothing was changed', before });
  // Sealing and writing took time. All that allowed the effect must still hold now.
  const now = stepOf(context, run.stepId).claim!;
  if (isOver(context, run, now) || locked(context, now.plan, now.ticket) !== null || !isOpenNow(context, now) || context.isClosing() || clock.nowMs() > run.claimedUntilMs) return;
  let issued: Issued | null;
  try {
    issued = await context.inFlight.apply(run.leaseId, (signal) => applyOrIssue(connector, { ...inputOf(context, run, now), secret: prepared.secret, signal }));
  } catch (error) {
    const kind = error instanceof TargetError ? error.kind : 'ambiguous';
    const detail = plainDetail(error instanceof Error ? error.message : String(error));
    if (kind === 'unreachable') throw error;
    if (kind === 'rejected') return resolve(context, run, { outcome: 'failed', code: 'target-rejected', detail });
    if (kind === 'notYet') {
      // It may be waited for long: whoever opens the book meanwhile has nothing to look for.
      run.prepared = null;
      await book.append({ t: 'cleared', stepId: run.stepId, attempt: prepared.attempt });
      throw error;
    }
    // From here on the effect may be there: it is looked for, never repeated blindly.
    run.prepared = null;
    context.logger.warn({ stepId: run.stepId, attempt: prepared.attempt, reason: detail }, 'not known whether the change was made; looking for it');
    return sayAmbiguous(context, run, detail);
  }
  run.prepared = null;
  run.secret = prepared.secret;
  if (issued === null || (await keepIssued(context, run, now, prepared.attempt, issued))) run.failures = 0;
  // Written before the report in any case; a crash until then finds the effect by its token.
  const written = book.append({ t: 'applied', stepId: run.stepId, attempt: prepared.attempt });
  // What makes an earlier order void is durable before anybody hears of it: without it that order is carried out.
  if (now.ticket.step.action === 'extend') await written;
  else written.catch(() => undefined);
  context.logger.info({ stepId: run.stepId, attempt: prepared.attempt, atMs: clock.nowMs(), timeoutMs: limits.applyTimeoutMs }, 'applied');
}

function choosesSecret(connector: Connector, action: PlanStep['action']): boolean {
  return makesSecret(action) && connector.describe(action)?.choosesSecret === true;
}

async function applyOrIssue(connector: Connector, input: ApplyInput): Promise<Issued | null> {
  const { action } = input.step;
  if (!choosesSecret(connector, action)) return connector.apply(input).then(() => null);
  if (connector.issue === undefined) throw new Error(`a connector must be able to issue a ${action} whose secret its target chooses`);
  return connector.issue(input);
}

/** Whether nobody has the secret of what was made. */
function isLost(connector: Connector, action: PlanStep['action'], { seal }: Attempt): boolean {
  return seal === null && choosesSecret(connector, action);
}

/** Whether what the target chose is sealed and durable, before it is tried or told. Where it cannot be, it is as lost as one whose answer was. */
async function keepIssued(context: WorkerContext, run: Run, { plan, ticket }: Claim, attempt: number, { secret, credential }: Issued): Promise<boolean> {
  const sealed = await keepSecret(context, plan, ticket.step.clientToken, secret, stepOf(context, run.stepId).attempts, credential);
  if (sealed === null) return false;
  await context.book.append({ t: 'sealed', stepId: run.stepId, attempt, seal: sealed.seal, ciphertext: Buffer.from(sealed.ciphertext).toString('base64') });
  run.secret = secret;
  return true;
}

/** Nobody can ever use what this attempt made: it is taken back, and the step begins anew. @throws TargetError where it is not known to be gone */
async function undoLost(context: WorkerContext, run: Run, { ticket }: Claim, connector: Connector, { attempt }: Attempt): Promise<void> {
  const { action } = ticket.step;
  if (!isUndoable(action)) throw new Error(`a connector must not let its target choose the secret of a ${action}, which nothing undoes`);
  context.logger.warn({ stepId: run.stepId, attempt }, 'the secret that the target chose was lost on its way: what it opens is taken back and made again');
  const undone = await within(context.clock, context.limits.revokeTimeoutMs, (signal) => connector.revoke({ ...ticket.step, action }, signal));
  if (undone === 'mismatch') throw new TargetError('unreachable', 'something of that name is there that this lease did not give');
  await context.book.append({ t: 'cleared', stepId: run.stepId, attempt });
  await context.pauses.pause(backoffMs(context.limits.retryMs, run.failures));
  run.failures += 1;
}

/** Looks whether the change can go on, which has no effect and may be done any number of times. @throws TargetError where it is to be done again */
async function check(context: WorkerContext, run: Run, claim: Claim, connector: Connector, before: SaltedState): Promise<void> {
  try {
    await within(context.clock, context.limits.applyTimeoutMs, (signal) => connector.apply({ ...inputOf(context, run, claim), secret: null, signal }));
  } catch (error) {
    const failure = asTargetError(error);
    if (failure.kind !== 'rejected') throw failure;
    return resolve(context, run, { outcome: 'failed', code: 'target-rejected', detail: plainDetail(failure.message), before });
  }
  const asked = await askState(context, claim, connector);
  if (asked instanceof TargetError) throw asked;
  if (isOver(context, run, claim)) return;
  return resolve(context, run, { outcome: 'done', code: null, detail: null, before, after: asked.state });
}

function inputOf(context: WorkerContext, run: Run, claim: Claim): Omit<ApplyInput, 'secret' | 'signal'> {
  const { ticket, plan } = claim;
  return { step: ticket.step, validUntil: validUntilOf(context, run, claim), endSessions: plan.rotation?.retire === 'endSessions' };
}

/** When the access is to end, for a target that ends it by itself; of an extension, by the order that it brings. */
function validUntilOf({ book: { state } }: WorkerContext, { leaseId }: Run, { ticket, plan, order }: Claim): string | null {
  const endMs = ticket.step.action === 'extend' ? (state.orders.get(order ?? '')?.dueMs ?? Infinity) : leaseEndMs(state, leaseId);
  return plan.lease === null || endMs === Infinity ? null : formatTime(endMs);
}

/** Whether everything that was read now was read so for the plan. A step depends on a part of what its plan does, and never on nothing. */
function isAsPlanned({ before }: Plan, touched: TargetState['touched']): boolean {
  const read = Object.entries(touched);
  return read.length > 0 && read.every(([key, value]) => Object.hasOwn(before, key) && canonicalText(before[key]) === canonicalText(value));
}

/** Why nothing came of a ticket that was good: what the step waits for, if that is what the target said last. */
function ranOut({ waitsFor }: Run, { ticket }: Claim): { readonly code: Refusal; readonly detail: string } {
  return waitsFor === null ? refusal('outside-window', `the ticket was good until ${ticket.notAfter}`) : refusal('not-yet', waitsFor);
}

function isOpenNow(context: WorkerContext, { ticket }: Claim): boolean {
  return isInWindow(ticket, context.clock.nowMs(), context.trust.requirements.clockSkewMs);
}

function refusal(code: Refusal, detail: string): { readonly code: Refusal; readonly detail: string } {
  return { code, detail };
}

interface Asked {
  readonly state: SaltedState;
  /** What the step depends on. */
  readonly touched: TargetState['touched'];
}

/** The account as it is; the error where the target refuses to say. @throws TargetError where it may say so later */
async function askState(context: WorkerContext, { ticket }: Claim, connector: Connector): Promise<Asked | TargetError> {
  const { stepId: _, ...query }: PlanStep = ticket.step;
  try {
    const state = await within(context.clock, context.limits.askTimeoutMs, (signal) => connector.read(query, signal));
    return { state: saltState(state, context.random), touched: state.touched };
  } catch (error) {
    if (error instanceof TargetError && error.kind === 'rejected') return error;
    throw asTargetError(error);
  }
}

/** A connector that throws anything else has a fault of its own: what happened is not known. */
function asTargetError(error: unknown): TargetError {
  return error instanceof TargetError ? error : new TargetError('ambiguous', error instanceof Error ? error.message : String(error), { cause: error });
}

/** An attempt is durable, with the ciphertext of the secret it will set, before anything is sent. Null where the secret cannot be sealed. */
async function prepare(context: WorkerContext, run: Run, { plan, ticket }: Claim, connector: Connector, before: SaltedState): Promise<Prepared | null> {
  const { attempts } = stepOf(context, run.stepId);
  const attempt = attempts.length + 1;
  const { action } = ticket.step;
  const open = { t: 'attempt', stepId: run.stepId, attempt, before: before.text } as const;
  if (choosesSecret(connector, action)) {
    // What the target will choose is kept when it is there. That something can be sealed to its recipient is seen now, on what is used for nothing.
    const isSealed = plan.recipient !== null && placeOf(plan.recipient) === null;
    if (isSealed && (await keepSecret(context, plan, ticket.step.clientToken, 'nothing', attempts)) === null) return null;
    await context.book.append({ ...open, seal: null, ciphertext: null });
    return { attempt, secret: null, before };
  }
  const secret = makesSecret(action) ? Buffer.from(context.random(32)).toString('base64url') : null;
  const sealed = secret === null ? null : await keepSecret(context, plan, ticket.step.clientToken, secret, attempts);
  if (secret !== null && sealed === null) return null;
  await context.book.append({ ...open, seal: sealed?.seal ?? null, ciphertext: sealed === null ? null : Buffer.from(sealed.ciphertext).toString('base64') });
  return { attempt, secret, before };
}

/** Finds out what became of an open attempt. @throws TargetError where the target does not tell */
async function settle(context: WorkerContext, run: Run, claim: Claim, connector: Connector, { attempt }: Attempt): Promise<void> {
  const { clock, limits, book } = context;
  const askedAtMs = clock.nowMs();
  const quietAtMs = Math.max(run.foundQuietAtMs, context.inFlight.quietAtMs(run.leaseId));
  const found = await within(clock, limits.askTimeoutMs, (signal) => connector.probe(claim.ticket.step, signal, validUntilOf(context, run, claim))).catch((error: unknown) => {
    sayAmbiguous(context, run, 'the worker was stopped while it applied the change');
    throw asTargetError(error);
  });
  if (found === 'applied') return book.append({ t: 'applied', stepId: run.stepId, attempt });
  if (askedAtMs < quietAtMs) {
    // Absent now, but what was sent may still arrive.
    await context.pauses.pause(quietAtMs - askedAtMs);
    return;
  }
  await book.append({ t: 'cleared', stepId: run.stepId, attempt });
}

function sayAmbiguous(context: WorkerContext, run: Run, detail: string | null): void {
  if (run.saidAmbiguous) return;
  run.saidAmbiguous = true;
  const { claim, attempts } = stepOf(context, run.stepId);
  const { log, changeId, issue } = claim!.ticket;
  context.outbox.add(context.report({
    kind: 'acted', log, changeId, stepId: run.stepId, issue, attempt: attempts.length, outcome: 'ambiguous', code: 'ambiguous', detail,
    before: null, after: null, byUse: 'notTried', seal: null,
  }));
}

/** The effect is there: it is tried, read back and reported. */
async function finish(context: WorkerContext, run: Run, claim: Claim, connector: Connector, applied: Attempt): Promise<void> {
  const byUse = await tryUse(context, run, claim, connector);
  const { action, clientToken } = claim.ticket.step;
  // What does not work and can be undone is nobody's to find.
  if (applied.seal !== null && (byUse !== 'fails' || !isUndoable(action))) await publishSecret(context, claim.plan, clientToken);
  // From here on the old secret opens nothing.
  if (action === 'retire' || action === 'replace') await settleSecret(context, claim.plan, clientToken);
  const asked = await askState(context, claim, connector);
  if (asked instanceof TargetError) throw asked;
  if ((isUndoable(action) || action === 'extend') && isOver(context, run, claim)) return;
  return resolve(context, run, { outcome: 'done', code: null, detail: null, before: namedState(applied.before), after: asked.state, byUse });
}

/** Uses the new credential until it works, for as long as a target may need to make it work. After a restart nobody has the secret to try. */
async function tryUse(context: WorkerContext, run: Run, { ticket }: Claim, connector: Connector): Promise<ActedReport['byUse']> {
  const { clock, limits } = context;
  if (makesSecret(ticket.step.action) && run.secret === null) return 'notTried';
  const untilMs = clock.nowMs() + Math.max(limits.useTimeoutMs, connector.describe(ticket.step.action)?.residualMs ?? 0);
  for (let failures = 0; ; failures += 1) {
    let said: ActedReport['byUse'];
    try {
      said = await within(clock, limits.askTimeoutMs, (signal) => connector.tryUse(ticket.step, run.secret, signal));
    } catch (error) {
      // Not known to fail: nobody was there to refuse it.
      said = asTargetError(error).kind === 'rejected' ? 'fails' : 'notTried';
      if (clock.nowMs() >= untilMs || context.isClosing()) return said;
      await context.pauses.pause(backoffMs(limits.retryMs, failures));
      continue;
    }
    if (said !== 'fails' || clock.nowMs() >= untilMs || context.ending.has(run.leaseId) || context.isClosing()) return said;
    await context.pauses.pause(backoffMs(limits.retryMs, failures));
  }
}

/** Stores and sends the step's report. An attempt of which nothing was sent is cleared with it. */
async function resolve(context: WorkerContext, run: Run, resolution: Resolution): Promise<void> {
  const { claim, attempts } = stepOf(context, run.stepId);
  const { log, changeId, issue } = claim!.ticket;
  const { outcome, code, detail, before = null, after = null, byUse = 'notTried' } = resolution;
  const applied = outcome === 'done' ? attempts.at(-1) : undefined;
  const report = context.report({
    kind: 'acted', log, changeId, stepId: run.stepId, issue, attempt: attempts.length, outcome, code, detail,
    before: before?.digest ?? null, after: after?.digest ?? null, byUse, seal: applied?.seal ?? null,
  }, { states: [before, after], ciphertext: applied?.ciphertext ?? null });
  const open = attempts.filter(({ status }) => status === 'open').map(({ attempt }) => ({ t: 'cleared' as const, stepId: run.stepId, attempt }));
  run.prepared = null;
  // Before anything is said: what comes next may be another issue, whose secret a withdrawal that is late must not meet.
  if (outcome !== 'done' && attempts.some(({ seal }) => seal !== null)) await unstageSecret(context, claim!.plan, claim!.ticket.step.clientToken);
  const stored = context.book.append(...open, { t: 'resolved', stepId: run.stepId, issue, outcome, report });
  // What is done is done and may be told though it cannot be kept: whoever opens the book again finds it at the target and tells it again.
  // That nothing was done must be kept first, for it is a promise not to.
  if (outcome === 'done') await stored.catch((error: unknown) => context.logger.error({ stepId: run.stepId, reason: String(error) }, 'a report could not be stored'));
  else await stored;
  context.outbox.add(report);
  context.logger.info({ stepId: run.stepId, issue, outcome, code }, 'step resolved');
}
