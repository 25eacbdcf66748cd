/** Pages of discoveries, which are asked like reads and are about no change. */
import type { Refusal } from '../../../src/protocol/signed.ts';
import { pageStepId } from '../../../src/protocol/discovery.ts';
import { makeDiscovery, type DiscoveryEdits } from '../discoveries.ts';
import { headOf, made, stepVector, type Answer, type Setting, type StepVector } from './steps.ts';
import { ANOTHER_CHANGE, CHANGE } from './vector.ts';

const DISCOVERY = CHANGE.replace('chg_', 'dsc_');
const asked = ({ ticket, ...edits }: DiscoveryEdits = {}): ReturnType<typeof makeDiscovery> => makeDiscovery({
  ...edits, ticket: (made) => {
    const mine = { ...made, discoveryId: DISCOVERY, stepId: pageStepId(DISCOVERY, 1) };
    return ticket?.(mine) ?? mine;
  },
});
const refused = (path: string, title: string, code: Refusal, answer: Answer, edits: DiscoveryEdits, keepsHead = false, setting: Setting = {}): StepVector => {
  const { envelope, log } = asked(edits);
  return stepVector(`refused-${code}-${path}`, title, { json: envelope }, { refused: code, answer, head: keepsHead ? headOf(log) : null }, setting);
};

export function discoveryVectors(): StepVector[] {
  const first = asked();
  const second = asked({ after: 'deploy', ticket: (ticket) => ({ ...ticket, stepId: pageStepId(DISCOVERY, 2) }) });
  return [
    stepVector('admitted-discover', 'the first page of what is there', { json: first.envelope }, { admitted: 'discover', head: headOf(first.log) }),
    stepVector('admitted-discover-page', 'the page after a key', { json: second.envelope }, { admitted: 'discover', head: headOf(second.log) }),
    refused('discover-other-discovery', 'a page of another discovery', 'wrong-step', 'report', { ticket: (ticket) => ({ ...ticket, stepId: pageStepId(ANOTHER_CHANGE.replace('chg_', 'dsc_'), 1) }) }),
    refused('discover-other-log', 'a discovery of another log than the ticket', 'wrong-step', 'report', { ticket: (ticket) => ({ ...ticket, discoveryId: `dsc_${'0'.repeat(16)}${DISCOVERY.slice(20)}` }) }),
    refused('discover-query', 'a query of a discovery that is not the one of the digest', 'plan-digest-mismatch', 'none', { ticket: (ticket) => ({ ...ticket, query: { ...ticket.query, after: 'postgres' } }) }),
    refused('discover-with-plan', 'a discovery with a plan', 'malformed', 'none', { envelope: (envelope) => ({ ...envelope, plan: made().plan }) }),
    refused('discover-not-here', 'a discovery at a connector that is not here', 'unknown-connector', 'report', {}, false, { connectors: ['aws'] }),
    refused('discover-of-a-step', 'a discovery whose record authorises a step', 'receipt-mismatch', 'none', { draft: (draft) => ({ ...draft, type: 'step.authorised' }) }, true),
    refused('discover-of-a-change', 'a discovery whose record is of a change', 'receipt-mismatch', 'none', { draft: (draft) => ({ ...draft, change: CHANGE }) }, true),
  ];
}
