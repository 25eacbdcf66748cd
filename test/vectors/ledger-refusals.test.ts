/** What the vectors in `ledger/` cannot say in a file: what is never written, and what a message must not repeat. */
import { describe, expect, it } from 'vitest';
import {
  checkQuorum, cosignatureTime, EMPTY_ROOT, encodeBundle, formatCheckpoint, formatSignatureLine, formatTileIndex, openCheckpoint, openWitnessedCheckpoint, parseBase64, parseSigner,
  parseTrustPolicy, signCheckpoint,
} from '../../ledger/index.ts';
import { keysOf, log, ORIGIN, witnesses } from '../support/ledger-vectors/vector.ts';

const malformed = expect.objectContaining({ code: 'malformed' }) as Error;
const untrusted = expect.objectContaining({ code: 'untrusted' }) as Error;
const policyOf = (...lines: string[]): ReturnType<typeof parseTrustPolicy> => parseTrustPolicy([`log ${log.vkey}`, ...witnesses.map(({ vkey }, i) => `witness w${i + 1} ${vkey}`), ...lines].join('\n'));

describe('a key for signing', () => {
  it('is refused without repeating it', () => {
    const broken = keysOf(ORIGIN, 'a').skey.replace(/\+[0-9a-f]{8}\+/, '+00000000+');
    expect(() => parseSigner(broken)).toThrow(malformed);
    expect(() => parseSigner(broken)).not.toThrow(broken.slice(-12));
  });
});

describe('a checkpoint', () => {
  it.each([
    { origin: 'a b', size: 1, root: EMPTY_ROOT },
    { origin: 'a', size: -1, root: EMPTY_ROOT },
    { origin: 'a', size: 1.5, root: EMPTY_ROOT },
    { origin: 'a', size: 1, root: EMPTY_ROOT.subarray(1) },
  ])('that could not be read back is not written', (checkpoint) => {
    expect(() => formatCheckpoint(checkpoint)).toThrow(malformed);
  });

  it('tells when each witness cosigned it, and is refused where the quorum is demanded and not met', () => {
    const policy = policyOf('group g 2 w1 w2 w3 w4', 'quorum g');
    const head = { origin: ORIGIN, size: 0, root: EMPTY_ROOT };
    const note = signCheckpoint(head, log);
    const line = (i: number): string => formatSignatureLine(witnesses[i]!.keyName, witnesses[i]!.cosign(formatCheckpoint(head), 1_790_000_000 + i));
    expect(openCheckpoint(note + line(0) + line(0), policy).witness.met).toBe(false);
    expect(() => openWitnessedCheckpoint(note + line(0) + line(0), policy)).toThrow(untrusted);
    const { signatures } = openWitnessedCheckpoint(note + line(0) + line(2), policy);
    expect(signatures.slice(1).map(({ signature }) => cosignatureTime(signature))).toEqual([1_790_000_000, 1_790_000_002]);
  });
});

describe('a quorum', () => {
  it('counts witnesses through groups, each in one way', () => {
    const policy = policyOf('group north 1 w1 w2', 'group south all w3 w4', 'group both all north south', 'quorum both');
    expect(checkQuorum(policy, ['w1', 'w2', 'w3']).met).toBe(false);
    expect(checkQuorum(policy, ['w1', 'w3', 'w4'])).toEqual({ met: true, cosigned: 3, known: 4, demand: 'both: 2 of 2' });
  });
});

describe('a tile index', () => {
  it('is grouped in threes', () => {
    expect([0, 999, 1000, 1_234_067].map(formatTileIndex)).toEqual(['000', '999', 'x001/000', 'x001/x234/067']);
  });
});

describe('a bundle', () => {
  it('takes no entry whose length does not fit in two bytes', () => {
    expect(() => encodeBundle([Buffer.alloc(65_535)])).not.toThrow();
    expect(() => encodeBundle([Buffer.alloc(65_536)])).toThrow(expect.objectContaining({ code: 'too-large' }) as Error);
  });
});

describe('base64', () => {
  it.each(['QQ', 'QQ=', 'QR==', 'QQ==\n', ' QQ==', 'Q Q==', 'QQ==QQ==', '-_==', 'A'])('spelled %j is refused', (text) => {
    expect(parseBase64(text)).toBeNull();
  });
});
