/** Case 4: what must not work. Each attempt is made for real, and must fail for the reason it should. */
import { generateSignerKey, parseSigner } from '../../../ledger/index.ts';
import { ClientError, type ChangeRequest, type ChangeView } from '../../../src/client/index.ts';
import { readPayload, signDsse } from '../../../src/protocol/dsse.ts';
import { reportSchema, ticketSchema, TICKET_TYPE, type Dsse } from '../../../src/protocol/signed.ts';
import { check, rejection, until } from '../check.ts';
import { envelopeOf, readLedger, receiptFor } from '../ledger-on-disk.ts';
import { openRogue, type Rogue } from '../rogue.ts';
import { refused, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, ask, onApp, reach, SETTLE_MS } from './story.ts';

export async function mustNotWork(world: World): Promise<void> {
  title(4, 'What must not work');
  await selfApproval(world);
  await editedAfterApproval(world);
  await anotherReceipt(world);
  await replay(world);
  const deleting = await world.database.use(world.database.login('warehouse_sync'), 'DELETE FROM customers');
  check('none of it had an effect', !deleting.ok && deleting.code === '42501', deleting);
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

/** Ten minutes are approved, then edited to four hours; and when that is approved too, the plan is edited on its way to the executor. */
async function editedAfterApproval(world: World): Promise<void> {
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
  const code = await intercept(world, asked.id, () => approve(olga, asked.id), async (rogue, authorised) => {
    const forged = await rogue.send((fromSize) => {
      const envelope = envelopeOf(readLedger(world.paths.ledger), authorised, fromSize);
      return { ...envelope, ticket: signedByAnother(envelope.ticket, world) };
    });
    check('a forged ticket is refused', /signature/.test(forged), forged);
    refused('a ticket forged with a key of one\'s own', forged);
    await rogue.send((fromSize) => {
      const envelope = envelopeOf(readLedger(world.paths.ledger), authorised, fromSize);
      const [step] = envelope.plan!.steps;
      return { ...envelope, plan: { ...envelope.plan!, steps: [{ ...step!, privileges: ['table:public.customers:DELETE'] }] } };
    });
  });
  check('the edited plan is refused by its digest', code.refusal === 'plan-digest-mismatch', code);
  refused('the approved plan edited on its way to the executor', `${code.refusal}, signed by the executor, at record ${code.record}`);
}

/** A valid ticket, with the proof that something else was recorded. */
async function anotherReceipt(world: World): Promise<void> {
  const asked = await ask(world.as('nhi:prod/ci-deployer'), deployment);
  const code = await intercept(world, asked.id, () => approve(world.as('person:wei'), asked.id), async (rogue, authorised) => {
    await rogue.send((fromSize) => {
      const ledger = readLedger(world.paths.ledger);
      const other = ledger.records.find(({ type, change, body }) => type === 'step.authorised' && change !== asked.id && body['kind'] === 'act');
      check('there is another authorising record', other !== undefined, ledger.records.length);
      return { ...envelopeOf(ledger, authorised, fromSize), receipt: receiptFor(ledger, other.seq, fromSize) };
    });
  });
  check('the receipt of another record is refused', code.refusal === 'receipt-mismatch', code);
  refused('a valid ticket with the receipt of another record', `${code.refusal}, at record ${code.record}`);
}

/** What was carried out once is not carried out again. */
async function replay(world: World): Promise<void> {
  const pipeline = world.as('nhi:prod/ci-deployer');
  const asked = await ask(pipeline, deployment);
  await approve(world.as('person:wei'), asked.id);
  const active = await reach(pipeline, asked.id, 'active');
  const rogue = await openRogue(world);
  const answer = await rogue.send((fromSize) => envelopeOf(readLedger(world.paths.ledger), active, fromSize)).finally(() => rogue.close());
  check('the executor knows the envelope', answer === 'accepted', answer);
  const holders = await world.database.admin(`SELECT count(*)::int AS n FROM pg_auth_members WHERE member = 'ci_deployer'::regrole`);
  check('a replayed envelope has no second effect', holders[0]?.['n'] === 1, holders);
  refused('a genuine envelope sent a second time', 'known, and no second effect');
  await world.as('person:wei').revoke(asked.id, 'shown');
  await reach(pipeline, asked.id, 'revoked');
}

const deployment: ChangeRequest = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release 2026.12', duration: 'PT10M', entitlements: onApp('role:deploy'),
};

/**
 * Has a step authorised while its executor is away, ends the sidecar before it can deliver, and lets someone else deliver instead.
 * Resolves with how the executor refused, as the restarted sidecar has it on record.
 */
async function intercept(
  world: World, changeId: string, lastApproval: () => Promise<unknown>, deliver: (rogue: Rogue, authorised: ChangeView) => Promise<void>,
): Promise<{ readonly refusal: string; readonly record: number }> {
  const security = world.as('person:olga');
  await world.executor.stop();
  await lastApproval();
  const authorised = await reach(security, changeId, 'authorised');
  // Seen is not yet durable: the receipt is to be had once the record is under a checkpoint on disk.
  await until('the step is authorised in the ledger', () => {
    const { records } = readLedger(world.paths.ledger);
    return records.some(({ type, change, body }) => type === 'step.authorised' && change === changeId && body['kind'] === 'act') ? true : undefined;
  }, { timeoutMs: SETTLE_MS });
  await world.sidecar.kill9();
  await world.startExecutor();
  const rogue = await openRogue(world);
  await deliver(rogue, authorised).finally(() => rogue.close());
  await world.startSidecar();
  await reach(security, changeId, 'failed');
  const { records } = await security.evidence(changeId);
  const refusal = records.find((record) => record['type'] === 'step.refused');
  check('the refusal is recorded', refusal !== undefined, records.map((record) => record['type']));
  const report = readPayload((refusal['body'] as { report: Dsse }).report, reportSchema);
  return { refusal: report.kind === 'acted' ? (report.code ?? 'no code') : report.kind, record: refusal['seq'] };
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
