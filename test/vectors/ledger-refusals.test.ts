/** Texts that look like ours and are not: each must be refused, so that one document has one spelling. */
import { describe, expect, it } from 'vitest';
import {
  EMPTY_ROOT, checkQuorum, cosignatureTime, formatCheckpoint, formatProof, formatTileIndex, generateSignerKey, openCheckpoint, openWitnessedCheckpoint, openNote, parseBase64,
  parseCheckpoint, parseCosigner, parseNote, parseProof, parseSigner, parseTilePath, parseTrustPolicy, parseVerifier, sha256, signCheckpoint, signNote, verifyProof,
  leafHash, MerkleTree, formatSignatureLine, encodeRecord, decodeRecord, decodeBundle, encodeBundle,
} from '../../ledger/index.ts';

const seed = (name: string): Uint8Array => sha256(Buffer.from(name));
const logKeys = generateSignerKey('log.test/a', seed('a'));
const signer = parseSigner(logKeys.skey);
const malformed = expect.objectContaining({ code: 'malformed' }) as Error;
const untrusted = expect.objectContaining({ code: 'untrusted' }) as Error;
const root = Buffer.from(EMPTY_ROOT).toString('base64');

describe('a note', () => {
  const good = signNote('text\n', [signer]);
  it.each([
    ['nothing', ''],
    ['no signature', 'text\n\n'],
    ['no empty line', 'text\n'],
    ['no last newline', good.slice(0, -1)],
    ['a blank after its end', `${good}\n`],
    ['a carriage return', good.replace('text\n', 'text\r\n')],
    ['a tab', good.replace('text', 'te\txt')],
    ['a hyphen for the dash', good.replace('\u2014', '-')],
    ['two spaces', good.replace('\u2014 ', '\u2014  ')],
    ['base64 without padding', good.replace(/=+\n$/, '\n')],
    ['base64 with stray bits', good.replace(/.=\n$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}=\n`)],
    ['a name with a plus sign', good.replace('log.test/a ', 'log.test+a ')],
    ['a lone surrogate', good.replace('text', 'te\ud800xt')],
    ['a signature of a key id only', 'text\n\n\u2014 log.test/a AAAAAA==\n'],
    ['a hundred and one signatures', `text\n\n${good.slice(good.indexOf('\u2014')).repeat(101)}`],
  ])('with %s is refused', (_name, text) => {
    expect(() => parseNote(text)).toThrow(malformed);
  });

  it('with a bad signature of a known key is refused, whoever else has signed it well', () => {
    const other = parseSigner(generateSignerKey('log.test/b', seed('b')).skey);
    const both = signNote('text\n', [signer, other]);
    const [line] = signNote('other text\n', [other]).split('\n').slice(2);
    const mixed = `${both.split('\n').slice(0, 3).join('\n')}\n${line!}\n`;
    expect(openNote(mixed, [parseVerifier(signer.vkey)]).verified).toHaveLength(1);
    expect(() => openNote(mixed, [parseVerifier(signer.vkey), parseVerifier(other.vkey)])).toThrow(untrusted);
  });

  it('signed by nobody known is refused', () => {
    expect(() => openNote(good, [])).toThrow(untrusted);
  });
});

describe('a key', () => {
  const vkey = (key: Uint8Array, type = 1): string => {
    const typed = Buffer.concat([Uint8Array.of(type), key]);
    const id = Buffer.from(sha256(Buffer.from('x\n'), typed).subarray(0, 4)).toString('hex');
    return `x+${id}+${typed.toString('base64')}`;
  };
  it.each([
    ['identity', `01${'00'.repeat(31)}`],
    ['zero', '00'.repeat(32)],
    ['zero with the sign bit', `${'00'.repeat(31)}80`],
    ['minus one', `ec${'ff'.repeat(30)}7f`],
    ['order eight', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['order eight, negated', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'],
    ['p, another zero', `ed${'ff'.repeat(30)}7f`],
    ['p + 1, another one', `ee${'ff'.repeat(30)}ff`],
  ])('of small order or second spelling (%s) is refused', (_name, hex) => {
    expect(() => parseVerifier(vkey(Buffer.from(hex, 'hex')))).toThrow(malformed);
  });

  it.each([
    ['another id', logKeys.vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')],
    ['capital hex', logKeys.vkey.replace(/\+[0-9a-f]{8}\+/, (id) => id.toUpperCase())],
    ['an unknown type', vkey(seed('k'), 2)],
    ['a short key', vkey(seed('k').subarray(1))],
    ['a space in its name', logKeys.vkey.replace('log.test', 'log test')],
    ['nothing after the id', logKeys.vkey.slice(0, logKeys.vkey.lastIndexOf('+') + 1)],
  ])('with %s is refused', (_name, text) => {
    expect(() => parseVerifier(text)).toThrow(malformed);
  });

  it('for signing is refused without repeating it', () => {
    const broken = logKeys.skey.replace(/\+[0-9a-f]{8}\+/, '+00000000+');
    expect(() => parseSigner(broken)).toThrow(malformed);
    const message = ((): string => {
      try {
        parseSigner(broken);
        return '';
      } catch (error) {
        return String(error);
      }
    })();
    expect(message).not.toContain(broken.slice(-12));
  });
});

describe('a checkpoint', () => {
  it.each([
    ['a leading zero', `log.test/a\n042\n${root}\n`],
    ['a plus sign', `log.test/a\n+42\n${root}\n`],
    ['no size', `log.test/a\n\n${root}\n`],
    ['a negative size', `log.test/a\n-1\n${root}\n`],
    ['a size past 2^53', `log.test/a\n9007199254740992\n${root}\n`],
    ['hex for a root', `log.test/a\n1\n${Buffer.from(EMPTY_ROOT).toString('hex')}\n`],
    ['a short root', `log.test/a\n1\n${root.slice(4)}\n`],
    ['an unpadded root', `log.test/a\n1\n${root.replace('=', '')}\n`],
    ['an empty origin', `\n1\n${root}\n`],
    ['a space in the origin', `log test\n1\n${root}\n`],
    ['an empty extension line', `log.test/a\n1\n${root}\n\n`],
    ['no last newline', `log.test/a\n1\n${root}`],
    ['a line too few', `log.test/a\n1\n`],
  ])('with %s is refused', (_name, text) => {
    expect(() => parseCheckpoint(text)).toThrow(malformed);
  });

  it('reads back as it is written, also at the largest size', () => {
    const checkpoint = { origin: 'log.test/a', size: Number.MAX_SAFE_INTEGER, root: seed('root') };
    expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual({ ...checkpoint, extensions: [] });
    expect(parseCheckpoint(`${formatCheckpoint(checkpoint)}extension\n`).extensions).toEqual(['extension']);
  });

  it.each([
    { origin: 'a b', size: 1, root: EMPTY_ROOT },
    { origin: 'a', size: -1, root: EMPTY_ROOT },
    { origin: 'a', size: 1.5, root: EMPTY_ROOT },
    { origin: 'a', size: 1, root: EMPTY_ROOT.subarray(1) },
  ])('that could not be read back is not written', (checkpoint) => {
    expect(() => formatCheckpoint(checkpoint)).toThrow(malformed);
  });
});

describe('a trust policy', () => {
  const witnesses = ['w1', 'w2', 'w3', 'w4'].map((name) => parseCosigner(generateSignerKey(`${name}.test`, seed(name), 4).skey));
  const lines = witnesses.map((w, i) => `witness w${i + 1} ${w.vkey}`);
  const log = `log ${logKeys.vkey}`;

  it.each([
    ['no quorum', [log]],
    ['two quorums', [log, 'quorum none', 'quorum none']],
    ['a quorum not defined', [log, 'quorum w1', lines[0]!]],
    ['an unknown keyword', [log, 'wittness x', 'quorum none']],
    ['a log key twice', [log, log, 'quorum none']],
    ['a witness key under two names', [lines[0]!, lines[0]!.replace('w1', 'w9'), 'quorum none']],
    ['a name twice', [lines[0]!, lines[1]!.replace('w2', 'w1'), 'quorum none']],
    ['a witness named none', [lines[0]!.replace('w1', 'none'), 'quorum none']],
    ['a log key for a witness', [`witness w ${logKeys.vkey}`, 'quorum none']],
    ['a witness key for a log', [`log ${witnesses[0]!.vkey}`, 'quorum none']],
    ['a member in two groups', [...lines, 'group a any w1', 'group b any w1', 'quorum a']],
    ['a member twice in a group', [...lines, 'group a any w1 w1', 'quorum a']],
    ['a member defined later', ['group a any w1', lines[0]!, 'quorum a']],
    ['an empty group', [...lines, 'group a any', 'quorum a']],
    ['a threshold of none', [...lines, 'group a 0 w1', 'quorum a']],
    ['a threshold over its members', [...lines, 'group a 3 w1 w2', 'quorum a']],
    ['a threshold spelled oddly', [...lines, 'group a 02 w1 w2', 'quorum a']],
    ['none as a member', [...lines, 'group a any none', 'quorum a']],
    ['too many words', [`${log} https://log.test extra`, 'quorum none']],
    ['a carriage return', [`${log}\r`, 'quorum none']],
  ])('with %s is refused', (_name, policy) => {
    expect(() => parseTrustPolicy(`${policy.join('\n')}\n`)).toThrow(malformed);
  });

  it('counts witnesses through groups, each in one way', () => {
    const policy = parseTrustPolicy(
      ['# two operators', log, ...lines, 'group north 1 w1 w2', '\tgroup\tsouth all w3 w4', ' group both all north south', 'quorum both'].join('\n'),
    );
    expect(policy.groups.map(({ threshold }) => threshold)).toEqual([1, 2, 2]);
    expect(checkQuorum(policy, ['w1', 'w3', 'w4']).met).toBe(true);
    expect(checkQuorum(policy, ['w1', 'w2', 'w3']).met).toBe(false);
    expect(checkQuorum(policy, ['w3', 'w4']).met).toBe(false);
    expect(checkQuorum(policy, ['w1', 'w3', 'w4'])).toEqual({ met: true, cosigned: 3, known: 4, demand: 'both: 2 of 2' });
  });

  it('opens a checkpoint that a listed log signed and enough witnesses cosigned', () => {
    const policy = parseTrustPolicy([log, ...lines, 'group g 2 w1 w2 w3 w4', 'quorum g'].join('\n'));
    const text = formatCheckpoint({ origin: 'log.test/a', size: 0, root: EMPTY_ROOT });
    const note = signCheckpoint({ origin: 'log.test/a', size: 0, root: EMPTY_ROOT }, signer);
    const line = (i: number): string => formatSignatureLine(witnesses[i]!.keyName, witnesses[i]!.cosign(text, 1_790_000_000 + i));
    expect(() => openWitnessedCheckpoint(note + line(0), policy)).toThrow(untrusted);
    expect(() => openWitnessedCheckpoint(note + line(0) + line(0), policy)).toThrow(untrusted);
    const opened = openWitnessedCheckpoint(note + line(0) + line(2), policy);
    expect(opened.witnesses).toEqual(['w1', 'w3']);
    expect(opened.signatures.slice(1).map(({ signature }) => cosignatureTime(signature))).toEqual([1_790_000_000, 1_790_000_002]);
  });

  it('does not take a cosignature at one time for one at another, or over another head', () => {
    const policy = parseTrustPolicy([log, lines[0]!, 'quorum w1'].join('\n'));
    const note = signCheckpoint({ origin: 'log.test/a', size: 0, root: EMPTY_ROOT }, signer);
    const cosigned = witnesses[0]!.cosign(formatCheckpoint({ origin: 'log.test/a', size: 0, root: EMPTY_ROOT }), 1_790_000_000);
    const later = Buffer.from(cosigned);
    later[7]!++;
    expect(() => openCheckpoint(note + formatSignatureLine(witnesses[0]!.keyName, later), policy)).toThrow(untrusted);
    const other = witnesses[0]!.cosign(formatCheckpoint({ origin: 'log.test/a', size: 1, root: seed('r') }), 1_790_000_000);
    expect(() => openCheckpoint(note + formatSignatureLine(witnesses[0]!.keyName, other), policy)).toThrow(untrusted);
  });

  it('demands that the key which signed is named as the origin', () => {
    const other = generateSignerKey('log.test/b', seed('b'));
    const policy = parseTrustPolicy(`log ${other.vkey}\nquorum none`);
    const note = signCheckpoint({ origin: 'log.test/a', size: 0, root: EMPTY_ROOT }, parseSigner(other.skey));
    expect(() => openCheckpoint(note, policy)).toThrow(untrusted);
  });
});

describe('a proof', () => {
  const entries = Array.from({ length: 9 }, (_, i) => Buffer.from(`entry ${i}`));
  const tree = new MerkleTree();
  for (const entry of entries) tree.append(leafHash(entry));
  const policy = parseTrustPolicy(`log ${logKeys.vkey}\nquorum none`);
  const checkpoint = signCheckpoint({ origin: 'log.test/a', size: 9, root: tree.root() }, signer);
  const text = formatProof({ index: 4, hashes: tree.inclusionProof(4), checkpoint });

  it('reads back as it is written, and proves its own entry alone', () => {
    expect(formatProof(parseProof(text))).toBe(text);
    const extra = formatProof({ ...parseProof(text), extra: Buffer.from('note to self') });
    expect(formatProof(parseProof(extra))).toBe(extra);
    expect(verifyProof(entries[4]!, parseProof(text), policy)).toMatchObject({ size: 9, origin: 'log.test/a' });
    for (const i of [0, 3, 5, 8]) expect(() => verifyProof(entries[i]!, parseProof(text), policy)).toThrow(expect.objectContaining({ code: 'invalid-proof' }) as Error);
  });

  it.each([
    ['another version', text.replace('@v1', '@v2')],
    ['no index', text.replace('index 4\n', '')],
    ['an index spelled oddly', text.replace('index 4', 'index 04')],
    ['a hash cut short', text.replace(/\n([A-Za-z0-9+/]{4})/, '\n')],
    ['no empty line', text.replace('\n\n', '\n')],
    ['no checkpoint', text.slice(0, text.indexOf('\n\n') + 2)],
    ['a line between', text.replace('\n\n', '\n \n\n')],
  ])('with %s is refused', (_name, changed) => {
    expect(changed).not.toBe(text);
    expect(() => parseProof(changed)).toThrow(malformed);
  });

  it.each([
    ['one hash more', (h: Uint8Array[]) => [...h, EMPTY_ROOT]],
    ['one hash less', (h: Uint8Array[]) => h.slice(1)],
    ['hashes in another order', (h: Uint8Array[]) => [...h].reverse()],
  ])('with %s proves nothing', (_name, change) => {
    const proof = { index: 4, hashes: change(tree.inclusionProof(4)), checkpoint };
    expect(() => verifyProof(entries[4]!, proof, policy)).toThrow(expect.objectContaining({ code: 'invalid-proof' }) as Error);
  });
});

describe('a tile path', () => {
  it('groups the index in threes', () => {
    expect(['0', '999', '1000', '1234067'].map((n) => formatTileIndex(Number(n)))).toEqual(['000', '999', 'x001/000', 'x001/x234/067']);
  });
  it.each(['tile/0/0', 'tile/00/000', 'tile/0/x000/000', 'tile/0/000.p/0', 'tile/0/000.p/256', 'tile/0/000.p/01', 'tile/0/001/000', 'tile/entries/000/', 'tile/a/000', '/tile/0/000'])('spelled %s names nothing', (path) => {
    expect(parseTilePath(path)).toBeNull();
  });
});

describe('a bundle', () => {
  it('reads back as it is written, and is refused when cut anywhere inside an entry', () => {
    const entries = [Buffer.from('a'), Buffer.alloc(0), Buffer.alloc(65_535, 1)];
    const bytes = encodeBundle(entries);
    expect(decodeBundle(bytes).map((e) => Buffer.from(e))).toEqual(entries);
    for (const end of [1, 2, 4, 6, 100, bytes.length - 1]) expect(() => decodeBundle(bytes.subarray(0, end))).toThrow(malformed);
    expect(() => encodeBundle([Buffer.alloc(65_536)])).toThrow(expect.objectContaining({ code: 'too-large' }) as Error);
  });
});

describe('a record', () => {
  const record = {
    v: 1, seq: 7, prev: `sha256:${'a'.repeat(64)}`, change: 'chg_1', changeSeq: 0, changePrev: null, type: 'policy.decided', at: '2026-11-23T19:05:00.123Z',
    actor: 'person:alice', body: { z: 1, a: ['é', { b: null }] }, objects: [],
  };
  const text = Buffer.from(encodeRecord(record)).toString();
  const reread = (changed: string): unknown => decodeRecord(Buffer.from(changed));

  it('reads back as it is written', () => {
    expect(reread(text)).toEqual(record);
    expect(text).toBe(`{"actor":"person:alice","at":"2026-11-23T19:05:00.123Z","body":{"a":["é",{"b":null}],"z":1},"change":"chg_1","changePrev":null,"changeSeq":0,"objects":[],"prev":"sha256:${'a'.repeat(64)}","seq":7,"type":"policy.decided","v":1}`);
  });

  it.each([
    ['a space', text.replace(',', ', ')],
    ['keys in another order', text.replace('"a":["é",{"b":null}],"z":1', '"z":1,"a":["é",{"b":null}]')],
    ['an escape for a letter', text.replace('é', '\\u00e9')],
    ['a key more', text.replace('"v":1', '"v":1,"w":1')],
    ['a key less', text.replace(',"v":1', '')],
    ['a key twice', text.replace('"seq":7', '"seq":7,"seq":7')],
    ['a float', text.replace('"seq":7', '"seq":7.0')],
    ['an exponent', text.replace('"seq":7', '"seq":7e0')],
    ['no prev', text.replace(/"prev":"[^"]*"/, '"prev":null')],
    ['a digest in capitals', text.replace('aaaa', 'AAAA')],
    ['a changePrev out of place', text.replace('"changePrev":null', `"changePrev":"sha256:${'b'.repeat(64)}"`)],
    ['a changeSeq without a change', text.replace('"change":"chg_1"', '"change":null')],
    ['a negative seq', text.replace('"seq":7', '"seq":-7')],
    ['a day that is none', text.replace('2026-11-23', '2026-11-31')],
    ['a type of another shape', text.replace('policy.decided', 'Policy Decided')],
    ['a body that is a list', text.replace(/"body":\{.*\},"change"/, '"body":[],"change"')],
    ['an object that is no digest', text.replace('"objects":[]', '"objects":["x"]')],
    ['a byte order mark', `\ufeff${text}`],
    ['more after it', `${text}\n`],
  ])('with %s is refused', (_name, changed) => {
    expect(changed).not.toBe(text);
    expect(() => reread(changed)).toThrow(malformed);
  });
});

describe('base64', () => {
  it.each(['QQ', 'QQ=', 'QR==', 'QQ==\n', ' QQ==', 'Q Q==', 'QQ==QQ==', '-_==', 'A'])('spelled %j is refused', (text) => {
    expect(parseBase64(text)).toBeNull();
  });
});
