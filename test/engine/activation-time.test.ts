/** Whether a policy bundle may come into force is judged by the time of its record: a clock that is set back takes back none. */
import { expect, it } from 'vitest';
import { permissionFor, type Governing } from '../../src/engine/proposals.ts';
import type { BundleProposal } from '../../src/evidence/proposals.ts';
import { activationFloorSchema } from '../../src/protocol/trust.ts';
import { formatTime } from '../../src/protocol/values.ts';

const AT_MS = Date.UTC(2026, 10, 20, 12);
const BUNDLE = `sha256:${'1'.repeat(64)}`;
const proposal: BundleProposal = {
  proposalId: `pol_${'0'.repeat(26)}`, bundle: BUNDLE, revision: null, listing: null, signature: null, atMs: AT_MS, seq: 3, outcome: 'waiting', rejected: null,
  approvals: [{ approvalId: `apr_${'0'.repeat(32)}`, approver: 'person:ana', proofClass: 'session', expiresAtMs: AT_MS + 60_000 }],
};

function governing(nextAtMs: number, from?: number, approvals = proposal.approvals): Governing {
  const policyActivation = activationFloorSchema.parse({ quorum: 1, approvers: ['person:ana'], ...(from === undefined ? {} : { from: formatTime(from) }) });
  const store = { governed: () => ({ proposal: { ...proposal, approvals }, inForce: null }), nextAtMs: () => nextAtMs } as unknown as Governing['store'];
  const clock = { nowMs: () => AT_MS } as Governing['clock'];
  return { store, clock, policyActivation, trust: { requirements: { v: 1, floors: [], revokers: [], clockSkewMs: 0 } } as unknown as Governing['trust'] };
}

it('an approval that is over by then lets nothing come into force', () => {
  expect(permissionFor(governing(AT_MS), { bundle: BUNDLE, revision: undefined }).may).toBe(true);
  expect(permissionFor(governing(AT_MS + 60_000), { bundle: BUNDLE, revision: undefined }).may).toBe(false);
});

it('whoever is asked from a time on is asked once records are of that time', () => {
  expect(permissionFor(governing(AT_MS, AT_MS + 1, []), { bundle: BUNDLE, revision: undefined }).may).toBe(true);
  expect(permissionFor(governing(AT_MS + 1, AT_MS + 1, []), { bundle: BUNDLE, revision: undefined }).may).toBe(false);
});
