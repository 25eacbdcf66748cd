/** Case 4: what must not work. Each attempt is made for real, and must fail for the reason it should. */
import { ClientError, type ChangeRequest } from '../../../src/client/index.ts';
import type { StepEnvelope } from '../../../src/protocol/envelope.ts';
import { signDsse, readPayload } from '../../../src/protocol/dsse.ts';
import { ticketSchema, TICKET_TYPE } from '../../../src/protocol/signed.ts';
import { generateSignerKey, parseSigner } from '../../../ledger/index.ts';
import { check, rejection } from '../check.ts';
import { refusalOf } from '../database.ts';
import { envelopeOf, readLedger, receiptFor } from '../ledger-on-disk.ts';
import { openRogue, type Rogue } from '../rogue.ts';
import { refused, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, ask, onApp, reach } from './story.ts';

export async function mustNotWork(world: World): Promise<void> {
  title(4, 'What must not work');
  await selfApproval(world);
  const changeId = await editedAfterApproval(world);
  await straightToTheExecutor(world, changeId);
}

async function selfApproval(world: World): Promise<void> {
  const ana = world.as('person:ana');
  const request: ChangeRequest = {
    kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'for myself', duration: 'PT15M',
    entitlements: onApp('table:public.orders:SELECT'), recipient: world.recipient,
  };
  const asked = await ask(ana, request);
  const own = await refusal('the owner cannot approve what she asked for', ana.approve(asked.id, asked.planDigest!));
  check('it is refused as self-approval', own.code === 'self-approval' && own.status === 403, own.code);
  const linked = await rejection('nor under her other name', world.as('person:ana-adm').approve(asked.id, asked.planDigest!));
  check('her other name is refused', linked instanceof ClientError, linked);
  refused('the owner asks and approves it herself, or under her second account', `${own.status} ${own.code}, ${String(linked.status)} ${linked.code}`);
  await ana.withdraw(asked.id);
}

/** The change that is given in the end, so that its envelope is there to be forged. */
async function editedAfterApproval(world: World): Promise<string> {
  const partner = world.as('nhi:prod/warehouse-sync');
  const [ben, olga] = [world.as('person:ben'), world.as('person:olga')];
  const request: ChangeRequest = {
    kind: 'grant', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'sync', duration: 'PT10M', entitlements: onApp('table:public.orders:SELECT'),
  };
  const asked = await ask(partner, request);
  await approve(ben, asked.id);
  await partner.revise(asked.id, { ...request, duration: 'PT4H' });
  const revised = await partner.wait(asked.id, { until: (change) => change.revision === 2 && change.state === 'pending', timeoutMs: 30_000 });
  check('the approval of the first plan is void', revised.approvals.length === 0 && revised.planDigest !== asked.planDigest, revised);
  const stale = await refusal('the old digest cannot be approved', olga.approve(asked.id, asked.planDigest!));
  check('it is refused because the plan changed', stale.code === 'plan-changed' && stale.status === 409, stale.code);
  refused('ten minutes are approved, then edited to four hours', `approvals void; the old plan: ${stale.status} ${stale.code}`);
  await approve(ben, asked.id);
  await approve(olga, asked.id);
  await reach(partner, asked.id, 'active');
  return asked.id;
}

/** Around the sidecar: envelopes as it makes them, altered in one place each, put straight into the executor's socket. */
async function straightToTheExecutor(world: World, changeId: string): Promise<void> {
  const partner = world.as('nhi:prod/warehouse-sync');
  const change = await partner.get(changeId);
  const rogue = await openRogue(world);
  try {
    const genuine = (fromSize: number | null): StepEnvelope => envelopeOf(readLedger(world.paths.ledger), change, fromSize);
    await attempt(rogue, 'plan-digest-mismatch', 'the plan edited on its way to the executor', (fromSize) => {
      const envelope = genuine(fromSize);
      const [step] = envelope.plan!.steps;
      return { ...envelope, plan: { ...envelope.plan!, steps: [{ ...step!, privileges: ['table:public.customers:DELETE'] }] } };
    });
    await attempt(rogue, 'bad-signature', 'a ticket forged with a key of one\'s own', (fromSize) => {
      const envelope = genuine(fromSize);
      const { keyid } = envelope.ticket.signatures[0]!;
      const own = parseSigner(generateSignerKey(keyid.slice(0, keyid.lastIndexOf('+')), world.randomBytes(32)).skey);
      const forged = signDsse(TICKET_TYPE, { ...readPayload(envelope.ticket, ticketSchema), issue: 2 }, own);
      return { ...envelope, ticket: { ...forged, signatures: [{ ...forged.signatures[0]!, keyid }] } };
    });
    await attempt(rogue, 'receipt-mismatch', 'the receipt of another record', (fromSize) => {
      const ledger = readLedger(world.paths.ledger);
      const other = ledger.records.find(({ type, change: id, body }) => type === 'step.authorised' && id !== changeId && body['kind'] === 'act');
      check('there is another authorising record', other !== undefined, ledger.records.length);
      return { ...envelopeOf(ledger, change, fromSize), receipt: receiptFor(ledger, other.seq, fromSize) };
    });
    const login = world.database.login('warehouse_sync');
    const deleting = await world.database.use(login, 'DELETE FROM customers');
    check('none of it had an effect', !deleting.ok && deleting.code === '42501', deleting);
    await rogue.send(genuine);
    const holders = await world.database.admin(`SELECT count(*)::int AS n FROM pg_auth_members WHERE member = 'warehouse_sync'::regrole`);
    check('the genuine envelope, replayed, has no second effect', holders[0]?.['n'] === 1, holders);
    refused('the genuine envelope sent again', `no second effect; deleting customers: ${refusalOf(deleting)}`);
  } finally {
    await rogue.close();
  }
  await world.as('person:ben').revoke(changeId, 'shown');
  await reach(partner, changeId, 'revoked');
  tell('taken back', 'what was given on the way here; the target is as it was');
}

async function attempt(rogue: Rogue, code: string, what: string, make: (fromSize: number | null) => StepEnvelope): Promise<void> {
  const seen = await rogue.send(make);
  check(`${what} is refused as ${code}`, seen === code, seen);
  refused(what, code);
}

async function refusal(what: string, call: Promise<unknown>): Promise<ClientError> {
  const error = await rejection(what, call);
  check(what, error instanceof ClientError, error);
  return error;
}
