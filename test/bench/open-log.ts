/**
 * How long a ledger of many records takes to open, and in how much memory: `npm run bench:open-log [-- RECORDS]`. Only the ledger: what the sidecar folds from
 * it comes after.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSignerKey, nodeDisk, openLog, parseSigner, sha256, type Log, type RecordDraft } from '../../ledger/index.ts';

const ORIGIN = 'bench.example/open';
const RECORD_BYTES = 600;
const RECORDS_PER_CHANGE = 12;
const TOGETHER = 2_048;
const MIB = 1_048_576;

function open(directory: string): Promise<Log> {
  const signer = parseSigner(generateSignerKey(ORIGIN, sha256(Buffer.from(ORIGIN))).skey);
  return openLog({ origin: ORIGIN, disk: nodeDisk(directory), directory: 'ledger', journal: 'journal', signer, now: () => Date.now() });
}

function draftOf(i: number): RecordDraft {
  return {
    v: 1, change: `chg_0123456789abcdef_${String(Math.floor(i / RECORDS_PER_CHANGE)).padStart(26, '0')}`, type: 'policy.decided', at: new Date(1_790_000_000_000 + i).toISOString(), actor: 'sidecar:0123456789abcdef',
    body: { i, text: 'x'.repeat(RECORD_BYTES - 420) }, objects: [],
  };
}

async function write(directory: string, records: number): Promise<void> {
  const log = await open(directory);
  for (let from = log.size; from < records; from += TOGETHER) {
    const many = Array.from({ length: Math.min(TOGETHER, records - from) }, (_, i) => log.append([draftOf(from + i)]).durable);
    await Promise.all(many);
  }
  await log.close();
}

const [mode, directory = '', count = '1000000'] = process.argv.slice(2);
if (mode === 'once') {
  const began = performance.now();
  const log = await open(directory);
  const ms = performance.now() - began;
  const rss = process.memoryUsage().rss;
  process.stdout.write(JSON.stringify({ ms: Math.round(ms), rssMiB: Math.round(rss / MIB), size: log.size }));
  await log.close();
} else {
  const records = Number(mode ?? count);
  const root = mkdtempSync(join(tmpdir(), 'countersign-bench-open-'));
  try {
    const began = performance.now();
    await write(root, records);
    const seconds = (performance.now() - began) / 1000;
    const journal = readdirSync(join(root, 'journal')).map((name) => statSync(join(root, 'journal', name)).size).reduce((a, b) => a + b, 0);
    process.stdout.write(`${records} records written in ${seconds.toFixed(1)} s; ${(journal / records).toFixed(0)} bytes of the writer's own files each\n`);
    for (let i = 0; i < 5; i += 1) process.stdout.write(`opened: ${spawnSync(process.execPath, [import.meta.filename, 'once', root], { encoding: 'utf8' }).stdout}\n`);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
