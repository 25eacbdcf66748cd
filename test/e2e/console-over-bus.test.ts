/** A console that reaches a sidecar over a real bus alone: what people do there, what the bus sees of it, and what is refused. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect as dial, createInbox, headers, nkeyAuthenticator, type Msg, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalBytes, generateSignerKey, logIdOf, parseSigner, parseVerifier, type Verifier } from '../../ledger/index.ts';
import { connect, type ChangeView, type Client } from '../../src/client/index.ts';
import { API_RECIPIENT_TYPE } from '../../src/protocol/api-call.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemClock, systemRandom } from '../../src/sidecar/system.ts';
import { answerApi } from '../../src/transport/nats/api-answers.ts';
import { callOverBus } from '../../src/transport/nats/api-calls.ts';
import { newApiIdentity } from '../../src/transport/nats/api-seal.ts';
import { API_ANSWER_BYTES_MAX, API_REFUSED, apiCalls, apiRecipient, consoleInboxOf } from '../../src/transport/nats/bus-layout.ts';
import { planBus, setUpBus } from '../../src/transport/nats/bus-setup.ts';
import { publicKeyOf } from '../../src/transport/nats/bus-user.ts';
import { openBus, type Bus } from '../../src/transport/nats/connection.ts';
import { eventually } from '../conformance/transport.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { hasNats, testNats, type TestNats } from '../support/nats.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PUBLIC_URL = 'https://console.acme.example';
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const WEI = TOKENS['person:wei']!;

describe.skipIf(!hasNats())('a console over the bus', () => {
  let nats: TestNats;
  let installation: Installation;
  let sidecar: Sidecar;
  let console_: ChildProcess;
  let address: string;
  let log: string;
  let keys: Verifier[];
  /** A user of the sidecars' account, who hears all that is said there; and one of the console's. */
  let operator: NatsConnection;
  let spy: Subscription;
  let asConsole: NatsConnection;
  let callerBus: Bus;
  let inboxPrefix: string;
  const seen: Msg[] = [];
  const open: { close(): Promise<unknown> }[] = [];
  let deployer: Client;

  const start = async (): Promise<void> => {
    sidecar = await startSidecar(await installation.config(), { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  };
  const rawAs = async (seed: string, inboxPrefix: string): Promise<NatsConnection> => {
    const connection = await dial({ servers: [...nats.urls], inboxPrefix, authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed))) });
    open.push(connection);
    return connection;
  };
  const busAs = async (seed: string, inboxPrefix: string): Promise<Bus> => {
    const bus = openBus({ servers: nats.urls, seed, name: 'test', inboxPrefix, logger });
    open.push(bus);
    await eventually(() => bus.isUp);
    return bus;
  };
  beforeAll(async () => {
    nats = await testNats([EXECUTOR_ID]);
    operator = await rawAs(nats.seeds.sidecar, '_INBOX_operator');
    await setUpBus(operator, planBus([EXECUTOR_ID], 1));
    spy = operator.subscribe('>', { callback: (_error, message) => void seen.push(message) });
    inboxPrefix = consoleInboxOf(publicKeyOf(nats.seeds.console));
    asConsole = await rawAs(nats.seeds.console, inboxPrefix);
    callerBus = await busAs(nats.seeds.console, inboxPrefix);

    installation = await makeInstallation();
    await installation.write('sidecar.seed', nats.seeds.sidecar);
    await installation.write('console.seed', nats.seeds.console);
    const config = await readFile(installation.configPath, 'utf8');
    // No port: nobody on another host reaches this socket.
    await installation.write('countersign.yaml', `${config.replace('listen: {socket: s.sock, port: 0}', 'listen: {socket: s.sock}')}nats: {servers: [${nats.urls.join(', ')}], seed: sidecar.seed, api: true}\n`);
    log = logIdOf('installation.example/ledger');
    const [listed] = JSON.parse(await readFile(join(installation.directory, 'trust/sidecars.json'), 'utf8')) as { key: string }[];
    keys = [parseVerifier(listed!.key)];
    await start();
    deployer = connect({ socket: join(installation.directory, 's.sock'), token: TOKENS['nhi:prod/ci-deployer']! });

    await installation.write('console.yaml', JSON.stringify({
      publicUrl: PUBLIC_URL, listen: { host: '127.0.0.1', port: 0 }, sidecars: 'bus', nats: { servers: nats.urls, seed: 'console.seed' }, trust: 'trust', login: { kind: 'token' }, logLevel: 'error',
    }));
    console_ = spawn(process.execPath, [join(ROOT, 'dist/src/main.js'), 'console', '--config', join(installation.directory, 'console.yaml')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: console_.stdout! }), 'line')) as [string];
    address = line.replace('listening ', '');
  });
  afterAll(async () => {
    console_.kill();
    await once(console_, 'exit');
    await sidecar.close();
    for (const one of open) await one.close();
    await nats.close();
    await installation.remove();
  });

  /** As a browser would, with what it was given to keep. */
  let cookie = '';
  const page = (path: string, form?: Record<string, string>): Promise<{ status: number; text: string }> => {
    return new Promise((resolve, reject) => {
      const body = form === undefined ? undefined : new URLSearchParams(form).toString();
      const outgoing = request(`${address}${path}`, {
        method: body === undefined ? 'GET' : 'POST', agent: false,
        headers: { host: new URL(PUBLIC_URL).host, cookie, ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length), origin: PUBLIC_URL, 'sec-fetch-site': 'same-origin' }) },
      }, (incoming) => {
        const chunks: Buffer[] = [];
        const [given] = incoming.headers['set-cookie'] ?? [];
        cookie = given?.split(';')[0] ?? cookie;
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject).on('end', () => resolve({ status: incoming.statusCode!, text: Buffer.concat(chunks).toString('utf8') }));
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  };
  const signIn = async (token: string): Promise<number> => (await page('/signin', { token, then: '/' })).status;
  const formKeyIn = (text: string): string => /name="formKey" value="([^"]+)"/.exec(text)![1]!;
  const ask = (): Promise<ChangeView> => deployer.request(GRANT, { waitSeconds: 20 });
  const addressOf = ({ id }: ChangeView, rest = ''): string => `/changes/installation-example-ledger/${id}${rest}`;
  /** What comes for a call that this test sends by itself. */
  const refusalOf = async (bytes: Uint8Array): Promise<string | undefined> => {
    const inbox = createInbox(inboxPrefix);
    const subscription = asConsole.subscribe(inbox, { max: 1 });
    asConsole.publish(apiCalls(log), bytes, { reply: inbox });
    for await (const message of subscription) return message.headers?.get(API_REFUSED);
    return undefined;
  };
  const clientWith = (believed: readonly Verifier[], about = log): Client => connect({ token: WEI, timeoutMs: 10_000, carry: callOverBus({ bus: callerBus, inboxPrefix, log: about, keys: believed, nowMs: Date.now, random: systemRandom, logger }) });

  it('has somebody sign in, see what waits, approve it, and take its evidence along', async () => {
    const change = await ask();
    expect(await signIn('cst_made-up')).not.toBe(303);
    expect(await signIn(WEI)).toBe(303);
    const inbox = await page('/');
    expect(inbox.text).toContain(change.id);
    const approved = await page(addressOf(change, '/approve'), { formKey: formKeyIn((await page(addressOf(change))).text), planDigest: change.planDigest!, comment: 'over the bus' });
    expect(approved.status).toBeLessThan(400);
    expect((await deployer.get(change.id)).approvals).toMatchObject([{ approver: 'person:wei', proofClass: 'session' }]);
    expect((await page(addressOf(change, '/evidence'))).text).toContain('approval.recorded');
    expect((await page('/ledger')).text).toContain('installation.example/ledger');
  });

  it('tells the bus neither a token nor what is asked and answered', async () => {
    const ofTheApi = seen.filter(({ subject }) => subject.startsWith('cs.api.'));
    expect(new Set(ofTheApi.map(({ subject }) => subject))).toEqual(new Set([apiRecipient(log), apiCalls(log)]));
    const answers = seen.filter(({ subject, data }) => subject.startsWith('_R_') && data.length > 0);
    expect(answers.length).toBeGreaterThan(5);
    for (const { data } of seen) {
      const text = Buffer.from(data).toString('latin1');
      for (const secret of [WEI, 'Bearer', GRANT.reason, 'planDigest', '/v1/changes']) expect(text).not.toContain(secret);
    }
  });

  it('looks at no call twice, at none that is altered, and at nothing that is none', async () => {
    const [captured] = seen.filter(({ subject }) => subject === apiCalls(log)).slice(-1);
    const altered = Uint8Array.from(captured!.data);
    altered[altered.length - 1]! ^= 1;
    expect(await refusalOf(captured!.data)).toBe('replayed');
    expect(await refusalOf(altered)).toBe('unopened');
    expect(await refusalOf(Buffer.from('{"method":"GET","path":"/v1/me"}'))).toBe('unopened');
    expect(await refusalOf(new Uint8Array(200_000))).toBe('too-large');
  });

  it('sends nothing to whom the trust folder does not know', async () => {
    const thief = parseVerifier(parseSigner(generateSignerKey('tickets.installation.example', systemRandom(32)).skey).vkey);
    const before = seen.length;
    await expect(clientWith([thief]).me()).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining('no trusted key') as unknown });
    await operator.flush();
    expect(seen.slice(before).filter(({ subject }) => subject === apiCalls(log))).toEqual([]);
  });

  it('reaches nothing of the bus but the API, not even by the reply to it', async () => {
    const before = seen.length;
    for (const subject of ['cs.step.pg-1.act.x.y', 'cs.arm.pg-1.x.y', 'cs.result.pg-1.x.y', 'cs.event.x.said', '$JS.API.STREAM.NAMES']) asConsole.publish(subject, 'x');
    asConsole.publish(apiRecipient(log), JSON.stringify({ v: 1, nonce: '0'.repeat(32) }), { reply: 'cs.arm.pg-1.x.y' });
    let heard = 0;
    for (const subject of ['cs.>', '>', '_R_.>']) asConsole.subscribe(subject, { callback: (error) => void (heard += error === null ? 1 : 0) });
    await asConsole.flush();
    operator.publish('cs.step.pg-1.act.x.z', 'x');
    await operator.flush();
    await asConsole.flush();
    expect(seen.slice(before).map(({ subject }) => subject).filter((subject) => !subject.startsWith('cs.api.') && !subject.startsWith('_R_'))).toEqual(['cs.step.pg-1.act.x.z']);
    expect(heard).toBe(0);
  });

  it('hears nothing of what another console is answered, and so cannot cut it short', async () => {
    const other = await rawAs(nats.seeds.otherConsole, consoleInboxOf(publicKeyOf(nats.seeds.otherConsole)));
    const [heard, refused]: [string[], string[]] = [[], []];
    for (const subject of [`${inboxPrefix}.>`, '_INBOX_console.>', '_INBOX_console.*.*']) {
      other.subscribe(subject, { callback: (error, message) => {
        if (error === null) heard.push(message.subject);
        else refused.push(subject);
      } });
    }
    await other.flush();
    expect((await clientWith(keys).me()).principal).toBe('person:wei');
    await other.flush();
    expect([heard, refused]).toEqual([[], [`${inboxPrefix}.>`, '_INBOX_console.>', '_INBOX_console.*.*']]);
  });

  it('waits for what happens, as over HTTP', async () => {
    const change = await ask();
    const [settled] = await Promise.all([
      clientWith(keys).wait(change.id, { until: ({ state }) => state === 'rejected', timeoutMs: 20_000 }),
      connect({ socket: join(installation.directory, 's.sock'), token: WEI }).reject(change.id, change.planDigest!, 'not tonight'),
    ]);
    expect(settled.state).toBe('rejected');
  });

  it('takes an answer of many parts, and says of one that is too large that it is', async () => {
    const elsewhere = logIdOf('large.example');
    const signer = parseSigner(generateSignerKey('large.example/tickets', systemRandom(32)).skey);
    const bus = await busAs(nats.seeds.sidecar, '_INBOX_large');
    let bytes = 0;
    await answerApi({
      bus, log: elsewhere, ticketSigner: signer, clock: systemClock, logger,
      answer: async () => new Response(Buffer.alloc(bytes, 'a'), { headers: { 'content-type': 'application/x-tar' } }),
    });
    await bus.up().flush();
    const client = clientWith([parseVerifier(signer.vkey)], elsewhere);
    const lengthOf = async (length: number): Promise<number> => {
      bytes = length;
      let read = 0;
      for await (const piece of await client.pack({ change: `chg_${elsewhere}_01M8571XRWJ2028CSGVGJ3QSF9` })) read += piece.length;
      return read;
    };
    expect(await lengthOf(3_000_000)).toBe(3_000_000);
    await expect(lengthOf(API_ANSWER_BYTES_MAX + 1)).rejects.toMatchObject({ code: 'unreachable', cause: { refusal: 'too-large' } });
  });

  it('believes no answer that is not sealed to its call, and sends what does something once, whatever the bus says', async () => {
    const about = logIdOf('lied-about.example');
    const signer = parseSigner(generateSignerKey('lied-about.example/tickets', systemRandom(32)).skey);
    let calls = 0;
    let say = (message: Msg): unknown => message.respond(Buffer.from('{"v":1,"status":200,"headers":{}}\n{"principal":"person:wei","actsFor":[],"roles":["approver"]}'));
    const liars = [
      operator.subscribe(apiRecipient(about), { callback: (_error, message) => void newApiIdentity().then(({ recipient }) => message.respond(canonicalBytes(signDsse(API_RECIPIENT_TYPE, { v: 1, log: about, nonce: (message.json<{ nonce: string }>()).nonce, recipient }, signer)))) }),
      operator.subscribe(apiCalls(about), { callback: (_error, message) => {
        calls += 1;
        say(message);
      } }),
    ];
    await operator.flush();
    const client = clientWith([parseVerifier(signer.vkey)], about);
    await expect(client.me()).rejects.toMatchObject({ code: 'unreachable' });
    say = (message) => {
      const why = headers();
      why.set(API_REFUSED, 'unopened');
      return message.respond(undefined, { headers: why });
    };
    calls = 0;
    await expect(client.revoke(`chg_${about}_01M8571XRWJ2028CSGVGJ3QSF9`)).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining('unopened') as unknown });
    expect(calls).toBe(1);
    await expect(client.me()).rejects.toMatchObject({ code: 'unreachable' });
    expect(calls).toBe(3);
    for (const one of liars) one.unsubscribe();
  });

  it('says which sidecar does not answer, and finds it again with its new key', async () => {
    const change = await ask();
    const [reader, writer] = [clientWith(keys), clientWith(keys)];
    for (const client of [reader, writer]) expect((await client.me()).principal).toBe('person:wei');
    // Whoever hears everything is somebody to the bus.
    spy.unsubscribe();
    await operator.flush();
    await sidecar.close();
    expect((await page('/')).text).toContain('Sidecar installation-example-ledger does not answer');
    await expect(clientWith(keys).revoke(change.id)).rejects.toMatchObject({ code: 'unreachable' });
    await start();
    await expect.poll(async () => (await page('/')).text, { timeout: 20_000 }).toContain(change.id);
    // Both have kept the key of before: one is told so, the other asks before it does anything.
    expect((await reader.me()).principal).toBe('person:wei');
    expect((await writer.reject(change.id, change.planDigest!, 'not tonight either')).state).toBe('rejected');
  });
});
