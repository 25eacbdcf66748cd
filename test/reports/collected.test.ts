/** What a report keeps of changes that went another way than most: of a story told for it, verified as any ledger is. */
import { describe, expect, it } from 'vitest';
import { nodeDisk, type LedgerRecord } from '../../ledger/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { openCollection } from '../../src/reports/collect.ts';
import { controlsReport } from '../../src/reports/controls.ts';
import { openControls, type KnownControl } from '../../src/reports/collect-controls.ts';
import { findGaps } from '../../src/reports/find-gaps.ts';
import type { Given } from '../../src/reports/given.ts';
import { populationReport } from '../../src/reports/population.ts';
import { whoHad } from '../../src/reports/who.ts';
import { formatTime } from '../../src/protocol/values.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import { deciding } from '../evidence/stage-cases.ts';
import { ledgerOf, linesOf, storyBundle } from '../support/packs.ts';
import { COUNTING, givenBy, standingOf, TEMPLATE, toldUntilUsed, toldWhole, useOf } from '../support/standing.ts';
import { ROTATE, toldUntilAuthorised, toldUntilDispatched, toldUntilPlanned } from '../support/step-stories.ts';
import { actOf, ANA, decision, EXECUTOR, GRANT, logId, report, START_MS, storyTrust, toldUntilArmed, toldUntilDecided, type Telling, type TrustEdit } from '../support/story.ts';

async function givenOf(lines: readonly DraftWithObjects[], edit: TrustEdit = {}, controls: readonly KnownControl[] = []): Promise<Given & { readonly listed: readonly { readonly change: string; readonly approvers: readonly string[] }[] }> {
  const ledger = await ledgerOf([storyBundle(), ...lines]);
  try {
    const trust = storyTrust(edit);
    const collection = openCollection({ controls, isWanted: () => false, isCounted: () => true, isWhole: true });
    const verification = await verifyEvidence({ disk: nodeDisk(ledger.directory), directory: 'ledger', trust, wholeFolder: true, listChanges: true, onlooker: () => collection });
    expect(verification.workflow?.violations).toEqual([]);
    return { facts: collection.facts(), verification, trust, span: { fromMs: null, toMs: null }, asOfMs: Date.parse(verification.lastAt!), listed: verification.population! };
  } finally {
    ledger.remove();
  }
}
function cellOf(given: Given, column: string): string {
  const { columns, rows } = populationReport(given);
  return [...rows()][0]!.cells[columns.findIndex(({ name }) => name === column)]!.text;
}

describe('an approval', () => {
  const obligations = { approvers: { atLeast: 2, of: ['person:ana', 'person:ben', 'person:sam'] }, rejections: 2 };
  const changed = (): Telling => deciding(deciding(toldUntilPlanned(ROTATE, START_MS, { obligations }), 'approve', 'person:ana'), 'reject', 'person:ana');

  it('of whoever rejected the plan later is none', async () => {
    const given = await givenOf(linesOf(toldUntilAuthorised(deciding(changed(), 'approve', 'person:ben', 'person:sam')).beats));
    expect(cellOf(given, 'approvers')).toBe('person:ben (session), person:sam (session)');
    const alone = await givenOf(linesOf(changed().beats));
    expect(cellOf(alone, 'approvers')).toBe('');
    expect(alone.listed.map(({ approvers }) => approvers)).toEqual([[]]);
  });

  it('that a decision counts no more is none, and whoever approves it anew is named once', async () => {
    const approvers = { anyOf: ['person:ana', 'person:ben'] };
    const telling = deciding(toldUntilPlanned(ROTATE, START_MS, { obligations: { approvers } }), 'approve', 'person:ana');
    toldUntilDispatched(telling, { approvers }, telling.now.approvals.map(({ approval }) => approval.approvalId));
    const waits = await givenOf(linesOf(telling.beats));
    expect([cellOf(waits, 'approvers'), waits.listed.map(({ approvers }) => approvers)]).toEqual(['', [[]]]);
    const given = await givenOf(linesOf(toldUntilAuthorised(deciding(telling, 'approve', 'person:ben')).beats));
    expect([cellOf(given, 'approvers'), given.listed.map(({ approvers }) => approvers)]).toEqual(['person:ben (session)', [['person:ben']]]);
  });

  it('that was given beforehand is said to be that, and not one of this plan', async () => {
    const envelope = standingOf(TEMPLATE);
    const telling = toldWhole(toldUntilUsed(useOf(envelope)));
    const given = await givenOf([givenBy(envelope), ...linesOf(telling.beats)], COUNTING);
    expect(cellOf(given, 'approvers')).toBe('person:ana (ssh, standing)');
    const active = telling.beats.find(({ event }) => event.type === 'step.succeeded')!;
    expect(whoHad(given, { target: 'pg-main/app', nhi: null, atMs: active.atMs }).sentences[0]!.text).toMatch(/Approved by person:ana \(ssh, by a standing approval, record \d+\)/);
  });
});

describe('what was read to be held', () => {
  it('when a change was decided is told also of before it was decided again', async () => {
    const asks = decision('needsApproval', ANA);
    const weighed = { ...asks, entitlements: { ...asks.entitlements, held: ['role:admin'] } };
    const telling = toldUntilArmed(toldUntilDecided(GRANT, START_MS, 'needsApproval', undefined, weighed), weighed);
    const [first, again] = telling.beats.filter(({ event }) => event.type === 'policy.decided');
    const given = await givenOf(linesOf(telling.beats));
    for (const atMs of [first!.atMs, again!.atMs - 1, again!.atMs]) expect(whoHad(given, { target: 'pg-main/app', nhi: null, atMs }).sentences.filter(({ is }) => is === 'held')).toHaveLength(1);
  });
});

describe('a control', () => {
  it('has a key of its own, however policy spells its framework and in whatever script', async () => {
    const named = [{ framework: 'SOC 2', id: 'CC6.3' }, { framework: 'soc-2', id: 'CC6.3' }, { framework: 'SOC-2', id: 'X1' }, { framework: 'Наши правила', id: 'R-1' }, { framework: '社内規程', id: 'R-1' }].map((one) => ({ ...one, rule: 'access.ours' }));
    const told = toldUntilDecided(GRANT, START_MS, 'deny', undefined, { ...decision('deny'), controls: named });
    const report = controlsReport(await givenOf(linesOf(told.beats), {}, [{ framework: 'SOC 2', id: 'CC6.3', title: 'Access is removed', types: ['policy.decided'] }]), () => []);
    const keys = [...report.groups.flatMap(({ figures }) => figures.map(({ key }) => key)), ...[...report.rows()].map(({ key }) => key)];
    expect(keys.filter((key, n) => keys.indexOf(key) !== n)).toEqual([]);
    expect([...report.rows()].map(({ key, cells }) => [key, cells[4]!.text])).toEqual([['soc-2/CC6.3', '1'], ['soc-2/X1', '1'], ['наши-правила/R-1', '1'], ['社内規程/R-1', '1']]);
  });
});

describe('more controls than are told apart', () => {
  it('are said to be left out', async () => {
    const counting = openControls([], () => false, () => true);
    for (let seq = 0; seq < 600; seq += 1) counting.take({ type: 'policy.decided', body: { decision: { controls: [{ framework: 'Ours', id: `R-${seq}` }] } } } as unknown as LedgerRecord, { atMs: START_MS, seq });
    expect([counting.counts().length, counting.leftOut()]).toEqual([512, 88]);
    const given = await givenOf(linesOf(toldUntilDecided(GRANT, START_MS, 'deny').beats));
    const notCovered = (controlsLeftOut: number): readonly string[] => controlsReport({ ...given, facts: { ...given.facts, controlsLeftOut } }, () => []).notCovered;
    expect(notCovered(given.facts.controlsLeftOut).join()).not.toContain('further controls');
    expect(notCovered(88).at(-1)).toContain('named in 88 records');
  });
});

describe('access', () => {
  it('that was never given is not past its end', async () => {
    const telling = toldUntilArmed(toldUntilDecided(GRANT, START_MS)).later(1_000).do({ type: 'withdraw', by: GRANT.subject, comment: 'not needed' });
    const { step, issue } = actOf(telling);
    report(telling.later(10), {
      kind: 'acted', v: 1, executor: EXECUTOR, log: logId, changeId: telling.changeId, stepId: step.stepId, issue, at: formatTime(telling.atMs), attempt: 1, outcome: 'refused', code: 'tombstone', detail: null,
      before: null, after: null, byUse: 'notTried', seal: null,
    }, []);
    expect(telling.now.name).toBe('withdrawn');
    const given = await givenOf(linesOf(telling.beats));
    expect(findGaps({ ...given, asOfMs: START_MS + 86_400_000 }).filter(({ kind }) => kind === 'overdue')).toEqual([]);
  });
});
