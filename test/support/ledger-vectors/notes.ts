/** Signed notes, and the keys that sign them. https://c2sp.org/signed-note */
import { formatSignatureLine, parseNote, sha256, signNote } from '../../../ledger/index.ts';
import { base64, bytes, keysOf, log, otherLog, replaced, seedOf, strayBits, witnesses, type Vector } from './vector.ts';

const good = signNote('text\n', [log]);
const both = signNote('text\n', [log, otherLog]);
const line = good.slice(good.indexOf('\u2014'));
const signature = line.split(' ')[2]!.trim();

/** A note as it is given, the keys that are known, and the text with the keys that signed it; or why not. */
function note(path: string, title: string, given: string | Uint8Array, keys: readonly string[], signedBy: readonly string[]): Vector {
  const raw = Buffer.from(given);
  const { text } = parseNote(raw.toString('utf8'));
  return { path: `notes/${path}`, content: { title, note: bytes(raw), keys, expect: { text, signedBy } } };
}

function refused(path: string, title: string, given: string | Uint8Array, code = 'malformed', keys: readonly string[] = [log.vkey]): Vector {
  return { path: `notes/refused-${path}`, content: { title, note: bytes(Buffer.from(given)), keys, expect: { refused: code } } };
}

export function noteVectors(): Vector[] {
  const [otherSignature] = signNote('other text\n', [otherLog]).split('\n').slice(2);
  const mixed = `${both.split('\n').slice(0, 3).join('\n')}\n${otherSignature!}\n`;
  const many = `text\n\n${[log, ...Array.from({ length: 99 }, (_, i) => i)].map((one) => (typeof one === 'number' ? replaced(line, 'log.test/a', `stranger.test/${one}`) : line)).join('')}`;
  return [
    note('one-signature', 'a note signed by one known key', good, [log.vkey], [log.keyName]),
    note('two-signatures', 'a note signed by two known keys', both, [log.vkey, otherLog.vkey], [log.keyName, otherLog.keyName]),
    note('stranger', 'a signature of a key that nobody asked about is passed over', both, [otherLog.vkey], [otherLog.keyName]),
    note('blank-lines', 'the text may hold empty lines: it ends at the last of them', signNote('a\n\nb\n\n\nc\n', [log]), [log.vkey], [log.keyName]),
    note('empty-text', 'a text of one newline', signNote('\n', [log]), [log.vkey], [log.keyName]),
    note('not-ascii', 'a text that is not ASCII', signNote('größer als ∅ 𝄞\n', [log]), [log.vkey], [log.keyName]),
    note('twice-by-one-key', 'two signatures by one key: the first counts', `${good}${line}`, [log.vkey], [log.keyName]),
    note('bad-second-of-one-key', 'a second signature by one key is not looked at', `${good}${replaced(line, signature, base64(Buffer.concat([Buffer.from(signature, 'base64').subarray(0, 4), Buffer.alloc(64)])))}`, [log.vkey], [log.keyName]),
    note('bad-stranger', 'a bad signature of an unknown key is no fault of the note', mixed, [log.vkey], [log.keyName]),
    note('hundred-signatures', 'as many signatures as are read', many, [log.vkey], [log.keyName]),
    refused('nothing', 'nothing at all', ''),
    refused('no-signature', 'an empty line and no signature', 'text\n\n'),
    refused('no-empty-line', 'no empty line', 'text\n'),
    refused('no-last-newline', 'no newline at the end', good.slice(0, -1)),
    refused('blank-at-end', 'an empty line after the signatures', `${good}\n`),
    refused('text-without-newline', 'a text that does not end in a newline', replaced(good, 'text\n\n', 'text\n')),
    refused('carriage-return', 'a carriage return', replaced(good, 'text\n', 'text\r\n')),
    refused('tab', 'a tab in the text', replaced(good, 'text', 'te\txt')),
    refused('nul', 'a NUL in the text', replaced(good, 'text', 'te\u0000xt')),
    refused('hyphen', 'a hyphen for the dash', replaced(good, '\u2014', '-')),
    refused('en-dash', 'an en dash for the em dash', replaced(good, '\u2014', '\u2013')),
    refused('two-spaces', 'two spaces after the dash', replaced(good, '\u2014 ', '\u2014  ')),
    refused('space-after', 'a space after the signature', replaced(good, /\n$/, ' \n')),
    refused('no-padding', 'base64 without its padding', replaced(good, /=+\n$/, '\n')),
    refused('stray-bits', 'base64 with bits that carry nothing', replaced(good, signature, strayBits(signature))),
    refused('url-base64', 'base64 in the alphabet of URLs', replaced(good, signature, replaced(signature, /[+/]/, '_'))),
    refused('plus-in-name', 'a plus sign in a name', replaced(good, 'log.test/a ', 'log.test+a ')),
    refused('space-in-name', 'a no-break space in a name', replaced(good, 'log.test/a ', 'log.test\u00a0a ')),
    refused('empty-name', 'a signature by nobody', replaced(good, 'log.test/a ', ' ')),
    refused('only-key-id', 'a signature that is only a key id', 'text\n\n\u2014 log.test/a AAAAAA==\n'),
    refused('101-signatures', 'more signatures than are read', `${many}${line}`),
    refused('not-utf8', 'bytes that are not UTF-8', Buffer.concat([Buffer.from('te'), Uint8Array.of(0xff), Buffer.from(good.slice(2))])),
    refused('surrogate', 'half a surrogate pair, spelled as three bytes', Buffer.concat([Buffer.from('te'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(good.slice(2))])),
    refused('byte-order-mark-signed-over', 'a byte order mark before a text that was signed without', `\ufeff${good}`, 'untrusted'),
    refused('altered-text', 'another text', replaced(good, 'text', 'test'), 'untrusted'),
    refused('altered-signature', 'another signature', replaced(good, signature, base64(Buffer.from(signature, 'base64').map((byte, i) => (i === 40 ? byte ^ 1 : byte)))), 'untrusted'),
    refused('short-signature', 'a signature of 63 bytes', replaced(good, signature, base64(Buffer.from(signature, 'base64').subarray(0, 67))), 'untrusted'),
    refused('unknown-keys', 'signed by nobody known', good, 'untrusted', [otherLog.vkey]),
    refused('no-keys', 'no key is known', good, 'untrusted', []),
    refused('bad-known-signature', 'one good and one bad signature of known keys', mixed, 'untrusted', [log.vkey, otherLog.vkey]),
    refused('right-key-other-name', 'the right key under another name', replaced(good, 'log.test/a ', 'log.test/c '), 'untrusted'),
    refused('malleable', 'a signature whose s is not reduced: s + L', replaced(good, signature, addOrder(signature)), 'untrusted'),
  ];
}

/** The same signature with s + L for s: what verifiers that do not check the range take. */
function addOrder(text: string): string {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const raw = Buffer.from(text, 'base64');
  let s = BigInt(`0x${Buffer.from(raw.subarray(36)).reverse().toString('hex')}`) + order;
  for (let i = 36; i < 68; i++, s >>= 8n) raw[i] = Number(s & 255n);
  return base64(raw);
}

const publicKey = (vkey: string): string => Buffer.from(vkey.split('+').slice(2).join('+'), 'base64').subarray(1).toString('hex');

/** A verifier key as text; its parts, or that it is refused. */
function key(path: string, title: string, vkey: string, expect: object): Vector {
  return { path: `keys/${path}`, content: { title, key: vkey, expect } };
}

export function keyVectors(): Vector[] {
  const typed = (raw: Uint8Array, type = 1): string => {
    const bytesOf = Buffer.concat([Uint8Array.of(type), raw]);
    return `x+${Buffer.from(sha256(Buffer.from('x\n'), bytesOf).subarray(0, 4)).toString('hex')}+${base64(bytesOf)}`;
  };
  const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');
  const bad = (path: string, title: string, vkey: string): Vector => key(`refused-${path}`, title, vkey, { refused: 'malformed' });
  const ed25519 = keysOf('log.test/a', 'a').vkey;
  return [
    key('ed25519', 'a log\'s key', ed25519, { name: 'log.test/a', keyName: log.keyName, type: 1, publicKey: publicKey(ed25519) }),
    key('cosignature', 'a witness\'s key', witnesses[0]!.vkey, {
      name: 'w1.test', keyName: witnesses[0]!.keyName, type: 4, publicKey: publicKey(witnesses[0]!.vkey),
    }),
    bad('identity', 'of order one', typed(hex(`01${'00'.repeat(31)}`))),
    bad('identity-signed', 'of order one, with the sign bit', typed(hex(`01${'00'.repeat(30)}80`))),
    bad('zero', 'of order four', typed(hex('00'.repeat(32)))),
    bad('zero-signed', 'of order four, with the sign bit', typed(hex(`${'00'.repeat(31)}80`))),
    bad('minus-one', 'of order two', typed(hex(`ec${'ff'.repeat(30)}7f`))),
    bad('minus-one-signed', 'of order two, with the sign bit', typed(hex(`ec${'ff'.repeat(31)}`))),
    bad('order-eight', 'of order eight', typed(hex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'))),
    bad('order-eight-negated', 'of order eight, negated', typed(hex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'))),
    bad('p', 'p, a second spelling of zero', typed(hex(`ed${'ff'.repeat(30)}7f`))),
    bad('p-plus-one', 'p + 1, a second spelling of one', typed(hex(`ee${'ff'.repeat(31)}`))),
    bad('other-id', 'an id that is not the key\'s', replaced(ed25519, /\+[0-9a-f]{8}\+/, '+00000000+')),
    bad('capital-id', 'an id in capitals', ed25519.replace(/\+[0-9a-f]{8}\+/, (id) => id.toUpperCase())),
    bad('short-id', 'an id of seven digits', replaced(ed25519, /\+[0-9a-f]/, '+')),
    bad('other-name', 'the id of another name', replaced(ed25519, 'log.test/a', 'log.test/b')),
    bad('unknown-type', 'a type that nobody knows', typed(seedOf('k'), 2)),
    bad('short', 'a key of 31 bytes', typed(seedOf('k').subarray(1))),
    bad('long', 'a key of 33 bytes', typed(Buffer.concat([seedOf('k'), Uint8Array.of(0)]))),
    bad('no-key', 'nothing after the id', ed25519.slice(0, ed25519.indexOf('+', 12) + 1)),
    bad('empty-name', 'no name', replaced(ed25519, 'log.test/a', '')),
    bad('space', 'a space in the name', replaced(ed25519, 'log.test', 'log test')),
    bad('newline', 'a newline at the end', `${ed25519}\n`),
    bad('private', 'a signer\'s key where a verifier\'s is due', keysOf('log.test/a', 'a').skey),
  ];
}

export const cosignatureLine = (witness: number, text: string, timeSeconds: number): string =>
  formatSignatureLine(witnesses[witness]!.keyName, witnesses[witness]!.cosign(text, timeSeconds));
