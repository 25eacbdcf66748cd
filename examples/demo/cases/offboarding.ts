/** Case 5: a third party leaves. Everything that it holds is one case, taken back, verified, and told to whoever listens. */
import { check, until } from '../check.ts';
import { refusalOf } from '../database.ts';
import { clock, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, ask, onApp, policyOf, reach, recordOf, SETTLE_MS, type Told } from './story.ts';

export async function offboardThirdParty(world: World): Promise<Told> {
  title(5, 'A third party is offboarded, in one case');
  const [carrier, wei, olga] = [world.as('nhi:prod/freight-sync'), world.as('person:wei'), world.as('person:olga')];
  const { database, receiver } = world;
  const logins = [database.login('freight_sync'), database.login('freight_labels')];

  const lent = await ask(carrier, {
    kind: 'grant', subject: 'nhi:prod/freight-sync', purpose: 'freight-sync', reason: 'today\'s deliveries', duration: 'PT10M', entitlements: onApp('table:public.orders:SELECT'),
  });
  if (lent.state === 'pending') {
    await approve(wei, lent.id);
    const half = await wei.get(lent.id);
    if (half.state === 'pending') await approve(olga, lent.id);
  }
  await reach(carrier, lent.id, 'active');
  const before = await database.use(logins[0]!, 'SELECT count(*) FROM orders');
  check('the carrier reads orders', before.ok, before);

  const { id } = await olga.request({ kind: 'offboard', subject: 'thirdParty:kestrel-logistics', reason: 'the contract ended' });
  const asked = await olga.wait(id, { until: (change) => change.plan !== null || change.state === 'denied', timeoutMs: SETTLE_MS });
  check('the offboarding is planned', asked.plan !== null, asked);
  tell('asked', `${olga.principal}: offboard ${asked.subject}: ${asked.plan.items!.map((item) => (item.kind === 'lease' ? `a lease of ${item.nhi}` : `${item.account} at ${item.connector}`)).join(', ')}`);
  const done = await reach(olga, id, 'done');
  tell('decided', `${done.decision!.effect}: ${done.decision!.reasons[0]!.message} [${done.decision!.reasons[0]!.code}]`);
  check('every item is gone', done.items.every(({ outcome }) => outcome === 'gone'), done.items);
  const after = await Promise.all(logins.map((login) => database.use(login, 'SELECT 1')));
  check('no login of theirs works', after.every((use) => !use.ok && ['28P01', '28000'].includes(use.code)), after);
  tell('taken back', `${done.items.length} items, one after another: ${logins.map(({ user }, index) => `${user}: ${refusalOf(after[index]!)}`).join('; ')}`);

  const told = await until('the receiver is told', () => receiver.received.find(({ type, data }) => type === 'offboarding.finished' && data['changeId'] === id), { timeoutMs: SETTLE_MS });
  check('nothing came that was not signed', receiver.refused === 0, receiver.refused);
  tell('told', `a webhook, its signature verified by the receiver: ${told.type}, and ${receiver.received.filter(({ data }) => data['changeId'] === id).length - 1} before it about this case`);

  const evidence = await olga.evidence(id);
  tell('proven', `each item at its record, the last at ${recordOf(evidence, 'item.settled')}; the children are changes of their own`);
  return { who: asked.subject, what: 'has nothing any more', when: clock(done.updatedAt), policy: policyOf(evidence) };
}
