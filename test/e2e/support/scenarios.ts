/** Kinds of change, each as something that can be run again and again, with what must be true at the target when it is over. */
import { expect } from 'vitest';
import { onApp } from '../../../examples/demo/cases/story.ts';
import type { Installation } from '../../../examples/demo/installation.ts';
import type { ChangeView } from '../../../src/client/index.ts';
import { countMarked, refusal, type Bench } from './bench.ts';
import type { Cast } from './people.ts';

export interface Scenario {
  readonly kind: string;
  /** How many steps the change has, each done once. */
  readonly steps: number;
  /** How often the target is read for it. */
  readonly reads: number;
  /** Prepares the target, and what people will do. `run`: a name of its own for each run. */
  start(bench: Bench, installation: Installation, run: string): Promise<Cast>;
  /** Takes it from request to rest; left out: as {@link seeThrough} does. */
  drive?(cast: Cast, deadlineMs: number): Promise<ChangeView>;
  /** Expects what must be true of the change and at the target when it is over. */
  over(bench: Bench, change: ChangeView, cast: Cast): Promise<void>;
}

const SELECT = 'SELECT count(*) FROM orders';
const DEPLOY = `INSERT INTO deployments (version) VALUES ('e2e')`;
const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;

/** What the secret of the last run was, to try it when it should be dead. */
export function provisionScenario(): Scenario {
  let secret = '';
  return {
    kind: 'provision', steps: 1, reads: 1,
    async start(bench, installation, run) {
      return {
        requester: installation.as('nhi:prod/billing-export'), approvers: [installation.as('person:ana')], idempotencyKey: run, identity: bench.identity, revokeEarly: true,
        request: {
          kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: run, duration: 'PT15M',
          entitlements: onApp('table:public.orders:SELECT'), recipient: bench.recipient,
        },
        async whileActive(change, delivered) {
          secret = delivered ?? '';
          expect(await refusal(bench.database, { user: change.plan!.steps[0]!.account, password: secret }, SELECT), 'the delivered secret').toBe('works');
          expect(await countMarked(bench.database, tokenOf(change)), 'accounts made').toBe(1);
        },
      };
    },
    async over(bench, change) {
      expect(change.state).toBe('revoked');
      expect(change.delivery?.status).toBe('acknowledged');
      expect(await countMarked(bench.database, tokenOf(change)), 'accounts left').toBe(0);
      expect(await refusal(bench.database, { user: change.plan!.steps[0]!.account, password: secret }, SELECT)).toBe('28P01');
    },
  };
}

/** @param end `early`: its owner takes it back; otherwise the lease's length, and it is left to end. */
export function grantScenario(end: 'early' | `PT${number}S` = 'early'): Scenario {
  return {
    kind: 'grant', steps: 1, reads: 1,
    async start(bench, installation, run) {
      return {
        requester: installation.as('nhi:prod/ci-deployer'), approvers: [installation.as('person:wei')], idempotencyKey: run, identity: bench.identity, revokeEarly: end === 'early',
        request: {
          kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: run, duration: end === 'early' ? 'PT5M' : end, entitlements: onApp('role:deploy'),
        },
        async whileActive(change) {
          expect(await countMarked(bench.database, tokenOf(change)), 'holders made').toBe(1);
          expect(await refusal(bench.database, bench.database.login('ci_deployer'), DEPLOY)).toBe('works');
        },
      };
    },
    async over(bench, change) {
      expect(change.state).toBe('revoked');
      expect(await countMarked(bench.database, tokenOf(change)), 'holders left').toBe(0);
    },
  };
}

/** Takes back what the account got otherwise. `privilege`: a table's, for the reader's account. */
export function revokeScenario(table: 'orders' | 'invoices'): Scenario {
  return {
    kind: 'revoke', steps: 1, reads: 1,
    async start(bench, installation, run) {
      await bench.database.admin(`GRANT SELECT ON ${table} TO warehouse_sync`);
      return {
        requester: installation.as('nhi:prod/warehouse-sync'), approvers: [installation.as('person:ben')], idempotencyKey: run, identity: bench.identity, revokeEarly: false,
        request: { kind: 'revoke', subject: 'nhi:prod/warehouse-sync', purpose: 'warehouse-sync', reason: run, entitlements: onApp(`table:public.${table}:SELECT`) },
        whileActive: () => Promise.resolve(),
      };
    },
    async over(bench, change) {
      expect(change.state).toBe('done');
      expect(await refusal(bench.database, bench.database.login('warehouse_sync'), `SELECT count(*) FROM ${table}`)).toBe('42501');
    },
  };
}
