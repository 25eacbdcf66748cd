/** The example that FORMAT.md opens with is made here, and must be the one printed there. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { canonicalText, decodeBundle, digestOf, exitCodeOf, generateSignerKey, openLog, parseSigner, parseTrustPolicy, sha256, verifyLedger } from '../../ledger/index.ts';
import { FaultyDisk } from '../fault/faulty-disk.ts';

const origin = 'ledger.example/edge';
const keys = generateSignerKey(origin, sha256(Buffer.from('example')));
const format = readFileSync(new URL('../../ledger/FORMAT.md', import.meta.url), 'utf8');
const disk = new FaultyDisk();
let heads = '';
const block = (label: string): string | undefined => new RegExp(`\`\`\`\\w+ ${label}\\n([^]*?)\`\`\``).exec(format)?.[1];

beforeAll(async () => {
  const log = await openLog({ origin, disk, directory: 'ledger', journal: 'journal', signer: parseSigner(keys.skey), now: () => 0 });
  const object = Buffer.from('{"salt":"kY3bQ0x1","window":"nightly"}');
  await log.append([
    { v: 1, change: null, type: 'ledger.opened', at: '2026-11-23T19:05:00.000Z', actor: 'sidecar:edge', body: { version: '0.1.0' }, objects: [] },
    { v: 1, change: 'chg_1', type: 'change.requested', at: '2026-11-23T19:05:00.123Z', actor: 'nhi:prod/billing', body: { reason: 'rotate' }, objects: [digestOf(object)] },
  ], { objects: [object] }).durable;
  heads = `${canonicalText(log.changeHeads())}\n`;
  await log.close();
});

function file(path: string): Buffer {
  return disk.files.get(`ledger/${path}`)!;
}

function hexLines(bytes: Buffer): string {
  return `${bytes.toString('hex').replaceAll(/(.{64})(?=.)/g, '$1\n')}\n`;
}

describe('the example of FORMAT.md', () => {
  it('is this directory', () => {
    expect([...disk.files.keys()].filter((path) => path.startsWith('ledger/')).map((path) => path.slice(7)).sort()).toEqual(
      ['checkpoint', 'objects/0', 'tile/0/000.p/2', 'tile/entries/000.p/2'],
    );
  });

  it('has these bytes', () => {
    const [first, second] = decodeBundle(file('tile/entries/000.p/2')).map((entry) => `${Buffer.from(entry).toString()}\n`);
    expect(block('record 0')).toBe(first);
    expect(block('record 1')).toBe(second);
    expect(block('leaves')).toBe(hexLines(file('tile/0/000.p/2')));
    expect(block('heads')).toBe(heads);
    expect(block('checkpoint')).toBe(file('checkpoint').toString());
    const object = file('objects/0');
    expect(block('object')).toBe(`${object.subarray(0, 4).toString('hex')} ${object.subarray(4, 5).toString('hex')}\n${object.subarray(5, 37).toString('hex')}\n${object.subarray(37).toString()}\n`);
    expect(block('trust.policy')).toBe(`log ${keys.vkey}\nquorum none\n`);
  });

  it('verifies under the trust policy that is printed with it', async () => {
    const { verdicts } = await verifyLedger({ disk, directory: 'ledger', trust: parseTrustPolicy(block('trust.policy')!) });
    expect(exitCodeOf(verdicts, ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS'])).toBe(0);
  });
});
