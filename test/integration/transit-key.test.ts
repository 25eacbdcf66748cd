/** The log's key in a real OpenBao: it signs there, is away for a while, comes back, and takes over from a key in a file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeOf, generateSignerKey, nodeDisk, openLog, parseSigner, parseTrustPolicy, sha256, verifyLedger, type Log, type LogOptions, type LogSigner } from '../../ledger/index.ts';
import { describeTransitKey } from '../../src/identity/transit-key.ts';
import { openLogKey } from '../../src/identity/signing-key.ts';
import { lastingOpenBao, openbaoProgram, type LastingOpenBao } from '../support/openbao.ts';

const program = openbaoProgram();
const ORIGIN = 'transit.example/ledger';
const directory = mkdtempSync(join(tmpdir(), 'countersign-transit-'));
const at = (name: string): string => join(directory, name);
let bao: LastingOpenBao;

async function keyFile(name: string): Promise<string> {
  const key = await describeTransitKey({ kind: 'transit', url: bao.address, key: 'log', token: 'token' }, ORIGIN, at(name));
  writeFileSync(at(name), JSON.stringify(key), { mode: 0o600 });
  return at(name);
}

const open = (place: string, signer: LogSigner, more: Partial<LogOptions> = {}): Promise<Log> =>
  openLog({ origin: ORIGIN, disk: nodeDisk(at(place)), directory: 'ledger', journal: 'journal', signer, now: Date.now, ...more });
const append = (log: Log, checkpoint = true): Promise<void> =>
  log.append([{ v: 1, change: null, type: 'policy.decided', at: new Date().toISOString(), actor: 'sidecar:test', body: { n: log.size }, objects: [] }], { checkpoint }).durable;
async function exitOf(place: string, vkey: string): Promise<number> {
  const { verdicts } = await verifyLedger({ disk: nodeDisk(at(place)), directory: 'ledger', trust: parseTrustPolicy(`log ${vkey}\nquorum none\n`) });
  return exitCodeOf(verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS']);
}

describe.skipIf(program === null)('a log key that OpenBao holds', () => {
  beforeAll(async () => {
    bao = await lastingOpenBao(program!);
    for (const [path, body] of [['sys/mounts/transit', { type: 'transit' }], ['transit/keys/log', { type: 'ed25519' }], ['transit/keys/rsa', { type: 'rsa-2048' }]] as const) {
      const { status, errors } = await bao.call('POST', path, body);
      if (status >= 300) throw new Error(`${path}: ${errors.join('; ')}`);
    }
    writeFileSync(at('token'), bao.rootToken, { mode: 0o600 });
  });
  afterAll(async () => {
    await bao.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  it('signs checkpoints that its public half verifies, and the file holds nothing that is secret', async () => {
    const path = await keyFile('log.key');
    const signer = await openLogKey(path);
    const log = await open('plain', signer);
    for (let i = 0; i < 3; i++) await append(log);
    await log.close();
    expect(await exitOf('plain', signer.vkey)).toBe(0);
    expect(readFileSync(path, 'utf8')).not.toContain(bao.rootToken);
  });

  it('may be away: records stay durable, and are signed when it is back', async () => {
    const signer = await openLogKey(await keyFile('away.key'));
    const log = await open('away', signer);
    await append(log);
    writeFileSync(at('token'), 'no-such-token', { mode: 0o600 });
    await append(log, false);
    await expect(log.sync()).rejects.toThrow(/status 403/);
    expect(log).toMatchObject({ durableSize: 2, failed: null });
    expect(log.checkpoint().size).toBe(1);
    const waiting = append(log);
    await bao.restart();
    writeFileSync(at('token'), bao.rootToken, { mode: 0o600 });
    await waiting;
    expect(log.checkpoint().size).toBe(3);
    await log.close();
    expect(await exitOf('away', signer.vkey)).toBe(0);
  });

  it('takes over from a key in a file, on record', async () => {
    const { skey } = generateSignerKey(ORIGIN, sha256(Buffer.from('file key')));
    const old = parseSigner(skey);
    const before = await open('taken', old);
    await append(before);
    await before.close();
    const signer = await openLogKey(await keyFile('taking.key'));
    const log = await open('taken', signer, { rotateFrom: { signer: old, actor: 'sidecar:test' } });
    await append(log);
    await log.close();
    expect(await exitOf('taken', signer.vkey)).toBe(0);
    expect(await exitOf('taken', old.vkey)).toBe(1);
  });

  it('is held to the public half in the file: another key there signs nothing here', async () => {
    const other = generateSignerKey(ORIGIN, sha256(Buffer.from('other'))).vkey;
    const path = at('swapped.key');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(await keyFile('swapped-from.key'), 'utf8')) as object, vkey: other }), { mode: 0o600 });
    await expect(open('swapped', await openLogKey(path))).rejects.toThrow(/signature that does not hold/);
  });

  it('is no key of another kind, and none that is not there', async () => {
    for (const key of ['rsa', 'nothing']) await expect(describeTransitKey({ kind: 'transit', url: bao.address, key, token: 'token' }, ORIGIN, at('none.key'))).rejects.toThrow();
    await expect(describeTransitKey({ kind: 'transit', url: 'http://example.com:8200', key: 'log', token: 'token' }, ORIGIN, at('none.key'))).rejects.toThrow(/neither https nor loopback/);
  });
});
