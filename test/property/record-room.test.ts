/**
 * A record has 60 KiB. What is listed in one comes from facts, requests, policy and people, and is as long as they will have it: the largest that schemas and the
 * engine let through has room, or a change would be tried again and again, and nothing of it ever be on record.
 */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { canonicalBytes, digestOf, encodeRecord, RECORD_BYTES_MAX, type RecordDraft } from '../../ledger/index.ts';
import { changeEventBodies, FINDING_CODES, type EventBody, type NewEvent } from '../../src/change/events.ts';
import { decide } from '../../src/change/decide.ts';
import { ANSWER_BYTES_MAX, noRoomFor, recordable, REQUIREMENT_BYTES_MAX } from '../../src/engine/room.ts';
import { faultDecision } from '../../src/engine/ask.ts';
import { isChangeEventType, RECORD_VERSIONS, systemDraft, systemRecordBodies, toDraft, type SystemRecordBody, type SystemRecordType } from '../../src/evidence/record.ts';
import { ENGINE_FAULTS, EngineFault } from '../../src/pdp/fault.ts';
import { ESCALATED_TO_MAX, type ApproverExpression, type Decision, type Requirement, type Verification } from '../../src/protocol/decision.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import { discoverTicketSchema, PAGES_MAX } from '../../src/protocol/discovery.ts';
import { passkeyEnvelope } from '../../src/protocol/passkey-proof.ts';
import { planStepSchema, planWindowSchema } from '../../src/protocol/plan.ts';
import { bundleStatementSchema } from '../../src/protocol/policy-bundle.ts';
import { changeRequestSchema } from '../../src/protocol/request.ts';
import { relayedVerdictSchema } from '../../src/protocol/relayed-verdict.ts';
import { reportSchema, revokeOrderSchema, ticketSchema, type Dsse } from '../../src/protocol/signed.ts';
import { standingStatementSchema } from '../../src/protocol/standing-approval.ts';
import { PRIVILEGES_MAX } from '../../src/change/compare.ts';
import { ERASED_MAX } from '../../src/evidence/erasable.ts';
import { decision, Story, T0 } from '../change/story.ts';

const [LOG, ULID] = ['0123456789abcdef', '7ZZZZZZZZZZZZZZZZZZZZZZZZZ'];
const [CHANGE, TIME, DIGEST] = [`chg_${LOG}_${ULID}`, '2026-11-30T00:00:00.000Z', `sha256:${'f'.repeat(64)}`];
/** Of `chars` characters, in as many bytes as they can have. */
const text = (chars: number): string => '€'.repeat(chars);
const times = <T>(count: number, one: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => one(n));
/** The longest of an id, each another. */
const segment = (n: number): string => String(n).padStart(64, 'a');
const person = (n: number): string => `person:${segment(n)}`;
const NHI = `nhi:${segment(0)}/${segment(0)}`;
const CONNECTOR = 'c'.repeat(40);
const RECIPIENT = `kv:${segment(0)}${`/${'p'.repeat(63)}`.repeat(8)}`;
const KEYS = { connector: CONNECTOR, target: text(128), account: text(128) };
const privileges = times(16, (n) => `${n % 10}${text(255)}`);
const TOKEN = `cs_${ULID.toLowerCase()}`;
const digests = (count: number): string[] => times(count, (n) => `sha256:${String(n).padStart(64, '0')}`);

/** Signed, by the longest name of a key. @throws ZodError for what is no such document */
function signed(document: object, schema: z.ZodType): Dsse {
  return { payloadType: 't'.repeat(128), payload: Buffer.from(canonicalBytes(schema.parse(document) as object)).toString('base64'), signatures: [{ keyid: 'k'.repeat(256), sig: Buffer.alloc(96, 7).toString('base64') }] };
}
/** By the largest passkey's answer that is read. */
function byPasskey(document: object, schema: z.ZodType): Dsse {
  const assertion = { authenticatorData: Buffer.alloc(4_096), clientDataJSON: Buffer.alloc(6_144), signature: Buffer.alloc(1_800) };
  return passkeyEnvelope(canonicalBytes(schema.parse(document)), 'k'.repeat(200), assertion);
}
const loose = z.looseObject({});

const STEP = { stepId: `stp_${LOG}_${ULID}_r9999_999`, action: 'extend', ...KEYS, other: text(128), privileges, clientToken: TOKEN, gave: 'provision' };
const TICKET = { v: 1, log: LOG, changeId: CHANGE, revision: 9_999, stepId: STEP.stepId, issue: Number.MAX_SAFE_INTEGER, audience: `executor:${segment(0)}`, notBefore: TIME, notAfter: TIME };
const ORDER = signed({ v: 1, log: LOG, changeId: CHANGE, leaseId: `lse_${LOG}_${ULID}`, epoch: Number.MAX_SAFE_INTEGER, notBefore: TIME, audience: TICKET.audience, action: 'provision', ...KEYS, privileges, clientToken: TOKEN, cause: 'compensation', orderedBy: NHI }, revokeOrderSchema);
const REPORTED = { v: 1, executor: TICKET.audience, log: LOG, changeId: CHANGE, at: TIME, code: text(64), detail: text(500), after: DIGEST };
const REASON = { code: `a${'b'.repeat(63)}`, message: text(500), rule: text(128) };
const CONTROL = { framework: text(64), id: text(32), rule: text(128) };
const PROVENANCE = { bundle: DIGEST, input: DIGEST, facts: digests(16) };
const ENTITLEMENTS = times(16, (n) => ({ connector: CONNECTOR, target: KEYS.target, privilege: privileges[n]!, scope: text(256) }));
const COMMITTED = disclose('comment', text(500), 'A'.repeat(22)).commitment;
const AUTHENTICATED = { kind: 'github-actions' as const, issuer: text(512), subject: text(512), key: DIGEST };
const STATEMENT = { v: 1, log: LOG, changeId: CHANGE, revision: 9_999, planDigest: DIGEST, verdict: 'approve', approver: person(1), expiresAt: TIME };
const RELAYED = signed({ v: 2, log: LOG, changeId: CHANGE, planDigest: DIGEST, verdict: 'approve', approver: person(1), comment: COMMITTED, relayedBy: LOG, notBefore: TIME, notAfter: TIME }, relayedVerdictSchema);
const TEMPLATE = {
  v: 1, log: LOG, approver: person(1), subject: NHI, kinds: ['provision', 'grant', 'extend', 'rotate'], connector: CONNECTOR, target: text(128), accounts: times(8, (n) => `${n}${text(127)}`), privileges,
  recipients: times(8, (n) => `${RECIPIENT.slice(0, -1)}${n}`), maxLeaseSeconds: 2_592_000, uses: 1_000, notBefore: TIME, expiresAt: TIME, reason: COMMITTED,
};
const approval = (envelope: Dsse, use = {}): EventBody<'approval.recorded'>['approval'] => ({ approvalId: `apr_${'f'.repeat(32)}`, proofClass: 'passkey', envelope, ...use });
const SAID = { comment: text(500), relayed: RELAYED, authentication: AUTHENTICATED, channel: 'slack' as const };
const REQUEST = changeRequestSchema.parse({ kind: 'provision', subject: NHI, entitlements: ENTITLEMENTS, purpose: segment(0), reason: text(500), duration: 'P99999DT999999H9999999M999999999S', endsBy: TIME, recipient: RECIPIENT, window: { calendar: segment(0), onMissed: 'replan' }, urgency: 'emergency', caller: { key: `${'A'.repeat(43)}=`, timeout: 'PT86400S' } });
const WINDOW = { calendar: segment(0), opensAt: TIME, closesAt: TIME, onMissed: 'replan' as const };

/** The largest that `grown` makes, of the counts up to `most`, and that is let through. */
function largest<T>(most: number, grown: (count: number) => T, isLetThrough: (one: T) => boolean): T {
  const found = times(most, (n) => n + 1).map(grown).filter(isLetThrough).at(-1);
  if (found === undefined) throw new Error('nothing is let through');
  return found;
}
function has(room: () => unknown): boolean {
  try {
    room();
    return true;
  } catch (error) {
    if (error instanceof EngineFault) return false;
    throw error;
  }
}
const isRecordable = (answer: object): boolean => has(() => recordable(answer));
const isWithin = (requirement: Requirement): boolean => canonicalBytes(requirement).length <= REQUIREMENT_BYTES_MAX;

const ANSWER = largest(64, (count): Verification => ({ effect: 'deny', reasons: times(count, () => REASON), controls: times(count, () => CONTROL) }), isRecordable);
const people = (count: number): ApproverExpression => ({ stages: times(Math.ceil(count / 64), (stage) => ({ anyOf: times(Math.min(64, count - stage * 64), (n) => person(stage * 64 + n)) })) });
const REQUIREMENT = largest(600, (count): Requirement => ({ approvers: people(count), proofClass: 'passkey' }), isWithin);
/** What a window is like that goes into a plan. */
const TOLD = largest(256, (count) => ({ ...WINDOW, consumers: times(count, (n) => `${n % 10}${text(127)}`) }), (window) => planWindowSchema.safeParse(window).success && isRecordable(window));

type Worst = { readonly [T in keyof typeof changeEventBodies]?: readonly EventBody<T>[] };
const report = (kind: 'acted' | 'revoked', more: object): { readonly report: Dsse } => ({ report: signed({ kind, ...REPORTED, attempt: Number.MAX_SAFE_INTEGER, byUse: 'notTried', ...more }, reportSchema) });
const WORST: Worst = {
  'change.requested': [{ request: REQUEST, requester: times(8, () => NHI), idempotency: { key: DIGEST, request: DIGEST }, parent: CHANGE, authentication: AUTHENTICATED }],
  'change.revised': [{ revision: 9_999, request: REQUEST, cause: 'windowMissed', reduced: { revision: 9_999, planDigest: DIGEST } }],
  'change.adopted': [{ log: LOG, records: Number.MAX_SAFE_INTEGER, head: DIGEST, parts: digests(64) }],
  // What is recorded in place of one that has no room; those that have are below.
  'policy.decided': [{
    revision: 9_999, phase: 'request', planDigest: null, decision: faultDecision({ request: REQUEST }, new EngineFault('result-too-large', 'e'.repeat(300))), provenance: PROVENANCE, requirement: REQUIREMENT, approvalsBy: null,
  }],
  'approval.judged': [{ revision: 9_999, planDigest: DIGEST, approver: person(1), acceptance: { ...ANSWER, effect: 'accept' }, provenance: PROVENANCE }],
  'approval.recorded': [
    { approval: approval(byPasskey(STATEMENT, loose)), ...SAID, acceptance: DIGEST },
    { approval: approval(byPasskey(TEMPLATE, standingStatementSchema), { use: 1_000 }), comment: null, acceptance: DIGEST },
  ],
  'approval.rejected': [{ approval: approval(byPasskey({ ...STATEMENT, verdict: 'reject' }, loose)), ...SAID, outcome: 'unreachable', otherIds: times(16, person) }],
  'approval.escalated': [{ revision: 9_999, to: times(ESCALATED_TO_MAX, person), dueAt: TIME }],
  'step.authorised': [
    { kind: 'read', revision: 9_999, stepId: STEP.stepId, issue: 1, ticket: signed({ kind: 'read', ...TICKET, queryDigest: DIGEST, query: { action: 'rotate', ...KEYS, other: text(128), privileges, clientToken: TOKEN, gave: 'provision' } }, ticketSchema) },
    {
      kind: 'act', revision: 9_999, stepId: STEP.stepId, issue: Number.MAX_SAFE_INTEGER, ticket: signed({ kind: 'act', ...TICKET, planDigest: DIGEST, step: planStepSchema.parse(STEP) }, ticketSchema), planDigest: DIGEST, requirement: REQUIREMENT,
      approvals: times(32, (n) => `apr_${String(n).padStart(32, '0')}`), breakGlass: DIGEST, lease: { leaseId: `lse_${LOG}_${ULID}`, epoch: Number.MAX_SAFE_INTEGER, endsAt: TIME, order: ORDER },
    },
    { kind: 'revoke', stepId: STEP.stepId, order: ORDER, comment: text(500), redecision: DIGEST },
  ],
  'step.succeeded': [report('acted', { stepId: STEP.stepId, issue: 1, outcome: 'done', before: DIGEST, seal: { recipient: RECIPIENT, ciphertext: DIGEST, fingerprint: 'f'.repeat(64), replaces: DIGEST } })],
  'lease.extended': [{ leaseId: `lse_${LOG}_${ULID}`, change: CHANGE, epoch: Number.MAX_SAFE_INTEGER, endsAt: TIME, order: ORDER }],
  'lease.ended': [{ ...report('revoked', { leaseId: `lse_${LOG}_${ULID}`, epoch: 1, order: DIGEST, outcome: 'done' }), order: ORDER }],
  'lease.redecided': [{ leaseId: `lse_${LOG}_${ULID}`, redecision: { ...ANSWER, effect: 'revoke' }, provenance: PROVENANCE, held: { revokes: Number.MAX_SAFE_INTEGER, leases: Number.MAX_SAFE_INTEGER } }],
  'entitlement.verified': [{ stepId: STEP.stepId, verification: ANSWER, provenance: PROVENANCE }],
  'breakglass.used': [{ revision: 9_999, statement: byPasskey(STATEMENT, loose), reason: text(500), reviewBy: TIME, rotateWithinSeconds: 2_592_000 }],
  'breakglass.reviewed': [{ verdict: 'unjustified', comment: text(500), rotation: 'notNeeded', statement: byPasskey(STATEMENT, loose), proofClass: 'passkey', standsIn: 'security' }],
  'finding.opened': FINDING_CODES.map((code) => ({ code, message: text(500), owner: NHI })),
  'window.opened': [TOLD],
  'window.closed': [{ ...TOLD, cause: 'finished' }],
  'item.settled': [{ item: 511, outcome: 'open', owner: NHI, detail: text(500) }],
};

const BUNDLE = {
  bundle: DIGEST, signature: signed({ v: 1, bundle: DIGEST, revision: text(128) }, bundleStatementSchema), revision: text(128),
  listing: { v: 1 as const, entrypoints: times(32, () => 'e'.repeat(128)), files: [{ path: 'data.json' as const, digest: DIGEST }, { path: 'policy.wasm' as const, digest: DIGEST }] },
};
const WORST_OF_THE_LOG: { readonly [T in SystemRecordType]?: readonly SystemRecordBody<T>[] } = {
  'outbox.refilled': [{ stream: 'CS_LEDGER', missing: 1, from: 0, changes: times(256, () => CHANGE) }],
  'messages.refused': [{ executor: TICKET.audience, refused: times(256, () => ({ run: 'f'.repeat(16), code: 'inconsistent-checkpoint', count: Number.MAX_SAFE_INTEGER })) }],
  'facts.loaded': [{ facts: DIGEST }],
  'redecision.failed': [{ facts: DIGEST, bundle: DIGEST, code: ENGINE_FAULTS[0], leases: 1, unanswered: 1, owner: NHI }],
  'bundle.proposed': [{ proposalId: `prp_${ULID}`, ...BUNDLE }],
  'bundle.activated': [{ ...BUNDLE, proposal: `prp_${ULID}`, approvals: times(64, (n) => `apr_${String(n).padStart(32, '0')}`) }],
  'proposal.approved': [{ proposalId: `prp_${ULID}`, approval: approval(byPasskey(STATEMENT, loose)) }],
  'erasure': [{ erased: digests(ERASED_MAX), basis: text(500) }],
  'lock.set': [{ lockId: `lck_${ULID}`, nhi: NHI, connector: CONNECTOR, reason: text(500), statement: signed({ reason: text(500), nhi: NHI, connector: CONNECTOR, by: person(1) }, loose) }],
  'standing.approved': [{ approvalId: `apr_${'f'.repeat(32)}`, statement: byPasskey(TEMPLATE, standingStatementSchema), reason: text(500), proofClass: 'passkey' }],
  'discovery.authorised': [{ discoveryId: `dsc_${LOG}_${ULID}`, connector: CONNECTOR, stepId: `stp_${LOG}_${ULID}_p256`, ticket: signed({ kind: 'discover', v: 1, log: LOG, discoveryId: `dsc_${LOG}_${ULID}`, stepId: `stp_${LOG}_${ULID}_p256`, issue: 1, audience: TICKET.audience, notBefore: TIME, notAfter: TIME, queryDigest: DIGEST, query: { connector: CONNECTOR, after: text(256) } }, discoverTicketSchema) }],
  'reconcile.found': [{
    findingId: `fnd_${'f'.repeat(32)}`, discoveryId: `dsc_${LOG}_${ULID}`, code: 'access-unexplained', ...KEYS, nhi: NHI, change: CHANGE, owner: NHI, privileges: times(PRIVILEGES_MAX, () => text(256)), message: text(500), evidence: digests(PAGES_MAX),
  }],
  'reconcile.cleared': [{ findingId: `fnd_${'f'.repeat(32)}`, discoveryId: `dsc_${LOG}_${ULID}`, evidence: digests(PAGES_MAX) }],
  'reconcile.ordered': [{ findingId: `fnd_${'f'.repeat(32)}`, order: ORDER }],
  'reconcile.proposed': [largest(64, (count) => ({ findingId: `fnd_${'f'.repeat(32)}`, change: CHANGE, reasons: times(count, () => REASON), provenance: PROVENANCE }), ({ reasons }) => isRecordable({ propose: 'revoke', reasons, controls: [] }))],
  'reconcile.compared': [{
    discoveryId: `dsc_${LOG}_${ULID}`, connector: CONNECTOR, target: text(128), complete: false, pages: digests(PAGES_MAX), found: 1, cleared: 1,
    counts: { accounts: 1, unknownAccounts: 1, held: 1, explained: 1, unexplained: 1, pastEnd: 1, undecided: 1, standing: 1, recorded: 1, missing: 1 },
  }],
};

/** @throws LedgerError `too-large` */
const bytesOf = (draft: RecordDraft): number => encodeRecord({ ...draft, seq: Number.MAX_SAFE_INTEGER, prev: DIGEST, changeSeq: draft.change === null ? null : Number.MAX_SAFE_INTEGER, changePrev: draft.change === null ? null : DIGEST }).byteLength;
const draftOf = (event: NewEvent, extra: readonly Uint8Array[] = []): RecordDraft => toDraft(CHANGE, event, T0, () => 'A'.repeat(22), extra).draft;
/** The version that a body of now is told in is the one that was looked at. */
const bodyOf = (type: string): z.ZodType => (isChangeEventType(type) ? changeEventBodies[type] : systemRecordBodies[type as SystemRecordType]);

describe('the largest body of a record has room:', () => {
  it.each(Object.entries(WORST))('%s', (type, bodies) => {
    for (const body of bodies) {
      expect(bodyOf(type).safeParse(body)).toMatchObject({ success: true });
      expect(bytesOf(draftOf({ type, actor: NHI, body } as NewEvent, 'provenance' in body ? [Buffer.from('what policy was asked')] : []))).toBeLessThanOrEqual(RECORD_BYTES_MAX);
    }
  });
  it.each(Object.entries(WORST_OF_THE_LOG))('%s', (type, bodies) => {
    for (const body of bodies) {
      expect(bodyOf(type).safeParse(body)).toMatchObject({ success: true });
      expect(bytesOf(systemDraft(type as SystemRecordType, body as never, NHI, T0, []).draft)).toBeLessThanOrEqual(RECORD_BYTES_MAX);
    }
  });

  it('each that lists anything is among these', () => {
    const lists = (schema: unknown): boolean => JSON.stringify(schema).replaceAll(/"signatures":\{"minItems":1,"maxItems":1,"type":"array"|"signatures":\{"type":"array"/g, '').includes('"type":"array"');
    const listing = Object.keys(RECORD_VERSIONS).filter((type) => lists(z.toJSONSchema(bodyOf(type), { unrepresentable: 'any', io: 'input' })));
    const looked = [...Object.keys(WORST), ...Object.keys(WORST_OF_THE_LOG)];
    expect(listing.filter((type) => !looked.includes(type))).toEqual([/* Of checkpoints of logs that the operator has run, each as long as it has witnesses. */ 'ledger.adopted']);
  });
});

describe('a decision', () => {
  const allowing = (of: Decision, obligations: Partial<Decision['obligations']>): Decision => ({ ...of, obligations: { ...of.obligations, ...obligations } });
  const story = (): Story => new Story().requested().read();
  const command = (of: Story, decided: Decision, floor: Requirement | null = null): Extract<Parameters<typeof decide>[1], { type: 'recordDecision' }> =>
    ({ type: 'recordDecision', by: `sidecar:${LOG}`, phase: 'request', plan: of.plan(), decision: decided, provenance: PROVENANCE, approvalSeconds: 3_600, floor });
  /** Of the record of it, with the objects that it names. */
  const recorded = (of: Story, one: ReturnType<typeof command>): number => {
    const decided = decide(of.now, one, T0);
    if (!decided.ok) throw new Error(decided.message);
    return bytesOf(draftOf(decided.events[0]!, [Buffer.from('what policy was asked')]));
  };

  it.each<[string, (count: number) => Decision]>([
    ['people', (count) => decision('needsApproval', people(count))],
    ['reasons', (count) => ({ ...decision('allow'), reasons: times(Math.min(count, 64), () => REASON), controls: times(Math.min(count, 128), () => CONTROL) })],
    ['what is held', (count) => ({ ...decision('needsApproval', people(200)), entitlements: { ...decision('allow').entitlements, held: times(count, () => text(64)), used: times(count, () => text(64)) } })],
    ['exceptions and those who are told', (count) => ({ ...allowing(decision('needsApproval', people(250)), { escalation: { afterSeconds: 1, to: times(32, person) } }), controls: times(Math.min(count, 128), () => CONTROL) })],
  ])('of ever more %s is recorded as long as there is room, and then is none', (_what, grown) => {
    const of = story();
    const answers = times(300, (n) => (n + 1) * 2).map((count) => ({ fault: noRoomFor(of.now, command(of, grown(count)), T0), count }));
    const fits = answers.filter(({ fault }) => fault === null);
    const rest = answers.filter(({ fault }) => fault !== null);
    expect(fits.length).toBeGreaterThan(0);
    for (const { count } of fits.slice(-3)) expect(recorded(of, command(of, grown(count)))).toBeLessThanOrEqual(RECORD_BYTES_MAX);
    for (const { fault } of rest.slice(0, 3)) {
      expect(fault).toMatchObject({ code: 'result-too-large' });
      // What is recorded in its place has room, and is told in a reason.
      expect(recorded(of, command(of, faultDecision(of.now, fault!)))).toBeLessThanOrEqual(RECORD_BYTES_MAX);
      expect(faultDecision(of.now, fault!).reasons[0]!.message.length).toBeLessThanOrEqual(500);
    }
  });

  it('has its floor counted with it, and what was asked for before', () => {
    const of = story();
    const floor: Requirement = { approvers: { allOf: times(32, (n) => person(1_000 + n)) }, proofClass: 'ssh' };
    const asks = largest(300, (count) => decision('needsApproval', people(count)), (one) => noRoomFor(of.now, command(of, one), T0) === null);
    expect(noRoomFor(of.now, command(of, asks, floor), T0)).toMatchObject({ code: 'result-too-large' });
    // A requirement that was recorded stays one: from a time before there was this bound too.
    of.must(command(of, decision('needsApproval', people(320))));
    expect(canonicalBytes(of.now.requirement).length).toBeGreaterThan(REQUIREMENT_BYTES_MAX);
    of.must({ type: 'revise', by: of.now.requester[0]!, request: of.now.request });
    of.read();
    // Policy asks for the same again, or for nobody any more.
    for (const again of [decision('needsApproval', people(320)), decision('allow')]) expect(noRoomFor(of.now, command(of, again), T0)).toBeNull();
  });
});

it('an answer that is recorded as it is has its bound in bytes', () => {
  expect(() => recordable({ said: 'a'.repeat(ANSWER_BYTES_MAX) })).toThrow(EngineFault);
  expect(digestOf(canonicalBytes(recordable({ said: 'a' })))).toMatch(/^sha256:/);
});
