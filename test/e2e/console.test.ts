/** The console as a process of its own, in a real browser, with a real OpenID Provider, an authenticator, and sidecars that come and go. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { connect, type ChangeView, type Client } from '../../src/client/index.ts';
import { BREAK_GLASS_NAMESPACE } from '../../src/protocol/break-glass.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { GLASS, GLASS_SALT, REASON } from '../support/break-glass.ts';
import { hasBrowser, openBrowser } from '../support/browser.ts';
import { CERTIFICATE } from '../support/door-certificate.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { CLIENT_ID, CLIENT_SECRET, issuerLines, RESOURCE, serveOpenIdProvider, withLogins, type OpenIdProvider } from '../support/openid-provider.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';
import { testSshKey } from '../support/ssh.ts';
import { openSwitch, type Switch } from '../support/switch.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PAGE_BYTES_MAX = 100 * 1024;
/** Of what there is, beside what waits. */
const PAGES = ['/leases', '/standing', '/inventory', '/inventory/main/nhi:prod/ci-deployer', '/ledger', '/ledger/main/records/2'];
const LONG = { timeout: 30_000 };

describe.skipIf(!hasBrowser())('the console', () => {
  /** What browsers come by, and what leads to the sidecar. */
  let front: Switch;
  let way: Switch;
  let origin: string;
  let provider: OpenIdProvider;
  let installation: Installation;
  let sidecar: Sidecar;
  let process_: ChildProcess;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let cdp: CDPSession;
  let asked: string[] = [];
  let complaints: string[] = [];
  let deployer: Client;
  /** The same person, by her terminal. */
  let elsewhere: Client;
  const sams = testSshKey();
  /** One whose glass was broken. */
  let broken: ChangeView | null = null;

  beforeAll(async () => {
    execFileSync(process.execPath, [join(ROOT, 'src/verifier/build.mjs'), '--console']);
    [front, way] = [await openSwitch(), await openSwitch()];
    origin = `http://localhost:${front.port}`;
    provider = await serveOpenIdProvider(`${origin}/signin/callback`);
    installation = await makeInstallation();
    const directory = await readFile(join(ROOT, 'examples/facts/directory.yaml'), 'utf8');
    await installation.write('directory.yaml', withLogins(directory, provider.issuer));
    await installation.write('ca.pem', CERTIFICATE);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const credentialId = randomBytes(32);
    await installation.write('trust/passkeys.json', JSON.stringify([{
      person: 'person:wei', credentialId: credentialId.toString('base64url'), publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'), rpId: 'localhost', origins: [origin],
    }]));
    await installation.write('trust/allowed_signers', `person:sam ${sams.publicLine}`);
    await installation.write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0, breakGlass: [{ ...GLASS, reviewProofClass: 'passkey' }] }));
    const config = await readFile(installation.configPath, 'utf8');
    await installation.write('countersign.yaml', config.replace(/directory: [^}]*/, 'directory: directory.yaml').concat(issuerLines(provider.issuer, ['caller', 'approver', 'auditor'])));
    sidecar = await startSidecar(await installation.config(), { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
    way.lead(Number(new URL(sidecar.url!).port));
    deployer = connect({ url: sidecar.url!, token: TOKENS['nhi:prod/ci-deployer']! });
    elsewhere = connect({ url: sidecar.url!, token: TOKENS['person:wei']! });

    await installation.write('client.secret', CLIENT_SECRET);
    await installation.write('console.yaml', JSON.stringify({
      publicUrl: origin, listen: { host: '127.0.0.1', port: 0 }, sidecars: [{ name: 'main', url: `http://127.0.0.1:${way.port}` }], logLevel: 'error',
      login: { kind: 'oidc', issuer: provider.issuer, clientId: CLIENT_ID, clientSecretFile: 'client.secret', scopes: ['openid', 'changes'], resource: RESOURCE },
    }));
    process_ = spawn(process.execPath, [join(ROOT, 'dist/src/main.js'), 'console', '--config', join(installation.directory, 'console.yaml')], {
      stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_EXTRA_CA_CERTS: join(installation.directory, 'ca.pem') },
    });
    const [line] = (await once(createInterface({ input: process_.stdout! }), 'line')) as [string];
    front.lead(Number(new URL(line.replace('listening ', '')).port));

    browser = await openBrowser();
    context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
    await context.addInitScript({ content: 'document.addEventListener("securitypolicyviolation", (event) => console.log(`refused by ${event.violatedDirective}: ${event.blockedURI}`))' });
    context.on('request', (request) => asked.push(request.url()));
    context.on('weberror', (error) => complaints.push(String(error.error())));
    context.on('console', (message) => complaints.push(message.text()));
    page = await context.newPage();
    page.setDefaultTimeout(LONG.timeout);
    cdp = await context.newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
    await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { credentialId: credentialId.toString('base64'), isResidentCredential: false, rpId: 'localhost', privateKey: privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64'), signCount: 1 } });
  });
  afterAll(async () => {
    await browser.close();
    process_.kill();
    await once(process_, 'exit');
    await sidecar.close();
    await Promise.all([front, way].map((one) => one.close()));
    await provider.close();
    await installation.remove();
  });
  afterEach(async () => {
    front.mend();
    way.mend();
    await page.unrouteAll();
    // Not from the provider's own pages, which are others'.
    const [was, complained] = [asked, complaints];
    [asked, complaints] = [[], []];
    const others = was.filter((one) => !one.startsWith(`${origin}/`) && !one.startsWith(provider.issuer) && !one.startsWith('https://fonts.googleapis.com/'));
    expect(others).toEqual([]);
    // What does not answer is what some of these are about; the browser says so too.
    expect(complained.filter((one) => !/Failed to load resource|net::ERR_|\[DOM\] Input elements should have autocomplete/.test(one))).toEqual([]);
  });

  const ask = (edit: object = {}): Promise<ChangeView> => deployer.request({ ...GRANT, ...edit }, { waitSeconds: 20 });
  const addressOf = ({ id }: ChangeView, rest = ''): string => `${origin}/changes/main/${id}${rest}`;
  async function signIn(on: Page = page): Promise<void> {
    await on.click('text=Sign in with your organisation');
    await on.waitForURL((url) => !url.href.includes('/signin'));
    if (on.url().startsWith(origin)) return;
    await on.fill('input[name=login]', 'u-wei');
    await on.fill('input[name=password]', 'any');
    await on.click('button[type=submit]');
    await on.click('button:has-text("Continue")');
    await on.waitForURL((url) => url.href.startsWith(origin));
  }
  /** Signed in, at this address. */
  async function open(url: string): Promise<void> {
    await page.goto(url);
    if (page.url().includes('/signin')) await signIn();
    expect(page.url()).toBe(url);
  }
  const said = (selector = '#said'): Promise<string | null> => page.textContent(selector);

  it('has somebody sign in at her provider, and brings her to what she had come for', async () => {
    const change = await ask();
    await page.goto(addressOf(change));
    expect(await page.textContent('h1')).toBe('Sign in');
    await signIn();
    expect(page.url()).toBe(addressOf(change));
    expect(await page.textContent('.who')).toContain('person:wei');
    const [cookie] = (await context.cookies(origin)).filter(({ name }) => name.endsWith('session'));
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
  });

  it('has a passkey sign what is shown, whose digest the browser has computed', async () => {
    const change = await ask();
    await open(`${origin}/`);
    await page.click(`a[href="/changes/main/${change.id}"]`);
    await page.fill('#approve-comment', 'looked at');
    await page.click('#approve-passkey');
    await page.waitForSelector('#said');
    expect(await said()).toMatch(/^Approved/);
    expect((await elsewhere.get(change.id)).approvals).toEqual([expect.objectContaining({ approver: 'person:wei', proofClass: 'passkey' })]);
  });

  it.each<[string, RegExp, (body: string) => string, RegExp]>([
    ['the plan is not the one that is shown', /\/view$/, (body) => body.replaceAll('role:deploy', 'role:orders'), /not what the plan says|not as this page shows it/],
    ['what would be signed is another plan’s', /\/statement$/, (body) => body.replace(/"planDigest":"sha256:[0-9a-f]{64}"/, `"planDigest":"sha256:${'0'.repeat(64)}"`), /not the plan that/],
  ])('has nothing signed where %s', async (_what, path, edit, complaint) => {
    const change = await ask();
    await open(addressOf(change));
    await page.route(path, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: edit(await response.text()) });
    });
    await page.click('#approve-passkey');
    expect(await said('.complaint')).toMatch(complaint);
    expect(await said('.complaint')).toContain('Nothing was signed');
    expect((await elsewhere.get(change.id)).approvals).toEqual([]);
  });

  it('has a passkey review a broken glass, and only what the reviewer has said of it', async () => {
    broken = await ask({ urgency: 'emergency' });
    const sam = connect({ url: sidecar.url!, token: TOKENS['person:sam']! });
    const statement = { ...(await sam.breakGlassStatement(broken.id)), reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: REASON }) };
    const signature = writeArmour(sams.sign(canonicalBytes(statement), { namespace: BREAK_GLASS_NAMESPACE }));
    await sam.breakGlass(broken.id, { planDigest: broken.planDigest!, reason: REASON, salt: GLASS_SALT, ssh: { expiresAt: statement.expiresAt, signature } });
    await open(addressOf(broken));
    await page.route(/\/review-statement$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace(broken!.id, `${broken!.id.slice(0, -1)}${broken!.id.endsWith('0') ? '1' : '0'}`) });
    });
    await page.fill('#review-comment', 'nobody was there');
    await page.click('#review-passkey');
    expect(await said('.complaint')).toMatch(/about another change than .*Nothing was signed/);
    await page.unrouteAll();
    await page.selectOption('#review-verdict', 'unjustified');
    await page.click('#review-passkey');
    await page.waitForSelector('#said');
    expect(await said()).toBe('Reviewed: unjustified.');
    expect((await elsewhere.get(broken.id)).breakGlass?.review).toEqual({ by: 'person:wei', verdict: 'unjustified' });
  });

  it('has a passkey approve the next ones like this, exactly as they are shown', async () => {
    const change = await ask();
    await open(addressOf(change));
    await page.click('#stand');
    await page.fill('#stand-uses', '3');
    await page.fill('#stand-comment', 'each release');
    await page.click('#stand-show');
    const shown = await page.inputValue('#template-statement');
    await page.evaluate(`document.getElementById('template-statement').value = ${JSON.stringify(shown.replace('"uses":3', '"uses":300'))}`);
    await page.click('#standing-passkey');
    expect(await said('.complaint')).toBe('What is to be signed is another than is shown. Nothing was signed.');
    expect((await elsewhere.standingApprovals()).standingApprovals).toEqual([]);
    await page.evaluate(`document.getElementById('template-statement').value = ${JSON.stringify(shown)}`);
    await page.click('#standing-passkey');
    await page.waitForSelector('#said');
    const [one] = (await elsewhere.standingApprovals()).standingApprovals;
    expect(one).toMatchObject({ proofClass: 'passkey', statement: JSON.parse(shown) as object, revoked: null });
    await page.click(`#revoke-${one!.approvalId} summary`);
    await page.fill(`#${one!.approvalId}-comment`, 'moved');
    await page.click(`#revoke-${one!.approvalId} button`);
    await page.waitForSelector('#said');
    expect((await elsewhere.standingApprovals()).standingApprovals[0]).toMatchObject({ revoked: { by: 'person:wei' } });
  });

  it('rejects with a reason, from the keyboard', async () => {
    const change = await ask();
    await open(`${origin}/`);
    await page.waitForSelector(`a[href="/changes/main/${change.id}"]`);
    for (let count = 0; count < 20 && (await page.evaluate<string | null>('document.activeElement.getAttribute("href")')) !== `/changes/main/${change.id}`; count += 1) await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL(addressOf(change));
    await page.keyboard.press('?');
    expect(await page.locator('#keys').isVisible()).toBe(true);
    // Both within a frame: what closes has the focus until the next one.
    await Promise.all([page.keyboard.press('Escape'), page.keyboard.press('r')]);
    await page.waitForSelector('#keys', { state: 'hidden' });
    await page.keyboard.type('not tonight');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#said');
    expect(await said()).toBe('Rejected. The change is rejected.');
    expect((await elsewhere.get(change.id)).state).toBe('rejected');
  });

  it('shows what happens as it does, and that the plan is another one, without losing what is typed', async () => {
    const change = await ask();
    await open(`${origin}/`);
    const another = await ask({ reason: 'while you look' });
    await page.waitForSelector(`a[href="/changes/main/${another.id}"]`);
    await open(addressOf(change));
    await page.fill('#reject-comment', 'half a sent');
    const revised = await elsewhere.reduce(change.id, change.planDigest!, { duration: 'PT5M' });
    await page.waitForSelector('#changed:not([hidden])');
    expect(await page.textContent('#changed:not([hidden])')).toContain('The plan is another one now');
    await expect.poll(() => page.textContent('#plan-title'), LONG).toContain(`revision ${revised.revision}`);
    expect(await page.inputValue('#reject-comment')).toBe('half a sent');
    expect(await page.evaluate<string>('document.activeElement.id')).toBe('reject-comment');
    await expect.poll(() => page.textContent('#story'), LONG).toContain('person:wei, who is asked to approve it, reduced the request');
  });

  it('says that a sidecar is dead, and shows what has become of the change once it is back', async () => {
    const change = await ask();
    await open(addressOf(change));
    await page.waitForSelector('.story');
    way.cut();
    await page.waitForSelector('#troubles .banner');
    expect(await said('#troubles')).toContain('Sidecar main does not answer');
    const away = await context.newPage();
    await away.goto(`${origin}/`);
    expect(await away.textContent('#troubles')).toContain('Sidecar main does not answer');
    await away.close();
    await elsewhere.reject(change.id, change.planDigest!, 'meanwhile');
    way.mend();
    await page.waitForSelector('#troubles .banner', { state: 'detached' });
    expect(await page.textContent('#status')).toContain('rejected');
  });

  it('says that the connection is lost, and goes on once it is back', async () => {
    const change = await ask();
    await open(addressOf(change));
    await page.fill('#reject-comment', 'typed before');
    front.cut();
    await page.waitForSelector('#link:not([hidden])');
    expect(await said('#link')).toMatch(/lost|does not answer/);
    await elsewhere.reject(change.id, change.planDigest!, 'meanwhile');
    front.mend();
    await page.waitForSelector('#link[hidden]', { state: 'attached' });
    await expect.poll(() => page.textContent('#status'), LONG).toContain('rejected');
    expect(await page.inputValue('#reject-comment')).toBe('typed before');
  });

  it('says that the session is over, and has what was typed still there after the next', async () => {
    const change = await ask();
    await open(addressOf(change));
    await page.fill('#reject-comment', 'a long reason, typed with care');
    const other = await context.newPage();
    await other.goto(`${origin}/changes`);
    await other.click('text=Sign out');
    await other.waitForURL(/\/signin/);
    await other.close();
    await page.click('#link a:has-text("Sign in again")');
    await signIn();
    expect(page.url()).toBe(addressOf(change));
    expect(await page.inputValue('#reject-comment')).toBe('a long reason, typed with care');
    await page.click('#reject');
    expect(await said()).toMatch(/^Rejected/);
    await page.reload();
    expect(await page.inputValue('#reject-comment')).toBe('');
  });

  it('is good without JavaScript', async () => {
    const change = await ask();
    const plain = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
    const still = await plain.newPage();
    still.setDefaultTimeout(LONG.timeout);
    await still.goto(addressOf(change));
    await signIn(still);
    await still.fill('#approve-comment', 'from a small browser');
    await still.click('#approve');
    expect(await still.textContent('#said')).toMatch(/^Approved/);
    expect((await elsewhere.get(change.id)).approvals).toEqual([expect.objectContaining({ approver: 'person:wei', proofClass: 'session' })]);
    await elsewhere.wait(change.id, { until: ({ state }) => state === 'active', timeoutMs: LONG.timeout });
    await still.goto(`${origin}/leases?q=${change.id}`);
    await still.click('summary:has-text("Revoke")');
    await still.click('button:has-text("Revoke now")');
    expect(await still.textContent('#said')).toBe(`${change.id}: It is being taken back now.`);
    expect(new URL(still.url()).pathname).toBe('/leases');
    await elsewhere.wait(change.id, { until: ({ state }) => state === 'revoked', timeoutMs: LONG.timeout });
    await plain.close();
  });

  it('is shown as it is, by day and by night', async () => {
    /** For the README: `COUNTERSIGN_SCREENSHOTS=docs/images`. */
    const album = process.env['COUNTERSIGN_SCREENSHOTS'];
    await ask({ reason: 'release 2026.11' });
    const change = await ask({ reason: 'hotfix: a wrong total on invoices', duration: 'PT10M' });
    await open(`${origin}/`);
    await page.setViewportSize({ width: 900, height: 620 });
    for (const [name, address] of [['waiting', `${origin}/`], ['change', addressOf(change)]] as const) {
      const pictures: Buffer[] = [];
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await page.goto(address);
        await page.waitForSelector(name === 'change' ? '.story' : `a[href="/changes/main/${change.id}"]`);
        const path = album === undefined ? {} : { path: join(ROOT, album, `console-${name}-${colorScheme}.png`) };
        pictures.push(await page.screenshot({ ...path, clip: { x: 0, y: 72, width: 900, height: 350 } }));
      }
      expect(pictures[0]!.equals(pictures[1]!)).toBe(false);
    }
  });

  it('can be used by everybody, on any screen, and each page is light', async () => {
    const axe = await readFile(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8');
    const change = await ask({ reason: '<b>bold</b> words' });
    await open(addressOf(change));
    let transferred = 0;
    cdp.on('Network.loadingFinished', ({ encodedDataLength }) => void (transferred += encodedDataLength));
    await cdp.send('Network.enable');
    await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
    const addresses = [`${origin}/`, `${origin}/changes`, addressOf(change), addressOf(change, '/evidence'), addressOf(change, '/standing'), ...(broken === null ? [] : [addressOf(broken)]), ...PAGES.map((path) => `${origin}${path}`), `${origin}/signin`, `${origin}/nothing`];
    for (const [colorScheme, width] of [['light', 1280], ['dark', 360]] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 780 });
      for (const address of addresses) {
        transferred = 0;
        await page.goto(address);
        await page.waitForLoadState('load');
        // What asks for a passkey is loaded when its button is pressed, and counts as well.
        await cdp.send('Runtime.evaluate', { expression: `(async () => { const script = document.querySelector('#approve-passkey')?.dataset.passkey; if (script !== undefined) await import(script); })()`, awaitPromise: true });
        expect(transferred, `${address} at ${width}`).toBeLessThan(PAGE_BYTES_MAX);
        expect(transferred).toBeGreaterThan(500);
        await page.evaluate('for (const one of document.querySelectorAll("details")) one.open = true');
        const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth');
        expect(overflow, `${address} at ${width} scrolls sideways`).toBeLessThanOrEqual(0);
        expect(await page.locator('h1').count()).toBe(1);
        const found = (await cdp.send('Runtime.evaluate', { expression: `${axe};axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`, awaitPromise: true, returnByValue: true })).result.value as string[];
        expect(found, `${address} at ${width}`).toEqual([]);
      }
    }
    expect(await page.locator('b').count()).toBe(0);
  });
});
