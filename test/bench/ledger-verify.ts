/** Verifying and opening: against the engine's own parser and hash over the same bytes, and what of memory grows with the ledger. */
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlePath, decodeBundle, nodeDisk, nodeEvidence, openLog, TILE_WIDTH, verifyLedger } from '../../ledger/index.ts';
import { openBundleThreads } from '../../src/evidence/bundle-threads.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { preAuthEncoding } from '../../src/protocol/dsse.ts';
import type { Dsse } from '../../src/protocol/signed.ts';
import { quantile } from '../support/arms.ts';
import { writeChanges, writeRecords } from '../support/long-ledger.ts';
import { keys, ORIGIN, storyTrust } from '../support/story.ts';
import type { Row } from './ledger.ts';

const trust = storyTrust();
const RECORD_BYTES = 600;

interface Cost {
  /** Of all threads. */
  readonly cpuSeconds: number;
  readonly seconds: number;
}

const NOTHING: Cost = { cpuSeconds: 0, seconds: 0 };

async function costOf(run: () => Promise<void> | void): Promise<Cost> {
  const [startMs, cpu] = [performance.now(), process.cpuUsage()];
  await run();
  const { user, system } = process.cpuUsage(cpu);
  return { cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - startMs) / 1000 };
}

/** Every record's bytes, in order. */
function* entriesOf(directory: string, size: number): Generator<Uint8Array> {
  for (let first = 0; first < size; first += TILE_WIDTH) {
    yield* decodeBundle(readFileSync(join(directory, 'ledger', bundlePath(first / TILE_WIDTH, Math.min(TILE_WIDTH, size - first)))));
  }
}

const textOf = (entry: Uint8Array): string => Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength).toString('utf8');

/** `JSON.parse` and `createHash` over every record's bytes. */
function readRaw(directory: string, size: number): void {
  for (const entry of entriesOf(directory, size)) {
    JSON.parse(textOf(entry));
    createHash('sha256').update(entry).digest();
  }
}

/** What `verify` of node:crypto is given for one signature: all but the work that nobody can leave out. */
interface Carried {
  readonly key: KeyObject;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** The signatures that the records carry by keys of `trust`, each once however often it is carried. */
function signaturesIn(directory: string, size: number): Carried[] {
  const [sidecars, executors] = [[...trust.sidecars.values()].flat(), [...trust.executors.values()]];
  const keysOf = new Map([...sidecars, ...executors.map(({ key }) => key)].map(({ keyName, publicKey }) => (
    [keyName, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') }, format: 'jwk' })]
  )));
  const carried = new Map<string, Carried>();
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { payloadType, payload, signatures } = value as Partial<Dsse>;
    const { keyid = '', sig = '' } = signatures?.[0] ?? {};
    const key = keysOf.get(keyid);
    if (key === undefined || payloadType === undefined || payload === undefined) for (const member of Object.values(value)) collect(member);
    else carried.set(`${keyid} ${payloadType} ${payload} ${sig}`, { key, message: preAuthEncoding(payloadType, Buffer.from(payload, 'base64')), signature: Buffer.from(sig, 'base64') });
  };
  for (const entry of entriesOf(directory, size)) collect((JSON.parse(textOf(entry)) as { readonly body: unknown }).body);
  return [...carried.values()];
}

function verifyRaw(carried: readonly Carried[]): void {
  for (const { key, message, signature } of carried) if (!verify(null, message, key, signature)) throw new Error('a signature of the bench does not hold');
}

/** @param threads beside the one that has the last word */
export async function verifyAt(directory: string, isWhole: boolean, threads: number): Promise<void> {
  const ahead = openBundleThreads(threads, isWhole ? trust : null);
  const given = { disk: nodeEvidence(directory), directory: 'ledger' };
  const { verdicts } = isWhole
    ? await verifyEvidence({ ...given, trust, wholeFolder: true, ...(ahead === null ? {} : { ahead }) })
    : await verifyLedger({ ...given, trust: trust.policy, ...(ahead === null ? {} : { checker: ahead.checker }) });
  await ahead?.close();
  const failing = verdicts.find(({ status }) => status === 'fails');
  if (failing !== undefined) throw new Error(failing.message);
}

export async function measureVerify(directory: string, rounds: number, records: number): Promise<Row[]> {
  const path = join(directory, 'changes');
  const size = await writeChanges(path, records);
  const carried = signaturesIn(path, size);
  const rows: Row[] = [];
  for (const [what, isWhole] of [['INTEGRITY, SIGNATURE, COMPLETENESS', false], ['and WORKFLOW', true]] as const) {
    for (const threads of isWhole ? [0, 1] : [0]) {
      const seen: { ours: Cost; raw: Cost; signed: Cost }[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const [raw, signatures] = [await costOf(() => readRaw(path, size)), isWhole ? await costOf(() => verifyRaw(carried)) : NOTHING];
        seen.push({ raw, signed: { cpuSeconds: raw.cpuSeconds + signatures.cpuSeconds, seconds: raw.seconds + signatures.seconds }, ours: await costOf(() => verifyAt(path, isWhole, threads)) });
      }
      const perSecond = (of: 'ours' | 'raw' | 'signed', unit: keyof Cost): number => Math.round(size / quantile(seen.map((one) => one[of][unit]), 0.5));
      const beside = threads === 0 ? '' : `, ${threads} thread beside`;
      rows.push({
        what: `verify per core, ${what}${beside}`, ratios: seen.map(({ ours, raw }) => raw.cpuSeconds / ours.cpuSeconds), goal: '≥ 0.5',
        told: `${perSecond('ours', 'cpuSeconds')} records a CPU second, ${perSecond('ours', 'seconds')}/s; raw ${perSecond('raw', 'cpuSeconds')}`,
      });
      if (isWhole) rows.push({
        what: `… against parse, hash and each signature once${beside}`, ratios: seen.map(({ ours, signed }) => signed.cpuSeconds / ours.cpuSeconds), goal: '≥ 0.5',
        told: `${carried.length} signatures in ${size} records; raw with them ${perSecond('signed', 'cpuSeconds')} records a CPU second`,
      });
    }
  }
  return rows;
}

export async function measureOpen(directory: string, records: number): Promise<Row[]> {
  const path = join(directory, 'open');
  const size = await writeRecords(path, records, RECORD_BYTES);
  const took: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const startMs = performance.now();
    const log = await openLog({ origin: ORIGIN, disk: nodeDisk(path), directory: 'ledger', journal: 'journal', signer: keys.log, now: () => Date.now() });
    took.push(performance.now() - startMs);
    await log.close();
  }
  return [{ what: `open of ${size} records`, ratios: [], goal: '≤ 2 s', told: took.map((ms) => `${(ms / 1000).toFixed(2)} s`).join(', ') }];
}

/** The most that a process of its own had in memory when it had verified so many records, of changes of ten records each. */
export async function measureMemory(directory: string, sizes: readonly number[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const records of sizes) {
    const path = join(directory, `memory-${records}`);
    await writeRecords(path, records, RECORD_BYTES);
    const told = execFileSync(process.execPath, [fileURLToPath(import.meta.url), path]).toString();
    rows.push({ what: `verify of ${records} records, ${records / 10} changes`, ratios: [], goal: '', told });
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { seconds } = await costOf(() => verifyAt(process.argv[2]!, false, 0));
  process.stdout.write(`${Math.round(process.resourceUsage().maxRSS / 1024)} MiB at most, ${seconds.toFixed(1)} s`);
}
