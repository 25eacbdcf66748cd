/** Case 4: a high-privilege secret is rotated in a short window. Somebody logs in all the while, and another change waits its turn. */
import { Decrypter } from 'age-encryption';
import { check, until } from '../check.ts';
import { refusalOf } from '../database.ts';
import { openProber } from '../prober.ts';
import { clock, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, approved, ask, decided, onApp, policyOf, reach, recordOf, SETTLE_MS, type Told } from './story.ts';

export async function rotateInWindow(world: World): Promise<Told> {
  title(4, 'A high-privilege secret is rotated in a short maintenance window');
  const [service, pipeline] = [world.as('nhi:prod/orders-api'), world.as('nhi:prod/ci-deployer')];
  const [wei, olga] = [world.as('person:wei'), world.as('person:olga')];
  const { database } = world;
  const old = database.login('orders_a');
  const prober = openProber(database, old);

  try {
    const asked = await ask(service, {
      kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'ninety days old',
      recipient: world.recipient, grace: world.asks ? 'PT1H' : 'PT1M', window: { calendar: world.window },
    });
    check('the rotation waits for approval', asked.state === 'pending', asked);
    check('its plan has one occurrence of the window', asked.window?.calendar === world.window, asked.window);
    tell('asked', `${asked.requester.join(' for ')}: rotate ${asked.plan!.steps.map(({ action, account }) => `${action} ${account}`).join(', ')}`);
    tell('decided', `${decided(asked)} Window ${asked.window.calendar}, until ${clock(asked.window.closesAt)}`);
    await approve(wei, asked.id);
    await approve(olga, asked.id);
    const staged = await reach(service, asked.id, 'staged');
    tell('approved by', approved(staged));

    const queued = await pipeline.request({
      kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release in the same night', duration: 'PT1M', entitlements: onApp('role:deploy'),
    });
    await pipeline.wait(queued.id, { until: (change) => change.state === 'pending', timeoutMs: SETTLE_MS });
    await approve(wei, queued.id).catch(async (error: unknown) => {
      // Whoever rejects the deployment ends the case: the rotation that is under way would hold up every other change of this database.
      await service.withdraw(asked.id, 'the case ends here');
      await reach(service, asked.id, 'withdrawn');
      throw error;
    });
    const waiting = await until('the other change waits for the rotation', async () => {
      const seen = await pipeline.get(queued.id);
      return seen.state === 'scheduled' && seen.waitingFor?.includes(asked.id) === true ? seen.waitingFor : undefined;
    }, { timeoutMs: SETTLE_MS });
    tell('queued', `a deployment, approved as well: ${waiting}`);

    const delivery = await service.delivery(asked.id);
    const decrypter = new Decrypter();
    decrypter.addIdentity(world.identity);
    const fresh = { user: staged.plan!.steps[0]!.account, password: await decrypter.decrypt(Buffer.from(delivery.ciphertext, 'base64'), 'text') };
    const both = [await database.use(old, 'SELECT 1'), await database.use(fresh, 'SELECT count(*) FROM orders')];
    check('old and new secret work side by side', both.every(({ ok }) => ok), both);
    prober.use(fresh);
    await prober.anew();
    await service.acknowledge(asked.id, delivery.digest);
    await service.confirm(asked.id, 'orders-api');
    const done = await reach(service, asked.id, 'done');
    const after = await database.use(old, 'SELECT 1');
    check('the old login is dead', !after.ok && ['28P01', '28000'].includes(after.code), after);
    await prober.anew();
    const seen = await prober.close();
    check('no login failed with the secret that it was told to use', seen.failures.length === 0 && seen.logins > 10, seen);
    tell('done', `${seen.logins} logins during all this, one about every 20 ms: none failed. The old login: ${refusalOf(after)}`);

    await reach(pipeline, queued.id, 'active');
    await wei.revoke(queued.id, 'seen to have had its turn');
    await reach(pipeline, queued.id, 'revoked');
    const evidence = await service.evidence(asked.id);
    tell('proven', `staged, cut over and retired at records ${evidence.records.filter(({ type }) => type === 'step.succeeded').map(({ seq }) => String(seq)).join(', ')}; the window at record ${recordOf(evidence, 'window.opened')}; then the deployment had its turn`);
    return { who: asked.subject, what: 'got a new secret, and the old one is dead', when: clock(done.updatedAt), policy: policyOf(evidence) };
  } finally {
    await prober.close();
  }
}
