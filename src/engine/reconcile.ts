/**
 * Reconciling: looks at a connector's target, compares what is there with what is recorded, and puts what differs on record, with an owner:
 * opened once, cleared when it is gone. What this ledger gave and is there past its end is ordered back at once, since that it ends was decided
 * when it was given (invariant 4); about anything else people decide.
 *
 * What is new is believed only when a second look shows it too: what was on its way at the first has arrived by then.
 */
import { parseStrict } from '../../ledger/index.ts';
import { compare, type Comparison, type Counts, type Discrepancy, type KnownIdentity } from '../change/compare.ts';
import { deriveRevokeOrder } from '../change/derive.ts';
import { FINAL_STATES, stillGives } from '../change/state.ts';
import type { OpenFinding } from '../evidence/reconciled.ts';
import type { Facts } from '../facts/load.ts';
import type { InventoryFact } from '../facts/schemas.ts';
import { buildReconcileInput } from '../pdp/build-input.ts';
import { EngineFault } from '../pdp/fault.ts';
import type { Proposal } from '../pdp/policy-input.ts';
import { signDsse } from '../protocol/dsse.ts';
import { discoveredPageSchema, type DiscoveredPage } from '../protocol/discovery.ts';
import { changeRequestSchema, type ChangeRequest } from '../protocol/request.ts';
import { REVOKE_ORDER_TYPE } from '../protocol/signed.ts';
import { provenanceOf, saltedInput, underOneBundle } from './ask.ts';
import type { Look } from './discoveries.ts';
import type { EngineContext } from './engine.ts';
import { newChangeId } from './ids.ts';
import { recordable } from './room.ts';

export interface Reconciliation {
  readonly discoveryId: string;
  readonly connector: string;
  readonly target: string;
  readonly complete: boolean;
  readonly counts: Counts;
  /** Found for the first time, or again. */
  readonly found: readonly OpenFinding[];
  readonly cleared: readonly OpenFinding[];
  /** All that is open at the connector now. */
  readonly open: readonly OpenFinding[];
}

export interface Reconciler {
  reconcile(connector: string): Promise<Reconciliation>;
  /** Every connector is looked at this often from now on, one after another. */
  every(ms: number): void;
  close(): void;
}

/** Between the first look and the second: what was reported on its way to the ledger has arrived. */
const SECOND_LOOK_MS = 2_000;
/** Pages that the record of one finding names. */
const EVIDENCE_MAX = 64;

export function createReconciler(context: EngineContext): Reconciler {
  const { clock, logger } = context;
  const running = new Map<string, Promise<Reconciliation>>();
  let cancel = (): void => undefined;
  let closed = false;

  const reconcile = (connector: string): Promise<Reconciliation> => {
    const known = running.get(connector) ?? reconcileConnector(context, connector).finally(() => running.delete(connector));
    running.set(connector, known);
    return known;
  };
  const all = async (ms: number): Promise<void> => {
    for (const connector of context.connectors) {
      if (closed) return;
      await reconcile(connector).catch((error: unknown) => logger.warn({ connector, error: String(error) }, 'a connector could not be reconciled; it is tried again in its time'));
    }
    if (!closed) cancel = clock.after(ms, () => void all(ms));
  };
  return {
    reconcile,
    every(ms) {
      cancel = clock.after(ms, () => void all(ms));
    },
    close() {
      closed = true;
      cancel();
      context.discoveries.close();
    },
  };
}

async function reconcileConnector(context: EngineContext, connector: string): Promise<Reconciliation> {
  const { store, clock, discoveries } = context;
  let look = await discoveries.look(context, connector);
  let seen = await compareTo(context, look);
  if (seen.found.some(({ findingId }) => !store.reconciled().findings.has(findingId))) {
    await new Promise<void>((resolve) => void clock.after(SECOND_LOOK_MS, resolve));
    const first = new Set(seen.found.map(({ findingId }) => findingId));
    look = await discoveries.look(context, connector);
    const second = await compareTo(context, look);
    const isKnown = ({ findingId }: Discrepancy): boolean => first.has(findingId) || store.reconciled().findings.has(findingId);
    seen = { ...second, found: second.found.filter(isKnown) };
  }
  const { found, cleared } = record(context, look, seen);
  await store.durable();
  const open = openAt(context, connector);
  for (const finding of open) {
    if (finding.code === 'access-past-end') await orderBack(context, finding);
    else if (finding.proposed === null) await propose(context, finding);
  }
  return { discoveryId: look.discoveryId, connector, target: look.target, complete: look.complete, counts: seen.counts, found, cleared, open: openAt(context, connector) };
}

async function compareTo(context: EngineContext, look: Look): Promise<Comparison> {
  const { store, limits } = context;
  const changes = await store.concerning(look.connector, look.target, clientTokensIn(look), Math.min(...look.pages.map(({ fromSeq }) => fromSeq)));
  const facts = context.facts();
  return compare(
    { connector: look.connector, target: look.target, complete: look.complete, pages: look.pages.map(({ page, ...rest }) => ({ ...rest, entries: page.entries })) },
    {
      changes, identities: identitiesAt(facts, look.connector, look.target), security: securityOf(facts), ownerOf: (nhi) => facts.inventory.get(nhi)?.owner ?? null,
      marginMs: limits.overdueAfterMs,
    },
  );
}

/** Every client token that is borne by anything there. */
function clientTokensIn({ pages }: Look): Set<string> {
  const tokens = pages.flatMap(({ page }) => page.entries).flatMap((entry) => (entry.kind === 'grant' ? [entry.clientToken] : [...entry.marks, ...entry.credentials].map(({ clientToken }) => clientToken)));
  return new Set(tokens.filter((token) => token !== null));
}

function identitiesAt({ inventory, catalogue }: Facts, connector: string, target: string): KnownIdentity[] {
  const at = (one: { readonly connector: string; readonly target: string }): boolean => one.connector === connector && one.target === target;
  const conveyed = new Map(catalogue.entitlements.filter(at).map(({ privilege, conveys = [] }) => [privilege, conveys]));
  return [...inventory.values()].filter(({ accounts }) => Object.hasOwn(accounts, connector)).map(({ id, owner, accounts, purposes }) => {
    const needed = catalogue.purposes.filter(({ id: purpose, maxLeaseSeconds }) => purposes.includes(purpose) && maxLeaseSeconds === null).flatMap(({ needs }) => needs.filter(at).map(({ privilege }) => privilege));
    return { nhi: id, owner: owner ?? null, account: accounts[connector]!, standing: new Set(needed.flatMap((privilege) => [privilege, ...(conveyed.get(privilege) ?? [])])) };
  });
}

/** Somebody must answer for what is of no identity. */
function securityOf({ directory }: Facts): string | null {
  const members = directory.teams.find(({ id }) => id === 'security')?.members ?? [];
  return directory.people.filter(({ id, active }) => active && members.includes(id)).map(({ id }) => id).sort()[0] ?? null;
}

function openAt({ store }: EngineContext, connector: string): OpenFinding[] {
  return [...store.reconciled().findings.values()].filter((finding) => finding.connector === connector);
}

function record({ store }: EngineContext, look: Look, seen: Comparison): { readonly found: readonly OpenFinding[]; readonly cleared: readonly OpenFinding[] } {
  const { discoveryId, connector, target, complete } = look;
  const pages = look.pages.map(({ digest }) => digest);
  const evidence = pages.slice(0, EVIDENCE_MAX);
  const known = store.reconciled().findings;
  const opened = seen.found.filter(({ findingId }) => !known.has(findingId));
  const still = new Set(seen.found.map(({ findingId }) => findingId));
  // What was not looked at to its end may still be there.
  const cleared = !complete ? [] : [...known.values()].filter((finding) =>
    finding.connector === connector && finding.target === target && !still.has(finding.findingId) && !seen.undecided.has(finding.findingId));
  for (const { findingId, code, account, nhi, change, owner, privileges, message, evidence: shown } of opened) {
    store.record('reconcile.found', { findingId, discoveryId, code, connector, target, account, nhi, change, owner, privileges: [...privileges], message, evidence: shown.slice(0, EVIDENCE_MAX) });
  }
  for (const { findingId } of cleared) store.record('reconcile.cleared', { findingId, discoveryId, evidence });
  store.record('reconcile.compared', { discoveryId, connector, target, complete, pages, counts: { ...seen.counts }, found: opened.length, cleared: cleared.length });
  return { found: opened.map(({ findingId }) => store.reconciled().findings.get(findingId)!), cleared };
}

/**
 * Orders back what this ledger gave. A change that has not ended is revoked as any other; what was taken back and is there again is ordered
 * beside the change, which is over. Its executor takes it away by the client token, or finds that there is nothing.
 */
async function orderBack(context: EngineContext, finding: OpenFinding): Promise<void> {
  const { store, clock, transport, logger } = context;
  const state = finding.change === null ? undefined : await store.load(finding.change);
  const audience = context.executorOf(finding.connector);
  if (state?.plan == null || state.act === null || audience === undefined) return;
  const isOver = state.ended !== null || (FINAL_STATES.has(state.name) && !stillGives(state));
  const order = deriveRevokeOrder(state.plan, audience, clock.nowMs(), isOver ? 'reconcile' : 'leaseEnd', context.self);
  if (order === null) return;
  const signed = signDsse(REVOKE_ORDER_TYPE, order, context.ticketSigner);
  if (!isOver) {
    const applied = store.apply(state.changeId, { type: 'orderRevoke', by: context.self, order: signed, comment: `found past its end: ${finding.findingId}` });
    if (!applied.ok) logger.info({ changeId: state.changeId, code: applied.code }, 'overtaken');
    return store.durable();
  }
  store.record('reconcile.ordered', { findingId: finding.findingId, order: signed });
  await store.durable();
  // What cannot be reached now is ordered again when it is found again.
  await transport.publishRevoke(audience, signed).catch((error: unknown) => logger.warn({ findingId: finding.findingId, error: String(error) }, 'what is there past its end could not be ordered back now'));
}

/**
 * Asks for the change that policy would have end it, once for each time that something is found. Whoever owns the identity decides; policy that
 * gives no answer proposes nothing.
 */
async function propose(context: EngineContext, finding: OpenFinding): Promise<void> {
  const { store, clock, logger } = context;
  const facts = context.facts();
  const identity = finding.nhi === null ? undefined : facts.inventory.get(finding.nhi);
  const { asked, provenance, bytes } = await underOneBundle(context, async () => {
    const input = buildReconcileInput(finding, facts, store.nextAtMs());
    const bytes = saltedInput(context, input);
    // Before policy is asked: other facts may be in force when it answers.
    const provenance = provenanceOf(context, bytes);
    const asked = await context.pdp.reconcile(input).then(recordable).catch((error: unknown) => {
      if (!(error instanceof EngineFault)) throw error;
      logger.warn({ findingId: finding.findingId, code: error.code }, 'policy gave no answer to what was found: nothing is proposed');
      return null;
    });
    return { asked, provenance, bytes };
  });
  const request = asked === null || identity === undefined ? null : requestOf(finding, identity, asked.propose);
  if (asked === null || request === null) return;
  const changeId = newChangeId(context.log.logId, clock.nowMs(), context.random);
  // In one append: a change that nothing says is proposed would be proposed again.
  const applied = store.applyBeside(
    changeId, { type: 'request', by: context.self, request, requester: [context.self], idempotency: null },
    'reconcile.proposed', { findingId: finding.findingId, change: changeId, reasons: asked.reasons, provenance }, [bytes],
  );
  if (!applied.ok) return logger.warn({ findingId: finding.findingId, code: applied.code }, 'what was proposed could not be asked for');
  await store.durable();
}

/** null where nothing is proposed, or nothing can be asked for. */
function requestOf({ message, connector, target, privileges }: OpenFinding, { id: subject, purposes: [purpose] }: InventoryFact, kind: Proposal['propose']): ChangeRequest | null {
  const reason = `reconcile: ${message}`.slice(0, 500);
  if (kind === 'disable') return { kind, subject, connector, target, reason };
  if (kind === null || purpose === undefined) return null;
  const request = changeRequestSchema.safeParse({ kind, subject, purpose, reason, entitlements: privileges.map((privilege) => ({ connector, target, privilege })) });
  return request.success ? request.data : null;
}

/** What the last comparison of the connector saw; null where there was none, or it was erased. */
export async function pagesOf({ store, log }: Pick<EngineContext, 'store' | 'log'>, connector: string): Promise<DiscoveredPage[] | null> {
  const compared = store.reconciled().compared.get(connector);
  if (compared === undefined) return null;
  const pages: DiscoveredPage[] = [];
  for (const digest of compared.pages) {
    const bytes = await log.object(digest);
    if (bytes === null) return null;
    pages.push(discoveredPageSchema.parse(parseStrict(bytes)));
  }
  return pages;
}
