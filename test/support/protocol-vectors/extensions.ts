/** Steps that let a lease end later. What was given before is in no message: what is tried here is what an envelope says of itself. */
import { leaseIdOf } from '../../../src/change/derive.ts';
import type { Refusal } from '../../../src/protocol/signed.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { makeRead, someLog, type Made } from '../envelopes.ts';
import { makeExtension, type ExtensionEdits } from '../extension.ts';
import { logId, START_MS } from '../story.ts';
import { canonicalBytes, digestOf } from '../../../ledger/index.ts';
import { NHI, signedLock } from './locks.ts';
import { headOf, made, stepVector, type Answer, type Setting, type StepVector } from './steps.ts';
import { ANOTHER_CHANGE, CHANGE } from './vector.ts';

const given = made({ action: 'grant' });
const extension = (edits: ExtensionEdits = {}): Made => makeExtension(given, { log: someLog(), changeId: ANOTHER_CHANGE, ...edits });
const refused = (path: string, title: string, code: Refusal, answer: Answer, edits: ExtensionEdits, keepsHead = false, setting: Setting = {}): StepVector => {
  const { envelope, log } = extension(edits);
  return stepVector(`refused-${code}-extend-${path}`, title, { json: envelope }, { refused: code, answer, head: keepsHead ? headOf(log) : null }, setting);
};
const wrong = (path: string, title: string, plan: ExtensionEdits['plan']): StepVector => refused(path, title, 'wrong-step', 'report', { ...(plan === undefined ? {} : { plan }) });
const order = (path: string, title: string, edit: ExtensionEdits['order']): StepVector => refused(path, title, 'order-mismatch', 'report', { ...(edit === undefined ? {} : { order: edit }) }, true);

/** A read of what is to be extended bears the token that it was given under. */
function reads(): StepVector[] {
  const { stepId: _, ...step } = extension().ticket.step;
  const of = (action: 'extend' | 'grant'): ReturnType<typeof makeRead> => {
    const { gave, ...rest } = step;
    const query = { ...rest, action, ...(action === 'extend' && gave !== undefined ? { gave } : {}) };
    return makeRead({ changeId: ANOTHER_CHANGE, ticket: (ticket) => ({ ...ticket, query, queryDigest: digestOf(canonicalBytes(query)) }) });
  };
  const [good, bad] = [of('extend'), of('grant')];
  return [
    stepVector('admitted-extend-read', 'a read of what is to end later, by the client token that it was given under', { json: good.envelope }, { admitted: 'read', head: headOf(good.log) }),
    stepVector('refused-wrong-step-read-other-client-token', 'a read of a grant by the client token of another change', { json: bad.envelope }, { refused: 'wrong-step', answer: 'report', head: null }),
  ];
}

export function extensionVectors(): StepVector[] {
  const good = extension();
  const later = extension({ epoch: 3 });
  return [
    stepVector('admitted-extend', 'the lease of another change is to end later', { json: good.envelope }, { admitted: 'act', head: headOf(good.log) }),
    stepVector('admitted-extend-again', 'and later again, which is another epoch', { json: later.envelope }, { admitted: 'act', head: headOf(later.log) }),
    ...reads(),
    wrong('nothing-extended', 'an extension that does not say of which lease', ({ extends: _, ...plan }) => plan),
    wrong('itself', 'an extension of its own lease', (plan) => ({ ...plan, lease: { ...plan.lease!, leaseId: leaseIdOf(ANOTHER_CHANGE) }, extends: { change: ANOTHER_CHANGE, epoch: 2 }, steps: [{ ...plan.steps[0]!, clientToken: `cs_${ANOTHER_CHANGE.slice(-26).toLowerCase()}` }] })),
    wrong('standing', 'an extension without a lease', (plan) => ({ ...plan, lease: null })),
    wrong('other-lease', 'an extension with the lease of its own change', (plan) => ({ ...plan, lease: { ...plan.lease!, leaseId: leaseIdOf(ANOTHER_CHANGE) } })),
    wrong('other-log', 'an extension of a lease of another log', (plan) => ({ ...plan, extends: { change: CHANGE.replace(logId, '0'.repeat(16)), epoch: 2 }, lease: { ...plan.lease!, leaseId: leaseIdOf(CHANGE.replace(logId, '0'.repeat(16))) } })),
    wrong('own-client-token', 'an extension under the client token of its own change', (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, clientToken: `cs_${ANOTHER_CHANGE.slice(-26).toLowerCase()}` }] })),
    wrong('gave-nothing', 'an extension that does not say what had given the access', (plan) => ({ ...plan, steps: plan.steps.map(({ gave: _, ...step }) => step) })),
    wrong('grants', 'an extension whose step gives anew', (plan) => ({ ...plan, steps: plan.steps.map(({ gave: _, ...step }) => ({ ...step, action: 'grant' as const })) })),
    wrong('more', 'an extension of more than the entitlements say', (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, privileges: ['b', ...plan.steps[0]!.privileges] }] })),
    wrong('grant-that-extends', 'a grant that says it extends', (plan) => ({ ...given.plan, changeId: plan.changeId, extends: plan.extends })),
    order('lower-epoch', 'the order of an extension, of the epoch before', (content) => ({ ...content, epoch: 1 })),
    order('higher-epoch', 'the order of an extension, of an epoch that its plan does not say', (content) => ({ ...content, epoch: 3 })),
    order('own-change', 'the order of an extension, for the lease of its own change', (content) => ({ ...content, changeId: ANOTHER_CHANGE, leaseId: leaseIdOf(ANOTHER_CHANGE) })),
    order('other-gave', 'the order of an extension, that undoes another action than had given', (content) => ({ ...content, action: 'provision' })),
    order('cause', 'the order of an extension, that is no lease’s end and that no extension would make void', (content) => ({ ...content, cause: 'compensation' })),
    refused('longer', 'an extension for longer than the floor allows, from now on', 'below-floor', 'report', {}, true, { trust: { maxLeaseSeconds: 7_199 } }),
    refused('over', 'an extension to an end that is over', 'lease-ended', 'report', { order: (content) => ({ ...content, notBefore: formatTime(START_MS + 500) }) }, true),
    refused('identity', 'an extension of what an identity holds that is locked', 'locked', 'report', {}, true, { locks: [signedLock({ nhi: NHI, connector: null })] }),
    ((): StepVector => {
      const { envelope, log } = made({ action: 'grant', order: (content) => ({ ...content, epoch: 2 }) });
      return stepVector('refused-order-mismatch-epoch', 'the order of a grant, of an epoch that only an extension has', { json: envelope }, { refused: 'order-mismatch', answer: 'report', head: headOf(log) });
    })(),
    ((): StepVector => {
      const { envelope, log } = made({ action: 'grant', order: (content) => ({ ...content, cause: 'early' }) });
      return stepVector('refused-order-mismatch-cause', 'the order of a grant, that is no lease’s end', { json: envelope }, { refused: 'order-mismatch', answer: 'report', head: headOf(log) });
    })(),
  ];
}
