/** The page for approvers in a real browser with an authenticator: a passkey is registered, decides on a change, and an auditor believes it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as forward, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { canonicalBytes, parseSigner } from '../../ledger/index.ts';
import { connect, type ChangeView } from '../../src/client/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import type { Config } from '../../src/config/schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import { grantedBy } from '../../src/facts/granted.ts';
import { parseExceptions } from '../../src/facts/load.ts';
import { BREAK_GLASS_NAMESPACE } from '../../src/protocol/break-glass.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { STANDING_NAMESPACE } from '../../src/protocol/standing-approval.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { GLASS, GLASS_SALT, REASON } from '../support/break-glass.ts';
import { hasBrowser, openBrowser } from '../support/browser.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { testSshKey, type TestSshKey } from '../support/ssh.ts';
import { TEMPLATE, WHY, WHY_SALT } from '../support/standing.ts';
import { openDesk, type Desk } from '../support/world.ts';

const BUILD = join(import.meta.dirname, '..', '..', 'src', 'verifier', 'build.mjs');
const GRANT = ['--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--duration', 'PT10M'];
const WEI = ['--as', 'person:wei'];

describe.skipIf(!hasBrowser())('the page for approvers', () => {
  const [sams, weis] = [testSshKey(), testSshKey()];
  let built: string;
  let desk: Desk;
  let layout: Layout;
  let config: Config;
  let sidecar: Sidecar;
  /** What ends TLS elsewhere: the address that browsers know. */
  let front: Server;
  let origin: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let cdp: CDPSession;
  let authenticatorId: string;
  let asked: string[] = [];
  let complaints: string[] = [];
  const file = (name: string): string => join(config.trust, name);

  async function start(policyActivation?: Config['policyActivation']): Promise<void> {
    const executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
    sidecar = await startSidecar({ ...config, logLevel: 'silent', publicUrl: origin, policyActivation }, { transport: executor, approvePage: join(built, 'approve.html') });
  }

  beforeAll(async () => {
    built = mkdtempSync(join(tmpdir(), 'cs-approve-'));
    execFileSync(process.execPath, [BUILD, '--approver', join(built, 'approve.html')]);
    execFileSync(process.execPath, [BUILD, join(built, 'verifier.html')]);
    desk = openDesk();
    layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
    desk = desk.with({ cwd: layout.directory });
    ({ config } = await loadConfig({ path: layout.config }));
    const requirements = JSON.parse(readFileSync(file('requirements.json'), 'utf8')) as { floors: object[] };
    writeFileSync(file('requirements.json'), JSON.stringify({ ...requirements, floors: requirements.floors.map((floor) => ({ ...floor, proofClass: 'passkey' })), breakGlass: [{ ...GLASS, reviewProofClass: 'passkey' }] }));
    writeFileSync(file('allowed_signers'), `person:sam ${sams.publicLine}\nperson:wei ${weis.publicLine}\n`);
    front = createServer((incoming, outgoing) => {
      const on = forward({ socketPath: config.listen.socket, path: incoming.url, method: incoming.method, headers: incoming.headers }, (answered) => {
        outgoing.writeHead(answered.statusCode ?? 500, answered.headers);
        answered.pipe(outgoing);
      });
      on.on('error', () => outgoing.destroy());
      incoming.pipe(on);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    origin = `http://localhost:${(front.address() as AddressInfo).port}`;
    await start();
    browser = await openBrowser();
    context = await browser.newContext();
    await context.addInitScript({ content: 'document.addEventListener("securitypolicyviolation", (event) => console.log(`refused by ${event.violatedDirective}: ${event.blockedURI}`))' });
    context.on('request', (request) => asked.push(request.url()));
    context.on('weberror', (error) => complaints.push(String(error.error())));
    context.on('console', (message) => complaints.push(message.text()));
    page = await context.newPage();
    cdp = await context.newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    ({ authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } }));
    // Registered, carried to the trust folder by whoever keeps it, and in force from the next start.
    await page.goto(`${origin}/approve`);
    await page.click('#enrolling summary');
    await page.fill('#person', 'person:wei');
    await page.click('#enroll');
    await page.waitForSelector('#entry:not([hidden])');
    writeFileSync(file('passkeys.json'), `[${await page.textContent('#entry')}]`);
    await sidecar.close();
    await start();
  });
  afterAll(async () => {
    await browser.close();
    await sidecar.close();
    front.close();
    front.closeAllConnections();
    desk.remove();
    rmSync(built, { recursive: true });
  });
  afterEach(async () => {
    await page.unrouteAll();
    expect(asked.filter((one) => !one.startsWith(`${origin}/`) && !one.startsWith('file:') && !one.startsWith('blob:'))).toEqual([]);
    // What the sidecar refuses is said on the page; the browser says so too. And it would have RSA keys, which nobody takes here.
    expect(complaints.filter((one) => !/Failed to load resource|pubKeyCredParams is missing/.test(one))).toEqual([]);
    asked = [];
    complaints = [];
  });

  const request = async (reason = 'deploy 42'): Promise<string> => (JSON.parse((await desk.run('request', ...GRANT, '--reason', reason, '--as', 'nhi:prod/ci-deployer', '--json')).stdout) as { id: string }).id;
  const stateOf = async (id: string): Promise<string> => (JSON.parse((await desk.run('changes', 'show', id, ...WEI, '--json')).stdout) as { state: string }).state;
  const verify = async (): Promise<number> => (await desk.run('verify', '--trust', config.trust, join(layout.directory, 'data', 'ledger'))).exit;
  async function show(id: string): Promise<void> {
    await page.goto('about:blank');
    asked = [];
    await page.goto(`${origin}/approve#${id}`);
    await page.fill('#token', layout.tokens.get('person:wei')!);
    await page.click('#show');
    await page.waitForSelector('#shown:not([hidden]), #said:not([hidden])');
  }
  /** A sidecar that asks this of each policy bundle, the one in force too; and an auditor who asks it from now on. */
  async function governed(policyActivation: Config['policyActivation']): Promise<void> {
    await sidecar.close();
    writeFileSync(file('requirements.json'), JSON.stringify({ ...(JSON.parse(readFileSync(file('requirements.json'), 'utf8')) as object), policyActivation: policyActivation === undefined ? undefined : { ...policyActivation, from: new Date().toISOString() } }));
    await start(policyActivation);
  }
  async function said(button: string): Promise<string> {
    await page.click(button);
    await page.waitForSelector('#said:not([hidden])');
    return (await page.textContent('#said')) ?? '';
  }

  it('shows the plan as the command does, and approves exactly that by passkey; an auditor who has the passkey believes it', async () => {
    const id = await request();
    await show(id);
    const { planDigest } = JSON.parse((await desk.run('changes', 'show', id, ...WEI, '--json')).stdout) as { planDigest: string };
    expect(await page.textContent('#digest')).toBe(planDigest);
    expect(await page.textContent('#plan')).toContain('deploy 42');
    for (const line of (await desk.run('changes', 'show', id, ...WEI)).stdout.split('\n').filter((one) => /plan|access|subject|duration/.test(one))) expect(await page.textContent('#plan')).toContain(line);
    // Nothing that was only looked at decides.
    expect(await stateOf(id)).toBe('pending');
    expect(await said('#approve')).toMatch(new RegExp(`^Approved ${planDigest}\\. The change is `));
    expect((await desk.run('changes', 'show', id, ...WEI)).stdout).toContain('by person:wei, proven by passkey');
    expect(await verify()).toBe(0);
    const listed = readFileSync(file('passkeys.json'), 'utf8');
    writeFileSync(file('passkeys.json'), listed.replace('person:wei', 'person:ana'));
    expect(await verify()).toBe(1);
    writeFileSync(file('passkeys.json'), listed);
  });

  it('… and so does the verifier page', async () => {
    // A browser reads files as they were when they were chosen: a ledger that is still written is none of them for long.
    await sidecar.close();
    const other = await context.newPage();
    await other.goto(pathToFileURL(join(built, 'verifier.html')).href);
    await other.setInputFiles('#ledger', join(layout.directory, 'data', 'ledger'));
    await other.setInputFiles('#trust', config.trust);
    await other.click('#verify');
    await other.waitForSelector('#result:not([hidden])');
    expect(await other.getAttribute('#result .banner', 'data-exit')).toBe('0');
    await other.close();
    await start();
  });

  it('shows the policy bundle that is proposed, and lets exactly that come into force by passkey; an auditor believes it', async () => {
    const proposed = async (): Promise<{ readonly bundle: string; readonly outcome: string }> => (JSON.parse((await desk.run('policy', 'proposed', ...WEI, '--json')).stdout) as { proposed: { bundle: string; outcome: string } }).proposed;
    await governed({ quorum: 1, approvers: ['person:wei'], proofClass: 'passkey' });
    const { bundle } = await proposed();
    await show('');
    expect(await page.textContent('#what')).toBe('The proposed policy bundle');
    expect(await page.textContent('#digest')).toBe(bundle);
    for (const line of (await desk.run('policy', 'proposed', ...WEI)).stdout.split('\n').filter((one) => one.includes('policy.wasm'))) expect(await page.textContent('#plan')).toContain(line);
    // Nobody's session will do, and what is to be signed is what is shown.
    expect((await desk.run('policy', 'approve', bundle, ...WEI)).exit).toBe(1);
    await page.route(/\/statement/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace(bundle, `sha256:${'0'.repeat(64)}`) });
    });
    expect(await said('#approve')).toMatch(/not the bundle that is shown \(bundle\)\. Nothing was signed/);
    await page.unrouteAll();
    expect(await said('#approve')).toBe(`Approved ${bundle}. It has come into force.`);
    expect(await verify()).toBe(0);
    const listed = readFileSync(file('passkeys.json'), 'utf8');
    writeFileSync(file('passkeys.json'), listed.replace('person:wei', 'person:ana'));
    expect(await verify()).toBe(1);
    writeFileSync(file('passkeys.json'), listed);
    await governed(undefined);
  });

  it('puts the answer of a passkey into the entry of a facts file that is given to it, and sends nothing', async () => {
    const text = '# why we have these\nv: 1\nexceptions:\n  - {id: long-leases, rule: lease-too-long, subject: "nhi:prod/ci-deployer", reason: until it asks again, owner: "person:ben", from: 2026-11-23, until: 2026-12-20}\n';
    await show('');
    asked = [];
    await page.click('#granting summary');
    await page.fill('#facts', text);
    await page.fill('#grant-id', 'long-leases');
    await page.fill('#grantor', 'person:ben');
    expect(await said('#show-entry')).toMatch(/is the owner of long-leases: her own word would not count/);
    await page.fill('#grantor', 'person:ana');
    await page.click('#show-entry');
    expect(await page.textContent('#granted')).toContain('until it asks again');
    // Registered by somebody else.
    expect(await said('#grant')).toMatch(/not registered here for person:ana: its answer is thrown away/);
    expect(await page.inputValue('#facts')).toBe(text);
    await page.fill('#grantor', 'person:wei');
    await page.click('#show-entry');
    expect(await said('#grant')).toMatch(/^Granted, and sent nowhere/);
    const signed = await page.inputValue('#facts');
    expect(signed).toMatch(/^# why we have these/);
    const { signers, passkeys } = await loadTrustFolder(config.trust);
    const [entry] = parseExceptions({ name: 'exceptions.yaml', text: signed }).value.exceptions;
    const by = (log: string | null): string[] => grantedBy('exception', entry!, { signers, passkeys, logId: log, atMs: [Date.now()] });
    expect(by(null)).toEqual(['person:wei']);
    expect(asked).toEqual([]);
  });

  it('rejects, with a reason', async () => {
    const id = await request();
    await show(id);
    expect(await said('#reject')).toMatch(/says why/);
    expect(await stateOf(id)).toBe('pending');
    await page.fill('#comment', 'not today');
    expect(await said('#reject')).toMatch(/^Rejected/);
    expect(await stateOf(id)).toBe('rejected');
  });

  it('has a broken glass reviewed by passkey, with what was found; an auditor believes it', async () => {
    const { id, planDigest } = JSON.parse((await desk.run('request', ...GRANT, '--urgency', 'emergency', '--reason', 'deploy 42', '--as', 'nhi:prod/ci-deployer', '--json')).stdout) as ChangeView;
    const sam = connect({ socket: layout.socket, token: layout.tokens.get('person:sam')! });
    const statement = { ...(await sam.breakGlassStatement(id)), reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: REASON }) };
    await sam.breakGlass(id, { planDigest: planDigest!, reason: REASON, salt: GLASS_SALT, ssh: { expiresAt: statement.expiresAt, signature: writeArmour(sams.sign(canonicalBytes(statement), { namespace: BREAK_GLASS_NAMESPACE })) } });
    await sam.wait(id, { until: ({ state }) => state === 'active', timeoutMs: 20_000 });
    await show(id);
    expect(await page.textContent('#approve')).toBe('It was justified');
    expect(await said('#approve')).toMatch(/says what was found/);
    await page.fill('#comment', 'nobody was there');
    await page.route(/\/review$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace(/"expiresAt":"[^"]+"/, '"expiresAt":"9999-01-01T00:00:00.000Z"') });
    });
    expect(await said('#approve')).toMatch(/longer than it may be\. Nothing was signed/);
    await page.unrouteAll();
    expect(await said('#approve')).toBe('Reviewed: justified.');
    expect((await sam.get(id)).breakGlass?.review).toEqual({ by: 'person:wei', verdict: 'justified' });
    expect(await verify()).toBe(0);
  });

  it('shows what she has approved once for many times, and ends one at once', async () => {
    const give = async (person: string, key: TestSshKey, uses: number): Promise<string> => {
      const client = connect({ socket: layout.socket, token: layout.tokens.get(person)! });
      const { log } = await client.standingApprovals();
      const nowMs = Date.now();
      const statement = { ...TEMPLATE, log, approver: person, uses, privileges: ['role:deploy\u200b'], notBefore: formatTime(nowMs), expiresAt: formatTime(nowMs + 86_400_000) };
      return (await client.giveStandingApproval({ statement, reason: WHY, salt: WHY_SALT, signature: writeArmour(key.sign(canonicalBytes(statement), { namespace: STANDING_NAMESPACE })) })).approvalId;
    };
    const [first, second, sam] = [await give('person:wei', weis, 3), await give('person:wei', weis, 4), await give('person:sam', sams, 5)];
    await show('');
    await page.click('#standing summary');
    await page.click('#show-standing');
    await page.waitForSelector('#standings li');
    const cards = async (): Promise<string[]> => page.locator('#standings li').allTextContents();
    // Hers alone, the newest first.
    expect((await cards()).map((text) => /apr_[0-9a-f]{32}/.exec(text)![0])).toEqual([second, first]);
    expect((await cards()).join()).not.toContain(sam);
    for (const part of ['role:deploy\\u{200b}, and nothing else', 'at most 30 min each time', '3 at most', 'used 0 of 3']) expect((await cards())[1]).toContain(part);
    const of = (id: string) => page.locator('#standings li', { hasText: id });
    await of(first).locator('button').click();
    await page.waitForSelector('#said.bad');
    expect(await page.textContent('#said')).toMatch(/^Revoking says why/);
    await of(second).locator('input').fill('not yet');
    await of(first).locator('input').fill('the release was moved <b>');
    await of(first).locator('button').click();
    await page.waitForSelector('#said.good');
    expect(await page.textContent('#said')).toBe(`${first} approves nothing more. It was used 0 of 3 times.`);
    const { standingApprovals } = await connect({ socket: layout.socket, token: layout.tokens.get('person:wei')! }).standingApprovals();
    expect(standingApprovals.find(({ approvalId }) => approvalId === first)?.revoked).toMatchObject({ by: 'person:wei', reason: 'the release was moved <b>' });
    expect(standingApprovals.find(({ approvalId }) => approvalId === second)?.revoked).toBeNull();
    // What is over says so where it stands, and offers nothing; what was written beside another is kept.
    expect(await of(second).locator('input').inputValue()).toBe('not yet');
    expect((await cards())[1]).toMatch(/revoked by person:wei.*the release was moved <b>/);
    expect(await of(first).locator('button, input').count()).toBe(0);
    // With another token it is somebody else's page.
    await page.fill('#token', 'cst_another');
    expect(await page.locator('#standings li').count()).toBe(0);
  });

  it('shows what others wrote as text', async () => {
    const reason = '<img src=x onerror="document.title=1"><script>document.title=1</script> \u05d0\u05d1';
    await show(await request(reason));
    expect(await page.textContent('#plan')).toContain(reason);
    // A block for each line, and nothing that somebody wrote.
    expect(await page.locator('#plan > div').count()).toBeGreaterThan(0);
    expect(await page.locator('#plan > :not(div), #plan div > *').count()).toBe(0);
    expect(await page.title()).toBe('Countersign approvals');
  });

  it.each<[string, RegExp, (body: string) => string]>([
    ['the statement of another plan', /\/statement/, (body) => body.replace(/"planDigest":"sha256:[0-9a-f]{64}"/, `"planDigest":"sha256:${'0'.repeat(64)}"`)],
    ['the statement of a rejection', /\/statement/, (body) => body.replace('"verdict":"approve"', '"verdict":"reject"')],
    ['a statement that is good for ever', /\/statement/, (body) => body.replace(/"expiresAt":"[^"]+"/, '"expiresAt":"9999-01-01T00:00:00.000Z"')],
  ])('signs nothing where what is to be signed is %s', async (_what, path, change) => {
    const id = await request();
    await page.route(path, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: change(await response.text()) });
    });
    await show(id);
    expect(await said('#approve')).toMatch(/Nothing was signed/);
    expect(await stateOf(id)).toBe('pending');
  });

  it('offers nothing to decide where what stands beside the plan is not the plan', async () => {
    const id = await request();
    await page.route(/\/v1\/changes\/chg_[^/]+$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace('"duration":"PT10M"', '"duration":"PT1M"') });
    });
    await show(id);
    expect(await page.textContent('#said')).toMatch(/not what the plan says \(duration\)/);
    expect(await page.locator('#approve').isVisible()).toBe(false);
  });

  it('says so where the authenticator does not recognise her, and nothing is decided', async () => {
    const id = await request();
    await show(id);
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    expect(await said('#approve')).toMatch(/^no passkey answered/);
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
    expect(await stateOf(id)).toBe('pending');
  });

  it('asks no authenticator for somebody who has no passkey of this address in the trust folder', async () => {
    const id = await request();
    await page.route(/\/statement/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replaceAll('"rpId":"localhost"', '"rpId":"example.org"') });
    });
    await show(id);
    expect(await said('#approve')).toMatch(/no passkey of yours for this address/);
    expect(await stateOf(id)).toBe('pending');
  });

  it('says what the sidecar refuses, and shows nothing any more once another token is given', async () => {
    const id = await request();
    await page.goto('about:blank');
    await page.goto(`${origin}/approve#${id}`);
    await page.fill('#token', 'cst_wrong');
    expect(await said('#show')).toMatch(/unauthenticated/);
    await show(id);
    await page.fill('#token', 'cst_another');
    expect(await page.locator('#approve').isVisible()).toBe(false);
    expect(await page.textContent('#plan')).toBe('');
  });
});
