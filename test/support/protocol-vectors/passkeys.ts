/** Approvals by passkey: those that count, and each with one thing about it that is not as it must be. */
import { canonicalText } from '../../../ledger/index.ts';
import { challengeOf } from '../../../src/protocol/passkey-assertion.ts';
import { APPROVER, type Edits } from '../envelopes.ts';
import { testPasskey, type AssertionEdit } from '../passkey.ts';
import { answered, proven } from './ssh.ts';
import type { StepVector } from './steps.ts';
import { ANOTHER_CHANGE, base64, fromBase64 } from './vector.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const annas = testPasskey('ES256', { seed: seed(80) });
const edwards = testPasskey('EdDSA', { seed: seed(81) });
const nobodys = testPasskey('ES256', { seed: seed(82) });

const answeredBy = (edit: AssertionEdit = {}, passkey = annas): Edits => proven((statement) => passkey.approval(statement, edit));
/** The assertion's text, made anew. */
const respelled = (edit: (text: string) => string): Edits => proven((statement) => {
  const { envelope, ...approval } = annas.approval(statement);
  const [{ keyid, sig }] = envelope.signatures as [{ keyid: string; sig: string }];
  return { ...approval, envelope: { ...envelope, signatures: [{ keyid, sig: base64(edit(fromBase64(sig).toString())) }] } };
});
const listed = (edit: object = {}, person = APPROVER): string => JSON.stringify([annas.entry(person, edit), edwards.entry(APPROVER)]);

export function passkeyVectors(): StepVector[] {
  const { admitted, refused } = answered('passkey', { proofClass: 'passkey', passkeys: listed() });
  const invalid = (path: string, title: string, edits: Edits, passkeys?: string): StepVector => refused(path, title, 'approval-invalid', 'none', edits, passkeys === undefined ? {} : { passkeys });
  return [
    admitted('es256', 'an approval by her passkey', answeredBy()),
    admitted('ed25519', 'the same by a passkey whose key is Ed25519', answeredBy({}, edwards)),
    admitted('counter-0', 'an authenticator that does not count', answeredBy({ counter: 0 })),
    admitted('of-one-device', 'a passkey that is on one device only', answeredBy({ flags: 0x05 })),
    admitted('more-said', 'client data with members that are not known', answeredBy({ client: { other_keys_can_be_added_here: 'do not compare clientDataJSON against a template' } })),
    admitted('no-cross-origin', 'client data that does not speak of frames', answeredBy({ client: { crossOrigin: undefined } })),
    admitted('good-then', 'a passkey that was good when the step was authorised, at the very first moment', answeredBy(), { passkeys: listed({ validAfter: '2026-11-23T19:00:00.000Z', validBefore: '2026-11-23T19:00:00.001Z' }) }),
    admitted('under-an-ssh-floor', 'a stronger proof than is asked for', answeredBy(), { proofClass: 'ssh' }),
    invalid('origin', 'an answer on another page', answeredBy({ client: { origin: 'https://evil.example' } })),
    invalid('rp-id', 'an answer for another relying party', answeredBy({ rpId: 'evil.example' })),
    invalid('no-uv', 'an authenticator that did not make sure who she was', answeredBy({ flags: 0x19 })),
    invalid('no-up', 'an authenticator that nobody touched', answeredBy({ flags: 0x1c })),
    invalid('backed-up', 'backed up, and not eligible to be', answeredBy({ flags: 0x15 })),
    invalid('extensions', 'an authenticator that says more', answeredBy({ flags: 0x9d, after: Buffer.of(0xa0) })),
    invalid('extensions-missing', 'flags that say of more, and nothing more', answeredBy({ flags: 0x9d })),
    invalid('byte-too-many', 'authenticator data with a byte after it', answeredBy({ after: Buffer.of(0) })),
    invalid('cut', 'authenticator data that is cut short', answeredBy({ data: (bytes) => bytes.subarray(0, -1) })),
    invalid('challenge', 'the challenge of another statement', answeredBy({ client: { challenge: challengeOf(Buffer.from('another')) } })),
    invalid('challenge-padded', 'the challenge in another spelling', answeredBy({ clientText: (text) => text.replace(/("challenge":"[^"]+)"/, '$1="') })),
    invalid('registration', 'what a registration signs', answeredBy({ client: { type: 'webauthn.create' } })),
    invalid('cross-origin', 'an answer in a frame of another page', answeredBy({ client: { crossOrigin: true } })),
    invalid('top-origin', 'an answer in a frame, which says of which page', answeredBy({ client: { topOrigin: 'https://evil.example' } })),
    invalid('top-origin-null', 'client data that speaks of a page around it, and names none', answeredBy({ client: { topOrigin: null } })),
    invalid('client-key-twice', 'client data with a member twice', answeredBy({ clientText: (text) => text.replace('{', '{"type":"webauthn.get",') })),
    invalid('client-no-origin', 'client data that names no page', answeredBy({ client: { origin: undefined } })),
    invalid('client-not-signed', 'client data that was altered after it was signed', answeredBy({ made: (made) => ({ ...made, clientDataJSON: Buffer.from(Buffer.from(made.clientDataJSON).toString().replace('}', ',"x":1}')) }) })),
    invalid('der-padded', 'a signature whose numbers are not in their shortest form', answeredBy({ made: (made) => ({ ...made, signature: padded(made.signature) }) })),
    invalid('not-der', 'the signature of another algorithm', answeredBy({ made: (made) => ({ ...made, signature: Buffer.alloc(64, 7) }) })),
    invalid('spaced', 'an assertion that is not in canonical form', respelled((text) => text.replace('{', '{ '))),
    invalid('field-too-many', 'an assertion with a field that none has', respelled((text) => canonicalText({ ...(JSON.parse(text) as Record<string, string>), userHandle: 'YQ==' }))),
    invalid('nobodys', 'a passkey that nobody is said to have', answeredBy({}, nobodys)),
    invalid('of-somebody-else', 'a passkey of somebody else, in her name', answeredBy(), listed({}, 'person:bert')),
    invalid('other-page-of-hers', 'a passkey, at an address that it is not of', answeredBy(), listed({ origins: ['https://other.countersign.example.org'] })),
    invalid('not-yet', 'a passkey that was not good yet', answeredBy(), listed({ validAfter: '2026-11-23T19:00:00.001Z' })),
    invalid('over', 'a passkey that was not good any more, from that very moment', answeredBy(), listed({ validBefore: '2026-11-23T19:00:00.000Z' })),
    invalid('other-statement', 'her answer to her rejection', proven((statement) => {
      const { approvalId, envelope } = annas.approval(statement);
      return { approvalId, proofClass: 'passkey', envelope: { ...envelope, signatures: annas.approval({ ...statement, verdict: 'reject' }).envelope.signatures } };
    })),
    refused('reject', 'her rejection', 'approval-invalid', 'report', proven((statement) => annas.approval({ ...statement, verdict: 'reject' }))),
    refused('other-plan', 'her approval of another change', 'approval-invalid', 'report', proven((statement) => annas.approval({ ...statement, changeId: ANOTHER_CHANGE }))),
    refused('expired', 'her approval, which was over', 'approvals-insufficient', 'report', proven((statement) => annas.approval({ ...statement, expiresAt: '2026-11-23T19:00:00.000Z' }))),
  ];
}

/** The same numbers, the first with a zero more in front. */
function padded(der: Uint8Array): Uint8Array {
  const [length, first] = [der[1]!, der[3]!];
  return Buffer.concat([Buffer.of(0x30, length + 1, 0x02, first + 1, 0), der.subarray(4)]);
}
