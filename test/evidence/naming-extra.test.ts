import { expect, it } from 'vitest';
import type { NewEvent } from '../../src/change/events.ts';
import { namingExtra } from '../../src/evidence/record.ts';

const closed: NewEvent = { type: 'finding.closed', actor: 'sidecar:0', body: { code: 'caller-silent' } };
const verified: NewEvent = {
  type: 'entitlement.verified', actor: 'sidecar:0',
  body: { stepId: 'stp_0', verification: { effect: 'allow', reasons: [], controls: [] }, provenance: { bundle: null, input: 'sha256:0', facts: [] } },
};

it('what policy was asked is named by the record of its answer, whatever is recorded before it', () => {
  expect([namingExtra([verified]), namingExtra([closed, verified]), namingExtra([closed, closed, verified]), namingExtra([closed]), namingExtra([])]).toEqual([0, 1, 2, 0, 0]);
});
