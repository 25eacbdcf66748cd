/** How long `policy diff` and `policy simulate --all` take, as the commands that they are, each a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeBundle, ENTRYPOINTS, readBundle } from '../../src/pdp/bundle.ts';
import { writeDecisions } from '../support/decided-ledger.ts';
import { estate } from '../support/estate.ts';
import type { Row } from './rows.ts';

const BUNDLE = join(process.cwd(), 'policy', 'bundle');
const MAIN = join(import.meta.dirname, '../../src/main.js');
const AT = '2026-11-23T12:00:00.000Z';
const TICK_MS = 10;

interface Took {
  readonly seconds: number;
  /** Of one core, all threads together. */
  readonly coreSeconds: number;
  readonly document: Readonly<Record<string, unknown>>;
}

/** Time of a core that children which have ended took, in ms. */
function childrenMs(): number {
  const [user, system] = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ').slice(13, 15).map(Number) as [number, number];
  return (user + system) * TICK_MS;
}

async function took(...args: string[]): Promise<Took> {
  const beforeMs = childrenMs();
  const startMs = performance.now();
  const child = spawn(process.execPath, [MAIN, 'policy', ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk));
  const [code] = (await once(child, 'close')) as [number];
  // 1: policy would say otherwise somewhere, as it should.
  if (code > 1) throw new Error(`policy ${args.join(' ')} ended with ${code}`);
  return { seconds: (performance.now() - startMs) / 1_000, coreSeconds: (childrenMs() - beforeMs) / 1_000, document: JSON.parse(Buffer.concat(chunks).toString()) as Took['document'] };
}

/** The shipped module under stricter limits: some of what it decides comes out otherwise. */
function stricter(directory: string): string {
  const folder = join(directory, 'stricter');
  cpSync(BUNDLE, folder, { recursive: true });
  const data = JSON.parse(readFileSync(join(BUNDLE, 'data.json'), 'utf8')) as { limits: { leaseSecondsMax: Record<string, number> } };
  data.limits.leaseSecondsMax['high'] = 60;
  const bytes = Buffer.from(JSON.stringify(data));
  const wasm = readFileSync(join(BUNDLE, 'policy.wasm'));
  writeFileSync(join(folder, 'data.json'), bytes);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(describeBundle({ wasm, data: bytes }, { entrypoints: ENTRYPOINTS, opa: '1.22.2', sources: `sha256:${'0'.repeat(64)}` })));
  return folder;
}

function row(what: string, seen: readonly Took[], goal: string, told: string): Row {
  return { what, figures: seen.map(({ seconds }) => seconds), unit: 's', goal, told: `${told}; ${Math.min(...seen.map(({ coreSeconds }) => coreSeconds)).toFixed(1)} s of a core at least` };
}

async function rounds(count: number, run: () => Promise<Took>): Promise<[Took, ...Took[]]> {
  const seen = [await run()] as [Took, ...Took[]];
  while (seen.length < count) seen.push(await run());
  return seen;
}

export async function measureDiff(directory: string, count: number, times: number, say: (text: string) => void): Promise<Row[]> {
  const place = join(directory, 'decided');
  say(`${count} decisions are recorded …`);
  await writeDecisions(place, count, await readBundle(BUNDLE));
  const other = stricter(directory);
  const seen = await rounds(times, () => took('diff', BUNDLE, other, '--ledger', place));
  const { asked, changed, otherwise } = seen[0].document as { asked: number; changed: number; otherwise: number };
  if (asked !== count) throw new Error(`${asked} of ${count} were asked`);
  return [row(`policy diff, ${count} recorded decisions`, seen, count === 10_000 ? '≤ 10 s' : '-', `${changed} changed, ${otherwise} otherwise`)];
}

export async function measureSimulate(directory: string, count: number, times: number): Promise<Row[]> {
  const { calendar: _none, ...files } = estate(count, Date.parse(AT));
  const calendar = readFileSync(join(process.cwd(), 'examples/facts/calendar.yaml'), 'utf8').replaceAll('[pg-main]', '[pg-prod]');
  const rows: Row[] = [];
  for (const [what, more] of [['without a calendar', {}], ['with a calendar', { 'calendar.yaml': calendar }]] as const) {
    const place = join(directory, `estate ${what}`);
    mkdirSync(place);
    for (const [name, value] of Object.entries(files)) writeFileSync(join(place, `${name}.json`), JSON.stringify(value));
    for (const [name, text] of Object.entries(more)) writeFileSync(join(place, name), text);
    const seen = await rounds(times, () => took('simulate', '--all', '--facts', place, '--at', AT));
    rows.push(row(`policy simulate --all, ${count} identities, ${what}`, seen, count === 2_000 ? '≤ 5 s' : '-', `${String(seen[0].document['questions'])} questions`));
  }
  return rows;
}

