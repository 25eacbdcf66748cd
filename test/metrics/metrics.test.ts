/** What Prometheus is told is what the ledger folds to, with no id in it; the alerts fire when they should, by Prometheus' own tool. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openMetrics } from '../../src/metrics/metrics.ts';
import { openWorkerMetrics } from '../../src/metrics/worker.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type TestSidecar } from '../support/sidecar.ts';
import { GRANT as STORY_GRANT, START_MS, toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded } from '../support/story.ts';

const ROOT = join(import.meta.dirname, '../..');
const HAS_PROMTOOL = spawnSync('promtool', ['--version']).error === undefined;

let sidecar: TestSidecar;
afterEach(() => sidecar.close());

async function scrape(by = 'nhi:prod/prometheus'): Promise<string> {
  const { status, text } = await sidecar.send(by, 'GET', '/metrics');
  expect(status).toBe(200);
  return text;
}
const valueOf = (text: string, series: string): number | undefined => {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

async function watchedSidecar(): Promise<void> {
  const metrics = openMetrics('0.0.0-test');
  sidecar = await openTestSidecar({ metrics, onEvents: (state, events) => metrics.take(state, events), decide: () => answerOf('needsApproval', 'person:wei') });
}

describe('GET /metrics', () => {
  it('tells what is there and what happened, by template and closed list, and no id of anything', async () => {
    await watchedSidecar();
    const asked = await sidecar.change(GRANT.subject, GRANT);
    await sidecar.send('nhi:dev/report-preview', 'GET', `/v1/changes/${asked.id}`);
    await sidecar.send('person:wei', 'GET', `/no/such/${asked.id}`);
    const text = await scrape();
    expect(valueOf(text, 'countersign_changes_open{state="pending"}')).toBe(1);
    expect(valueOf(text, 'countersign_approvals_pending')).toBe(1);
    expect(valueOf(text, 'countersign_approvals_pending_oldest_seconds')).toBeGreaterThanOrEqual(0);
    expect(valueOf(text, 'countersign_decisions_total{phase="request",effect="needsApproval"}')).toBe(1);
    expect(valueOf(text, 'countersign_records_total{type="change.requested"}')).toBe(1);
    expect(valueOf(text, 'countersign_http_requests_total{route="/v1/changes/{id}",method="GET",status="404"}')).toBe(1);
    expect(valueOf(text, 'countersign_http_requests_total{route="other",method="GET",status="404"}')).toBe(1);
    expect(valueOf(text, 'countersign_ready')).toBe(1);
    expect(valueOf(text, 'countersign_check_ok{check="ledger"}')).toBe(1);
    expect(valueOf(text, 'countersign_ledger_records')).toBe(sidecar.log.size);
    expect(text).not.toMatch(/chg_|nhi:|person:|stp_|lse_/);
    expect(text).not.toContain(asked.planDigest!);
    if (HAS_PROMTOOL) expect(execFileSync('promtool', ['check', 'metrics'], { input: text.split('\n').filter((line) => line.includes('countersign_')).join('\n') + '\n', encoding: 'utf8' })).toBe('');
  });

  it('what is decided is told at once: nothing waits any more', async () => {
    await watchedSidecar();
    const asked = await sidecar.change(GRANT.subject, GRANT);
    expect((await sidecar.send('person:wei', 'POST', asked.links.approvals, { verdict: 'approve', planDigest: asked.planDigest })).status).toBe(200);
    const text = await scrape();
    expect(valueOf(text, 'countersign_approvals_pending')).toBe(0);
    expect(valueOf(text, 'countersign_changes_open{state="pending"}')).toBeUndefined();
    expect(valueOf(text, 'countersign_records_total{type="approval.recorded"}')).toBe(1);
  });

  it('is for those who look after it, and is not there where nobody asked for it', async () => {
    await watchedSidecar();
    expect(problemIn(await sidecar.send(null, 'GET', '/metrics')).code).toBe('unauthenticated');
    expect((await sidecar.send('person:wei', 'GET', '/metrics')).status).toBe(403);
    expect((await sidecar.send('nhi:prod/prometheus', 'POST', '/v1/changes', GRANT)).status).toBe(403);
    await sidecar.close();
    sidecar = await openTestSidecar();
    expect(problemIn(await sidecar.send('nhi:prod/prometheus', 'GET', '/metrics')).code).toBe('not-found');
  });
});

it('an end that is due and not reported is overdue from that moment, and how late it came is told once it is gone', async () => {
  sidecar = await openTestSidecar();
  const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(STORY_GRANT, START_MS)));
  const state = telling.now;
  const endsAtMs = state.lease!.endsAtMs;
  const at = async (nowMs: number): Promise<string> => {
    const metrics = openMetrics('0.0.0-test');
    metrics.watch({ nowMs: () => nowMs, open: () => [state], ledger: () => ({ records: 9, signed: 7 }), readiness: () => ({ ready: false, checks: [{ check: 'ledger', ok: false }] }), facts: () => ({ loadedAtMs: nowMs - 5_000 }), bundle: () => 'sha256:00' });
    return metrics.text();
  };
  const before = await at(endsAtMs - 1);
  expect([valueOf(before, 'countersign_revocations_overdue'), valueOf(before, 'countersign_leases_active')]).toEqual([0, 1]);
  const late = await at(endsAtMs + 45_000);
  expect([valueOf(late, 'countersign_revocations_overdue'), valueOf(late, 'countersign_revocations_overdue_oldest_seconds')]).toEqual([1, 45]);
  const gone = openMetrics('0.0.0-test');
  const { event: ended, changeId, atMs } = toldUntilEnded(telling, state.lease!.order, 45_000).beats.at(-1)!;
  gone.take(state, [{ ...ended, changeId, atMs, seq: 99 }]);
  expect([ended.type, valueOf(await gone.text(), 'countersign_revocation_lateness_seconds_sum'), valueOf(await gone.text(), 'countersign_revocation_lateness_seconds_count')]).toEqual(['lease.ended', 45, 1]);
  expect([valueOf(late, 'countersign_ready'), valueOf(late, 'countersign_check_ok{check="ledger"}'), valueOf(late, 'countersign_ledger_unsigned_records'), valueOf(late, 'countersign_facts_age_seconds')]).toEqual([0, 0, 2, 5]);
});

describe('the alerts', () => {
  const rules = readFileSync(join(ROOT, 'docs/alerts/countersign.rules.yaml'), 'utf8');

  it('each name a section of the runbook', () => {
    const sections = [...readFileSync(join(ROOT, 'docs/runbooks/alerts.md'), 'utf8').matchAll(/^## (\w+)$/gm)].map((match) => match[1]!);
    const alerts = [...rules.matchAll(/alert: (\w+)/g)].map((match) => match[1]!);
    expect(sections).toEqual(alerts);
    for (const alert of alerts) expect(rules).toContain(`runbook_url: docs/runbooks/alerts.md#${alert.toLowerCase()}\n`);
  });

  it('and the page name metrics that there are, and the page all of them', async () => {
    sidecar = await openTestSidecar();
    const text = `${await openMetrics('0.0.0-test').text()}${await openWorkerMetrics('0.0.0-test', () => 0).text()}`;
    const there = [...new Set([...text.matchAll(/^# TYPE (countersign_\w+)/gm)].map((match) => match[1]!))];
    const page = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
    expect([...new Set([...page.matchAll(/`(countersign_\w+)`/g)].map((match) => match[1]!))].sort()).toEqual([...there].sort());
    for (const [, name] of rules.matchAll(/\b(countersign_\w+)/g)) expect(there).toContain(name);
  });

  it.skipIf(!HAS_PROMTOOL)('are rules to promtool, and fire when they should', () => {
    for (const args of [['check', 'rules', 'docs/alerts/countersign.rules.yaml'], ['test', 'rules', 'test/metrics/countersign.test.yaml']]) {
      const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: ROOT, encoding: 'utf8' });
      expect(status, `${stdout}${stderr}`).toBe(0);
    }
  });
});
