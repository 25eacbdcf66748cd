/** Step envelopes that say what a good one says, in another spelling: two readers could see two documents, so all of them are refused. */
import { canonicalText } from '../../../ledger/index.ts';
import { MESSAGE_BYTES_MAX } from '../../../src/transport/nats/bus-layout.ts';
import type { StepEnvelope } from '../../../src/protocol/envelope.ts';
import { ticketSchema, TICKET_TYPE, type Dsse, type Refusal } from '../../../src/protocol/signed.ts';
import { readPayload } from '../../../src/protocol/dsse.ts';
import { keys } from '../story.ts';
import { signNote } from '../../../ledger/index.ts';
import { headOf, made, stepVector, type Answer, type StepVector } from './steps.ts';
import { base64, fromBase64, signBytes, strayBits, type Message } from './vector.ts';

const good = made();
const text = canonicalText(good.envelope);
const payload = fromBase64(good.envelope.ticket.payload).toString('utf8');

const malformed = (path: string, title: string, message: Message): StepVector => stepVector(`refused-malformed-${path}`, title, message, { refused: 'malformed', answer: 'none', head: null });
const bytes = (of: Uint8Array | string, padTo?: number): Message => ({ base64: base64(of), ...(padTo === undefined ? {} : { padTo }) });
/** The good envelope with its ticket signed over these bytes by the key that is trusted. */
const ticketOf = (spelled: string): Message => ({ json: { ...good.envelope, ticket: signBytes(TICKET_TYPE, spelled, keys.ticket) } });
const withTicket = (change: (ticket: Dsse) => unknown): Message => ({ json: { ...good.envelope, ticket: change(good.envelope.ticket) } });
const withReceipt = (change: (receipt: StepEnvelope['receipt']) => unknown): Message => ({ json: { ...good.envelope, receipt: change(good.envelope.receipt) } });
const withPlan = (change: object): Message => ({ json: { ...good.envelope, plan: { ...good.plan, ...change } } });
const ticketWith = (change: object): Message => ticketOf(canonicalText({ ...readPayload(good.envelope.ticket, ticketSchema), ...change }));
const signature = (sig: string): Dsse['signatures'] => [{ keyid: keys.ticket.keyName, sig }];
const sig = good.envelope.ticket.signatures[0]!.sig;

function replaced(from: string, to: string, inText = text): string {
  if (!inText.includes(from)) throw new Error(`nothing to replace: ${from}`);
  return inText.replace(from, to);
}

/** The message itself. */
function messages(): StepVector[] {
  const deep = `${'['.repeat(33)}${']'.repeat(33)}`;
  return [
    malformed('nothing', 'an empty message', bytes('')),
    malformed('not-json', 'a message that is not JSON', bytes('step')),
    malformed('null', 'null', { json: null }),
    malformed('list', 'a list', { json: [good.envelope] }),
    malformed('byte-order-mark', 'a byte order mark before a good envelope', bytes(`\ufeff${text}`)),
    malformed('text-after', 'more text after a good envelope', bytes(`${text}{}`)),
    malformed('bad-utf8', 'bytes that are not UTF-8 in a text', bytes(Buffer.concat([Buffer.from(text.slice(0, 2)), Buffer.from([0xff]), Buffer.from(text.slice(2))]))),
    malformed('duplicate-key', 'a key that is there twice', bytes(replaced('"v":1}', '"v":1,"v":1}', text.slice(0, -1) + '}'))),
    malformed('duplicate-key-escaped', 'a key that is there twice, once with an escape', bytes(`${text.slice(0, -1)},"\\u0076":1}`)),
    malformed('proto-key', 'the key __proto__', bytes(`${text.slice(0, -1)},"__proto__":{}}`)),
    malformed('fraction', 'a version that is 1.0', bytes(replaced('"v":1}', '"v":1.0}', text))),
    malformed('exponent', 'a version that is 1e0', bytes(`${text.slice(0, text.lastIndexOf('1'))}1e0}`)),
    malformed('huge-number', 'a number that is no safe integer', bytes(replaced('"index":5', '"index":9007199254740993'))),
    malformed('lone-surrogate', 'half of a surrogate pair', bytes(replaced('"purpose":"deploy"', '"purpose":"\\ud800"'))),
    malformed('too-deep', 'lists 33 deep', bytes(`${text.slice(0, -1)},"also":${deep}}`)),
    malformed('too-large', `${MESSAGE_BYTES_MAX + 1} bytes: one more than a message has, by spaces after it`, bytes(text, MESSAGE_BYTES_MAX + 1)),
    malformed('field-too-many', 'a field that no envelope has', { json: { ...good.envelope, also: 1 } }),
    malformed('field-missing', 'no approvals, not even an empty list', { json: Object.fromEntries(Object.entries(good.envelope).filter(([key]) => key !== 'approvals')) }),
    malformed('later-version', 'a version that is not known', { json: { ...good.envelope, v: 2 } }),
    malformed('version-as-text', 'a version as a text', { json: { ...good.envelope, v: '1' } }),
    malformed('approvals-as-object', 'approvals that are no list', { json: { ...good.envelope, approvals: {} } }),
    malformed('too-many-approvals', 'more approvals than an envelope has', { json: { ...good.envelope, approvals: Array.from({ length: 33 }, () => good.envelope.approvals[0]) } }),
    stepVector('admitted-any-spacing', 'an envelope with spaces, escapes and keys in another order: what is signed is inside it', bytes(JSON.stringify(Object.fromEntries(Object.entries(good.envelope).reverse()), null, 2).replace('"deploy"', '"d\\u0065ploy"')), { admitted: 'act', head: headOf(good.log) }),
    stepVector('admitted-at-the-limit', `${MESSAGE_BYTES_MAX} bytes, by spaces after it`, bytes(text, MESSAGE_BYTES_MAX), { admitted: 'act', head: headOf(good.log) }),
  ];
}

/** What the trusted key has signed, spelled in a way that it never would. */
function payloads(): StepVector[] {
  const long = made({ action: 'grant', plan: (plan) => ({ ...plan, steps: [{ ...plan.steps[0]!, account: '\u{1f600}'.repeat(128) }] }) });
  return [
    stepVector('admitted-128-characters', 'an account of 128 characters, which are 256 UTF-16 code units and 512 bytes', { json: long.envelope }, { admitted: 'act', head: headOf(long.log) }),
    malformed('payload-spaced', 'a ticket that is signed with a space in it', ticketOf(payload.replace(':', ': '))),
    malformed('payload-key-order', 'a ticket that is signed with keys in another order', ticketOf(JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(payload) as object).reverse())))),
    malformed('payload-escaped', 'a ticket that is signed with an escape that it does not need', ticketOf(replaced('"act"', '"\\u0061ct"', payload))),
    malformed('payload-duplicate-key', 'a ticket that is signed with a key twice', ticketOf(`${payload.slice(0, -1)},"v":1}`)),
    malformed('payload-field-too-many', 'a ticket that is signed with a field that no ticket has', ticketWith({ also: 1 })),
    malformed('payload-fraction', 'a ticket that is signed with an issue of 1.0', ticketOf(replaced('"issue":1', '"issue":1.0', payload))),
    malformed('payload-issue-0', 'issue 0', ticketWith({ issue: 0 })),
    malformed('payload-no-milliseconds', 'a time without milliseconds', ticketWith({ notBefore: '2026-11-23T19:00:00Z' })),
    malformed('payload-offset', 'a time with an offset', ticketWith({ notBefore: '2026-11-23T20:00:00.000+01:00' })),
    malformed('payload-no-such-day', 'a day that there is not', ticketWith({ notBefore: '2026-02-30T19:00:00.000Z' })),
    malformed('payload-hour-24', 'hour 24', ticketWith({ notAfter: '2026-11-23T24:00:00.000Z' })),
    malformed('payload-upper-case-digest', 'a digest in upper case', ticketWith({ planDigest: `sha256:${'A'.repeat(64)}` })),
    malformed('payload-newline-after-id', 'an id with a newline after it', ticketWith({ changeId: `${good.plan.changeId}\n` })),
    malformed('payload-control-character', 'a control character in an account', ticketWith({ step: { ...good.ticket.step, account: 'a\u001b[2J' } })),
    malformed('payload-direction-character', 'a character that turns the direction of a text around', ticketWith({ step: { ...good.ticket.step, account: 'a\u202eb' } })),
    malformed('payload-too-long', 'an account of 129 characters', ticketWith({ step: { ...good.ticket.step, account: '\u{1f600}'.repeat(129) } })),
    malformed('payload-kind', 'a ticket of a kind that there is not', ticketWith({ kind: 'ask' })),
    malformed('payload-not-json', 'a ticket that is signed and no JSON', ticketOf('ticket')),
    malformed('payload-empty', 'a ticket that is signed over nothing', ticketOf('')),
  ];
}

/** The envelope of the ticket, and base64. */
function envelopes(): StepVector[] {
  const as = (path: string, title: string, code: Refusal, message: Message, answer: Answer = 'none'): StepVector => stepVector(`refused-${code}-${path}`, title, message, { refused: code, answer, head: null });
  const record = good.envelope.receipt.record;
  const spare = base64(`${payload}${' '.repeat((4 - (payload.length % 3)) % 3 || 1)}`);
  return [
    malformed('base64-url', 'a payload in the alphabet for URLs', withTicket((ticket) => ({ ...ticket, payload: `${ticket.payload.slice(0, -4)}-_==` }))),
    malformed('base64-unpadded', 'a signature without its padding', withTicket((ticket) => ({ ...ticket, signatures: signature(sig.replace(/=+$/, '')) }))),
    malformed('base64-newline', 'base64 with a line break', withTicket((ticket) => ({ ...ticket, payload: `${ticket.payload.slice(0, 76)}\n${ticket.payload.slice(76)}` }))),
    malformed('base64-stray-bits', 'a payload with bits that carry nothing', { json: { ...good.envelope, ticket: strayTicket(spare) } }),
    as('stray-bits', 'a signature with bits that carry nothing', 'bad-signature', withTicket((ticket) => ({ ...ticket, signatures: signature(strayBits(sig)) }))),
    as('short', 'a signature of 63 bytes', 'bad-signature', withTicket((ticket) => ({ ...ticket, signatures: signature(base64(fromBase64(sig).subarray(0, 63))) }))),
    as('other-type', 'a ticket that was signed as a revoke order', 'bad-signature', { json: { ...good.envelope, ticket: { ...signBytes('application/vnd.countersign.revoke-order+json', payload, keys.ticket), payloadType: TICKET_TYPE } } }),
    as('type-of-another', 'a ticket that calls itself a revoke order', 'bad-signature', { json: { ...good.envelope, ticket: signBytes('application/vnd.countersign.revoke-order+json', payload, keys.ticket) } }),
    as('without-pae', 'a signature over the payload alone', 'bad-signature', withTicket((ticket) => ({ ...ticket, signatures: signature(base64(keys.ticket.sign(Buffer.from(payload)))) }))),
    malformed('two-signatures', 'two signatures', withTicket((ticket) => ({ ...ticket, signatures: [...ticket.signatures, ...ticket.signatures] }))),
    malformed('no-signature', 'no signature', withTicket((ticket) => ({ ...ticket, signatures: [] }))),
    malformed('ticket-as-text', 'a ticket as a text', { json: { ...good.envelope, ticket: payload } }),
    malformed('record-stray-bits', 'a record with bits that carry nothing', withReceipt((receipt) => ({ ...receipt, record: record.endsWith('=') ? strayBits(record) : strayBits(base64(`${fromBase64(record).toString('utf8')} `)) }))),
    malformed('hash-stray-bits', 'a hash with bits that carry nothing', withReceipt((receipt) => ({ ...receipt, inclusion: receipt.inclusion.map(strayBits) }))),
    stepVector('refused-no-receipt-hash-too-short', 'a hash of 31 bytes', withReceipt((receipt) => ({ ...receipt, inclusion: receipt.inclusion.map((hash) => base64(fromBase64(hash).subarray(1))) })), { refused: 'no-receipt', answer: 'report', head: headOf(good.log) }),
    malformed('negative-index', 'an index below 0', withReceipt((receipt) => ({ ...receipt, index: -1 }))),
    malformed('too-many-heads', 'more consistency proofs than a receipt has', withReceipt((receipt) => ({ ...receipt, consistency: Array.from({ length: 9 }, (_, fromSize) => ({ fromSize, proof: [] })) }))),
    malformed('plan-field-too-many', 'a plan with a field that no plan has', withPlan({ also: 1 })),
    malformed('plan-fraction', 'a plan with a number that no canonical form has', withPlan({ before: { size: 1.5 } })),
    malformed('plan-as-text', 'a plan as a text', { json: { ...good.envelope, plan: canonicalText(good.plan) } }),
    as('size-second-spelling', 'a checkpoint that is signed with its size as 06', 'untrusted-checkpoint', withReceipt((receipt) => ({ ...receipt, checkpoint: resized(receipt.checkpoint, '06') })), 'report'),
    as('carriage-return', 'a checkpoint with a carriage return', 'untrusted-checkpoint', withReceipt((receipt) => ({ ...receipt, checkpoint: receipt.checkpoint.replace('\n', '\r\n') })), 'report'),
    as('hyphen', 'a checkpoint with a hyphen for the dash', 'untrusted-checkpoint', withReceipt((receipt) => ({ ...receipt, checkpoint: receipt.checkpoint.replace('\u2014', '-') })), 'report'),
    as('no-last-newline', 'a checkpoint without its last newline', 'untrusted-checkpoint', withReceipt((receipt) => ({ ...receipt, checkpoint: receipt.checkpoint.slice(0, -1) })), 'report'),
    as('empty', 'no checkpoint', 'untrusted-checkpoint', withReceipt((receipt) => ({ ...receipt, checkpoint: '' })), 'report'),
  ];
}

/** Signed, readable, and in base64 with bits to spare. */
function strayTicket(spare: string): Dsse {
  const signed = signBytes(TICKET_TYPE, payload, keys.ticket);
  if (signed.payload.endsWith('=')) return { ...signed, payload: strayBits(signed.payload) };
  // Its length leaves no bits to spare: what is signed has a space more, which is malformed as well.
  return { ...signBytes(TICKET_TYPE, fromBase64(spare), keys.ticket), payload: strayBits(spare) };
}

function resized(note: string, size: string): string {
  const [origin, , root] = note.split('\n');
  return signNote(`${origin!}\n${size}\n${root!}\n`, [keys.log]);
}

export function encodingVectors(): StepVector[] {
  return [...messages(), ...payloads(), ...envelopes()];
}
