/** A grant that is given and taken back, watched at the target itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { onApp } from '../../../examples/demo/cases/story.ts';
import { until } from '../../../examples/demo/check.ts';
import type { Installation } from '../../../examples/demo/installation.ts';
import { isSettled, type ChangeRequest, type ChangeView } from '../../../src/client/index.ts';
import { countMarked, verificationTrouble, type Bench } from './bench.ts';

/** Longest that a change may take from one state to the next, servers and workers killed meanwhile included. */
export const REST_MS = 60_000;
/** How late access may end, whatever is dead. */
export const LATE_MS_MAX = 15_000;

export type Duration = `PT${number}${'S' | 'M'}`;

export const deployGrant = (duration: Duration): ChangeRequest => ({
  kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'a deployment', duration, entitlements: onApp('role:deploy'),
});

export const tokenOf = (change: ChangeView): string => change.plan!.steps[0]!.clientToken;

/** Asked for, and approved by its owner; nothing is waited for after that. */
export async function approvedGrant(installation: Installation, duration: Duration): Promise<ChangeView> {
  const pipeline = installation.as('nhi:prod/ci-deployer');
  const { id } = await pipeline.request(deployGrant(duration));
  const asked = await pipeline.wait(id, { until: isSettled, timeoutMs: REST_MS });
  return installation.as('person:wei').approve(id, asked.planDigest!);
}

/** Resolves once what is on record of the change is in the ledger's files: a checkpoint follows a record by a second at most. */
export async function published(ledger: string, { lastRecord }: ChangeView): Promise<void> {
  await until('the checkpoint is written', () => (Number(readFileSync(join(ledger, 'checkpoint'), 'utf8').split('\n')[1]) > lastRecord ? true : undefined), { timeoutMs: REST_MS });
}

/** In force: the target itself says so, and whoever has the ledger's files reads it there. */
export async function activeGrant(bench: Bench, installation: Installation, duration: Duration): Promise<ChangeView> {
  const { id } = await approvedGrant(installation, duration);
  const active = await installation.as('person:wei').wait(id, { until: ({ state }) => state === 'active', timeoutMs: REST_MS });
  expect(active.state).toBe('active');
  expect(await countMarked(bench.database, tokenOf(active)), 'access given').toBe(1);
  await published(installation.paths.ledger, active);
  return active;
}

/** Resolves, with the time, once the target has nothing of it any more. */
export function isGone(bench: Bench, change: ChangeView): Promise<number> {
  return until('the access is gone', async () => ((await countMarked(bench.database, tokenOf(change))) === 0 ? Date.now() : undefined), { timeoutMs: REST_MS });
}

/** Gone by its end, give or take what may be late. */
export async function isGoneOnTime(bench: Bench, change: ChangeView): Promise<void> {
  const endMs = Date.parse(change.lease!.endsAt);
  const goneMs = await isGone(bench, change);
  expect(goneMs, 'taken back before its end').toBeGreaterThanOrEqual(endMs);
  expect(goneMs - endMs, 'ms late').toBeLessThan(LATE_MS_MAX);
}

/** Of these a change has one, however often anything is killed. */
const ONCE = ['lease.armed', 'step.succeeded', 'lease.activated', 'lease.ended'];

/**
 * On record, once, with evidence that verifies; and nothing of it is at the target.
 *
 * @param wasActive false: it was taken back at a moment at which its giver may or may not have been heard, and ends as `failed` where not
 */
export async function isRevoked(bench: Bench, installation: Installation, change: ChangeView, wasActive = true): Promise<void> {
  const wei = installation.as('person:wei');
  const { state, findings } = await wei.wait(change.id, { until: (seen) => ['revoked', 'failed'].includes(seen.state), timeoutMs: REST_MS });
  expect(wasActive ? ['revoked'] : ['revoked', 'failed'], JSON.stringify(findings)).toContain(state);
  const types = (await wei.evidence(change.id)).records.map((record) => record['type']);
  for (const type of ONCE) expect(types.filter((one) => one === type).length, `${type} in ${types.join(', ')}`).toBeLessThanOrEqual(1);
  expect(await countMarked(bench.database, tokenOf(change)), 'access left').toBe(0);
  expect(await verificationTrouble(installation)).toBe('');
}
