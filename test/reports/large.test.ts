/** A report of many changes is written a row at a time, by functions that hold nothing of it but the facts. */
import { expect, it } from 'vitest';
import type { Facts, ReportChange } from '../../src/reports/facts.ts';
import { csvOf } from '../../src/reports/csv.ts';
import type { Given } from '../../src/reports/given.ts';
import type { Head } from '../../src/reports/head.ts';
import { htmlOf } from '../../src/reports/html.ts';
import { traced, type Report } from '../../src/reports/model.ts';
import { populationReport } from '../../src/reports/population.ts';

const CHANGES = 20_000;
const HEAD: Head = {
  conclusion: 'verified: INTEGRITY', exit: 0, verdicts: [], notProven: [], origin: 'large.example/ledger', size: CHANGES * 3, root: 'ab'.repeat(32), key: null, objects: { count: 0, erased: 0 }, firstAt: null, lastAt: null, trust: 'sha256:00',
  pack: null, filter: 'of all time', asOf: '', generatedAt: '', tool: '', command: '', verifyCommand: '',
};

function change(n: number): ReportChange {
  return {
    change: `chg_${n}`, kind: 'grant', subject: `nhi:prod/svc-${n % 500}`, connector: 'pg-main', target: 'app', privileges: ['\u001b[31mrole:<b>deploy', '\u202eturned'], requester: [`nhi:prod/svc-${n % 500}`], approvers: [], requestedAt: '2026-11-23T19:00:00.000Z', effectAt: null, endsAt: null,
    endedAt: null, state: n % 4 === 0 ? 'denied' : 'revoked', record: n * 3, records: [n * 3, n * 3 + 1, n * 3 + 2], firstAtMs: n, lastAtMs: n, decision: null, weighed: [], approvals: [], authorised: null, effect: null, verified: null, ends: null, dueMs: null, ended: null, withoutEffect: false, exceptions: [], observed: null,
    glass: null, findings: new Map(), selfReported: false, violations: [], controls: 0n,
  };
}

function made(): Report {
  const facts = { changes: Array.from({ length: CHANGES }, (_, n) => change(n)) } as unknown as Facts;
  return populationReport({ facts, span: { fromMs: null, toMs: null } } as Given);
}

it('a report of many changes is whole, a row at a time, and inert in a terminal and in a browser', () => {
  const report = made();
  let pulled = 0;
  const watched: Report = {
    ...report,
    *rows() {
      for (const row of report.rows()) {
        pulled += 1;
        yield row;
      }
    },
  };
  for (const [name, write] of Object.entries({ html: htmlOf, csv: csvOf })) {
    pulled = 0;
    let pieces = 0;
    for (const piece of write(watched, HEAD)) {
      pieces += 1;
      // What was written is never far behind what was read.
      if (pieces < 1_000) expect(pieces - pulled, name).toBeGreaterThanOrEqual(0);
      if (pieces % 10_000 !== 0) continue;
      expect(piece.length).toBeLessThan(4_096);
      expect(piece).toContain(String.raw`\u{1b}[31mrole:`);
      expect(piece).toContain(String.raw`\u{202e}turned`);
      expect(piece.includes('<b>')).toBe(name === 'csv');
    }
    expect(pulled, name).toBe(CHANGES);
  }
  const denied = traced(report, 'state/denied')!;
  expect(denied.value).toBe(CHANGES / 4);
  expect([...denied.sources()].slice(0, 2).map(({ records }) => records)).toEqual([[0, 1, 2], [12, 13, 14]]);
});
