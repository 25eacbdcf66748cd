/**
 * Checks of decisions that were not enforced: that the facts on record, which the decision was made on, had the scope that it names, and that this
 * held then and is about the change. Facts are read only where a decision says that it is under observe.
 */
import { z } from 'zod';
import { JsonError, type LedgerRecord } from '../../ledger/index.ts';
import { leaseSecondsOf, logOf, systemOf } from '../change/derive.ts';
import type { ChangeEvent } from '../change/events.ts';
import type { ChangeState } from '../change/state.ts';
import { estateOf, type Estate } from '../facts/beneficiaries.ts';
import { dayStartMs } from '../facts/dated.ts';
import { exceptionsFileSchema, type ExceptionsFile } from '../facts/exceptions.ts';
import { directorySchema, inventoryFileSchema } from '../facts/schemas.ts';
import { covers, scopesAt, type ObserveScope } from '../facts/observe.ts';
import { isEmergency } from '../protocol/request.ts';
import { parseTime } from '../protocol/values.ts';
import type { ReadObject } from './record.ts';
import { restsOnGrant, ungranted, ungrantedFault, type Granting } from './check-granted.ts';
import { FalseQuestion, valueOf } from './replay-input.ts';
import { fault, type Fault } from './violation.ts';

type Decided = Extract<ChangeEvent, { type: 'policy.decided' }>;

export interface Observing {
  /** These facts are in force from then on. */
  loaded(digest: string, record: Pick<LedgerRecord, 'at' | 'objects'>): void;
  /** Reads what `check` needs for this event; false where it needs nothing. */
  isDue(event: ChangeEvent): event is Decided;
  read(event: Decided, readObject: ReadObject): Promise<void>;
  /** @param state the change before the decision @param isOwn whether the record is this log's, and not adopted with the change */
  check(state: ChangeState, event: Decided, isOwn: boolean): Fault | null;
  /** Decisions whose scope nobody can look up any more: their facts were erased, or are not here. */
  unchecked(): number;
  /** Decisions that let an exception through of which nobody can look up any more who granted it. */
  uncheckedGrants(): number;
}

/** As REPLAY has it: a question names the facts that it was composed of, and meanwhile others may be loaded. */
const UNDER_WAY_MS = 60_000;
const FACTS_KEPT = 2;

interface Scopes {
  /** Where it is asked who granted what; null where the facts do not say. */
  readonly granted: { readonly file: ExceptionsFile; readonly estate: Estate } | null;
  readonly scopes: readonly ObserveScope[];
  readonly environments: ReadonlyMap<string, string>;
}

const inventorySchema = z.object({ nhis: z.array(z.object({ id: z.string(), environment: z.string() })) });

/** @param isPartial not every record of the log is shown: what was loaded before may be missing */
export function openObserving(isPartial: boolean, granting: Granting | null = null): Observing {
  let inForce: string | null = null;
  let isLoaded = false;
  const replaced = new Map<string, number>();
  /** By digest; 'gone' where the facts are not to be had, 'none' where they are no facts. */
  const known = new Map<string, Scopes | 'gone' | 'none'>();
  let [unchecked, uncheckedGrants] = [0, 0];
  return {
    loaded(digest, { at, objects }) {
      const atMs = parseTime(at);
      for (const [before, untilMs] of replaced) if (untilMs + UNDER_WAY_MS < atMs) replaced.delete(before);
      if (inForce !== null) replaced.set(inForce, atMs);
      inForce = objects.includes(digest) ? digest : null;
      isLoaded = true;
    },
    isDue: (event): event is Decided => event.type === 'policy.decided' && (event.body.decision.observed !== undefined || (granting !== null && restsOnGrant(granting, event))),
    async read({ body: { provenance: { facts: [digest] } } }, readObject) {
      // Only what a record before it names is to be had.
      if (digest === undefined || known.has(digest) || (digest !== inForce && !replaced.has(digest))) return;
      const bytes = await readObject(digest);
      known.set(digest, bytes === null ? 'gone' : scopesIn(bytes, granting !== null));
      if (known.size > FACTS_KEPT) known.delete(known.keys().next().value!);
    },
    check: (state, event, isOwn) => checkScope(state, event, isOwn) ?? checkGrant(state, event, isOwn),
    unchecked: () => unchecked,
    uncheckedGrants: () => uncheckedGrants,
  };

  /** The facts of the decision; a reason where they cannot be those, and null where they are not to be had. */
  function factsFor({ atMs, body: { provenance: { facts: [digest] } } }: Decided, isOwn: boolean): Scopes | string | null {
    const wereInForce = digest !== undefined && (digest === inForce || atMs <= (replaced.get(digest) ?? -Infinity) + UNDER_WAY_MS);
    if (!wereInForce && isOwn && !(isPartial && !isLoaded)) return 'the facts that are said to have it so were not in force';
    const facts = digest === undefined ? undefined : known.get(digest);
    if (facts === 'none') return 'what is said to have it so are no facts';
    return facts === undefined || facts === 'gone' ? null : facts;
  }

  function checkGrant(state: ChangeState, event: Decided, isOwn: boolean): Fault | null {
    if (granting === null || !restsOnGrant(granting, event)) return null;
    const facts = factsFor(event, isOwn);
    if (typeof facts === 'string') return ungrantedFault(`policy let an exception through, and ${facts}`);
    if (facts !== null) return facts.granted === null ? ungrantedFault('policy let an exception through, and what is said to have it so are no facts') : ungranted(granting, facts.granted, state.request.subject, isOwn ? granting.logId : logOf(state.changeId), event);
    // A scope that cannot be looked up is counted as such.
    if (event.body.decision.observed === undefined) uncheckedGrants += 1;
    return null;
  }

  function checkScope(state: ChangeState, event: Decided, isOwn: boolean): Fault | null {
    const { atMs, body: { decision } } = event;
    const { observed } = decision;
    if (observed === undefined) return null;
    const unfounded = (message: string): Fault => fault('observe-unfounded', message);
    if (decision.effect !== 'allow' || decision.obligations.approvers !== null) return unfounded('a decision that is said not to be enforced, and is');
    if (isEmergency(state.request) || leaseSecondsOf(state.request) === null) return unfounded('what is an emergency or has no lease is under observe nowhere');
    const facts = factsFor(event, isOwn);
    if (typeof facts === 'string') return unfounded(`policy was not enforced, and ${facts}`);
    if (facts === null) {
      unchecked += 1;
      return null;
    }
    const scope = scopesAt(facts.scopes, atMs).find(({ id }) => id === observed.scope);
    if (scope?.owner !== observed.owner || dayStartMs(scope.until) !== parseTime(observed.until)) {
      return unfounded(`policy was not enforced for scope ${observed.scope} of ${observed.owner} until ${observed.until}, and no such scope held then by the facts on record`);
    }
    const system = systemOf(state.request);
    const about = { subject: state.request.subject, environment: facts.environments.get(state.request.subject) ?? '', connectors: system === null ? [] : [system.connector] };
    return covers(scope, about) ? null : unfounded(`policy was not enforced for scope ${scope.id}, which is not about this change`);
  }
}

function scopesIn(bytes: Uint8Array, isAsked: boolean): Scopes | 'none' {
  try {
    const value = valueOf(bytes, 'facts');
    const exceptions = exceptionsFileSchema.optional().safeParse(value['exceptions']);
    const inventory = inventorySchema.safeParse(value['inventory']);
    if (!exceptions.success || !inventory.success) return 'none';
    return { granted: isAsked ? grantedIn(value, exceptions.data ?? { v: 1, exceptions: [] }) : null, scopes: exceptions.data?.observe ?? [], environments: new Map(inventory.data.nhis.map(({ id, environment }) => [id, environment])) };
  } catch (error) {
    if (error instanceof FalseQuestion || error instanceof JsonError) return 'none';
    throw error;
  }
}

function grantedIn(value: Readonly<Record<string, unknown>>, file: ExceptionsFile): Scopes['granted'] {
  const [inventory, directory] = [inventoryFileSchema.safeParse(value['inventory']), directorySchema.safeParse(value['directory'])];
  return inventory.success && directory.success ? { file, estate: estateOf({ inventory: inventory.data, directory: directory.data }) } : null;
}
