/** `/v1/changes`: ask, look, wait, decide, withdraw, revoke, fetch. */
import type { ChangeState } from '../change/state.ts';
import { systemOf } from '../change/derive.ts';
import { owesReview } from '../change/glass-debts.ts';
import type { AtRest } from '../engine/change-index.ts';
import type { Engine } from '../engine/engine.ts';
import { extendRequestFor } from '../engine/extending.ts';
import type { Facts } from '../facts/load.ts';
import { requesterOf, type Authenticated } from '../identity/tokens.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import { parseTime } from '../protocol/values.ts';
import { bearingOf } from './bearing.ts';
import { requireForItself, requireWholeChain } from './authorise.ts';
import type { Call, Handlers } from './call.ts';
import { durable, unwrap, visibleChange, waitUntil, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import { readEvidence } from './evidence.ts';
import type { Reviewing } from '../engine/reviewing-glass.ts';
import type { Routes } from './routes.ts';
import type { BreakGlassReviewBody, ChangeView, ListQuery } from './schemas.ts';
import { shownState } from '../change/state.ts';
import { waitsForApprovalOf } from '../change/waits-for.ts';
import { viewOf } from './view.ts';
import { maySeeAtRest, maySeeChange } from './visibility.ts';

const LIST_LIMIT = 50;
/** Changes of one list that are read at a time. */
const READ_AHEAD = 8;

type Asking = Pick<Call<Routes['requestChange'] | Routes['extendChange']>, 'by' | 'query' | 'idempotencyKey' | 'trace'>;

type ChangeOperation =
  | 'requestChange' | 'listChanges' | 'getChange' | 'reviseChange' | 'reduceChange' | 'decideApproval' | 'getStatement' | 'getBreakGlass' | 'breakGlass' | 'getBreakGlassReview' | 'reviewBreakGlass' | 'withdrawChange' | 'revokeChange' | 'getDelivery'
  | 'acknowledgeDelivery' | 'getEvidence' | 'extendChange';

export function changeHandlers(context: SidecarContext): Handlers<ChangeOperation> {
  const { engine } = context;
  const show = (state: ChangeState): ChangeView => viewOf(state, engine, context.publicUrl);
  const view = async (state: ChangeState): Promise<{ status: 200; body: object }> => ({ status: 200, body: show(await durable(context, state)) });
  const ask = async ({ by, query: { wait }, idempotencyKey, trace }: Asking, request: ChangeRequest): Promise<{ status: 201; body: ChangeView; headers: Record<string, string> }> => {
    requireOneSystem(request);
    await requireVisible(by, request);
    const { state } = unwrap(await engine.request(requesterOf(by), request, idempotencyKey, by.authentication, trace));
    const latest = await durable(context, await waitUntil(context, state, wait, (seen) => isAtRest(seen, context.clock.nowMs())));
    return { status: 201, body: show(latest), headers: { location: `/v1/changes/${state.changeId}` } };
  };
  /** Whose lease it is must be one that the caller may see: what is extended is named by nobody else. */
  const requireVisible = async (by: Authenticated, request: ChangeRequest): Promise<void> => {
    if (request.kind === 'extend') await visibleChange(context, by, request.change);
  };
  return {
    requestChange: (call) => ask(call, call.body),
    async extendChange(call) {
      const { by, params, body } = call;
      const extended = await visibleChange(context, by, params['id']!);
      const { duration, endsBy, reason } = body;
      const request = extendRequestFor(extended, { duration, reason, ...(endsBy === undefined ? {} : { endsBy }) });
      if (request === null) throw new Problem('not-extendable', `a ${extended.request.kind} has no lease that could end later`);
      return ask(call, request);
    },
    async listChanges({ by, query }) {
      const facts = context.facts();
      const limit = query.limit === undefined ? LIST_LIMIT : Number(query.limit);
      const waiting = query.waitingForMe === undefined ? null : waitingFor(engine, by, query, facts);
      const page = waiting === null ? await newest(engine, limit + 1, by, query, facts) : waiting.filter(({ changeId }) => query.cursor === undefined || changeId < query.cursor);
      const shown = page.slice(0, limit);
      const changes = [];
      for (const state of shown) changes.push(show(await durable(context, state)));
      const next = page.length > limit && query.order === undefined ? shown.at(-1)!.changeId : null;
      return { status: 200, body: { changes, next, ...(waiting === null ? {} : { count: waiting.length }) } };
    },
    async getChange({ by, params, query }) {
      const state = await visibleChange(context, by, params['id']!);
      const since = query.since === undefined ? state.length : Number(query.since);
      await waitUntil(context, state, query.wait, (latest) => latest.length !== since);
      // Looked up again: while she waited, a revision may have taken the change out of her sight.
      const seen = await durable(context, await visibleChange(context, by, state.changeId));
      return { status: 200, body: { ...show(seen), bearing: await bearingOf(engine, seen, by, context.facts()) } };
    },
    async reviseChange({ by, params, body }) {
      const state = await visibleChange(context, by, params['id']!);
      requireWholeChain(by, state);
      requireOneSystem(body);
      await requireVisible(by, body);
      return view(unwrap(await engine.revise(by.principal, state.changeId, body)));
    },
    async reduceChange({ by, params, body: { planDigest, without = [], duration = null } }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      return view(unwrap(await engine.reduce(by.principal, changeId, planDigest, { without, duration })));
    },
    async decideApproval({ by, params, body }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      return view(unwrap(await engine.decideApproval(by.principal, changeId, body.verdict, body.planDigest, body.comment ?? null, { ...(body.ssh === undefined ? {} : { ssh: body.ssh }), ...(body.passkey === undefined ? {} : { passkey: body.passkey }), ...(by.authentication === undefined ? {} : { authentication: by.authentication }) })));
    },
    async getStatement({ by, params, query }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      return { status: 200, body: unwrap(await engine.statement(by.principal, changeId, query.verdict)) };
    },
    async getBreakGlass({ by, params }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      requirePerson(by);
      return { status: 200, body: unwrap(await engine.breakGlassStatement(by.principal, changeId)) };
    },
    async breakGlass({ by, params, body }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      requirePerson(by);
      requireForItself(by);
      return view(unwrap(await engine.breakGlass(changeId, { by: by.principal, ...body })));
    },
    async getBreakGlassReview({ by, params }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      requirePerson(by);
      return { status: 200, body: unwrap(await engine.breakGlassReviewStatement(by.principal, changeId)) };
    },
    async reviewBreakGlass({ by, params, body }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      requirePerson(by);
      const { verdict, comment, rotation } = body;
      const signed = body.signed === undefined ? undefined : signedAs(body.signed);
      return view(unwrap(await engine.reviewBreakGlass(changeId, { by: by.principal, verdict, comment, ...(rotation === undefined ? {} : { rotation }), ...(signed === undefined ? {} : { signed }) })));
    },
    async withdrawChange({ by, params, body }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      return view(unwrap(await engine.withdraw(by.principal, changeId, body.comment ?? null)));
    },
    async revokeChange({ by, params, body }) {
      const { changeId } = await visibleChange(context, by, params['id']!);
      const { state, recorded } = unwrap(await engine.revoke(by.principal, changeId, body.comment ?? null));
      return { status: 202, body: { recorded, change: show(state) } };
    },
    async getDelivery({ by, params }) {
      const state = await visibleChange(context, by, params['id']!);
      requireWholeChain(by, state);
      const { changeId } = state;
      const { ciphertext, digest } = unwrap(await engine.delivery(by.principal, changeId));
      const recipient = (await engine.find(changeId))?.delivery?.seal.recipient;
      return { status: 200, body: { ciphertext: Buffer.from(ciphertext).toString('base64'), digest, recipient } };
    },
    async acknowledgeDelivery({ by, params, body }) {
      const state = await visibleChange(context, by, params['id']!);
      requireWholeChain(by, state);
      return view(unwrap(await engine.acknowledgeDelivery(by.principal, state.changeId, body.digest)));
    },
    async getEvidence({ by, params }) {
      const state = await durable(context, await visibleChange(context, by, params['id']!));
      return { status: 200, body: await readEvidence(context.log, engine.index.recordsOf(state.changeId), state, (digests) => engine.erasedUnder(digests)) };
    },
  };
}

function signedAs(signed: NonNullable<BreakGlassReviewBody['signed']>): NonNullable<Reviewing['signed']> {
  const { salt } = signed;
  if ('ssh' in signed) return { salt, expiresAt: signed.ssh.expiresAt, proof: { ssh: signed.ssh.signature } };
  const { expiresAt, ...passkey } = signed.passkey;
  return { salt, expiresAt, proof: { passkey } };
}

/** Nothing more happens until a person does something, a time comes, or ever. */
function isAtRest(state: ChangeState, nowMs: number): boolean {
  if (state.name === 'authorised') return state.plan?.mode === 'caller';
  if (state.name === 'scheduled') return nowMs < Math.max(state.heldUntilMs ?? 0, state.plan?.window === undefined ? 0 : parseTime(state.plan.window.opensAt));
  return !['requested', 'executing', 'verifying', 'withdrawing', 'revoking'].includes(state.name);
}

function requirePerson({ principal }: Authenticated): void {
  if (!principal.startsWith('person:')) throw new Problem('nhi-cannot-approve', `${principal} is a machine identity; people break glass, and review it`);
}

function requireOneSystem(request: ChangeRequest): void {
  // An offboarding has no system of its own: what it takes back has.
  if (request.kind === 'offboard' || systemOf(request) !== null) return;
  throw new Problem('mixed-targets', 'one change touches one connector and one target; ask for each in a change of its own', {
    errors: [{ pointer: '/entitlements', detail: 'several connectors or targets' }],
  });
}

type Told = Pick<AtRest, 'name' | 'kind' | 'subject'>;

function matches({ name, kind, subject }: Told, query: ListQuery): boolean {
  return (query.state === undefined || name === query.state) && (query.subject === undefined || subject === query.subject) && (query.kind === undefined || kind === query.kind);
}

const told = (state: ChangeState): Told => ({ name: shownState(state), kind: state.request.kind, subject: state.request.subject });

/** Those that wait for whoever asks, for a decision or for the review of a broken glass: none of them is at rest. */
function waitingFor(engine: Engine, by: Authenticated, query: ListQuery, facts: Facts): ChangeState[] {
  const nowMs = engine.nextAtMs();
  const waitsForReview = (state: ChangeState): boolean => owesReview(state) && engine.glassReviewers(state).includes(by.principal);
  const endOf = ({ name, approvalsByMs, breakGlass }: ChangeState): number => (query.order === undefined ? 0 : ((name === 'pending' ? approvalsByMs : breakGlass?.reviewByMs) ?? Infinity));
  return [...engine.open()]
    .filter((state) => (waitsForApprovalOf(state, by.principal, nowMs) || waitsForReview(state)) && matches(told(state), query) && maySeeChange(by, state, facts))
    .sort((a, b) => (endOf(a) === endOf(b) ? (a.changeId < b.changeId ? 1 : -1) : endOf(a) - endOf(b)));
}

/** The `count` changes with the greatest ids, which is to say the youngest, greatest first. One at rest is read only where it may be one of them. */
async function newest(engine: Engine, count: number, by: Authenticated, query: ListQuery, facts: Facts): Promise<ChangeState[]> {
  const found: ChangeState[] = [];
  const ids = engine.index.newest(query.cursor, { kind: query.kind, subject: query.subject, name: query.state, ...maySeeAtRest(by, facts) })[Symbol.iterator]();
  const reading: Promise<ChangeState | undefined>[] = [];
  /** Of what is at rest each is read from files of its own: some at a time, and never more than may still be wanted. */
  const readAhead = (): void => {
    while (reading.length < Math.min(READ_AHEAD, count - found.length)) {
      const next = ids.next();
      if (next.done === true) return;
      const one = engine.find(next.value);
      one.catch(() => undefined);
      reading.push(one);
    }
  };
  for (readAhead(); reading.length > 0; readAhead()) {
    const state = await reading.shift()!;
    if (state !== undefined && matches(told(state), query) && maySeeChange(by, state, facts)) found.push(state);
  }
  return found;
}
