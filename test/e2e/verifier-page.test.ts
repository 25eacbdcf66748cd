/** The verifier page, built, opened from disk in a real browser that is offline: an auditor who has the file, a ledger and a trust folder, and nothing else. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hasBrowser, openBrowser } from '../support/browser.ts';
import { HOSTILE, verifyArguments, withoutPlace, writeVerifierCases, type VerifierCase } from '../support/verifier-cases.ts';
import { openDesk, type Desk } from '../support/world.ts';

const BUILD = join(import.meta.dirname, '..', '..', 'src', 'verifier', 'build.mjs');

describe.skipIf(!hasBrowser())('the verifier page', () => {
  let built: string;
  let url: string;
  let desk: Desk;
  let cases: VerifierCase[] = [];
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** Everything that was asked for, and everything that the page's policy or the page itself complained of. */
  let asked: string[] = [];
  let complaints: string[] = [];

  beforeAll(async () => {
    built = mkdtempSync(join(tmpdir(), 'cs-page-'));
    execFileSync(process.execPath, [BUILD, join(built, 'verifier.html')]);
    url = pathToFileURL(join(built, 'verifier.html')).href;
    desk = openDesk();
    cases = await writeVerifierCases(desk.directory, { every: 5003 });
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    desk.remove();
    rmSync(built, { recursive: true });
  });

  beforeEach(async () => {
    context = await browser.newContext({ acceptDownloads: true });
    await context.setOffline(true);
    asked = [];
    complaints = [];
    context.on('request', (request) => asked.push(request.url()));
    context.on('weberror', (error) => complaints.push(String(error.error())));
    context.on('console', (message) => complaints.push(message.text()));
    await context.addInitScript({ content: 'document.addEventListener("securitypolicyviolation", (event) => console.log(`refused by ${event.violatedDirective}: ${event.blockedURI}`))' });
    page = await context.newPage();
    await page.goto(url);
  });
  afterEach(async () => {
    expect(asked.filter((one) => !one.startsWith('file:') && !one.startsWith('blob:'))).toEqual([]);
    expect(complaints).toEqual([]);
    await context.close();
  });

  const inDesk = (path: string): string => join(desk.directory, path);
  const called = (title: string): VerifierCase => cases.find((one) => one.title === title)!;

  /** Chooses what the case says, verifies, and gives the exit code that is shown. */
  async function verify({ ledger, trust, pinned, minSize, asOf }: VerifierCase): Promise<number> {
    await page.reload();
    await page.setInputFiles(statSync(inDesk(ledger)).isFile() ? '#pack' : '#ledger', inDesk(ledger));
    if (trust !== null) await page.setInputFiles(/\.policy$/.test(trust) ? '#policy' : '#trust', inDesk(trust));
    await page.click('summary');
    if (pinned !== undefined) await page.setInputFiles('#pinned', inDesk(pinned));
    if (minSize !== undefined) await page.fill('#min-size', minSize);
    if (asOf !== undefined) await page.fill('#as-of', asOf);
    return submit();
  }
  async function submit(): Promise<number> {
    await page.click('#verify');
    await page.waitForSelector('#result:not([hidden])');
    return Number(await page.getAttribute('#result .banner', 'data-exit'));
  }
  async function saved(button: string): Promise<string> {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(`text=${button}`)]);
    return readFileSync(await download.path(), 'utf8');
  }

  it('says of every ledger, good and bad, what countersign verify --json says, byte for byte, and names the same record', async () => {
    let named = 0;
    for (const one of cases) {
      const { exit, stdout } = await desk.run(...verifyArguments(one));
      expect([one.title, await verify(one)]).toEqual([one.title, exit]);
      expect(await page.isVisible('text=NOT PROVEN')).toBe(true);
      if ((await page.locator('.verdicts').count()) === 0) {
        expect(await page.innerText('#result .banner'), one.title).toContain((JSON.parse(stdout) as { error: { cause: string } }).error.cause);
      } else {
        expect(withoutPlace(await saved('Save the verdicts as JSON')), one.title).toBe(withoutPlace(stdout));
        const { seq } = (JSON.parse(stdout) as { verdicts: { name: string; seq?: number }[] }).verdicts.find(({ name }) => name === 'INTEGRITY')!;
        expect(await page.locator('[data-verdict=INTEGRITY] > *').nth(3).innerText(), one.title).toBe(seq === undefined ? '' : `record ${seq}`);
        if (seq !== undefined && one.title.includes('flipped')) named += 1;
      }
    }
    expect(cases.length).toBeGreaterThan(25);
    expect(named).toBeGreaterThan(5);
  }, 300_000);

  it('shows the verdicts as the command prints them, and what is not proven', async () => {
    const one = called('a stricter floor');
    expect(await verify(one)).toBe(1);
    const { stdout } = await desk.run('verify', one.ledger, '--trust', one.trust!);
    for (const name of ['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'WORKFLOW', 'TIME', 'REPLAY']) {
      const [, status, message] = await page.locator(`[data-verdict=${name}] > *`).allInnerTexts();
      expect(stdout.replaceAll(/ +/g, ' ')).toContain(`${status!.replace(/^(.) /, `$1 ${name} `)} ${message!}\n`);
    }
    for (const item of await page.locator('.not-proven li').allInnerTexts()) expect(stdout).toContain(`  - ${item}\n`);
    expect(stdout).toContain(await page.innerText('.banner strong'));
    const rows = await page.locator('.violations tbody tr').all();
    expect(rows.length).toBeGreaterThan(1);
    for (const row of rows) {
      const [record, code, message] = await row.locator('td').allInnerTexts();
      expect(stdout).toContain(`${record!}: ${message!} (${code!})`);
    }
  });

  it('lists the changes that the command lists, and saves them as the same file', async () => {
    for (const one of [called('the golden ledger'), called('hostile words in the records')]) {
      const file = `${one.ledger.split('/')[0]!}.csv`;
      const { exit } = await desk.run('verify', one.ledger, '--trust', one.trust!, '--population', file);
      expect(await verify(one)).toBe(exit);
      const csv = await saved('Save the changes as CSV');
      expect(csv).toBe(readFileSync(inDesk(file), 'utf8'));
      expect(await page.locator('.changes tbody tr').count()).toBe(csv.trimEnd().split('\r\n').length - 1);
    }
  });

  it('shows what others wrote as text, and nothing of it as markup or as a turn of direction', async () => {
    await verify(called('hostile words in the records'));
    const cells = await page.locator('.changes tbody td').allInnerTexts();
    expect(cells).toContain(HOSTILE.target);
    expect(cells).toContain(`${HOSTILE.privilege} \\u{61c}noitcerid\\u{200b}`);
    expect(await page.locator('#result img').count()).toBe(0);
    expect(await page.title()).toBe('Countersign verifier');
    await verify(called('a ledger with a file that does not belong'));
    expect(await page.innerText('[data-verdict=INTEGRITY]')).toContain('<b>not\\u{202e}here');
    expect(await page.locator('#result b').count()).toBe(0);
  });

  it('with nothing chosen, an empty folder or a folder without a ledger, verifies nothing and says so', async () => {
    expect(await submit()).toBe(3);
    mkdirSync(inDesk('empty'));
    expect(await verify({ title: 'empty', ledger: 'empty', trust: 'trust' })).toBe(3);
    expect(await verify({ title: 'no ledger', ledger: 'trust', trust: 'trust' })).toBe(3);
    expect(await page.innerText('#result')).toContain('nothing was verified');
    expect(await page.locator('.good').count()).toBe(0);
  });

  it('takes folders and files that are dropped on their fields, of which the newest counts', async () => {
    const devtools = await context.newCDPSession(page);
    const drop = async (field: string, path: string): Promise<void> => {
      const { x, y, width, height } = (await page.locator(field).boundingBox())!;
      const data = { items: [], files: [inDesk(path)], dragOperationsMask: 1 };
      for (const type of ['dragEnter', 'dragOver', 'drop'] as const) await devtools.send('Input.dispatchDragEvent', { type, x: x + width - 20, y: y + height / 2, data });
    };
    await drop('#pack', 'change.pack');
    await page.waitForSelector('#ledger-chosen:has-text("change.pack")');
    await drop('#ledger', 'clean/ledger');
    await page.waitForSelector('#ledger-chosen:has-text("ledger: 4 files")');
    await drop('#policy', 'trust/trust.policy');
    await page.waitForSelector('#trust-chosen:has-text("trust.policy: 1 file")');
    await drop('#trust', 'trust');
    await page.waitForSelector('#trust-chosen:has-text("trust: 4 files")');
    expect(await submit()).toBe(0);
    // Beside a field it takes nobody's place.
    await drop('h1', 'trust/trust.policy');
    expect(page.url()).toBe(url);
    expect(await page.isVisible('#result')).toBe(true);
  });

  it('takes an answer away as soon as something else is chosen', async () => {
    expect(await verify(called('a clean ledger'))).toBe(0);
    await page.setInputFiles('#trust', inDesk('strict'));
    expect(await page.isHidden('#result')).toBe(true);
    expect(await submit()).toBe(1);
  });

  it('prints the SHA-256 of its own file, of its script, and of the trust folder', async () => {
    const hash = execFileSync('sha256sum', [join(built, 'verifier.html')], { encoding: 'utf8' }).split(' ')[0]!;
    expect(await page.textContent('#own-file')).toBe(hash);
    const policy = (await page.getAttribute('meta[http-equiv]', 'content'))!;
    const script = Buffer.from((await page.textContent('#own-script'))!, 'hex').toString('base64');
    expect(policy).toContain(`script-src 'sha256-${script}'`);
    await page.setInputFiles('#any', join(built, 'verifier.html'));
    await page.waitForSelector('#any-hash code');
    expect(await page.textContent('#any-hash code')).toBe(hash);
    await verify(called('a clean ledger'));
    const command = await page.locator('dt:text-is("Printed by") + dd').innerText();
    expect(execFileSync('sh', ['-c', command], { cwd: inDesk('trust'), encoding: 'utf8' }).split(' ')[0]).toBe(await page.locator('dt:text-is("SHA-256") + dd').last().textContent());
  });

  it('can be used by keyboard alone, and everything that is filled in has a name', async () => {
    await verify(called('a clean ledger'));
    for (const input of await page.locator('input').all()) {
      const id = (await input.getAttribute('id'))!;
      expect((await page.locator(`label[for="${id}"]`).innerText()).length, id).toBeGreaterThan(5);
    }
    expect(await page.evaluate('document.activeElement?.id')).toBe('result');
    const reached = new Set<string>();
    for (let n = 0; n < 20; n++) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate<string>('document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? ""'));
    }
    for (const name of ['Verdicts', 'Changes', 'Save the verdicts as JSON', 'Save the changes as CSV']) expect([...reached]).toContain(name);
  });

  it('does not run, once a byte of its script was changed', async () => {
    const text = readFileSync(join(built, 'verifier.html'), 'utf8');
    const at = text.lastIndexOf('Exit code ${exit}');
    expect(at).toBeGreaterThan(0);
    writeFileSync(join(built, 'changed.html'), `${text.slice(0, at)}exit code \${exit}${text.slice(at + 'Exit code ${exit}'.length)}`);
    await page.goto(pathToFileURL(join(built, 'changed.html')).href);
    expect(await page.textContent('#own-file')).toBe('');
    expect(complaints.some((text) => text.includes('script-src'))).toBe(true);
    complaints = [];
  });
});

describe.skipIf(!hasBrowser())('the verifier page on a machine that has a network', () => {
  it('cannot use it', async () => {
    const built = mkdtempSync(join(tmpdir(), 'cs-page-'));
    const browser = await openBrowser();
    let hits = 0;
    const server = createServer((_request, response) => {
      hits += 1;
      response.setHeader('access-control-allow-origin', '*').end('here');
    });
    try {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const there = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      execFileSync(process.execPath, [BUILD, join(built, 'verifier.html')]);
      const page = await browser.newPage();
      const reach = (): Promise<unknown> => page.evaluate(`(async (at) => {
        const settled = (made) => new Promise((resolve) => {
          made.onload = () => resolve('reached');
          made.onerror = () => resolve('refused');
          document.body.append(made);
        });
        const fetched = await fetch(at).then(() => 'reached', () => 'refused');
        const image = await settled(Object.assign(new Image(), { src: at }));
        const script = await settled(Object.assign(document.createElement('script'), { src: at }));
        return [fetched, image, script].join(' ');
      })(${JSON.stringify(there)})`);
      await page.goto(pathToFileURL(join(built, 'verifier.html')).href);
      expect(await reach()).toBe('refused refused refused');
      expect(hits).toBe(0);
      // The same from a page without its policy: the server is there to be reached.
      writeFileSync(join(built, 'bare.html'), '<!doctype html><title>bare</title><body></body>');
      await page.goto(pathToFileURL(join(built, 'bare.html')).href);
      expect(await reach()).toMatch(/^reached/);
      expect(hits).toBeGreaterThan(0);
    } finally {
      await browser.close();
      server.close();
      rmSync(built, { recursive: true });
    }
  });
});
