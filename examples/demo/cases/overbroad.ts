/** Case 3: too much is asked; what would be enough is offered, and goes through with two people's approval. */
import type { ChangeRequest } from '../../../src/client/index.ts';
import { check } from '../check.ts';
import { refusalOf } from '../database.ts';
import { bold, clock, say, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, approved, ask, decided, onApp, policyOf, privileges, reach, recordOf, type Told } from './story.ts';

export async function overBroad(world: World): Promise<Told> {
  title(3, 'An over-broad request, and the counter-offer');
  const partner = world.as('nhi:prod/warehouse-sync');
  const request = {
    kind: 'grant', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'sync the warehouse', duration: 'PT1H',
  } as const satisfies Partial<ChangeRequest>;

  const denied = await ask(partner, {
    ...request, entitlements: onApp('table:public.orders:SELECT', 'table:public.customers:SELECT', 'table:public.customers:DELETE'),
  });
  const { excess, counterOffer } = denied.decision!;
  check('it is denied', denied.state === 'denied' && denied.decision?.reasons.some(({ code }) => code === 'exceeds-purpose') === true, denied);
  check('the excess is listed', excess.map(({ privilege }) => privilege).join() === 'table:public.customers:SELECT,table:public.customers:DELETE', excess);
  check('a counter-offer is made', counterOffer !== null, denied.decision);
  tell('asked', `${denied.requester.join(' for ')}: ${privileges(denied)}`);
  tell('decided', `${decided(denied)}; excess: ${excess.map(({ privilege }) => privilege).join(', ')}`);

  const asked = await ask(partner, { ...request, entitlements: counterOffer.entitlements, duration: `PT${counterOffer.leaseSeconds ?? 3600}S` });
  check('the counter-offer waits for approval', asked.state === 'pending', asked);
  await approve(world.as('person:ben'), asked.id);
  const half = await partner.get(asked.id);
  check('one approval of two is not enough', half.state === 'pending', half.state);
  await approve(world.as('person:olga'), asked.id);
  const active = await reach(partner, asked.id, 'active');
  tell('approved by', `${approved(active)} (counter-offer: ${privileges(asked)})`);

  const login = world.database.login('warehouse_sync');
  const reading = await world.database.use(login, 'SELECT count(*) FROM orders');
  check('what was offered works', reading.ok, reading);
  const beyond = await world.database.use(login, 'SELECT count(*) FROM customers');
  check('what was refused does not', !beyond.ok && beyond.code === '42501', beyond);
  tell('done', `orders can be read; customers: ${refusalOf(beyond)}`);

  const security = world.as('person:olga');
  await security.revoke(asked.id, 'shown');
  await reach(partner, asked.id, 'revoked');
  const after = await world.database.use(login, 'SELECT count(*) FROM orders');
  check('it is taken back', !after.ok && after.code === '42501', after);
  tell('taken back', `early, by ${security.principal}: ${refusalOf(after)}`);

  const [refusal, evidence] = [await partner.evidence(denied.id), await partner.evidence(asked.id)];
  tell('proven', `the refusal at record ${recordOf(refusal, 'policy.decided')}, the access at ${recordOf(evidence, 'step.succeeded')}, its end at ${recordOf(evidence, 'lease.ended')}`);
  printControls([[denied, recordOf(refusal, 'policy.decided')], [active, recordOf(evidence, 'policy.decided')]]);
  return { who: asked.subject, what: `was refused customer data and got ${privileges(asked)}`, when: clock(active.result!.at), policy: policyOf(evidence) };
}

/** Which requirement of which framework was applied by which rule, and the record that shows it. */
function printControls(decisions: readonly (readonly [Awaited<ReturnType<typeof ask>>, number])[]): void {
  const rows = new Map<string, readonly [string, string, number]>();
  for (const [change, record] of decisions) {
    for (const { framework, id, rule } of change.decision?.controls ?? []) rows.set(`${framework} ${id} ${rule} ${record}`, [`${framework} ${id}`, rule, record]);
  }
  check('the decisions name the controls that they apply', rows.size > 0, decisions.map(([change]) => change.decision?.controls));
  const sorted = [...rows.values()].sort(([a, , m], [b, , n]) => a.localeCompare(b) || m - n);
  const widths = [Math.max(...sorted.map(([control]) => control.length)), Math.max(...sorted.map(([, rule]) => rule.length))] as const;
  say();
  say(`   ${bold('control'.padEnd(widths[0]))}  ${bold('rule'.padEnd(widths[1]))}  ${bold('record')}`);
  for (const [control, rule, record] of sorted) say(`   ${control.padEnd(widths[0])}  ${rule.padEnd(widths[1])}  ${record}`);
}
