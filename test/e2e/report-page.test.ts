/** Each report as a page, opened from disk in a real browser that is offline: inert, accessible in both colour schemes, and printed with the ledger's size and root on every page. */
import { cpSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasBrowser, openBrowser } from '../support/browser.ts';
import { writeReportLedger } from '../support/report-ledger.ts';
import { openDesk, type Desk } from '../support/world.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Short words in the cells of rows, of which a part is on another line. */
const BROKEN = `(() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (node.parentElement.closest('.scroll td') === null || !/^[A-Za-z]{2,12}$/.test(node.data.trim())) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    if (range.getClientRects().length > 1) found.push(node.data);
  }
  return found;
})()`;
const REPORTS: readonly (readonly [string, ...string[]])[] = [['population'], ['sample', '--seed', 'x', '--size', '3'], ['gaps'], ['controls'], ['privilege']];
interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

describe.skipIf(!hasBrowser())('a report as a page', () => {
  let desk: Desk;
  let browser: Browser;
  beforeAll(async () => {
    desk = openDesk();
    const ledger = await writeReportLedger();
    cpSync(ledger.directory, join(desk.directory, 'estate'), { recursive: true });
    ledger.remove();
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    desk.remove();
  });

  /** What the page asked for but itself, and complained of, while `look` was at it. */
  async function opened(file: string, scheme: 'light' | 'dark', look: (page: Page) => Promise<void>): Promise<readonly string[]> {
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 1280, height: 900 } });
    await context.setOffline(true);
    const url = pathToFileURL(join(desk.directory, file)).href;
    const amiss: string[] = [];
    context.on('request', (request) => request.url() !== url && amiss.push(request.url()));
    context.on('console', (message) => amiss.push(message.text()));
    context.on('weberror', (error) => amiss.push(String(error.error())));
    const page = await context.newPage();
    await page.goto(url);
    await look(page);
    await context.close();
    return amiss;
  }

  it.each(REPORTS)('%s', async (kind, ...more) => {
    // Under the stricter floor, so that faults are shown as well.
    const ran = await desk.run('report', kind, 'estate', '--trust', 'estate/strict', ...more, '--out', `${kind}.html`);
    expect(ran.exit, ran.stderr).toBe(1);
    for (const scheme of ['light', 'dark'] as const) {
      const amiss = await opened(`${kind}.html`, scheme, async (page) => {
        expect(await page.title()).toMatch(/: story\.example\/ledger, \d+ records$/);
        expect(await page.locator('img, script, a, link, iframe').count()).toBe(0);
        expect(await page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute('content')).toBe('default-src \'none\'; style-src \'unsafe-inline\'');
        await page.evaluate(AXE);
        // In the other scheme only the colours are others.
        const rules = scheme === 'light' ? '["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]' : '{ type: "rule", values: ["color-contrast"] }';
        const { violations } = await page.evaluate<{ violations: readonly Finding[] }>(`axe.run(document, { runOnly: ${rules}, resultTypes: ["violations"] })`);
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 2).map(({ html, failureSummary }) => `${html} ${failureSummary ?? ''}`).join('; ')}`), scheme).toEqual([]);
        expect(await page.evaluate(BROKEN), 'words of a row that go on in another line').toEqual([]);
        // On a narrow screen tables scroll by themselves, and the page does not.
        await page.setViewportSize({ width: 420, height: 800 });
        expect(await page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')).toBe(true);
        expect(await page.evaluate(BROKEN), 'the same, on a phone').toEqual([]);
      });
      expect(amiss).toEqual([]);
    }
    await opened(`${kind}.html`, 'light', async (page) => {
      const pdf = await page.pdf({ preferCSSPageSize: true });
      expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
      // At least its head, and its rows after it.
      expect((pdf.toString('latin1').match(/\/Type \/Page\b/g) ?? []).length).toBeGreaterThan(1);
    });
  });
});
