/** Case 2: a pipeline deploys with access for seconds, and the access ends on time though the sidecar is dead. */
import { check, until } from '../check.ts';
import { refusalOf } from '../database.ts';
import { clock, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, approved, ask, decided, onApp, policyOf, privileges, reach, recordOf, type Told } from './story.ts';

/** Long enough for a slow machine to use the access, short enough to watch it end. */
const LEASE_SECONDS = 6;
/** How long after the end a use may still be let in: a revoke's own time, and a busy machine's. */
const LATE_MS_MAX = 4_000;

export async function deployAccess(world: World): Promise<Told> {
  title(2, 'A CI pipeline deploys; the sidecar is killed meanwhile');
  const pipeline = world.as('nhi:prod/ci-deployer');
  const owner = world.as('person:wei');
  const { database } = world;
  const login = database.login('ci_deployer');
  const deploy = `INSERT INTO deployments (version) VALUES ('2026.11')`;

  const before = await database.use(login, deploy);
  check('without access the deployment is refused', !before.ok && before.code === '42501', before);
  const asked = await ask(pipeline, {
    kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release 2026.11', duration: `PT${LEASE_SECONDS}S`,
    entitlements: onApp('role:deploy'),
  });
  check('the request waits for approval', asked.state === 'pending', asked);
  tell('asked', `${asked.requester.join(' for ')}: ${privileges(asked)}, for ${asked.purpose}, ${LEASE_SECONDS} seconds`);
  tell('decided', decided(asked));
  await approve(owner, asked.id);
  const active = await reach(pipeline, asked.id, 'active');
  const endsAtMs = Date.parse(active.lease!.endsAt);
  tell('approved by', approved(active));

  const during = await database.use(login, deploy);
  check('with access the deployment works', during.ok, during);
  const { pid } = world.sidecar;
  await world.sidecar.kill9();
  check('the sidecar is killed before the access ends', Date.now() < endsAtMs, { now: Date.now(), endsAtMs });
  tell('done', `the deployment writes; then the sidecar (pid ${pid}) is killed with -9, ${((endsAtMs - Date.now()) / 1000).toFixed(1)} s before the end`);

  const refusedAtMs = await until('the deploy account is refused', async () => {
    const use = await database.use(login, deploy);
    if (use.ok) return undefined;
    check('it is refused for want of the privilege', use.code === '42501', refusalOf(use));
    return Date.now();
  }, { timeoutMs: endsAtMs - Date.now() + LATE_MS_MAX, everyMs: 100 });
  check('the access lasts as long as it was given for', refusedAtMs >= endsAtMs, { refusedAtMs, endsAtMs });
  check('the sidecar is dead all the while', !world.sidecar.isAlive(), pid);
  tell('taken back', `due ${clock(endsAtMs)}, refused by ${clock(refusedAtMs)}, the sidecar dead: the executor had the order before it gave the access`);

  await world.startSidecar();
  const revoked = await reach(pipeline, asked.id, 'revoked');
  const evidence = await pipeline.evidence(asked.id);
  check('the end that is recorded is the end that was seen', Date.parse(revoked.ended!.at) <= refusedAtMs + 1_000, revoked.ended);
  tell('proven', `the restarted sidecar (pid ${world.sidecar.pid}) has the executor's signed report at record ${recordOf(evidence, 'lease.ended')}`);
  return { who: asked.subject, what: `got ${privileges(asked)} for ${LEASE_SECONDS} seconds`, when: clock(active.result!.at), policy: policyOf(evidence) };
}
