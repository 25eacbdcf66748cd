/** Case 7: what must not work. Each attempt is made for real, and must fail for the reason it should. */
import { generateSignerKey, parseSigner } from '../../../ledger/index.ts';
import { ClientError, type ChangeRequest } from '../../../src/client/index.ts';
import { readPayload, signDsse } from '../../../src/protocol/dsse.ts';
import type { StepEnvelope } from '../../../src/protocol/envelope.ts';
import { ticketSchema, TICKET_TYPE, type Dsse } from '../../../src/protocol/signed.ts';
import { check, rejection, until } from '../check.ts';
import { envelopeOf, readLedger, receiptFor } from '../ledger-on-disk.ts';
import { openRogue, type Rogue } from '../rogue.ts';
import { refused, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, ask, onApp, reach, SETTLE_MS } from './story.ts';

export async function mustNotWork(world: World): Promise<void> {
  title(7, 'What must not work');
  await selfApproval(world);
  await changedOnItsWay(world, await editedAfterApproval(world));
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

/** Ten minutes are approved, then edited to four hours; resolves with the change, which lacks one approval. */
async function editedAfterApproval(world: World): Promise<string> {
  const partner = world.as('nhi:prod/warehouse-sync');
  const [ben, olga] = [world.as('person:ben'), world.as('person:olga')];
  const request: ChangeRequest = {
    kind: 'grant', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'sync', duration: 'PT10M', entitlements: onApp('table:public.orders:SELECT'),
  };
  const asked = await ask(partner, request);
  await approve(ben, asked.id);
  await partner.revise(asked.id, { ...request, duration: 'PT4H' });
  const revised = await partner.wait(asked.id, { until: (change) => change.revision === 2 && change.state === 'pending', timeoutMs: SETTLE_MS });
  check('the approval of the first plan is void', revised.approvals.length === 0 && revised.planDigest !== asked.planDigest, revised);
  const stale = await refusal('the old digest cannot be approved', olga.approve(asked.id, asked.planDigest!));
  check('it is refused because the plan changed', stale.code === 'plan-changed' && stale.status === 409, stale.code);
  refused('ten minutes are approved, then edited to four hours', `the approval is void; approving the old plan: ${stale.status} ${stale.code}`);
  await approve(ben, asked.id);
  return asked.id;
}

/**
 * Around the sidecar: the step is authorised while its executor is away, and someone else delivers it, changed. Each change is told from
 * the genuine envelope, and none of them spoils it: in the end the sidecar delivers it, and it is carried out, once.
 */
async function changedOnItsWay(world: World, changeId: string): Promise<void> {
  const { paths, database } = world;
  const olga = world.as('person:olga');
  await world.stopExecutors();
  await approve(olga, changeId);
  const authorised = await reach(olga, changeId, 'authorised');
  // Seen is not yet durable: the receipt is to be had once the record is under a checkpoint on disk.
  await until('the step is authorised in the ledger', () => {
    const { records } = readLedger(paths.ledger);
    return records.some(({ type, change, body }) => type === 'step.authorised' && change === changeId && body['kind'] === 'act') ? true : undefined;
  }, { timeoutMs: SETTLE_MS });
  await world.sidecar.kill9();
  await world.startExecutors();
  const genuine = (fromSizes: readonly number[]): StepEnvelope => envelopeOf(readLedger(paths.ledger), authorised, fromSizes);

  const rogue = await openRogue(world);
  try {
    await attempt(rogue, 'plan-digest-mismatch', 'the approved plan, edited on its way to the executor', (fromSizes) => {
      const envelope = genuine(fromSizes);
      const [step] = envelope.plan!.steps;
      return { ...envelope, plan: { ...envelope.plan!, steps: [{ ...step!, privileges: ['table:public.customers:DELETE'] }] } };
    });
    await attempt(rogue, 'bad-signature', 'a ticket forged with a key of one\'s own', (fromSizes) => {
      const envelope = genuine(fromSizes);
      return { ...envelope, ticket: signedByAnother(envelope.ticket, world) };
    });
    await attempt(rogue, 'receipt-mismatch', 'the genuine ticket with the receipt of another record', (fromSizes) => {
      const ledger = readLedger(paths.ledger);
      const other = ledger.records.find(({ type, change }) => type === 'step.authorised' && change !== changeId);
      check('there is another authorising record', other !== undefined, ledger.records.length);
      return { ...envelopeOf(ledger, authorised, fromSizes), receipt: receiptFor(ledger, other.seq, fromSizes) };
    });
  } finally {
    await rogue.close();
  }
  check('none of it had an effect', (await holders(world)) === 0, await holders(world));

  await world.startSidecar();
  await reach(olga, changeId, 'active');
  const again = await openRogue(world);
  const answer = await again.send(genuine).finally(() => again.close());
  check('the executor knows the genuine envelope', answer === 'accepted', answer);
  check('the genuine envelope, sent again, has no second effect', (await holders(world)) === 1, await holders(world));
  refused('the genuine envelope, sent a second time', 'known, and no second effect');
  const deleting = await database.use(database.login('warehouse_sync'), 'DELETE FROM customers');
  check('what was forged is not held', !deleting.ok && deleting.code === '42501', deleting);
  await olga.revoke(changeId, 'shown');
  await reach(olga, changeId, 'revoked');
}

/** How many roles the partner's account is a member of: one for each grant that is in force. */
async function holders(world: World): Promise<unknown> {
  const [row] = await world.database.admin(`SELECT count(*)::int AS n FROM pg_auth_members WHERE member = 'warehouse_sync'::regrole`);
  return row?.['n'];
}

async function attempt(rogue: Rogue, code: string, what: string, make: (fromSizes: readonly number[]) => StepEnvelope): Promise<void> {
  const answer = await rogue.send(make);
  check(`${what} is refused as ${code}`, answer.startsWith(code), answer);
  refused(what, code);
}

/** The same ticket for a later issue, signed with a key of one's own under the sidecar's name. */
function signedByAnother(ticket: Dsse, world: World): Dsse {
  const { keyid } = ticket.signatures[0]!;
  const own = parseSigner(generateSignerKey(keyid.slice(0, keyid.lastIndexOf('+')), world.randomBytes(32)).skey);
  const forged = signDsse(TICKET_TYPE, { ...readPayload(ticket, ticketSchema), issue: 2 }, own);
  return { ...forged, signatures: [{ ...forged.signatures[0]!, keyid }] };
}

async function refusal(what: string, call: Promise<unknown>): Promise<ClientError> {
  const error = await rejection(what, call);
  check(what, error instanceof ClientError, error);
  return error;
}
