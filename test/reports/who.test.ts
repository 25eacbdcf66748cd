/** Who had which access at a moment: told of a real ledger, whose story says when each began and ended. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatTime } from '../../src/protocol/values.ts';
import { writeReportLedger, type ReportStory } from '../support/report-ledger.ts';
import type { Telling } from '../support/story.ts';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
let story: ReportStory;
beforeAll(async () => {
  desk = openDesk();
  const ledger = await writeReportLedger();
  ({ story } = ledger);
  cpSync(ledger.directory, join(desk.directory, 'estate'), { recursive: true });
  ledger.remove();
});
afterAll(() => desk.remove());

interface Told {
  readonly exit: number;
  readonly sentences: readonly { readonly is: string; readonly subject: string; readonly text: string; readonly records: readonly number[] }[];
  readonly notCovered: readonly string[];
}
async function who(atMs: number, ...more: string[]): Promise<Told> {
  const ran = await desk.run('who', 'estate', '--trust', 'estate/trust', '--threads', '0', '--at', formatTime(atMs), ...(more.length === 0 ? ['--target', 'pg-main/app'] : more), '--json');
  expect(ran.exit, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout) as Told;
}
const timeOf = ({ beats }: Telling, type: string): number => beats.find(({ event }) => event.type === type && (type !== 'step.authorised' || (event.body as { kind: string }).kind === 'act'))!.atMs;
const of = (told: Told, is: string): string[] => told.sentences.filter((one) => one.is === is).map(({ text }) => text);

describe('who had access', () => {
  it('is nobody before it was authorised, perhaps somebody until it was reported, and somebody until it was gone', async () => {
    const { grant } = story;
    const [authorised, done, gone] = [timeOf(grant, 'step.authorised'), timeOf(grant, 'step.succeeded'), timeOf(grant, 'lease.ended')];
    expect((await who(authorised - 1)).sentences).toEqual([]);
    expect(of(await who(authorised), 'maybe')).toEqual([expect.stringContaining('nhi:prod/ci-deployer may have had role:deploy at pg-main/app')]);
    const during = await who(done);
    expect(of(during, 'access')).toEqual([expect.stringMatching(/^nhi:prod\/ci-deployer had role:deploy at pg-main\/app, as account ci_deployer, by chg_\w+, since .* \(record \d+\)\. Approved by person:ana \(session, record \d+\)\. It was recorded as gone at /)]);
    expect(of(await who(gone - 1), 'access')).toHaveLength(1);
    expect((await who(gone)).sentences).toEqual([]);
  });

  it('is not answered with nobody for a name that is misspelt', async () => {
    const atMs = timeOf(story.grant, 'step.succeeded');
    for (const [flag, name] of [['--nhi', 'nhi:prod/ci-deploier'], ['--target', 'pg-main/ap']] as const) {
      const { sentences, notCovered } = await who(atMs, flag, name);
      expect([sentences, notCovered[0]]).toEqual([[], `whether ${name} is how it is called here: no change and no finding in these records names it`]);
    }
    for (const named of [['--nhi', 'nhi:prod/ci-deployer'], ['--target', 'pg-main/app']]) expect((await who(atMs, ...named)).notCovered.filter((item) => item.startsWith('whether'))).toEqual([]);
    const { exit, stderr } = await desk.run('who', 'estate', '--trust', 'estate/trust', '--nhi', 'ci-deployer');
    expect([exit, stderr]).toEqual([2, expect.stringContaining('such as nhi:prod/ci-deployer')]);
  });

  it('names records that the ledger has, each in the sentence', async () => {
    for (const { text, records } of (await who(timeOf(story.late, 'step.succeeded'))).sentences) {
      expect(new Set([...text.matchAll(/record (\d+)/g)].map(([, seq]) => Number(seq)))).toEqual(new Set(records));
    }
  });

  it('says whose glass was broken, and what stands without an end', async () => {
    expect(of(await who(timeOf(story.glass, 'step.succeeded')), 'access')).toEqual([expect.stringContaining('Given by person:sam, who broke the glass (record')]);
    const { atMs } = story.lease;
    expect(of(await who(atMs, '--nhi', 'nhi:prod/orders-api'), 'access')).toEqual([expect.stringContaining('as account orders_b')]);
    expect((await who(atMs, '--nhi', 'nhi:prod/orders-api')).sentences[0]!.text).toContain('without an end');
  });

  it('tells the later end of a lease from when it was recorded on', async () => {
    const { lease } = story;
    const [first, extended] = [timeOf(lease, 'lease.activated'), timeOf(lease, 'lease.extended')];
    const endIn = async (atMs: number): Promise<string> => / to end at (\S+ \S+) /.exec(of(await who(atMs, '--nhi', 'nhi:prod/ci-deployer'), 'access')[0]!)![1]!;
    const [before, after] = [await endIn(first), await endIn(extended)];
    expect(after > before).toBe(true);
  });

  it('tells what was found outside, what was read besides, and since when nobody has looked', async () => {
    const told = await who(story.lease.atMs);
    expect(of(told, 'outside')).toEqual([expect.stringContaining('account planted, which is nobody’s, was found at pg-main/app')]);
    expect(of(told, 'held')).toEqual([expect.stringContaining('had been read to hold role:admin, table:public.orders:SELECT')]);
    expect(told.notCovered).toEqual([expect.stringMatching(/^changes made outside Countersign at pg-main, which had last been looked at as a whole at 2026-11-23 21:13:20Z \(record \d+\)$/)]);
    const later = await who(story.lease.atMs + 86_400_000);
    expect(later.notCovered.at(-1)).toMatch(/^what came after the last record/);
    expect(of(later, 'access').some((text) => text.includes('though it was to end at'))).toBe(true);
  });

  it('is not asked without a target or an identity', async () => {
    expect((await desk.run('who', 'estate', '--trust', 'estate/trust')).exit).toBe(2);
    expect((await desk.run('who', 'estate', '--trust', 'estate/trust', '--target', 'app')).exit).toBe(2);
  });
});
