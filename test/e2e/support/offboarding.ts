/** A third party leaves: a lease and two accounts are taken back, in one case. What it has is given to it anew for each run. */
import { expect } from 'vitest';
import { onApp } from '../../../examples/demo/cases/story.ts';
import type { Principal } from '../../../examples/demo/installation.ts';
import { isSettled } from '../../../src/client/index.ts';
import { refusal, type Bench } from './bench.ts';
import type { Scenario } from './scenarios.ts';

const SETTLE_MS = 30_000;
const ACCOUNTS = ['freight_sync', 'freight_labels'] as const;

export function offboardingScenario(): Scenario {
  let lease = '';
  return {
    kind: 'offboard', steps: 0, reads: 0,
    async start(bench, installation, run) {
      await takeOnAgain(bench);
      const olga = installation.as('person:olga');
      lease = await lend(installation.as('nhi:prod/freight-sync'), [installation.as('person:wei'), olga], run);
      return {
        requester: olga, approvers: [], idempotencyKey: run, identity: bench.identity, revokeEarly: false, whileActive: () => Promise.resolve(),
        request: { kind: 'offboard', subject: 'thirdParty:kestrel-logistics', reason: run },
      };
    },
    async over(bench, change, { requester }) {
      expect(change.state).toBe('done');
      expect(change.items.map(({ kind, outcome }) => [kind, outcome])).toEqual([['lease', 'gone'], ['account', 'gone'], ['account', 'gone']]);
      expect(change.items[0]).toMatchObject({ change: lease });
      expect((await requester.get(lease)).state).toBe('revoked');
      const children = await Promise.all(change.items.slice(1).map((item) => requester.get(item.change!)));
      expect(children.map(({ kind, state, parent }) => ({ kind, state, parent }))).toEqual(children.map(() => ({ kind: 'disable', state: 'done', parent: change.id })));
      const { records } = await requester.evidence(change.id);
      const settled = records.filter(({ type, body }) => type === 'item.settled' && (body as { outcome?: string }).outcome === 'gone');
      expect(settled.map(({ body }) => (body as { item?: number }).item)).toEqual([0, 1, 2]);
      for (const account of ACCOUNTS) expect(await refusal(bench.database, bench.database.login(account), 'SELECT 1'), account).toMatch(/^28P01$|^28000$/);
      expect(await heldBy(bench)).toEqual([]);
    },
  };
}

/** Lends the carrier what it needs for a day; resolves with the change, active. */
async function lend(carrier: Principal, approvers: readonly Principal[], reason: string): Promise<string> {
  const { id } = await carrier.request({
    kind: 'grant', subject: 'nhi:prod/freight-sync', purpose: 'freight-sync', reason, duration: 'PT10M', entitlements: onApp('table:public.orders:SELECT'),
  });
  for (const approver of approvers) {
    const asked = await carrier.wait(id, { until: isSettled, timeoutMs: SETTLE_MS });
    if (asked.state === 'pending') await approver.approve(id, asked.planDigest!);
  }
  const lent = await carrier.wait(id, { until: ({ state }) => state === 'active', timeoutMs: SETTLE_MS });
  expect(lent.state).toBe('active');
  return id;
}

/** The logins work again and hold what they held: whoever runs the target has had them back. */
async function takeOnAgain({ database }: Bench): Promise<void> {
  for (const account of ACCOUNTS) {
    const { password } = database.login(account);
    await database.admin(`ALTER ROLE ${account} LOGIN PASSWORD '${password}' VALID UNTIL 'infinity'; COMMENT ON ROLE ${account} IS NULL`);
  }
  await database.admin('GRANT SELECT ON customers TO freight_labels');
}

/** What the carrier's logins are members of, and the tables that were granted to them. */
async function heldBy({ database }: Bench): Promise<readonly Record<string, unknown>[]> {
  const names = ACCOUNTS.map((account) => `'${account}'`).join(', ');
  return database.admin(`
    SELECT m.rolname AS who, r.rolname AS what FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid WHERE m.rolname IN (${names})
    UNION ALL SELECT grantee, table_name FROM information_schema.role_table_grants WHERE grantee IN (${names})`);
}
