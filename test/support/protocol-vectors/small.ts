/** The small parts that everything else is made of. */
import { canonicalText, digestOf, JsonError, parseStrict, type Signer } from '../../../ledger/index.ts';
import { actStepId, clientTokenOf, leaseIdOf, logOf, readStepId, revokeStepId } from '../../../src/change/derive.ts';
import { preAuthEncoding } from '../../../src/protocol/dsse.ts';
import { fingerprintOf } from '../../../src/protocol/fingerprint.ts';
import { effectKey } from '../../../src/executor/orders.ts';
import type { ApprovalStatement } from '../../../src/protocol/signed.ts';
import { formatTime } from '../../../src/protocol/values.ts';
import { ack, act, arm, claim, consumerOf, delivery, executorOf, laneOf, result, revoke, say, subjectTokens } from '../../../src/transport/nats/bus-layout.ts';
import { inboxOf } from '../../../src/transport/nats/server-config.ts';
import { keys, logId, sign, START_MS } from '../story.ts';
import { made } from './steps.ts';
import { ANOTHER_CHANGE, base64, CHANGE, type Vector } from './vector.ts';

function pae(path: string, title: string, payloadType: string, payload: Uint8Array | string): Vector {
  const bytes = Buffer.from(payload);
  return { path: `pae/${path}`, content: { title, payloadType, payload: base64(bytes), expect: { base64: base64(preAuthEncoding(payloadType, bytes)) } } };
}

function jcs(path: string, title: string, text: Uint8Array | string): Vector {
  const bytes = Buffer.from(text);
  const answer = (): object => {
    try {
      const canonical = canonicalText(parseStrict(bytes));
      return { canonical, digest: digestOf(Buffer.from(canonical, 'utf8')) };
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      return { refused: error.code };
    }
  };
  return { path: `jcs/${path}`, content: { title, base64: base64(bytes), expect: answer() } };
}

function ids(path: string, title: string, changeId: string, revision: number): Vector {
  return {
    path: `ids/${path}`,
    content: {
      title, changeId, revision,
      expect: {
        log: logOf(changeId), leaseId: leaseIdOf(changeId), clientToken: clientTokenOf(changeId), readStepId: readStepId(changeId, revision), actStepIds: [1, 2, 3].map((n) => actStepId(changeId, revision, n)),
        revokeStepId: revokeStepId(changeId),
      },
    },
  };
}

function lane(path: string, title: string, executorId: string): Vector {
  const name = laneOf(executorId);
  if (executorOf(name) !== executorId) throw new Error(`${name} is not a lane of ${executorId} alone`);
  const token = '0123456789abcdef0123456789abcdef';
  return {
    path: `lanes/${path}`,
    content: {
      title, executorId, log: logId, token, leaseId: leaseIdOf(CHANGE),
      expect: {
        lane: name, inboxPrefix: inboxOf(name), consumers: { act: consumerOf(name, 'act'), revoke: consumerOf(name, 'revoke') },
        subjects: {
          act: act(name, logId, token), revoke: revoke(name, logId, token), arm: arm(name, logId, token), result: result(name, logId, token), delivery: delivery(name, logId, token),
          claim: claim(name, leaseIdOf(CHANGE)), say: say(name, logId), sayAll: say(name, 'all'), ack: ack(name, logId),
        },
      },
    },
  };
}

function token(path: string, title: string, parts: readonly (string | number)[], signer: Signer = keys.ticket): Vector {
  return { path: `tokens/${path}`, content: { title, key: { seed: base64(new Uint8Array(32).fill(2)), vkey: signer.vkey }, parts, expect: { token: subjectTokens(signer)(...parts) } } };
}

function approval(path: string, title: string, statement: ApprovalStatement): Vector {
  const canonical = canonicalText(statement);
  const { approvalId, envelope } = sign.approval(statement);
  return { path: `approvals/${path}`, content: { title, statement, expect: { canonical, digest: digestOf(Buffer.from(canonical)), approvalId, envelope } } };
}

function fingerprint(path: string, title: string, secret: string): Vector {
  const key = Buffer.alloc(32, 9);
  return { path: `fingerprints/${path}`, content: { title, key: base64(key), secret, expect: { fingerprint: fingerprintOf(key, secret) } } };
}

export function smallVectors(): Vector[] {
  const { plan, ticket, orderContent } = made({ action: 'grant' });
  const statement: ApprovalStatement = { v: 1, log: logId, changeId: CHANGE, revision: 1, planDigest: ticket.planDigest, verdict: 'approve', approver: 'person:anna', expiresAt: formatTime(START_MS + 3_600_000) };
  const effect = orderContent!;
  return [
    pae('hello', 'the example of the DSSE specification', 'http://example.com/HelloWorld', 'hello world'),
    pae('empty', 'nothing', 'application/vnd.countersign.report+json', ''),
    pae('utf8', 'lengths are those of bytes', 'text/größe', 'ä€😀'),
    pae('any-bytes', 'a payload that is no text', 'application/octet-stream', Uint8Array.of(0, 1, 255, 32, 10)),
    jcs('order', 'keys in the order of their UTF-16 code units (the example of RFC 8785, section 3.2.3)', '{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control","\\u00f6":"Latin Small Letter O With Diaeresis"}'),
    jcs('escapes', 'the escapes that are left, and those that are not', '{"a":"\\u0000\\b\\t\\n\\f\\r\\u001f \\"\\\\\\/\\u007f\\u00e9\\u2028"}'),
    jcs('numbers', 'integers up to what a double can tell apart', '[0,-1,9007199254740991,-9007199254740991]'),
    jcs('spaces', 'white space between the parts', ' {\t"b" : [ 1 , null ] ,\r\n"a" : { } }\n'),
    jcs('nothing-in-it', 'empty things', '{"c":"","b":[],"a":{}}'),
    jcs('depth-32', 'lists 32 deep', `${'['.repeat(32)}${']'.repeat(32)}`),
    jcs('a-plan', 'a plan', JSON.stringify(plan)),
    jcs('refused-fraction', 'a fraction', '{"a":1.5}'),
    jcs('refused-point-zero', 'a whole number with a point', '{"a":1.0}'),
    jcs('refused-exponent', 'a whole number with an exponent', '{"a":1e3}'),
    jcs('refused-minus-zero', 'minus zero', '{"a":-0}'),
    jcs('refused-too-large', 'an integer past 2^53-1', '{"a":9007199254740992}'),
    jcs('refused-leading-zero', 'a leading zero', '{"a":01}'),
    jcs('refused-plus', 'a plus sign', '{"a":+1}'),
    jcs('refused-duplicate-key', 'a key twice', '{"a":1,"a":1}'),
    jcs('refused-duplicate-key-escaped', 'a key twice, once with an escape', '{"a":1,"\\u0061":1}'),
    jcs('refused-proto', 'the key __proto__', '{"__proto__":1}'),
    jcs('refused-lone-surrogate', 'half of a surrogate pair', '{"a":"\\ud800"}'),
    jcs('refused-lone-surrogate-key', 'half of a surrogate pair in a key', '{"\\udc00":1}'),
    jcs('refused-control', 'a control character that is not escaped', '{"a":"\u0001"}'),
    jcs('refused-bad-escape', 'an escape that there is not', '{"a":"\\x41"}'),
    jcs('refused-bad-utf8', 'bytes that are not UTF-8', Uint8Array.of(0x22, 0xc0, 0x80, 0x22)),
    jcs('refused-surrogate-utf8', 'half of a surrogate pair in UTF-8', Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)),
    jcs('refused-byte-order-mark', 'a byte order mark', '\ufeff{}'),
    jcs('refused-nan', 'a word that is no JSON', '{"a":NaN}'),
    jcs('refused-trailing-comma', 'a comma after the last', '[1,]'),
    jcs('refused-comment', 'a comment', '{}//'),
    jcs('refused-two-values', 'two values', '{}{}'),
    jcs('refused-nothing', 'nothing', ''),
    jcs('refused-depth-33', 'lists 33 deep', `${'['.repeat(33)}${']'.repeat(33)}`),
    jcs('refused-other-space', 'a space that JSON does not know', '{\u00a0}'),
    ids('first-revision', 'what is derived from the id of a change', CHANGE, 1),
    ids('a-later-revision', 'the steps of a later revision', ANOTHER_CHANGE, 12),
    lane('plain', 'an executor', 'executor:main'),
    lane('dots', 'dots, which would be levels of a subject', 'executor:pg.eu-1.prod'),
    lane('mixed', 'everything that an id may have', 'executor:a_b-c.d0'),
    token('act', 'where a step is published', ['act', 'executor:main', ticket.stepId, 1]),
    token('act-from-heads', 'where a step is published that proves from two checkpoints', ['act', 'executor:main', ticket.stepId, 2, 5, 9]),
    token('revoke', 'where an order is published', ['revoke', 'executor:main', `sha256:${'0'.repeat(64)}`]),
    approval('approve', 'an approval and its id', statement),
    approval('reject', 'the same statement as a rejection, which is another', { ...statement, verdict: 'reject' }),
    approval('another-approver', 'the same statement by somebody else, which is another', { ...statement, approver: 'person:bert' }),
    fingerprint('plain', 'a secret and what it is known by', 'correct horse battery staple'),
    fingerprint('utf8', 'a secret that is not ASCII', 'größe😀'),
    {
      path: 'effects/grant',
      content: {
        title: 'the key of what an order takes back: privileges in their order, whatever the order says',
        effect: { ...effect, privileges: ['b', 'a'] }, expect: { key: effectKey({ ...effect, privileges: ['a', 'b'] }) },
      },
    },
  ];
}

