/**
 * Leases that run are decided on again when facts or policy have changed (NIST SP 800-207, tenet 6): what policy would not give any more is taken
 * back before its end, or a person looks at it, as policy says.
 *
 * First all are asked, one after another and behind everybody who waits for an answer; then what was said is acted on. An engine that gives no
 * answer about one of them is not believed about the others: nothing is taken back for it, that is on record once, and all are asked again later.
 */
import { canonicalBytes, canonicalText, digestOf, parseStrict } from '../../ledger/index.ts';
import { systemOf } from '../change/derive.ts';
import { endsByItself, isLent } from '../change/extension.ts';
import { heldBy, type ConfirmAbove } from '../change/redecide.ts';
import type { ChangeState } from '../change/state.ts';
import { mayRevoke } from '../identity/authority.ts';
import { buildLeaseInput } from '../pdp/build-input.ts';
import { EngineFault, type EngineFaultCode } from '../pdp/fault.ts';
import type { Provenance, Redecision } from '../protocol/decision.ts';
import { asOfRecord, provenanceOf, saltedInput } from './ask.ts';
import { orderEarly, revokeNow } from './early.ts';
import type { Answer, EngineContext } from './engine.ts';
import { locksOn } from './locks.ts';
import { recordable } from './room.ts';

export interface RedecisionOptions {
  /** How often it is looked whether facts or policy are others, in ms. */
  readonly everyMs: number;
  readonly confirmAbove: ConfirmAbove;
}

/** What policy would take back, and what waits for a person. */
export interface HeldRevokes {
  /** Oldest first. */
  readonly changes: readonly ChangeState[];
  /** Stands for exactly these changes. */
  readonly digest: string;
  /** Leases that run now. */
  readonly leases: number;
  /** What policy's engine said instead of an answer, the last time that all were asked; null where it answered. */
  readonly failed: { readonly code: EngineFaultCode; readonly unanswered: number; readonly leases: number; readonly owner: string | null } | null;
}

export interface Redecider {
  /** Resolves once all leases were asked about and what was said is durable; at once where nothing has changed. @throws LedgerError */
  look(): Promise<void>;
  held(): HeldRevokes;
  /** Takes back what waits: at the word of a person who could revoke each of it, and who has seen exactly these. */
  confirm(by: string, digest: string, comment: string | null): Promise<Answer<readonly { readonly changeId: string; readonly recorded: boolean }[]>>;
  close(): void;
}

/** Between two questions, and between two answers that are recorded: requests come first. */
const PAUSE_MS = 1;
const AGAIN_MS = { first: 10_000, longest: 600_000 };

interface Asked {
  readonly changeId: string;
  readonly redecision: Redecision;
  readonly provenance: Provenance;
  readonly input: Uint8Array;
}

export function createRedecider(context: EngineContext, options: RedecisionOptions): Redecider {
  const { clock, log, logger, store } = context;
  /** Facts and bundle that leases are decided on; null before the first look. */
  let basis: string | null = null;
  /** Changes whose lease is to be decided on again on these, once it runs. */
  let due = new Set<string>();
  /** On these, all that ran have not been decided on yet. */
  let isWhole = false;
  /** Ordered back on these without a person: those that begin to run one after another do not go one by one. */
  let ordered = 0;
  let failed: HeldRevokes['failed'] = null;
  let failures = 0;
  let notBeforeMs = 0;
  let running: Promise<void> | null = null;
  let closed = false;
  let cancel = (): void => undefined;

  const basisNow = (): string => canonicalText({ facts: { ...context.facts().digests }, bundle: context.pdp.bundle });
  const pause = (): Promise<void> => new Promise((resolve) => void clock.after(PAUSE_MS, resolve));

  /** Of those that are due and run. null: facts or policy have changed meanwhile. */
  const askDue = async (): Promise<{ readonly answers: readonly Asked[]; readonly faults: readonly EngineFault[] } | null> => {
    const answers: Asked[] = [];
    const faults: EngineFault[] = [];
    for (const { changeId } of runningNow(context).filter((state) => due.has(state.changeId))) {
      if (closed || basisNow() !== basis) return null;
      const state = store.get(changeId);
      if (state === undefined || !isLent(state, clock.nowMs())) continue;
      const answer = await askAbout(context, state).catch((error: unknown) => {
        if (error instanceof EngineFault) return error;
        throw error;
      });
      if (answer instanceof EngineFault) faults.push(answer);
      else answers.push(answer);
      await pause();
    }
    return closed || basisNow() !== basis ? null : { answers, faults };
  };

  const fail = async ([first, ...rest]: readonly EngineFault[], leases: number): Promise<void> => {
    const { code } = first!;
    failures += 1;
    notBeforeMs = clock.nowMs() + Math.min(AGAIN_MS.first * 2 ** Math.min(failures - 1, 16), AGAIN_MS.longest);
    const owner = securityOf(context);
    const unanswered = rest.length + 1;
    logger.error({ code, unanswered, leases }, 'policy gave no answer about leases that run: nothing is taken back for it, and it is asked again');
    if (failed === null) store.record('redecision.failed', { facts: context.factsDigest(), bundle: context.pdp.bundle, code, leases, unanswered, owner });
    failed = { code, unanswered, leases, owner };
    await store.durable();
  };

  const act = async (answers: readonly Asked[]): Promise<void> => {
    const counts = { keep: 0, finding: 0, revoke: 0 };
    for (const { redecision } of answers) counts[redecision.effect] += 1;
    const asked = new Set(answers.map(({ changeId }) => changeId));
    const live = runningNow(context);
    const waiting = live.filter(({ changeId, redecision }) => !asked.has(changeId) && redecision?.isHeld === true).length;
    const held = heldBy(counts.revoke + waiting + ordered, live.length + ordered, options.confirmAbove);
    // In one go for each lease: what was said of it, and the order that rests on that. Nothing else is decided in between but what came since.
    for (const { changeId, redecision, provenance, input } of answers) {
      const state = store.get(changeId);
      if (state === undefined) continue;
      const isHeld = redecision.effect === 'revoke' && held !== null;
      const order = redecision.effect !== 'revoke' || isHeld ? null : (orderEarly(context, state, context.self)?.envelope ?? null);
      const owner = context.facts().inventory.get(state.request.subject)?.owner ?? null;
      const applied = store.apply(changeId, { type: 'recordRedecision', by: context.self, redecision, provenance, order, held: isHeld ? held : null, owner }, [input]);
      if (!applied.ok) logger.info({ changeId, code: applied.code }, 'overtaken');
      // What is kept, and was, is no event.
      if (!applied.ok || applied.events.length === 0) continue;
      if (order !== null) ordered += 1;
      await pause();
      // What was done stands; the rest is asked on what is so now.
      if (closed || basisNow() !== basis) return;
    }
    if (isWhole || failed !== null) {
      store.record('redecision.completed', {
        facts: answers[0]!.provenance.facts[0]!, bundle: answers[0]!.provenance.bundle, leases: answers.length, kept: counts.keep, findings: counts.finding, revokes: counts.revoke, held: held !== null, size: context.log.size,
      });
    }
    await store.durable();
    for (const changeId of asked) due.delete(changeId);
    [isWhole, failed, failures] = [false, null, 0];
  };

  /** What is due on facts and bundle as they are now. */
  const begin = async (now: string): Promise<void> => {
    const since = basis === null ? await decidedOnRecord(context) : null;
    due = new Set([...store.open()].filter((state) => lends(state) && (since === null || state.name !== 'active' || state.lastSeq >= since)).map(({ changeId }) => changeId));
    [basis, isWhole, ordered, failures, notBeforeMs] = [now, since === null, 0, 0, 0];
  };

  const pass = async (): Promise<void> => {
    const now = basisNow();
    if (closed || log.failed !== null) return;
    if (basis !== now) await begin(now);
    for (const changeId of due) if (!lends(store.inMemory(changeId))) due.delete(changeId);
    // Nothing is asked that an answer could be missing to.
    if (due.size === 0 || !canAnswer(context)) failed = null;
    if (due.size === 0 || clock.nowMs() < notBeforeMs || !canAnswer(context)) return;
    const asked = await askDue();
    if (asked === null) return;
    if (asked.faults.length > 0) await fail(asked.faults, asked.faults.length + asked.answers.length);
    else if (asked.answers.length > 0) await act(asked.answers);
  };
  const look = (): Promise<void> => (running ??= pass().finally(() => (running = null)));
  const again = (): void => {
    void look().catch((error: unknown) => logger.warn({ error: String(error) }, 'leases could not be decided on again; it is tried again')).finally(() => {
      if (!closed) cancel = clock.after(options.everyMs, again);
    });
  };
  again();

  const held = (): HeldRevokes => {
    const live = runningNow(context);
    const changes = live.filter(({ redecision }) => redecision?.isHeld === true).sort((a, b) => a.requestedAtMs - b.requestedAtMs);
    return { changes, digest: digestOf(canonicalBytes({ held: changes.map(({ changeId }) => changeId).sort() })), leases: live.length, failed };
  };
  return {
    look,
    held,
    async confirm(by, digest, comment) {
      const { changes, digest: now } = held();
      if (!by.startsWith('person:') || changes.some((state) => !mayRevoke(by, state, context.facts()))) return { ok: false, code: 'not-allowed', message: `${by} may not revoke each of what waits` };
      if (changes.length === 0 || digest !== now) return { ok: false, code: 'held-changed', message: changes.length === 0 ? 'nothing waits for that' : `${changes.length} leases wait for it, which are others than were shown: look again` };
      const done: { changeId: string; recorded: boolean }[] = [];
      const answers = await Promise.allSettled(changes.map((state) => revokeNow(context, state, by, comment)));
      for (const [index, answer] of answers.entries()) {
        if (answer.status === 'rejected') throw answer.reason;
        if (answer.value.ok) done.push({ changeId: changes[index]!.changeId, recorded: answer.value.value.recorded });
      }
      return { ok: true, value: done };
    },
    close() {
      closed = true;
      cancel();
    },
  };
}

function runningNow({ store, clock }: EngineContext): ChangeState[] {
  return [...store.open()].filter((state) => isLent(state, clock.nowMs()));
}

/** Whether the change has a lease, or is about to. */
function lends(state: ChangeState | undefined): boolean {
  return state !== undefined && endsByItself(state);
}

/** A bundle that was made before there was such a question decides on no lease again. Where there is none at all, that is a fault. */
function canAnswer({ pdp }: EngineContext): boolean {
  return pdp.evidence?.listing.entrypoints.includes('access/redecide') ?? true;
}

/** @throws EngineFault */
async function askAbout(context: EngineContext, state: ChangeState): Promise<Asked> {
  const locks = locksOn(context.store.locks(), state.request.subject, systemOf(state.request)?.connector ?? null).map(({ lockId, reason }) => ({ lockId, reason }));
  const asked = buildLeaseInput(state, { ...asOfRecord(context), connectors: context.connectors, locks });
  const input = saltedInput(context, asked);
  // Before policy is asked: other facts may be in force when it answers.
  const provenance = provenanceOf(context, input);
  const redecision = recordable(await context.pdp.redecide(asked));
  return { changeId: state.changeId, redecision, provenance, input };
}

/** Where it is on record that all were asked on facts and by a bundle that say the same as now, the index of that record; null elsewhere, and where the facts were erased. */
async function decidedOnRecord({ store, log, facts, pdp }: EngineContext): Promise<number | null> {
  const last = store.lastOf('redecision.completed');
  if (last === undefined || last['bundle'] !== pdp.bundle) return null;
  const bytes = await log.object(String(last['facts'])).catch(() => null);
  if (bytes === null) return null;
  const { value } = parseStrict(bytes) as { readonly value: unknown };
  return canonicalText(value) === canonicalText(facts().value) ? Number(last['size']) : null;
}

/** Somebody must answer for policy that gives no answer. */
function securityOf(context: EngineContext): string | null {
  const { directory } = context.facts();
  const members = directory.teams.find(({ id }) => id === 'security')?.members ?? [];
  return directory.people.filter(({ id, active }) => active && members.includes(id)).map(({ id }) => id).sort()[0] ?? null;
}
