/** `/v1/leases/held`: what policy would take back of the leases that run, so much at once that a person confirms it. */
import type { HeldRevokes } from '../engine/redeciding.ts';
import type { Handlers } from './call.ts';
import type { SidecarContext } from './context.ts';
import { unwrap } from './context.ts';
import { Problem } from './errors.ts';
import type { HeldView } from './schemas.ts';
import { maySeeTargets } from './visibility.ts';

export function heldRevokeHandlers(context: SidecarContext): Handlers<'listHeldRevokes' | 'confirmHeldRevokes'> {
  return {
    async listHeldRevokes({ by }) {
      // Of their own, owners are told by its finding.
      if (!maySeeTargets(by, context.facts())) throw new Problem('not-allowed', 'what is held over all identities is for operators, auditors, on call and security');
      return { status: 200, body: viewOf(context.engine.heldRevokes()) };
    },
    async confirmHeldRevokes({ by, body }) {
      const revokes = unwrap(await context.engine.confirmHeld(by.principal, body.digest, body.comment ?? null));
      return { status: 202, body: { revokes: [...revokes] } };
    },
  };
}

function viewOf(held: HeldRevokes | null): HeldView {
  if (held === null) return { held: [], digest: null, leases: 0, failed: null };
  const { changes, digest, failed, leases } = held;
  return {
    held: changes.map((state) => ({ changeId: state.changeId, subject: state.request.subject, owner: state.findings.get('lease-revoke-held')?.owner ?? null, codes: [...(state.redecision?.codes ?? [])] })),
    digest: changes.length === 0 ? null : digest, leases, failed,
  };
}
