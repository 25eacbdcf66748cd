/** The tutorial works as it is written: whoever has only the page gets to its end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WITHOUT_OPA } from '../support/opa.ts';
import { missing, runPage } from '../support/run-page.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-tutorial-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

it.skipIf(WITHOUT_OPA)('every block of docs/tutorial.md runs, and prints what the page says', async () => {
  const done = await runPage(join(import.meta.dirname, '../../docs/tutorial.md'), directory);
  expect(done.length).toBeGreaterThan(8);
  for (const block of done) expect(missing(block), `${block.script}\n${block.printed}`).toBeNull();
});
