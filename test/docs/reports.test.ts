/** Every command of the page on reports does what it says, on a real ledger. */
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawOf } from '../../src/reports/sample.ts';
import { writeReportLedger } from '../support/report-ledger.ts';
import { openDesk, type Desk } from '../support/world.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/reports.md'), 'utf8');
const commands = [...page.matchAll(/^countersign (?:report|who) .*$/gm)].map(([line]) => line);

describe('the page on reports', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = openDesk();
    const ledger = await writeReportLedger();
    for (const name of ['ledger', 'trust']) cpSync(join(ledger.directory, name), join(desk.directory, name), { recursive: true });
    ledger.remove();
  });
  afterAll(() => desk.remove());

  it.each(commands)('%s', async (line) => {
    const { exit, stdout, stderr } = await desk.run(...line.split(' ').slice(1));
    expect(exit, stderr).toBe(0);
    expect(stdout.length).toBeGreaterThan(40);
  });

  it('has a command for each kind of report, and for who', () => {
    expect(new Set(commands.map((line) => /^countersign (report \w+|who)/.exec(line)![1]))).toEqual(new Set(['report population', 'report sample', 'report gaps', 'report controls', 'report privilege', 'who']));
  });

  it('says how a sample is drawn as it is drawn', () => {
    const [, format, seed] = /^printf '([^']*)' (\S+) "\$ROOT" "\$CHANGE" \| sha256sum/m.exec(page)!;
    expect(format!.replaceAll('\\n', '\n').replaceAll('%s', '?')).toBe('?\n?\n?');
    // printf 2026-Q4, ab and chg_1 so, by sha256sum.
    expect(drawOf(seed!, 'ab', 'chg_1')).toBe('48dd89a580d4d12245dfb5b130742f647ef90a29072b7bec3a4d627d358f72ee');
  });
});
