/** What the thread costs that a policy is evaluated in, so that it can be killed: our PDP against opa-wasm called in this thread. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as opaWasm from '@open-policy-agent/opa-wasm';
import { openPdp } from '../../src/pdp/engine.ts';
import { quantile } from '../support/arms.ts';
import { askedOfPolicy } from './policy-http.ts';
import { POLICY } from './policy-servers.ts';
import { median, type Row } from './rows.ts';

const { loadPolicySync } = (opaWasm as unknown as { default: Pick<typeof opaWasm, 'loadPolicySync'> }).default;

async function timed(count: number, run: () => unknown): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const startMs = performance.now();
    await run();
    took.push(performance.now() - startMs);
  }
  return took;
}

export async function measureInside(rounds: number, count: number): Promise<Row[]> {
  const directory = join(POLICY, 'bundle');
  const input = await askedOfPolicy();
  const raw = loadPolicySync(new WebAssembly.Module(readFileSync(join(directory, 'policy.wasm'))), { initial: 5 });
  raw.setData(JSON.parse(readFileSync(join(directory, 'data.json'), 'utf8')) as object);
  const pdp = await openPdp({ directory });
  const sides = { raw: (): unknown => raw.evaluate(input, 'access/decide'), ours: (): unknown => pdp.decide(input) };
  try {
    await timed(2_000, sides.raw);
    await timed(2_000, sides.ours);
    const seen: { raw: number[]; ours: number[]; perSecond: { raw: number; ours: number } }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const [theirs, mine] = [await timed(count, sides.raw), await timed(count, sides.ours)];
      const startMs = performance.now();
      for (let n = 0; n < count; n += 16) await Promise.all(Array.from({ length: 16 }, sides.ours));
      const together = (count * 1_000) / (performance.now() - startMs);
      seen.push({ raw: theirs, ours: mine, perSecond: { raw: (count * 1_000) / theirs.reduce((sum, ms) => sum + ms, 0), ours: together } });
    }
    const middle = (side: 'raw' | 'ours', share: number): string => median(seen.map((one) => quantile(one[side], share))).toFixed(3);
    return [
      {
        what: 'one decision at a time by our PDP, by raw opa-wasm in this thread', figures: seen.map((one) => quantile(one.ours, 0.5) / quantile(one.raw, 0.5)), goal: '-',
        told: `p50 ${middle('ours', 0.5)} ms, p99 ${middle('ours', 0.99)} ms; raw p50 ${middle('raw', 0.5)} ms, p99 ${middle('raw', 0.99)} ms`,
      },
      {
        what: 'decisions/s by our PDP, 16 in flight, by raw opa-wasm', figures: seen.map(({ perSecond }) => perSecond.ours / perSecond.raw), goal: '-',
        told: `${Math.round(median(seen.map(({ perSecond }) => perSecond.ours)))}/s; raw ${Math.round(median(seen.map(({ perSecond }) => perSecond.raw)))}/s`,
      },
    ];
  } finally {
    await pdp.close();
  }
}
