/** Records as OCSF events: each kind of them against the schema that OCSF publishes, and against the page that says what is told as what. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf, leafHash, type JsonObject, type LedgerRecord } from '../../ledger/index.ts';
import { newestVersion } from '../../src/evidence/upcast.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { plain } from '../../src/protocol/plain.ts';
import { STEP_ACTIONS, type PlanStep } from '../../src/protocol/plan.ts';
import { actTicketSchema, REPORT_TYPE, TICKET_TYPE, type Dsse } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { RECORD_TYPES } from '../../src/reports/body-of.ts';
import { CLASSES, lineOf } from '../../src/reports/ocsf/event.ts';
import { toldEvents } from '../../src/reports/ocsf/told-events.ts';
import { FINDING, reconciliation } from '../support/discoveries.ts';
import { asUserManagement, hasPublishedSchema, PUBLISHED_VERSION, publishedSchemas, validatorOf } from '../support/ocsf.ts';
import { activated, approved, proposed, rejected, verdictOn } from '../support/proposals.ts';
import { reportStory, writeReportLedger } from '../support/report-ledger.ts';
import { givenBy, revokedBy, standingOf, TEMPLATE } from '../support/standing.ts';
import { acted, DISABLE, toldUntilApproved, toldUntilAuthorised, toldUntilDispatched, toldUntilPlanned } from '../support/step-stories.ts';
import { EXECUTOR, keys, logId, ORIGIN, provenance, sidecar, START_MS, type Telling } from '../support/story.ts';
import { HOSTILE } from '../support/verifier-cases.ts';
import { openDesk, type Desk } from '../support/world.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/ocsf.md'), 'utf8');
const LOG = { logId, origin: ORIGIN, size: 9, root: `sha256:${'0'.repeat(64)}` };
const USER_MANAGEMENT = CLASSES['User Management'].uid;
const digest = digestOf(Buffer.from('anything'));

const dispatched = (): Telling => toldUntilAuthorised(toldUntilDispatched(toldUntilApproved(toldUntilPlanned(DISABLE, START_MS))));

/** Records that no story has. */
function furtherRecords(told: Telling): readonly (readonly [type: string, body: JsonObject, actor?: string])[] {
  const change = told.changeId;
  const failed = (edit: Parameters<typeof acted>[1]): Dsse => signDsse(REPORT_TYPE, acted(told, edit).content, keys.executor);
  const unread = (outcome: 'failed' | 'refused'): Dsse => {
    const { executor, log, changeId, stepId, issue, at } = acted(told).content;
    return signDsse(REPORT_TYPE, { kind: 'read', v: 1, executor, log, changeId, stepId, issue, at, outcome, code: 'sql-42501', detail: null, state: null }, keys.executor);
  };
  const approval = { approvalId: `apr_${'b'.repeat(32)}`, proofClass: 'session', envelope: failed({}) };
  const reasons = [{ code: 'too-much', message: 'it is too much', rule: 'access' }];
  const controls = [{ framework: 'SOC 2', id: 'CC6.3', rule: 'access' }];
  const lockId = 'lck_01JD00000000000000000000AA';
  const leaseId = `lse_${change.slice(4)}`;
  const authentication = { kind: 'kubernetes', issuer: 'https://issuer.example', subject: 'system:serviceaccount:ci:deployer', key: digest };
  const { kind, subject, connector, target } = DISABLE;
  const withProse = { kind, subject, connector, target, reason: { commitment: digest } };
  return [
    ['change.requested', { request: withProse, requester: ['nhi:prod/ci-deployer', 'person:wei'], idempotency: null, parent: change, authentication }],
    ['change.revised', { revision: 2, request: withProse }], ['change.withdrawn', { comment: null }], ['change.expired', { cause: 'approval' }],
    ['change.adopted', { log: logId, records: 3, head: digest, parts: [digest] }],
    ['approval.judged', { revision: 1, planDigest: digest, approver: 'person:ana', acceptance: { effect: 'refuse', reasons, controls }, provenance }],
    ['approval.rejected', { approval, comment: { commitment: digest }, channel: 'slack', authentication }, 'person:ana'],
    ['approval.recorded', { approval: { ...approval, use: 3 }, comment: null }, 'person:ana'],
    ['approval.rejected', { approval, comment: null, outcome: 'open' }, 'person:ana'],
    ['approval.escalated', { revision: 1, to: ['person:ben'], dueAt: formatTime(START_MS) }],
    ['breakglass.rotated', { change }],
    ['step.failed', { report: failed({ outcome: 'failed', code: 'sql-42501', detail: 'permission denied' }) }, EXECUTOR], ['step.refused', { report: failed({ outcome: 'drifted' }) }, EXECUTOR],
    ['step.failed', { report: unread('failed') }, EXECUTOR], ['step.refused', { report: unread('refused') }, EXECUTOR],
    ['step.ambiguous', { report: failed({ outcome: 'ambiguous' }) }, EXECUTOR], ['step.ambiguous', { stepId: told.now.act!.stepId, cause: 'deadline' }],
    ['lease.redecided', { leaseId, redecision: { effect: 'revoke', reasons, controls }, provenance, held: { revokes: 4, leases: 5 } }],
    ['delivery.sealed', { stepId: told.now.act!.stepId, seal: { recipient: `age1${'q'.repeat(58)}`, ciphertext: digest, fingerprint: 'ab'.repeat(32), replaces: null } }],
    ['delivery.acknowledged', { ciphertext: digest }], ['delivery.undeliverable', { ciphertext: digest, reason: 'nobody fetched it' }],
    ['finding.opened', { code: 'revoke-overdue', message: 'nobody has said that it is gone', owner: 'person:sam' }], ['finding.closed', { code: 'revoke-overdue' }],
    ['item.settled', { item: 0, outcome: 'open', owner: 'person:sam', detail: 'the target does not answer' }],
    ['ledger.restored', { size: 4, root: digest, had: 2, source: 'CS_LEDGER' }], ['ledger.adopted', { checkpoint: 'old', earlier: [], changes: 1, records: 3, ahead: [] }],
    ['outbox.refilled', { stream: 'CS_STEPS', missing: 2, from: null, changes: [change] }],
    ['messages.refused', { executor: EXECUTOR, refused: [{ run: null, code: 'bad-signature', count: 3 }, { run: null, code: 'no-receipt', count: 1 }] }],
    ['facts.loaded', { facts: digest }], ['key.rotated', { old: 'old+key', new: 'new+key', oldSignature: 'AAAA', newSignature: 'AAAA' }], ['erasure', { erased: [digest], basis: { commitment: digest } }],
    ['lock.set', { lockId, nhi: 'nhi:prod/ci-deployer', connector: null, reason: 'it behaves oddly' }, 'person:olga'], ['lock.lifted', { lockId, reason: null }, 'person:olga'],
    ['lock.set', { lockId, nhi: null, connector: 'pg-main', reason: 'it behaves oddly' }], ['lock.lifted', { lockId, reason: null }], ['lock.lifted', { lockId, reason: null }],
    ['reconcile.ordered', { findingId: FINDING, order: reportStory().provision.now.lease!.order }], ['reconcile.proposed', { findingId: FINDING, change, reasons, provenance }],
    ['reconcile.cleared', { findingId: FINDING, discoveryId: reconciliation().discoveryId, evidence: [digest] }], ['reconcile.cleared', { findingId: FINDING, discoveryId: reconciliation().discoveryId, evidence: [digest] }],
  ];
}

/** Each action of a step, done. */
function stepRecords(told: Telling): readonly (readonly [string, JsonObject, string?])[] {
  const ticket = actTicketSchema.parse(JSON.parse(Buffer.from(told.now.act!.ticket.payload, 'base64').toString()));
  const report = signDsse(REPORT_TYPE, acted(told).content, keys.executor);
  return STEP_ACTIONS.flatMap((action) => {
    const step: PlanStep = { ...ticket.step, action, privileges: action === 'cutover' ? [] : ['role:deploy'] };
    const authorised = { kind: 'act', revision: 1, stepId: step.stepId, issue: 1, ticket: signDsse(TICKET_TYPE, { ...ticket, step }, keys.ticket), planDigest: digest, requirement: { approvers: null, proofClass: 'session' }, approvals: [], lease: null };
    return [['step.authorised', authorised], ['step.succeeded', { report }, EXECUTOR]];
  });
}

const ofChange = (type: string): boolean => !/^(ledger|outbox|messages|facts|key|erasure|lock|reconcile|bundle|proposal|standing)/.test(type);

function everyKind(): { readonly events: readonly JsonObject[]; readonly records: readonly LedgerRecord[] } {
  const told = dispatched();
  const [asked, ...further] = furtherRecords(told);
  const draft = ([type, body, actor = sidecar]: readonly [string, JsonObject, string?]): DraftWithObjects => ({
    draft: { v: newestVersion(type), change: ofChange(type) ? told.changeId : null, type, at: formatTime(START_MS), actor, body, objects: [] }, objects: [],
  });
  const yes = verdictOn(2, 'person:ana');
  const standing = standingOf(TEMPLATE);
  const drafts = [
    ...reportStory().lines, ...[asked!, ...stepRecords(told), ...further].map(draft), ...reconciliation({}, { code: 'access-returned', change: told.changeId }).drafts,
    proposed(2), approved(2, yes, 'person:ana'), rejected(2, verdictOn(2, 'person:ben', { verdict: 'reject' }), 'person:ben'), activated(2, [yes]), activated(null, null), givenBy(standing), revokedBy(standing),
  ];
  const records = drafts.map(({ draft: one }, seq): LedgerRecord => ({ ...one, seq, prev: null, changeSeq: null, changePrev: null }));
  const events: JsonObject[] = [];
  const onlooker = toldEvents({ log: LOG, version: '0.1.0', span: { fromMs: null, toMs: null }, take: (event) => void events.push(event) });
  for (const record of records) onlooker.record(record);
  onlooker.violation({ code: 'self-approval', seq: 3, changeId: told.changeId, message: 'whoever asked has approved' });
  return { events, records };
}

const classOf = (event: JsonObject): number => event['class_uid'] as number;
const kindOf = (event: JsonObject): string => `${codeOf(event)}: ${event['type_name'] as string}`;
const codeOf = (event: JsonObject): string => (event['metadata'] as JsonObject)['event_code'] as string;

describe('what is told as what', () => {
  const { events, records } = everyKind();
  const listed = new Map([.../\| record \| told as \|[^]*?\n\n/.exec(PAGE)![0].matchAll(/^\| `([a-z]+(?:\.[a-zA-Z]+)?)` \| ([^|]+) \|$/gm)].map(([, type, as]) => [type!, as!]));
  const notTold = new Set([.../^Not told: (.*)$/m.exec(PAGE)![1]!.matchAll(/`([^`]+)`/g)].map(([, type]) => type!));

  it('is on the page, for each type of record there is, and no type is left out unsaid', () => {
    const made = new Map<string, Set<string>>();
    for (const event of events) {
      const byStep = codeOf(event).startsWith('step.') && classOf(event) === USER_MANAGEMENT;
      made.set(codeOf(event), (made.get(codeOf(event)) ?? new Set()).add(`${classOf(event)} ${byStep ? 'by what the step does' : (event['activity_name'] as string)}`));
    }
    expect(Object.fromEntries([...made].map(([type, as]) => [type, [...as].sort().join(', ')]))).toEqual(Object.fromEntries(listed));
    expect([...RECORD_TYPES, 'workflow.violation'].filter((type) => !made.has(type)).sort()).toEqual([...notTold].sort());
  });

  it('names the log and the record, and gives the hash by which it is in the log', () => {
    const first = events.find((event) => codeOf(event) === 'change.requested')!;
    const { sequence, uid, correlation_uid: change } = first['metadata'] as { sequence: number; uid: string; correlation_uid: string };
    expect(uid).toBe(`${logId}/${sequence}`);
    expect(change).toBe(records[sequence]!.change);
    expect(first['unmapped']).toMatchObject({ checkpoint: { size: LOG.size, root: LOG.root } });
    const { seq, prev, change: of, changeSeq, changePrev, ...rest } = records[sequence]!;
    // RFC 8785 of it, written out here and not by what is tested.
    const canonical = (value: unknown): string => (Array.isArray(value) ? `[${value.map(canonical).join(',')}]` : value !== null && typeof value === 'object' ? `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical((value as JsonObject)[name])}`).join(',')}}` : JSON.stringify(value));
    expect((first['unmapped'] as JsonObject)['leafHash']).toBe(`sha256:${Buffer.from(leafHash(Buffer.from(canonical({ seq, prev, change: of, changeSeq, changePrev, ...rest })))).toString('hex')}`);
    expect(new Set(events.map((event) => (event['metadata'] as JsonObject)['uid'])).size).toBe(events.length);
  });

  it('says when it happened as the executor has signed it, and when it was recorded', () => {
    const late: JsonObject[] = [];
    const onlooker = toldEvents({ log: LOG, version: '0.1.0', span: { fromMs: null, toMs: null }, take: (event) => void late.push(event) });
    const recordedMs = START_MS + 1_000_000_000;
    for (const record of records.filter(({ type }) => ['lease.ended', 'step.failed'].includes(type))) onlooker.record({ ...record, at: formatTime(recordedMs) });
    expect(late.length).toBeGreaterThan(2);
    for (const [n, event] of late.entries()) {
      const { report } = records.filter(({ type }) => ['lease.ended', 'step.failed'].includes(type))[n]!.body as unknown as { readonly report: Dsse };
      const { at } = JSON.parse(Buffer.from(report.payload, 'base64').toString()) as { readonly at: string };
      expect(event['time']).toBe(Date.parse(at));
      expect((event['metadata'] as JsonObject)['logged_time']).toBe(recordedMs);
    }
  });

  it('says how a step ended as the executor has signed it, and not as the record that holds it is called', () => {
    const told = dispatched();
    const [{ order }] = [reportStory().provision.now.lease!];
    const gone = reportStory().lines.find(({ draft: { type } }) => type === 'lease.ended')!.draft.body as unknown as { readonly report: Dsse };
    const revoked = JSON.parse(Buffer.from(gone.report.payload, 'base64').toString()) as JsonObject;
    const cases: readonly (readonly [type: string, body: JsonObject, status: string])[] = [
      ...(['done', 'already-absent', 'refused', 'drifted', 'immutable', 'failed', 'ambiguous'] as const).map((outcome) => ['step.succeeded', { report: signDsse(REPORT_TYPE, acted(told, { outcome }).content, keys.executor) }, outcome === 'ambiguous' ? 'Unknown' : ['done', 'already-absent'].includes(outcome) ? 'Success' : 'Failure'] as const),
      ...(['done', 'mismatch', 'failed'] as const).map((outcome) => ['lease.ended', { order, report: signDsse(REPORT_TYPE, { ...revoked, outcome }, keys.executor) }, outcome === 'done' ? 'Success' : 'Failure'] as const),
    ];
    for (const [type, body, status] of cases) {
      const events: JsonObject[] = [];
      const onlooker = toldEvents({ log: LOG, version: '0.1.0', span: { fromMs: null, toMs: null }, take: (event) => void events.push(event) });
      onlooker.record({ v: newestVersion(type), seq: 0, prev: null, change: told.changeId, changeSeq: null, changePrev: null, type, at: formatTime(START_MS), actor: EXECUTOR, body, objects: [] });
      expect(events.map((event) => event['status']), `${type} ${JSON.stringify((events[0]?.['unmapped'] as JsonObject | undefined)?.['outcome'])}`).toEqual([status]);
    }
  });

  it('says of an approval that was given beforehand that it was used, and not that she approved then', () => {
    const used = events.filter((event) => codeOf(event) === 'approval.recorded' && (event['unmapped'] as JsonObject)['use'] !== undefined);
    expect(used).toMatchObject([{ actor: { app_uid: sidecar }, disposition: 'Allowed', unmapped: { use: 3, approver: 'person:ana' } }]);
    const given = events.filter((event) => codeOf(event) === 'approval.recorded' && !used.includes(event));
    expect(given.length).toBeGreaterThan(0);
    for (const event of given) expect(event).toMatchObject({ actor: { user: { type: 'User' } }, disposition: 'Approved' });
  });

  it('says of a rejection whether it was enough, where one alone may not be', () => {
    const outcomes = events.filter((event) => codeOf(event) === 'approval.rejected').map((event) => (event['unmapped'] as JsonObject)['outcome']);
    expect(outcomes).toContain('open');
  });

  it('names the approvals that a decision counts no more', () => {
    const dropped: JsonObject[] = [];
    const onlooker = toldEvents({ log: LOG, version: '0.1.0', span: { fromMs: null, toMs: null }, take: (event) => void dropped.push(event) });
    const record = records.find(({ type, body }) => type === 'policy.decided' && body['phase'] === 'dispatch')!;
    onlooker.record(record);
    onlooker.record({ ...record, body: { ...record.body, uncounted: [`apr_${'b'.repeat(32)}`] } });
    expect(dropped.map((event) => (event['unmapped'] as JsonObject)['uncounted'])).toEqual([undefined, [`apr_${'b'.repeat(32)}`]]);
  });

  it('tells a rule that is broken twice by one record twice, and claims no time at which that was recorded', () => {
    const found: JsonObject[] = [];
    const onlooker = toldEvents({ log: LOG, version: '0.1.0', span: { fromMs: null, toMs: null }, take: (event) => void found.push(event) });
    for (const message of ['record 4 of the log before', 'record 5 of the log before']) onlooker.violation({ code: 'report-signature', seq: 3, changeId: 'chg_x', message });
    const [first, second] = found.map((event) => event['metadata'] as JsonObject);
    expect([first!['uid'], second!['uid']]).toEqual([`${logId}/3/report-signature/chg_x`, `${logId}/3/report-signature/chg_x/2`]);
    expect(new Set(found.map((event) => (event['finding_info'] as JsonObject)['uid'])).size).toBe(2);
    expect(first).not.toHaveProperty('logged_time');
  });

  it('tells of whom a lock was that is lifted, and only while it is open', () => {
    const lifted = events.filter((event) => codeOf(event) === 'lock.lifted');
    expect(lifted.map((event) => event['type_name'])).toEqual(['User Management: Unlock', 'Entity Management: Resume', 'Entity Management: Resume']);
    expect(lifted.map((event) => (event['user'] ?? event['entity']) as JsonObject).map((one) => one['uid'])).toEqual(['nhi:prod/ci-deployer', 'pg-main', expect.stringMatching(/^lck_/)]);
  });

  it('leaves out what people wrote, and what is sealed', () => {
    const text = JSON.stringify(events);
    for (const hidden of ['the nightly export', 'not used any more', 'the exports stand still', 'abababab', 'commitment']) expect(text).not.toContain(hidden);
  });
});

describe.runIf(hasPublishedSchema())(`each kind of event (schema ${PUBLISHED_VERSION}; User Management, which is newer: its attributes, under numbers of a table here)`, () => {
  const { events } = everyKind();
  const validators = new Map<number, ValidateFunction>();
  /** Of OCSF 1.9.0-dev of 22 July 2026, `events/iam/user_management.json`: 0 to 19, and 99. */
  const activities = [...Array(20).keys(), 99];
  beforeAll(() => {
    const schemas = publishedSchemas([2003, 2004, 3004, 3005, 6002]);
    for (const [uid, schema] of schemas) validators.set(uid === 3005 ? USER_MANAGEMENT : uid, validatorOf(uid === 3005 ? asUserManagement(schema, activities) : schema));
  });

  it.each([...new Set(events.map(kindOf))])('%s', (kind) => {
    for (const event of events.filter((one) => kindOf(one) === kind)) {
      const validate = validators.get(classOf(event))!;
      validate(event);
      expect(validate.errors ?? [], JSON.stringify(event)).toEqual([]);
      expect(event['type_uid']).toBe(classOf(event) * 100 + (event['activity_id'] as number));
    }
  });

  it('is refused with a member that no class has, another number or no user', () => {
    const event = events.find((one) => classOf(one) === USER_MANAGEMENT)!;
    const validate = validators.get(USER_MANAGEMENT)!;
    const { user: _user, ...nobody } = event;
    for (const wrong of [{ ...event, shoe_size: 44 }, { ...event, activity_id: 20 }, { ...event, class_uid: 3005 }, nobody, { ...event, privileges: 'all' }]) expect(validate(wrong)).toBe(false);
  });
});

describe('countersign evidence ocsf', () => {
  let desk: Desk;
  let ledger: Awaited<ReturnType<typeof writeReportLedger>>;
  beforeAll(async () => {
    desk = openDesk();
    ledger = await writeReportLedger();
  });
  afterAll(() => {
    desk.remove();
    ledger.remove();
  });
  const ocsf = (...more: string[]): ReturnType<Desk['run']> => desk.run('evidence', 'ocsf', join(ledger.directory, 'ledger'), '--trust', join(ledger.directory, 'trust'), '--no-replay', '--threads', '0', ...more);
  const eventsIn = (text: string): JsonObject[] => text.split('\n').slice(0, -1).map((line) => JSON.parse(line) as JsonObject);

  it('tells a verified ledger, line by line, with the time that its executors have signed', async () => {
    const { exit, stdout, stderr } = await ocsf();
    expect(exit, stderr).toBe(0);
    const events = eventsIn(stdout);
    const seqs = events.map((event) => (event['metadata'] as { sequence: number }).sequence);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    const gone = events.find((event) => codeOf(event) === 'lease.ended' && (event['metadata'] as JsonObject)['correlation_uid'] === ledger.story.grant.changeId)!;
    expect(gone).toMatchObject({ type_uid: 300_715, user: { uid: 'nhi:prod/ci-deployer', name: 'ci_deployer', domain: 'pg-main/app' }, privileges: ['role:deploy'], status: 'Success', actor: { app_uid: EXECUTOR }, unmapped: { orderedBy: 'person:olga' } });
    expect(stdout).toContain(JSON.stringify(HOSTILE.privilege).slice(1, -1));
    // To a file it is the same, and a part of the time is a part of it.
    const written = await ocsf('--json', '--out', 'events.jsonl', '--from', formatTime(START_MS + 9_000_000));
    const later = eventsIn(readFileSync(join(desk.directory, 'events.jsonl'), 'utf8'));
    expect(JSON.parse(written.stdout)).toMatchObject({ exit: 0, ocsf: '1.9.0', events: later.length });
    expect(later).toEqual(events.filter((event) => (event['metadata'] as { logged_time: number }).logged_time >= START_MS + 9_000_000));
  });

  it.each([...PAGE.matchAll(/^countersign (evidence ocsf [^>\n]*?)(?: > .*)?$/gm)].map(([, line]) => line!))('does what the page says: %s', async (line) => {
    const { exit, stdout, stderr } = await desk.with({ cwd: ledger.directory }).run(...line.split(' '));
    expect(exit, stderr).toBe(0);
    expect(stdout.length).toBeGreaterThan(40);
  });

  it('tells an evidence pack of the same', async () => {
    writeFileSync(join(desk.directory, 'one.pack'), await ledger.pack({ change: ledger.story.grant.changeId }));
    const { exit, stdout } = await desk.run('evidence', 'ocsf', 'one.pack', '--trust', join(ledger.directory, 'trust'), '--no-replay');
    // A pack of a ledger that states no heads does not show that it is whole.
    expect(exit).toBe(3);
    expect(eventsIn(stdout).filter((event) => (event['metadata'] as JsonObject)['correlation_uid'] === ledger.story.grant.changeId).map(codeOf)).toContain('lease.ended');
  });

  it('says what WORKFLOW finds broken, as a finding that fails', async () => {
    const { exit, stdout } = await ocsf('--trust', join(ledger.directory, 'strict'));
    expect(exit).toBe(1);
    expect(eventsIn(stdout).filter((event) => codeOf(event) === 'workflow.violation').length).toBeGreaterThan(0);
  });

  it('tells nothing of a ledger that does not hold', async () => {
    const path = join(ledger.directory, 'ledger', 'checkpoint');
    const kept = readFileSync(path, 'latin1');
    writeFileSync(path, kept.replace(/.{8}\n$/, 'AAAAAAA=\n'), 'latin1');
    const { exit, stdout, stderr } = await ocsf('--out', 'nothing.jsonl').finally(() => writeFileSync(path, kept, 'latin1'));
    expect(exit).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('SIGNATURE');
    expect(() => readFileSync(join(desk.directory, 'nothing.jsonl'))).toThrow();
  });
});

describe('a line', () => {
  it('is ended by nothing that others wrote, and turned around by nothing either', () => {
    const written = lineOf({ desc: 'a\u2028b\u202ec\nd\u0085e' });
    expect(written).toBe('{"desc":"a\\u2028b\\u202ec\\nd\\u0085e"}\n');
    expect(JSON.parse(written)).toEqual({ desc: 'a\u2028b\u202ec\nd\u0085e' });
    // All that a terminal is kept from as well.
    const unseen = 'a\u061cb\u200bc\u2060d\u{e0041}e';
    expect(plain(lineOf({ desc: unseen }).trimEnd())).toBe(lineOf({ desc: unseen }).trimEnd());
    expect(JSON.parse(lineOf({ desc: unseen }))).toEqual({ desc: unseen });
  });
});
