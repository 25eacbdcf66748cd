/** A rotation with an overlap, in a window that is open, with somebody who logs in all the while with the credential that it was told to use. */
import { expect } from 'vitest';
import { until } from '../../../examples/demo/check.ts';
import type { Login } from '../../../examples/demo/database.ts';
import { openProber, type Prober } from '../../../examples/demo/prober.ts';
import { refusal, WINDOW, type Bench } from './bench.ts';
import type { Scenario } from './scenarios.ts';

const READ = 'SELECT count(*) FROM orders';
const CONSUMER = 'orders-api';

export interface Rotation {
  readonly scenario: Scenario;
  readonly prober: Prober;
  /** The login that is good now. */
  current(): Login;
}

/** Rotates the twins of `orders` again and again: what one run made is what the next replaces. */
export function openRotation(bench: Bench): Rotation {
  let current = bench.database.login('orders_a');
  const prober = openProber(bench.database, current);
  const scenario: Scenario = {
    kind: 'rotate', steps: 3, reads: 1,
    async start(_, installation, run) {
      const old = current;
      return {
        requester: installation.as('nhi:prod/orders-api'), approvers: [installation.as('person:wei'), installation.as('person:olga')],
        idempotencyKey: run, identity: bench.identity, revokeEarly: false, whileActive: () => Promise.resolve(),
        request: {
          kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: run,
          recipient: bench.recipient, grace: 'PT1M', window: { calendar: WINDOW },
        },
        async whileStaged(change, secret) {
          const fresh: Login = { user: change.plan!.steps[0]!.account, password: secret };
          expect(await refusal(bench.database, fresh, READ), 'the new login').toBe('works');
          expect(await refusal(bench.database, old, READ), 'the old login beside it').toBe('works');
          prober.use(fresh);
          // No login that began with the old one is under way any more.
          await prober.anew();
          current = fresh;
        },
      };
    },
    async over(_, change, { requester }) {
      expect(change.state).toBe('done');
      expect(change.rotation).toMatchObject({ oldCredential: 'gone', consumers: [{ consumer: CONSUMER, confirmed: true }] });
      const [staged, , retired] = change.plan!.steps;
      expect(current.user, 'whose secret was delivered').toBe(staged!.account);
      await prober.anew();
      expect(await refusal(bench.database, current, READ), 'the new login').toBe('works');
      expect(await loginsOf(bench, 'orders')).toEqual([current.user]);
      expect(await canLogIn(bench, retired!.account), 'the old login').toBe(false);
      await until('the window is closed', async () => ((await requester.get(change.id)).window?.state === 'closed' ? true : undefined), { timeoutMs: 10_000 });
    },
  };
  return { scenario, prober, current: () => current };
}

/** Who can log in and is a member of the role. */
async function loginsOf(bench: Bench, role: string): Promise<unknown[]> {
  const rows = await bench.database.admin(`SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member WHERE a.roleid = '${role}'::regrole AND m.rolcanlogin ORDER BY 1`);
  return rows.map((row) => row['rolname']);
}

async function canLogIn(bench: Bench, role: string): Promise<unknown> {
  const [row] = await bench.database.admin(`SELECT rolcanlogin FROM pg_roles WHERE rolname = '${role}'`);
  return row?.['rolcanlogin'];
}
