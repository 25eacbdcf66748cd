import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Decision } from '../../src/protocol/decision.ts';
import type { InventoryReport } from '../../src/workbench/inventory.ts';
import { estate } from '../support/estate.ts';
import { openDesk, type Desk } from '../support/world.ts';

const NOW = '2026-11-23T12:00:00.000Z';
let desk: Desk;
beforeAll(() => {
  desk = openDesk();
  cpSync(join(import.meta.dirname, '../../examples/facts'), join(desk.directory, 'facts'), { recursive: true });
});
afterAll(() => desk.remove());

const GRANT = ['--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--reason', 'deploy 42', '--duration', 'PT10M'];
interface One {
  readonly decision: Decision;
  readonly window: { readonly calendar: string; readonly opensAt: string } | null;
  readonly assumed: { readonly requester: string[]; readonly held: string[] };
  readonly error: { readonly code: string };
}
const simulated = async (...flags: string[]): Promise<{ exit: number } & One> => {
  const { exit, stdout } = await desk.run('policy', 'simulate', '--at', NOW, '--json', ...flags);
  return { exit, ...(JSON.parse(stdout) as One) };
};

describe('policy simulate', () => {
  it('says without a sidecar who would have to approve', async () => {
    const { exit, decision, assumed, window } = await simulated(...GRANT);
    expect([exit, decision.effect, window]).toEqual([0, 'needsApproval', null]);
    expect(decision.obligations.approvers).toEqual({ anyOf: ['person:ben', 'person:wei'] });
    expect(assumed.requester).toEqual(['nhi:prod/ci-deployer']);
    const { stdout } = await desk.run('policy', 'simulate', '--at', NOW, ...GRANT);
    expect(stdout).toMatch(/^approvers {3}one of \(person:ben, person:wei\), proven by session$/m);
    expect(stdout).toContain('Nothing was read at a target, and nothing was recorded.');
  });

  it('says what policy says of what is under observe, and until when it is not enforced', async () => {
    cpSync(join(desk.directory, 'facts'), join(desk.directory, 'observed'), { recursive: true });
    writeFileSync(join(desk.directory, 'observed', 'exceptions.yaml'), 'v: 1\nexceptions: []\nobserve:\n  - {id: trial, environments: [prod], reason: tried out, owner: person:olga, from: 2026-11-01, until: 2026-12-20}\n');
    const { exit, decision } = await simulated(...GRANT, '--facts', 'observed');
    expect([exit, decision.effect, decision.observed?.effect]).toEqual([0, 'allow', 'needsApproval']);
    const { stdout } = await desk.run('policy', 'simulate', '--at', NOW, '--facts', 'observed', ...GRANT);
    expect(stdout).toMatch(/^observed {4}under observe until 2026-12-20T00:00:00\.000Z \(trial of person:olga\), not enforced: needs approval by one of \(person:ben, person:wei\)$/m);
    expect(stdout).toMatch(/^observed {6}owner-approval: /m);
  });

  it('takes the request from a file, and exits 1 for what is denied', async () => {
    writeFileSync(join(desk.directory, 'request.yaml'), 'kind: grant\nsubject: nhi:prod/ci-deployer\npurpose: deploy-orders\nreason: more\nduration: PT10M\nentitlements: [{connector: pg-main, target: app, privilege: "role:app_owner"}]\n');
    const { exit, decision } = await simulated('--request', 'request.yaml');
    expect([exit, decision.effect]).toEqual([1, 'deny']);
    expect(decision.entitlements.counterOffer).not.toBeNull();
  });

  it('says which window a change of consequence would wait for', async () => {
    const { decision, window } = await simulated('--kind', 'rotate', '--subject', 'nhi:prod/warehouse-sync', '--purpose', 'warehouse-sync', '--connector', 'pg-main', '--target', 'app', '--reason', 'quarterly', '--recipient', `age1${'q'.repeat(58)}`);
    expect(window).toMatchObject({ calendar: 'pg-main-nightly' });
    expect(decision.reasons.map(({ code }) => code)).not.toContain('no-window');
  });

  it('is told who asks, and what is held', async () => {
    expect((await simulated(...GRANT, '--requester', 'person:mallory')).decision.effect).toBe('needsApproval');
    expect((await simulated(...GRANT, '--requester', 'person:nobody')).decision.reasons.map(({ code }) => code)).toEqual(['unknown-requester']);
    expect((await simulated(...GRANT, '--held', 'role:deploy')).decision.reasons.map(({ code }) => code)).toContain('already-held');
  });

  it.each<[string, string[], number, string]>([
    ['nothing that is asked', [], 2, 'usage'],
    ['both a file and flags', ['--request', 'request.yaml', '--kind', 'grant'], 2, 'usage'],
    ['a request with --all', ['--all', '--kind', 'grant'], 2, 'usage'],
    ['a request of no form', ['--kind', 'grant', '--subject', 'me'], 2, 'invalid-request'],
    ['a time that is none', ['--all', '--at', 'tomorrow'], 2, 'usage'],
    ['a person who does not say who asks', ['--kind', 'offboard', '--subject', 'thirdParty:northwind-analytics', '--reason', 'over'], 2, 'usage'],
    ['facts that are not there', ['--all', '--facts', 'nowhere'], 4, 'no-facts'],
    ['a policy that is not there', ['--all', '--policy', 'nowhere'], 4, 'no-policy'],
  ])('%s: exit and code', async (_what, flags, exit, code) => {
    const ran = await simulated(...flags);
    expect([ran.exit, ran.error.code]).toEqual([exit, code]);
  });

  it('names file, line and pointer of facts that cannot be believed', async () => {
    cpSync(join(desk.directory, 'facts'), join(desk.directory, 'bad'), { recursive: true });
    writeFileSync(join(desk.directory, 'bad', 'directory.yaml'), 'v: 1\npeople:\n  - {id: person:ana, name: Ana, active: yes please, linked: []}\nteams: []\n');
    const { exit, stderr } = await desk.run('policy', 'simulate', '--all', '--facts', 'bad');
    expect(exit).toBe(4);
    expect(stderr).toMatch(/directory\.yaml:3: \/people\/0\/active/);
  });

  it('offboards on what the inventory says', async () => {
    const { exit, decision } = await simulated('--kind', 'offboard', '--subject', 'thirdParty:northwind-analytics', '--reason', 'over', '--requester', 'person:olga');
    expect([exit, decision.effect]).toEqual([0, 'allow']);
  });
});

describe('policy simulate --all', () => {
  it('counts what the inventory would be told, by effect and by reason, with examples', async () => {
    const { exit, stdout } = await desk.run('policy', 'simulate', '--all', '--at', NOW, '--json');
    const report = JSON.parse(stdout) as InventoryReport;
    expect(exit).toBe(0);
    expect(report.effects.deny + report.effects.needsApproval + report.effects.allow).toBe(report.questions);
    expect(report.effects.noAnswer).toBe(0);
    const human = report.codes.find(({ code }) => code === 'human-use')!;
    expect(human).toMatchObject({ does: 'denies', rule: 'access.entitlement.deny' });
    expect(human.examples[0]).toMatchObject({ nhi: 'nhi:prod/legacy-admin', asked: 'need' });
    expect(report.codes.map(({ count }) => count)).toEqual(report.codes.map(({ count }) => count).sort((a, b) => b - a));
  });

  it('takes 2,000 identities, three examples a code, and finds what is wrong with them', { timeout: 60_000 }, async () => {
    mkdirSync(join(desk.directory, 'estate'));
    const { calendar: _none, ...files } = estate(2_000, Date.parse(NOW));
    for (const [name, value] of Object.entries(files)) writeFileSync(join(desk.directory, 'estate', `${name}.json`), JSON.stringify(value));
    const startedMs = performance.now();
    const { exit, stdout } = await desk.run('policy', 'simulate', '--all', '--facts', 'estate', '--at', NOW, '--json');
    console.info(`2,000 identities in ${((performance.now() - startedMs) / 1000).toFixed(2)} s`);
    const report = JSON.parse(stdout) as InventoryReport;
    expect([exit, report.nhis, report.effects.noAnswer]).toEqual([0, 2_000, 0]);
    // One for its purpose, unless nobody knows that, and one for what it uses.
    expect(report.questions).toBe(1_800 + 2_000);
    const count = (code: string): number => report.codes.find((one) => one.code === code)?.count ?? 0;
    expect(count('human-use')).toBe(400);
    expect(count('exceeds-purpose')).toBeGreaterThanOrEqual(200);
    expect(count('unknown-purpose')).toBe(200);
    // An identity asks at most twice.
    for (const { code, count: n, examples } of report.codes) expect(new Set(examples.map(({ nhi }) => nhi)).size, code).toBe(n >= 6 ? 3 : examples.length);
  });
});
