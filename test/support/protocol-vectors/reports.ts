/** Reports: what is signed, over which bytes, and where it is published. */
import { canonicalBytes, canonicalText, digestOf } from '../../../ledger/index.ts';
import { namedState, reportMaker, type Said } from '../../../src/executor/reports.ts';
import { payloadDigest, preAuthEncoding } from '../../../src/protocol/dsse.ts';
import type { TargetState } from '../../../src/protocol/plan.ts';
import { REPORT_TYPE, type Dsse } from '../../../src/protocol/signed.ts';
import { delivery, laneOf, result } from '../../../src/transport/nats/bus-layout.ts';
import { EXECUTOR, keys, logId, salt, sign, START_MS } from '../story.ts';
import { deriveRevokeOrder, leaseIdOf } from '../../../src/change/derive.ts';
import { sidecar } from '../story.ts';
import { made } from './steps.ts';
import { base64, CHANGE, fromBase64, type Vector } from './vector.ts';

const state = (touched: TargetState['touched'], held: readonly string[], n: number): TargetState => ({
  v: 1, salt: salt(n), connector: 'pg-main', target: 'app', account: 'deploy', exists: held.length > 0, touched, held: [...held],
});
const sealed = Buffer.from('age-encryption.org/v1 …', 'utf8');

interface Given {
  readonly states?: readonly TargetState[];
  readonly ciphertext?: Buffer;
  readonly order?: Dsse;
}

function vector(path: string, title: string, said: Said, { states = [], ciphertext, order }: Given = {}): Vector {
  const make = reportMaker(EXECUTOR, keys.executor, { nowMs: () => START_MS + 2_000 });
  const named = states.map((one) => namedState(canonicalText(one)));
  const message = make(said, { states: named, ciphertext: ciphertext === undefined ? null : base64(ciphertext), order: order ?? null });
  const payload = fromBase64(message.report.payload);
  const token = payloadDigest(message.report).slice('sha256:'.length, 'sha256:'.length + 32);
  const lane = laneOf(EXECUTOR);
  return {
    path: `reports/${path}`,
    content: {
      title,
      // Not a secret: every key of these vectors is made of a byte 32 times.
      key: { name: EXECUTOR, seed: base64(new Uint8Array(32).fill(3)), vkey: keys.executor.vkey },
      report: JSON.parse(payload.toString('utf8')) as unknown,
      states,
      expect: {
        payload: payload.toString('utf8'), signedBytes: base64(preAuthEncoding(REPORT_TYPE, payload)), digest: digestOf(payload), stateDigests: named.map(({ digest }) => digest),
        message,
        published: { subject: result(lane, logId, token), data: Buffer.from(canonicalBytes({ v: 1, message: { ...message, ciphertext: null }, delivery: ciphertext !== undefined })).toString('utf8') },
        delivery: ciphertext === undefined ? null : { subject: delivery(lane, logId, token), data: base64(ciphertext) },
      },
    },
  };
}

export function reportVectors(): Vector[] {
  const { plan, ticket } = made({ action: 'grant' });
  const { stepId } = ticket;
  const about = { log: logId, changeId: CHANGE, stepId, issue: 1 } as const;
  const before = state({ account: 'absent' }, [], 3);
  const after = state({ account: 'present' }, ['role:deploy'], 4);
  const [b, a] = [before, after].map((one) => digestOf(canonicalBytes(one))) as [string, string];
  const acted = { kind: 'acted', ...about, attempt: 1, detail: null, byUse: 'notTried', seal: null } as const;
  const nothing = { ...acted, attempt: 0, before: null, after: null } as const;
  const order = sign.order(deriveRevokeOrder(plan, EXECUTOR, START_MS + 900_000, 'leaseEnd', sidecar)!);
  const revoked = { kind: 'revoked', log: logId, changeId: CHANGE, leaseId: leaseIdOf(CHANGE), epoch: 1, order: payloadDigest(order), attempt: 1, byUse: 'notTried' } as const;
  const seal = { recipient: `age1${'q'.repeat(58)}`, ciphertext: digestOf(sealed), fingerprint: 'ab'.repeat(32), replaces: null };
  const gone = state({ account: 'absent' }, [], 5);
  return [
    vector('claimed', 'a step was taken up; nothing has been touched', { kind: 'claimed', ...about }),
    vector('read', 'the state of an account', { kind: 'read', ...about, stepId: stepId.replace(/_1$/, '_read'), outcome: 'done', code: null, detail: null, state: b }, { states: [before] }),
    vector('read-failed', 'a target that does not want to be asked this', { kind: 'read', ...about, stepId: stepId.replace(/_1$/, '_read'), outcome: 'failed', code: 'target-rejected', detail: 'only grants are made here', state: null }),
    vector('discovered-failed', 'a target of which this worker cannot tell what is there', {
      kind: 'discovered', log: logId, discoveryId: CHANGE.replace('chg_', 'dsc_'), stepId: stepId.replace(/_r1_1$/, '_p1'), issue: 1, outcome: 'failed', code: 'target-rejected', detail: 'this worker cannot tell what is there', page: null,
    }),
    vector('refused-locked', 'a lock stands over what would have been given', { ...nothing, outcome: 'refused', code: 'locked', detail: 'locked by person:olga' }),
    vector('done', 'the effect is there and was read back', { ...acted, outcome: 'done', code: null, before: b, after: a }, { states: [before, after] }),
    vector('done-sealed', 'a new credential whose secret is sealed', { ...acted, outcome: 'done', code: null, before: b, after: a, byUse: 'works', seal }, { states: [before, after], ciphertext: sealed }),
    vector('done-same-state', 'a state before that is the state after, which is sent once', { ...acted, outcome: 'done', code: null, before: b, after: b }, { states: [before, before] }),
    vector('refused', 'a check failed, and nothing was done', { ...nothing, outcome: 'refused', code: 'below-floor', detail: 'the floor asks for 2' }),
    vector('refused-not-yet', 'what the step waits for did not come in time', { ...nothing, outcome: 'refused', code: 'not-yet', detail: '3 sessions of the old login are open' }),
    vector('drifted', 'the target is not as it was planned for', { ...nothing, outcome: 'drifted', code: 'drifted', before: a }, { states: [after] }),
    vector('failed', 'the target refused', { ...acted, outcome: 'failed', code: 'target-rejected', detail: 'disk full: “\u{1f4be}”', before: null, after: null }),
    vector('ambiguous', 'not known yet', { ...acted, outcome: 'ambiguous', code: 'ambiguous', before: null, after: null }),
    vector('revoked', 'taken back', { ...revoked, outcome: 'done', code: null, detail: null, after: digestOf(canonicalBytes(gone)) }, { states: [gone], order }),
    vector('revoked-already-absent', 'there was nothing to take', { ...revoked, outcome: 'already-absent', code: null, detail: null, after: null }, { order }),
    vector('revoked-mismatch', 'what is there is not what was given: it is left alone', { ...revoked, outcome: 'mismatch', code: 'mismatch', detail: 'another token', after: null }, { order }),
    vector('revoke-failed', 'the target could not be reached; it is tried again', { ...revoked, outcome: 'failed', code: 'target-unreachable', detail: null, after: null }, { order }),
  ];
}
