/** Which approvals a step is authorised with: those that count, and no more than a record may name. */
import { expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { decide, type Command } from '../../src/change/decide.ts';
import { approvalsToName, type ChangeState } from '../../src/change/state.ts';
import type { ProofClass } from '../../src/protocol/decision.ts';
import { formatTime } from '../../src/protocol/values.ts';

const NOW_MS = Date.UTC(2026, 10, 20, 12);
const approved = (n: number, proofClass: ProofClass, lastsMs = 60_000) => ({
  approval: { approvalId: `apr_${n}_${proofClass}`, proofClass, envelope: { payloadType: '', payload: '', signatures: [] } }, seq: n,
  statement: { v: 1, log: '0'.repeat(16), changeId: 'chg', revision: 1, planDigest: 'sha256:1', verdict: 'approve', approver: `person:p${n}`, expiresAt: formatTime(NOW_MS + lastsMs) },
});
const named = (approvals: readonly object[]): string[] => approvalsToName({ approvals, revision: 1, planDigest: 'sha256:1', requester: [], finished: [], firstActAtMs: null, rejecters: new Set(), decision: null } as unknown as ChangeState, NOW_MS).map(({ approvalId }) => approvalId);

it('names all that are in force, and none that is over', () => {
  expect(named([approved(1, 'session'), approved(1, 'ssh'), approved(2, 'ssh', 0)])).toEqual(['apr_1_session', 'apr_1_ssh']);
});

it('names each person’s best where all are too many', () => {
  const people = Array.from({ length: 20 }, (_, n) => n);
  expect(named(people.flatMap((n) => [approved(n, 'passkey'), approved(n, 'session')]))).toEqual(people.map((n) => `apr_${n}_passkey`));
});

it('are so many of one person and no more, for a moment each: that fills no ledger; her no is taken', () => {
  const [log, planDigest] = ['0'.repeat(16), `sha256:${'1'.repeat(64)}`];
  const changeId = `chg_${log}_${'0'.repeat(26)}`;
  const said = (verdict: 'approve' | 'reject'): Extract<Command, { type: 'approve' }> => {
    const statement = { v: 1, log, changeId, revision: 1, planDigest, verdict, approver: 'person:p1', expiresAt: formatTime(NOW_MS + 60_000) };
    return { type: 'approve', comment: null, approval: { approvalId: `apr_${'0'.repeat(32)}`, proofClass: 'session', envelope: { payloadType: 'application/vnd.countersign.approval+json', payload: Buffer.from(canonicalBytes(statement)).toString('base64'), signatures: [{ keyid: 'k', sig: '' }] } } };
  };
  const after = (times: number): ChangeState => ({
    name: 'pending', changeId, revision: 1, planDigest, adoptedFrom: null, requester: [], requirement: { approvers: 'person:p1', proofClass: 'session' }, approvals: Array.from({ length: times }, () => approved(1, 'ssh', 0)),
    rejections: [], rejectionsDue: 1, rejecters: new Set(), finished: [], firstActAtMs: null, act: null, decision: null, approvalsByMs: null,
  }) as unknown as ChangeState;
  expect(decide(after(63), said('approve'), NOW_MS).ok).toBe(true);
  expect(decide(after(64), said('approve'), NOW_MS)).toMatchObject({ ok: false, code: 'already-decided' });
  expect(decide(after(64), said('reject'), NOW_MS).ok).toBe(true);
});
