import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { generateSignerKey, nodeDisk, openLog, parseSigner, sha256, type Log, digestOf, verifyInclusion } from '../../ledger/index.ts';

const roots: string[] = [];
afterEach(async () => { for (const r of roots.splice(0)) await rm(r, { recursive: true, force: true }); });
const signer = parseSigner(generateSignerKey('log.test/a', sha256(Buffer.from('a'))).skey);
async function open(root: string): Promise<Log> {
  return openLog({ origin: 'log.test/a', disk: nodeDisk(root), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
}
it('smoke', async () => {
  const root = await mkdtemp(join(tmpdir(), 'cs-')); roots.push(root);
  let log = await open(root);
  for (let i = 0; i < 600; i++) {
    const object = Buffer.from(`object ${i}`);
    const a = log.append([{ v: 1, change: `chg_${i % 7}`, type: 'policy.decided', at: '2026-11-23T19:05:00.123Z', actor: 'person:x', body: { i }, objects: [digestOf(object)] }], { objects: [object], checkpoint: i % 50 === 0 });
    if (i % 3 === 0) await a.durable;
  }
  await log.sync();
  const p = log.prove(100);
  const cp = log.checkpoint();
  let n = 0;
  for await (const e of log.entries(0)) { if (e.seq === 100) verifyInclusion(e.leaf, 100, p.size, p.hashes, cp.root); n++; }
  expect(n).toBe(600);
  await log.close();
  log = await open(root);
  expect(log.size).toBe(600);
  expect(log.checkpoint().text).toBe(cp.text);
  expect(Buffer.from((await log.object(digestOf(Buffer.from('object 5'))))!).toString()).toBe('object 5');
  await log.close();
});
