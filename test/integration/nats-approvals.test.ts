/** What is told on a real bus, and what people decide at another sidecar: who hears it, what is believed, and what is refused. */
import { jetstreamManager } from '@nats-io/jetstream';
import { headers as newHeaders, connect, nkeyAuthenticator, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { canonicalBytes, canonicalText, generateSignerKey, logIdOf, parseSigner, parseVerifier, type Signer } from '../../ledger/index.ts';
import { readPayload, openDsse, payloadDigest, signDsse } from '../../src/protocol/dsse.ts';
import { commitmentTo, type Disclosure } from '../../src/protocol/disclosure.ts';
import { RELAYED_VERDICT_TYPE, relayedVerdictSchema, type RelayedVerdict, type RelayContext } from '../../src/protocol/relayed-verdict.ts';
import { approvalStatementSchema, APPROVAL_TYPE, type Dsse } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { verdictTaker } from '../../src/sidecar/relay.ts';
import type { ChangeView, Evidence } from '../../src/sidecar/schemas.ts';
import { event, laneOf, verdict, STREAMS } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { cloudEventSchema, eventSender } from '../../src/transport/nats/events.ts';
import { inboxOf } from '../../src/transport/nats/server-config.ts';
import { answerVerdicts, sendVerdict, type VerdictAnswer } from '../../src/transport/nats/verdicts.ts';
import { eventually } from '../conformance/transport.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { GRANT, openTestSidecar, type TestSidecar } from '../support/sidecar.ts';
import { otherId } from '../support/ids.ts';

/** What people write beside their verdicts. */
const SEEN: Disclosure = { v: 1, salt: 'A'.repeat(22), kind: 'disclosure', name: 'comment', value: 'seen there' };
const NOT_TONIGHT: Disclosure = { ...SEEN, salt: 'B'.repeat(22), value: 'not tonight' };

const EXECUTOR = 'executor:main';
const CALLER = 'nhi:prod/ci-deployer';
const ELSEWHERE = logIdOf('other.example/log');
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const never = new AbortController().signal;
const keyOf = (name: string, seed: number): Signer => parseSigner(generateSignerKey(name, new Uint8Array(32).fill(seed)).skey);
const other = keyOf('other.example/tickets', 70);
const thief = keyOf('other.example/tickets', 71);

describe.skipIf(!hasNats())('on a real bus', () => {
  let nats: TestNats;
  const open: { close(): Promise<unknown> }[] = [];
  const bus = (seed: string, inboxPrefix: string): Bus => {
    const opened = openBus({ servers: nats.urls, seed, name: 'test', inboxPrefix, logger });
    open.push(opened);
    return opened;
  };
  const rawAs = async (seed: string, inboxPrefix: string): Promise<NatsConnection> => {
    const connection = await connect({ servers: [...nats.urls], inboxPrefix, authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed))) });
    open.push(connection);
    return connection;
  };
  const isUp = async (one: Bus): Promise<Bus> => {
    await eventually(() => one.isUp);
    return one;
  };
  beforeAll(async () => {
    nats = await testNats([EXECUTOR]);
  });
  afterAll(() => nats.close());
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
  });

  describe('what happens', () => {
    const body = (record: number): string => JSON.stringify({
      type: 'approval.decided', timestamp: '2026-11-23T19:00:00.000Z',
      data: { changeId: `chg_${ELSEWHERE}_01M8571XRWJ2028CSGVGJ3QSF9`, record, kind: 'grant', subject: CALLER, revision: 1, planDigest: `sha256:${'0'.repeat(64)}`, approver: 'person:wei', verdict: 'approve', pending: false },
    });
    const messageOf = (n: number): { readonly id: string; readonly body: string } => ({ id: `msg_${String(n).padStart(32, '0')}`, body: body(n) });

    test('is told as CloudEvents that a stream holds, each once by its id, to whoever may listen', async () => {
      const sidecar = await isUp(bus(nats.seeds.sidecar, '_INBOX_a'));
      const manager = await jetstreamManager(sidecar.up());
      await manager.streams.delete(STREAMS.events).catch(() => undefined);
      await setUpBus(sidecar.up(), planBus([EXECUTOR], 1));
      const listener = await rawAs(nats.seeds.listener, '_INBOX_l');
      const heard: Msg[] = [];
      listener.subscribe('cs.event.>', { callback: (_error, message) => void heard.push(message) });
      await listener.flush();
      const send = eventSender(sidecar, ELSEWHERE);
      expect(await send(messageOf(1), never)).toEqual({ delivered: true });
      expect(await send(messageOf(1), never)).toEqual({ delivered: true });
      expect(await send(messageOf(2), never)).toEqual({ delivered: true });
      expect((await manager.streams.info(STREAMS.events)).state.messages).toBe(2);
      await eventually(() => new Set(heard.map((message) => message.string())).size === 2);
      const [first] = heard;
      expect(first!.subject).toBe(event(ELSEWHERE, 'approval.decided'));
      expect(first!.headers?.get('content-type')).toBe('application/cloudevents+json; charset=utf-8');
      expect(cloudEventSchema.parse(first!.json())).toEqual({
        specversion: '1.0', id: messageOf(1).id, source: `urn:countersign:${ELSEWHERE}`, type: 'dev.countersign.approval.decided', subject: `chg_${ELSEWHERE}_01M8571XRWJ2028CSGVGJ3QSF9`,
        time: '2026-11-23T19:00:00.000Z', datacontenttype: 'application/json', data: (JSON.parse(body(1)) as { data: object }).data,
      });
    });

    test('is not told, and said not to be, while nothing holds it', async () => {
      const sidecar = await isUp(bus(nats.seeds.sidecar, '_INBOX_a'));
      const manager = await jetstreamManager(sidecar.up());
      await manager.streams.delete(STREAMS.events).catch(() => undefined);
      expect(await eventSender(sidecar, ELSEWHERE)(messageOf(3), never)).toMatchObject({ delivered: false, gone: false });
      await sidecar.close();
      expect(await eventSender(sidecar, ELSEWHERE)(messageOf(3), never)).toMatchObject({ delivered: false, gone: false });
    });

    test('is all that a listener hears, and it says nothing; a worker hears none of it', async () => {
      const sidecar = await isUp(bus(nats.seeds.sidecar, '_INBOX_a'));
      const listener = await rawAs(nats.seeds.listener, '_INBOX_l');
      const worker = await rawAs(nats.seeds.executors.get(EXECUTOR)!, inboxOf(laneOf(EXECUTOR)));
      let heard = 0;
      let overheard = 0;
      for (const subject of ['cs.step.>', 'cs.ack.>', 'cs.say.>', 'cs.verdict.>', '>']) listener.subscribe(subject, { callback: (error) => void (heard += error === null ? 1 : 0) });
      for (const subject of ['cs.event.>', 'cs.verdict.>']) worker.subscribe(subject, { callback: (error) => void (heard += error === null ? 1 : 0) });
      const another = await rawAs(nats.seeds.listener, '_INBOX_l2');
      another.subscribe('cs.event.x.said', { callback: () => void (overheard += 1) });
      await another.flush();
      sidecar.up().subscribe('cs.event.x.said', { callback: () => void (overheard += 1) });
      sidecar.up().subscribe(verdict(ELSEWHERE), { callback: () => void (overheard += 1) });
      await sidecar.up().flush();
      for (const one of [listener, worker]) {
        one.publish('cs.event.x.said', 'x');
        one.publish(verdict(ELSEWHERE), 'x', { headers: newHeaders() });
        await one.flush();
      }
      for (const subject of ['cs.step.main.act.x.y', 'cs.ack.main.x', 'cs.verdict.x']) sidecar.up().publish(subject, 'x');
      await sidecar.up().flush();
      for (const one of [listener, worker, another]) await one.flush();
      expect([heard, overheard]).toEqual([0, 0]);
    });
  });

  describe('a verdict that was given at another sidecar', () => {
    let home: TestSidecar;
    let change: ChangeView;
    let there: Bus;
    let nowMs = Date.now();
    let relays: readonly string[] = [ELSEWHERE];
    beforeEach(async () => {
      nowMs = Date.now();
      relays = [ELSEWHERE];
      home = await openTestSidecar();
      open.push(home);
      change = await home.change(CALLER, GRANT);
      there = await isUp(bus(nats.seeds.sidecar, '_INBOX_b'));
      const here = await isUp(bus(nats.seeds.sidecar, '_INBOX_a'));
      listen(here);
      // Until the server knows that somebody listens, nobody does.
      await here.up().flush();
    });
    const context = (): RelayContext => ({
      trust: { ...home.trust, sidecars: new Map([...home.trust.sidecars, [ELSEWHERE, [parseVerifier(other.vkey)]]]) }, log: home.log.logId, relays: new Set(relays), nowMs,
    });
    const listen = (at: Bus): void => answerVerdicts({ bus: at, log: home.log.logId, take: verdictTaker(home.engine, context, logger), logger });
    const content = (edit: Partial<RelayedVerdict> = {}): RelayedVerdict => ({
      v: 2, log: home.log.logId, changeId: change.id, planDigest: change.planDigest!, verdict: 'approve', approver: 'person:wei', comment: commitmentTo(SEEN), relayedBy: ELSEWHERE,
      notBefore: formatTime(nowMs), notAfter: formatTime(nowMs + 60_000), ...edit,
    });
    const signed = (edit: Partial<RelayedVerdict> = {}, by: Signer = other): Dsse => signDsse(RELAYED_VERDICT_TYPE, content(edit), by);
    const ask = (envelope: Dsse, disclosure: Disclosure | null = SEEN): Promise<VerdictAnswer> => sendVerdict(there, home.log.logId, { v: 1, verdict: envelope, disclosure });
    const approvals = async (): Promise<Evidence['records']> =>
      ((await home.send(CALLER, 'GET', change.links.evidence)).body as Evidence).records.filter(({ type }) => ['approval.recorded', 'approval.rejected'].includes(type));

    test('is decided as if she had come here: an approval of this log, with what was signed there beside it', async () => {
      const envelope = signed();
      expect(await ask(envelope)).toMatchObject({ v: 1, ok: true });
      const [recorded, ...more] = await approvals();
      expect(more).toEqual([]);
      expect(recorded).toMatchObject({ type: 'approval.recorded', actor: 'person:wei', body: { comment: commitmentTo(SEEN), relayed: envelope } });
      // The words are in the disclosure alone, which can be erased: also of what was signed elsewhere.
      expect(JSON.parse(Buffer.from((await home.log.object(recorded!.objects[0]!))!).toString())).toEqual(SEEN);
      expect(Buffer.from(envelope.payload, 'base64').toString()).not.toContain(SEEN.value);
      const { approval } = recorded!.body as { approval: { envelope: Dsse } };
      const statement = openDsse(approval.envelope, APPROVAL_TYPE, approvalStatementSchema, [parseVerifier(home.ticketSigner.vkey)]);
      expect(statement).toMatchObject({ log: home.log.logId, changeId: change.id, planDigest: change.planDigest, verdict: 'approve', approver: 'person:wei' });
      expect(readPayload(recorded!.body['relayed'] as Dsse, relayedVerdictSchema)).toMatchObject({ relayedBy: ELSEWHERE });
    });

    test('and a rejection ends the change: nothing that was signed before opens it again', async () => {
      const before = signed();
      const rejection = signed({ verdict: 'reject', comment: commitmentTo(NOT_TONIGHT) });
      expect(await ask(rejection, NOT_TONIGHT)).toEqual({ v: 1, ok: true, state: 'rejected' });
      expect(await ask(rejection, NOT_TONIGHT)).toMatchObject({ ok: false, code: 'already-decided' });
      expect(await ask(before)).toMatchObject({ ok: false, code: 'already-decided' });
      expect((await approvals()).map(({ type }) => type)).toEqual(['approval.rejected']);
    });

    test('that comes again changes nothing, and is refused once it is not good any more', async () => {
      const envelope = signed();
      expect(await Promise.all([ask(envelope), ask(envelope), ask(envelope)])).toMatchObject([{ ok: true }, { ok: true }, { ok: true }]);
      expect(await ask(envelope)).toMatchObject({ ok: true });
      expect(await approvals()).toHaveLength(1);
      nowMs += 60_001;
      expect(await ask(envelope)).toMatchObject({ ok: false, code: 'outside-window' });
    });

    test('that comes again after the plan has changed approves nothing', async () => {
      const envelope = signed();
      const revised = (await home.send(CALLER, 'POST', `/v1/changes/${change.id}/revisions`, { ...GRANT, reason: 'another release' })).body as ChangeView;
      expect(revised.revision).toBe(2);
      expect(await ask(envelope)).toMatchObject({ ok: false, code: 'plan-changed' });
      expect(await approvals()).toEqual([]);
    });

    const spelled = (edit: (text: string) => string): Dsse => {
      const bytes = Buffer.from(edit(canonicalText(content())));
      const good = signed();
      return { ...good, payload: bytes.toString('base64'), signatures: [{ keyid: other.keyName, sig: Buffer.from(other.sign(Buffer.concat([Buffer.from(`DSSEv1 ${RELAYED_VERDICT_TYPE.length} ${RELAYED_VERDICT_TYPE} ${bytes.length} `), bytes]))).toString('base64') }] };
    };
    const cases: readonly (readonly [string, string, () => Dsse, disclosure?: Disclosure | null])[] = [
      ['with other words than were signed', 'malformed', () => signed(), NOT_TONIGHT],
      ['without the words that were signed', 'malformed', () => signed(), null],
      ['with words where none were signed', 'malformed', () => signed({ comment: null })],
      ['with words under another name', 'malformed', () => signed({ comment: commitmentTo({ ...SEEN, name: 'reason' }) }), { ...SEEN, name: 'reason' }],
      ['signed by another key of that name', 'bad-signature', () => signed({}, thief)],
      ['with a forged signature under the known key', 'bad-signature', () => ({ ...signed(), signatures: [{ keyid: other.keyName, sig: Buffer.alloc(64, 7).toString('base64') }] })],
      ['altered after it was signed', 'bad-signature', () => ({ ...signed(), payload: signed({ approver: 'person:ana' }).payload })],
      ['that was signed as an approval', 'bad-signature', () => ({ ...signDsse(APPROVAL_TYPE, content(), other), payloadType: RELAYED_VERDICT_TYPE })],
      ['that calls itself an approval', 'bad-signature', () => signDsse(APPROVAL_TYPE, content(), other)],
      ['in the name of another log', 'unknown-sidecar', () => signed({ relayedBy: logIdOf('third.example/log') })],
      ['in the name of this very log', 'unknown-sidecar', () => signed({ relayedBy: home.log.logId }, home.ticketSigner)],
      ['for another log', 'wrong-audience', () => signed({ log: ELSEWHERE })],
      ['on a change of another log', 'wrong-audience', () => signed({ changeId: change.id.replace(home.log.logId, ELSEWHERE) })],
      ['that is not good any more', 'outside-window', () => signed({ notBefore: formatTime(nowMs - 60_001), notAfter: formatTime(nowMs) })],
      ['that is not good yet', 'outside-window', () => signed({ notBefore: formatTime(nowMs + 1) })],
      ['that would be good for an hour', 'outside-window', () => signed({ notAfter: formatTime(nowMs + 3_600_000) })],
      ['signed with a space in it', 'malformed', () => spelled((text) => text.replace(':', ': '))],
      ['signed with a key twice', 'malformed', () => spelled((text) => `${text.slice(0, -1)},"v":1}`)],
      ['with a field too many', 'malformed', () => spelled((text) => `{"also":1,${text.slice(1)}`)],
      ['by a machine', 'malformed', () => signed({ approver: CALLER })],
      ['by somebody who is not asked', 'not-an-approver', () => signed({ approver: 'person:mallory' })],
      ['on another plan', 'plan-changed', () => signed({ planDigest: `sha256:${'1'.repeat(64)}` })],
      ['on a change that there is not', 'no-such-change', () => signed({ changeId: otherId(change.id) })],
      ['that rejects and does not say why', 'invalid-request', () => signed({ verdict: 'reject', comment: null }), null],
    ];
    test.each(cases.map(([name, code, make, disclosure]) => ({ name, code, make, disclosure })))('$name is refused: $code', async ({ code, make, disclosure }) => {
      expect(await ask(make(), disclosure)).toMatchObject({ v: 1, ok: false, code });
      expect(await approvals()).toEqual([]);
      // And the next one is heard.
      expect(await ask(signed())).toMatchObject({ ok: true });
    });

    test('is refused where nobody may relay, and by a log that may, once it may no more', async () => {
      relays = [];
      expect(await ask(signed())).toMatchObject({ ok: false, code: 'unknown-sidecar' });
      expect(await approvals()).toEqual([]);
    });

    test('that is no message, or too large for one, is refused, and the next one is heard', async () => {
      const raw = async (data: Uint8Array | string): Promise<unknown> => (await there.up().request(verdict(home.log.logId), data, { timeout: 10_000 })).json();
      const good = canonicalBytes({ v: 1, verdict: signed(), disclosure: SEEN });
      for (const data of ['', 'approve', Buffer.from([0xff]), Buffer.concat([good, Buffer.alloc(20_000, ' ')])]) expect(await raw(data)).toMatchObject({ ok: false, code: 'malformed' });
      expect(await raw(good)).toMatchObject({ ok: true });
    });

    test('finds nobody where no sidecar of that log listens: then it is not known to be taken', async () => {
      await expect(sendVerdict(there, ELSEWHERE, { v: 1, verdict: signed(), disclosure: SEEN })).rejects.toMatchObject({ name: 'TransportError', code: 'unreachable' });
      expect(payloadDigest(signed())).toMatch(/^sha256:/);
    });
  });
});
