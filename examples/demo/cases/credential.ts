/** Case 1: a credential for a nightly job, delivered so that only the job can read it. */
import { Decrypter } from 'age-encryption';
import { check } from '../check.ts';
import { refusalOf } from '../database.ts';
import { clock, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, approved, ask, decided, onApp, policyOf, privileges, reach, recordOf, type Told } from './story.ts';

export async function newCredential(world: World): Promise<Told> {
  title(1, 'A new credential for a service account');
  const job = world.as('nhi:prod/billing-export');
  const owner = world.as('person:ana');

  const asked = await ask(job, {
    kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'tonight\'s export', duration: 'PT15M',
    entitlements: onApp('table:public.orders:SELECT', 'table:public.invoices:SELECT'), recipient: world.recipient,
  });
  check('the request waits for approval', asked.state === 'pending', asked);
  tell('asked', `${asked.requester.join(' for ')}: ${privileges(asked)}, for ${asked.purpose}, 15 minutes`);
  tell('decided', decided(asked));

  await approve(owner, asked.id);
  const active = await reach(job, asked.id, 'active');
  tell('approved by', approved(active));

  const delivery = await job.delivery(asked.id);
  const decrypter = new Decrypter();
  decrypter.addIdentity(world.identity);
  const secret = await decrypter.decrypt(Buffer.from(delivery.ciphertext, 'base64'), 'text');
  const login = { user: active.plan!.steps[0]!.account, password: secret };
  const reading = await world.database.use(login, 'SELECT count(*)::int AS n FROM orders JOIN invoices ON order_id = orders.id');
  check('the delivered credential logs in and reads', reading.ok && reading.rows[0]?.['n'] === 2, reading);
  const deleting = await world.database.use(login, 'DELETE FROM orders');
  check('it can do nothing else', !deleting.ok && deleting.code === '42501', deleting);
  await job.acknowledge(asked.id, delivery.digest);
  tell('done', `account ${login.user}; the secret came sealed to the job's own key, logs in and reads; deleting: ${refusalOf(deleting)}`);

  await owner.revoke(asked.id, 'the export is over');
  const revoked = await reach(owner, asked.id, 'revoked');
  const after = await world.database.use(login, 'SELECT 1');
  check('the credential is dead once it is revoked', !after.ok && ['28P01', '28000'].includes(after.code), after);
  tell('taken back', `early, by ${owner.principal}, at ${clock(revoked.ended!.at)}: ${refusalOf(after)}`);

  const evidence = await owner.evidence(asked.id);
  const proven = recordOf(evidence, 'lease.ended');
  tell('proven', `at record ${recordOf(evidence, 'step.succeeded')} that it was done, at record ${proven} that it is gone`);
  return { who: asked.subject, what: `got ${privileges(asked)} in an account of its own`, when: clock(active.result!.at), policy: policyOf(evidence) };
}
