/** Stories of leases with a later end, with one thing wrong in each. */
import type { EventBody, NewEvent } from '../../src/change/events.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import { revokeOrderSchema, ticketSchema } from '../../src/protocol/signed.ts';
import type { ExtendRequest } from '../../src/protocol/request.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { editing, rereported, restated, twice, withBody, without } from '../support/edit-story.ts';
import {
  extendedLease, extensionUntilArmed, extensionUntilDecided, extensionUntilDone, extensionUntilVerified, runningLease, VERIFIED, type ExtendedStory,
} from '../support/extension-story.ts';
import { keys, provenance, sidecar, sign, START_MS, toldUntilEnded, toldUntilOrdered, type Beat } from '../support/story.ts';
import type { Case, Change } from './verified.ts';

const MINUTE = 60_000;
type Extended = EventBody<'lease.extended'>;

/** A lease that was extended and ended by the later order, every record in its place. */
export function extendedStory(): readonly Beat[] {
  const { lease, ledger } = extendedLease(START_MS);
  toldUntilEnded(lease, lease.now.lease!.order);
  return ledger;
}

/** The same up to the record that says that the lease is extended, that one edited. */
const saying = (edit: (body: Extended, told: ExtendedStory) => Partial<Extended>) => (): readonly Beat[] => {
  const told = extendedLease(START_MS);
  const at = told.ledger.findIndex(({ event }) => event.type === 'lease.extended');
  return editing('lease.extended', (event) => withBody(event, edit(event.body, told)))(told.ledger.slice(0, at + 1));
};

/** A lease in use, said to end later by `body`; nothing else is told. */
function saidToEndLater(change: string): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = runningLease(START_MS, ledger);
  return [...ledger, { changeId: lease.changeId, atMs: lease.atMs, event: extendedBy(lease.changeId, change) }];
}

function extendedBy(changeId: string, change: string): NewEvent {
  const { ledger } = extendedLease(START_MS);
  const { event } = ledger.find((beat) => beat.event.type === 'lease.extended')!;
  return { ...event, body: { ...(event.body as Extended), leaseId: changeId.replace('chg', 'lse'), change } } as NewEvent;
}

/** The extension's step, in the story of one: the third that is authorised after two reads and the grant. */
const authorising = (edit: (body: Extract<EventBody<'step.authorised'>, { kind: 'act' }>) => object): Change => (beats) =>
  editing('step.authorised', (event) => {
    if (event.body.kind !== 'act') throw new Error('not the act');
    return withBody(event, edit(event.body) as Record<string, unknown>);
  }, 3)(upToAuthorised(beats));

function upToAuthorised(beats: readonly Beat[]): readonly Beat[] {
  const at = beats.map(({ event }, i) => [event.type, i] as const).filter(([type]) => type === 'step.authorised')[3]![1];
  return beats.slice(0, at + 1);
}

const reordered = (edit: object, lease: object = {}): Change => authorising((body) => ({
  lease: { ...body.lease, ...lease, order: sign.order({ ...readPayload(body.lease!.order, revokeOrderSchema), ...edit }) },
}));

/** Verified, and said to extend a lease whose time was over when it was applied. */
function appliedLate(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = runningLease(START_MS, ledger);
  const extension = extensionUntilArmed(extensionUntilDecided(lease, ledger), lease);
  extension.atMs = lease.now.lease!.endsAtMs + 2 * MINUTE;
  extensionUntilVerified(extensionUntilDone(extension), lease);
  return ledger;
}

/** The executor says that it extended the lease, policy refuses what was read, and the lease is said to end later all the same. */
function notVerified(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = runningLease(START_MS, ledger);
  const extension = extensionUntilDone(extensionUntilArmed(extensionUntilDecided(lease, ledger), lease));
  extension.do({ type: 'recordVerification', by: sidecar, verification: { ...VERIFIED, effect: 'deny' }, provenance });
  return [...ledger, { changeId: lease.changeId, atMs: extension.atMs, event: extendedBy(lease.changeId, extension.changeId) }];
}

/** Two extensions of one lease, both planned for the same epoch; the second is authorised all the same. */
function sameEpoch(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = runningLease(START_MS, ledger);
  const second = extensionUntilDecided(lease, ledger);
  const first = extensionUntilDecided(lease, ledger);
  const before = lease.state;
  extensionUntilVerified(extensionUntilDone(extensionUntilArmed(first, lease)), lease);
  const after = lease.state;
  second.atMs = lease.atMs;
  lease.state = before;
  extensionUntilArmed(second, lease);
  lease.state = after;
  return ledger;
}

/** Authorised though the lease had been ordered back. */
function ofWhatIsOver(): readonly Beat[] {
  const ledger: Beat[] = [];
  const lease = runningLease(START_MS, ledger);
  const extension = extensionUntilDecided(lease, ledger);
  const running = lease.state;
  lease.atMs = extension.atMs;
  toldUntilEnded(lease, toldUntilOrdered(lease, 'person:olga'), 10);
  lease.state = running;
  extension.atMs = lease.atMs;
  extensionUntilArmed(extension, lease);
  return ledger;
}

/** An extension of what was given, for somebody or something else. */
function ofAnother(edit: Partial<ExtendRequest>): readonly Beat[] {
  const ledger: Beat[] = [];
  extensionUntilDecided(runningLease(START_MS, ledger), ledger, edit);
  return ledger;
}

/** The lease lived on to the later end, and nothing on record extends it. */
function livedOn(): readonly Beat[] {
  const told = extendedLease(START_MS);
  toldUntilEnded(told.lease, told.lease.now.lease!.order);
  return told.ledger.filter(({ changeId, event }) => changeId === told.lease.changeId && event.type !== 'lease.extended' && event.type !== 'lease.disarmed');
}

/** The order of the lease's first epoch. */
function firstOrderOf(lease: ExtendedStory['lease']): Extended['order'] {
  for (const { event } of lease.beats) if (event.type === 'step.authorised' && event.body.kind === 'act' && event.body.lease !== null) return event.body.lease.order;
  throw new Error('no order');
}

export const EXTENSION_CASES: readonly Case[] = [
  { title: 'a later end that no change has brought about', code: 'not-extended', beats: () => saidToEndLater(`chg_${'0'.repeat(16)}_${'0'.repeat(26)}`) },
  { title: 'a later end by an extension that was not verified', code: 'not-extended', beats: notVerified },
  { title: 'a later end by an extension of which nothing says that it was applied', code: 'not-extended', change: without('step.succeeded', 1), amongOthers: true },
  { title: 'a later end by an extension that was applied after the lease had ended', code: 'not-extended', beats: appliedLate, amongOthers: true },
  { title: 'a later end that is told twice', code: 'not-extended', change: twice('lease.extended'), amongOthers: true },
  { title: 'a later end than was authorised', code: 'extension-mismatch', beats: saying(() => ({ endsAt: formatTime(START_MS + 600 * MINUTE) })) },
  { title: 'another epoch than was authorised', code: 'extension-mismatch', beats: saying(() => ({ epoch: 3 })) },
  { title: 'another order than was authorised', code: 'extension-mismatch', beats: saying((_body, { lease }) => ({ order: firstOrderOf(lease) })) },
  { title: 'an extension to an epoch that the lease had', code: 'extension-mismatch', beats: sameEpoch },
  { title: 'an extension that was authorised of a lease that was over', code: 'extension-mismatch', beats: ofWhatIsOver },
  { title: 'an extension for another purpose than the lease was given for', code: 'extension-mismatch', beats: () => ofAnother({ purpose: 'another-purpose' }) },
  { title: 'an extension by another identity than has the lease', code: 'extension-mismatch', beats: () => ofAnother({ subject: 'nhi:prod/other' }) },
  { title: 'an extension that was planned for something else than was asked', code: 'plan-not-requested', change: editing('change.requested', (event) => withBody(event, { request: { ...event.body.request, duration: 'PT5H' } }), 1), amongOthers: true },
  { title: 'an extension that nobody approved', code: 'approvals-insufficient', change: without('approval.recorded', 1), amongOthers: true },
  { title: 'an extension approved by somebody else’s signature', code: 'approval-signature', change: editing('approval.recorded', (event) => restated(event, {}, keys.stranger), 1) },
  { title: 'an extension that was applied and not authorised', code: 'not-authorised', change: without('step.authorised', 3), amongOthers: true },
  { title: 'an extension longer than the floor allows', code: 'below-floor', trust: { maxLeaseSeconds: 1_800 } },
  { title: 'an extension whose ticket somebody else signed', code: 'ticket-signature', change: authorising((body) => ({ ticket: sign.ticket(readPayload(body.ticket, ticketSchema), keys.stranger) })) },
  { title: 'an extension whose order is of another epoch', code: 'order-mismatch', change: reordered({ epoch: 5 }) },
  { title: 'an extension recorded at another epoch than it was planned for', code: 'extension-mismatch', change: reordered({ epoch: 5 }, { epoch: 5 }) },
  { title: 'an extension whose order no epoch voids', code: 'order-mismatch', change: reordered({ cause: 'early' }) },
  { title: 'an extension whose order takes back something else', code: 'order-mismatch', change: reordered({ account: 'somebody_else' }) },
  { title: 'an extension of the lease of its own change', code: 'lease-mismatch', change: authorising((body) => ({ lease: { ...body.lease, leaseId: body.stepId.replace('stp', 'lse').slice(0, 47) } })) },
  { title: 'an extension that was applied before its order was armed', code: 'not-armed', change: without('lease.armed', 1), amongOthers: true },
  { title: 'an extension applied by an executor that did not sign it', code: 'report-signature', change: editing('step.succeeded', (event) => rereported(event, () => ({}), keys.otherExecutor), 1), amongOthers: true },
  { title: 'an order that was disarmed before the lease was extended', code: 'disarmed-early', change: (beats) => {
    const disarmed = beats.find(({ event }) => event.type === 'lease.disarmed')!;
    const at = beats.findIndex(({ event }) => event.type === 'lease.extended');
    return [...beats.slice(0, at), disarmed, ...beats.slice(at)];
  }, amongOthers: true },
  { title: 'an order in force that was disarmed', code: 'disarmed-early', change: editing('lease.disarmed', (event) => withBody(event, { order: `sha256:${'0'.repeat(64)}` })) },
  { title: 'a lease that lived past its end without an extension', code: 'ended-late', beats: livedOn },
  { title: 'a lease that is past its end and was not extended', code: 'lease-overdue', beats: () => runningLease(START_MS).beats, asOfMs: START_MS + 45 * MINUTE },
  { title: 'a lease that is past its later end', code: 'lease-overdue', beats: () => extendedLease(START_MS).ledger, asOfMs: START_MS + 90 * MINUTE },
];
