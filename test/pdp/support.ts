/** Bundles in temporary directories, and the example facts. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { loadFacts, type Facts } from '../../src/facts/load.ts';
import { NOTHING_RECENT } from '../../src/change/recent.ts';
import { buildChangeInput, type ChangeQuestion } from '../../src/pdp/build-input.ts';
import { describeBundle, ENTRYPOINTS } from '../../src/pdp/bundle.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import type { Plan } from '../../src/protocol/plan.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import type { Entitlement } from '../../src/protocol/values.ts';
import { craft, type Crafted } from './crafted-wasm.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BUNDLE = join(ROOT, 'policy', 'bundle');
export const NOW_MS = Date.parse('2026-11-23T12:00:00.000Z');

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-pdp-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A directory with a whole and consistent bundle around a crafted module; gone when the test is. */
export async function craftedBundle(crafted: Crafted): Promise<string> {
  const directory = await scratch();
  const wasm = craft(crafted);
  const data = Buffer.from('{}');
  const manifest = describeBundle({ wasm, data }, { entrypoints: ENTRYPOINTS, opa: 'crafted', sources: `sha256:${'0'.repeat(64)}` });
  await writeFile(join(directory, 'policy.wasm'), wasm);
  await writeFile(join(directory, 'data.json'), data);
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
  return directory;
}

/** A copy of the committed bundle, to be spoilt. */
export async function copiedBundle(): Promise<string> {
  const directory = await scratch();
  await cp(BUNDLE, directory, { recursive: true });
  return directory;
}

/** Without a calendar, where no change needs a window, and without exceptions; or with them. */
export function exampleFacts(options: { readonly calendar?: boolean; readonly exceptions?: boolean } = {}): Promise<Facts> {
  const file = (name: string): string => join(ROOT, 'examples', 'facts', `${name}.yaml`);
  return loadFacts({ inventory: file('inventory'), catalogue: file('catalogue'), directory: file('directory'), usage: file('usage'), ...(options.calendar === true ? { calendar: file('calendar') } : {}), ...(options.exceptions === true ? { exceptions: file('exceptions') } : {}) }, NOW_MS);
}

export const RECIPIENT = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

/** `table:public.orders:SELECT` on pg-main/app, and so on. */
export const on = (privilege: string): Entitlement => ({ connector: 'pg-main', target: 'app', privilege });

export const PROVISION: Extract<ChangeRequest, { kind: 'provision' }> = {
  kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'the run of tonight', duration: 'PT30M', recipient: RECIPIENT,
  entitlements: [on('table:public.orders:SELECT'), on('table:public.invoices:SELECT')],
};
export const GRANT: Extract<ChangeRequest, { kind: 'grant' }> = {
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'release 41', duration: 'PT15M', entitlements: [on('role:deploy')],
};

export const ROTATE: Extract<ChangeRequest, { kind: 'rotate' }> = {
  kind: 'rotate', subject: 'nhi:prod/orders-api', connector: 'pg-main', target: 'app', purpose: 'serve-orders', reason: 'the quarterly rotation', recipient: RECIPIENT,
};
export const CHANGE_ID = 'chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W';

/** A plan of nothing, but of the right form. */
export const PLAN: Plan = {
  v: 1, salt: 'A'.repeat(22), log: '0123456789abcdef', changeId: CHANGE_ID, revision: 1, kind: 'grant', requester: ['person:wei'], subject: 'nhi:prod/ci-deployer',
  purpose: 'deploy-orders', connector: 'pg-main', target: 'app', mode: 'executor', entitlements: [], steps: [], before: {}, lease: null, recipient: null,
};

/** The question that the sidecar would ask about a request, on the example facts. */
export function questionOf(facts: Facts, request: ChangeRequest, requester: readonly string[], more: Partial<ChangeQuestion> = {}): ChangeInput {
  return buildChangeInput({
    phase: 'request', nowMs: NOW_MS, state: { changeId: CHANGE_ID, revision: 1, request, requester }, plan: PLAN, step: null, before: { held: [], touched: {} },
    account: null, facts, connectors: ['pg-main', 'pg-dev'], locks: [], parent: null, extended: null, recent: NOTHING_RECENT, ...more,
  });
}
