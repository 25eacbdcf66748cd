/** Scopes under observe that come, go and end, and those who ask for what policy would not give them. All seeded. */
import type { ObserveScope } from '../../src/facts/observe.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { RECIPIENT } from './actors.ts';
import { askOf } from './asking.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** A run begins a minute before midnight, when this one ends. */
const ENDING: ObserveScope = { id: 'tonight', connectors: ['pg-main', 'pg-dev'], reason: 'what is asked for here is not known', owner: 'person:ben', from: '2026-11-20', until: '2026-11-24' };
const LASTING: ObserveScope = { id: 'some', prefixes: ['nhi:prod/billing-', 'nhi:dev/'], reason: 'these two were never looked at', owner: 'person:ben', from: '2026-11-20', until: '2026-12-20' };

/** What may be under observe at one moment of a run. */
export const SCOPE_SETS: readonly (readonly ObserveScope[])[] = [[], [ENDING], [LASTING], [ENDING, LASTING]];

/** What has a lease and would be denied or wait for people; and what stands, which no scope touches. */
const REQUESTS: readonly { readonly requester: string; readonly request: (duration: string) => ChangeRequest }[] = [
  { requester: 'nhi:dev/report-preview', request: (duration) => ({ kind: 'grant', subject: 'nhi:dev/report-preview', purpose: 'preview-reports', reason: 'and to correct them', duration, entitlements: ['table:public.orders:SELECT', 'table:public.orders:UPDATE'].map((privilege) => ({ connector: 'pg-dev', target: 'app_dev', privilege })) }) },
  { requester: 'nhi:prod/billing-export', request: (duration) => ({ kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'whose bill it is', duration, recipient: RECIPIENT, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.customers:SELECT' }] }) },
  { requester: 'nhi:prod/ci-deployer', request: (duration) => ({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release', duration, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }] }) },
  { requester: 'nhi:prod/warehouse-sync', request: () => ({ kind: 'provision', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: 'a new key', recipient: RECIPIENT, entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }] }) },
];

/** Sets them to work until `untilMs`. */
export function startObserveActors(world: World, rng: Rng, untilMs: number): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const lastsMs = untilMs - scheduler.nowMs();
  for (let left = rng.between(0, 3); left > 0; left -= 1) {
    scheduler.after(rng.between(0, lastsMs), 'other scopes are under observe', () => world.observe(rng.pick(SCOPE_SETS)));
  }
  for (let left = rng.between(2, 5); left > 0; left -= 1) {
    const { requester, request } = rng.pick(REQUESTS);
    scheduler.after(rng.between(0, lastsMs - 40_000), 'a request that may be under observe', () => void ask((engine) => engine.request([requester], request(`PT${rng.between(10, 50)}S`), null)));
  }
}
