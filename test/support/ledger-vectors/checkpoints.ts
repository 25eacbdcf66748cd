/** Checkpoints, and what makes one believed. https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-cosignature */
import { EMPTY_ROOT, formatCheckpoint, signCheckpoint, signNote } from '../../../ledger/index.ts';
import { cosignatureLine } from './notes.ts';
import { base64, log, ORIGIN, otherLog, replaced, seedOf, signerOf, strayBits, witnesses, type Vector } from './vector.ts';

const root = base64(EMPTY_ROOT);
const SECONDS = 1_790_000_000;

/** The text of a checkpoint; its parts, or that it is refused. */
function text(path: string, title: string, checkpoint: string, expect: object): Vector {
  return { path: `checkpoints/${path}`, content: { title, checkpoint, expect } };
}

export function checkpointVectors(): Vector[] {
  const bad = (path: string, title: string, checkpoint: string): Vector => text(`refused-${path}`, title, checkpoint, { refused: 'malformed' });
  return [
    text('empty', 'of no entries', `log.test/a\n0\n${root}\n`, { origin: ORIGIN, size: '0', root, extensions: [] }),
    text('largest', 'of the largest size that is read here', `log.test/a\n9007199254740991\n${root}\n`, { origin: ORIGIN, size: '9007199254740991', root, extensions: [] }),
    text('past-2-31', 'of more than 2^31 entries', `log.test/a\n4294967297\n${root}\n`, { origin: ORIGIN, size: '4294967297', root, extensions: [] }),
    text('extensions', 'with extension lines, which mean nothing here', `log.test/a\n1\n${root}\none\ntwo three\n`, { origin: ORIGIN, size: '1', root, extensions: ['one', 'two three'] }),
    bad('leading-zero', 'a leading zero', `log.test/a\n042\n${root}\n`),
    bad('two-zeros', 'nothing, spelled 00', `log.test/a\n00\n${root}\n`),
    bad('plus', 'a plus sign', `log.test/a\n+42\n${root}\n`),
    bad('minus', 'less than nothing', `log.test/a\n-1\n${root}\n`),
    bad('hex-size', 'a size in hexadecimal', `log.test/a\n0x1\n${root}\n`),
    bad('fraction', 'a size with a fraction', `log.test/a\n1.0\n${root}\n`),
    bad('exponent', 'a size with an exponent', `log.test/a\n1e3\n${root}\n`),
    bad('other-digits', 'a size in other digits than 0 to 9', `log.test/a\n\u0661\n${root}\n`),
    bad('space-before-size', 'a space before the size', `log.test/a\n 1\n${root}\n`),
    bad('no-size', 'no size', `log.test/a\n\n${root}\n`),
    bad('too-large', 'a size of 2^53', `log.test/a\n9007199254740992\n${root}\n`),
    bad('hex-root', 'a root in hexadecimal', `log.test/a\n1\n${Buffer.from(EMPTY_ROOT).toString('hex')}\n`),
    bad('short-root', 'a root of 30 bytes', `log.test/a\n1\n${root.slice(4)}\n`),
    bad('long-root', 'a root of 33 bytes', `log.test/a\n1\n${base64(Buffer.alloc(33))}\n`),
    bad('unpadded-root', 'a root without its padding', `log.test/a\n1\n${root.replace('=', '')}\n`),
    bad('stray-bits-root', 'a root with bits that carry nothing', `log.test/a\n1\n${strayBits(root)}\n`),
    bad('no-origin', 'no origin', `\n1\n${root}\n`),
    bad('space-in-origin', 'a space in the origin', `log test\n1\n${root}\n`),
    bad('plus-in-origin', 'a plus sign in the origin', `log+test\n1\n${root}\n`),
    bad('empty-extension', 'an empty extension line', `log.test/a\n1\n${root}\n\n`),
    bad('empty-extension-between', 'an empty line among the extensions', `log.test/a\n1\n${root}\none\n\ntwo\n`),
    bad('no-last-newline', 'no newline at the end', `log.test/a\n1\n${root}`),
    bad('no-root', 'no root', 'log.test/a\n1\n'),
    bad('nothing', 'nothing at all', ''),
  ];
}

/** A signed checkpoint under a trust policy: what is believed of it. */
function opened(path: string, title: string, note: string, policy: string, expect: object): Vector {
  return { path: `cosigned/${path}`, content: { title, note, policy, expect } };
}

export function cosignedVectors(): Vector[] {
  const head = { origin: ORIGIN, size: 0, root: EMPTY_ROOT };
  const signed = signCheckpoint(head, log);
  const line = (i: number, seconds = SECONDS + i, of = formatCheckpoint(head)): string => cosignatureLine(i, of, seconds);
  const witnessLines = witnesses.map((witness, i) => `witness w${i + 1} ${witness.vkey}`);
  const [first] = witnessLines;
  const one = [`log ${log.vkey}`, first!, 'quorum w1', ''].join('\n');
  const groups = [`log ${log.vkey}`, ...witnessLines, 'group north 1 w1 w2', 'group south all w3 w4', 'group both all north south', 'quorum both', ''].join('\n');
  const none = `log ${log.vkey}\nquorum none\n`;
  const holds = (witnessed: readonly string[], quorumMet: boolean): object => ({ origin: ORIGIN, size: '0', root, witnessed, quorumMet });
  const at = (i: number, seconds: number): string => {
    const made = line(i).split(' ');
    const raw = Buffer.from(made[2]!, 'base64');
    raw.writeBigUInt64BE(BigInt(seconds), 4);
    return `${made[0]!} ${made[1]!} ${base64(raw)}\n`;
  };
  const bad = (path: string, title: string, note: string, policy = one, code = 'untrusted'): Vector => opened(`refused-${path}`, title, note, policy, { refused: code });
  return [
    opened('none-demanded', 'signed by the log, and nobody else is asked for', signed, none, holds([], true)),
    opened('none-demanded-cosigned', 'a cosignature that nobody asked for', signed + line(0), none, holds([], true)),
    opened('one', 'the one witness has cosigned', signed + line(0), one, holds(['w1'], true)),
    opened('witness-first', 'the witness\'s line before the log\'s', replaced(signed, '\n\n', `\n\n${line(0)}`), one, holds(['w1'], true)),
    opened('one-missing', 'the one witness has not', signed, one, holds([], false)),
    opened('both-groups', 'each group has its number', signed + line(1) + line(2) + line(3), groups, holds(['w2', 'w3', 'w4'], true)),
    opened('one-group', 'one group has its number', signed + line(0) + line(1) + line(2), groups, holds(['w1', 'w2', 'w3'], false)),
    opened('twice-is-once', 'a witness that cosigned twice counts once', signed + line(2) + line(2, SECONDS + 60) + line(0), groups, holds(['w1', 'w3'], false)),
    opened('time-0', 'cosigned at the start of 1970', signed + line(0, 0), one, holds(['w1'], true)),
    opened('extension-covered', 'the cosignature is over the extension lines as well', signNote(`${formatCheckpoint(head)}extension\n`, [log]) + line(0, SECONDS, `${formatCheckpoint(head)}extension\n`), one, holds(['w1'], true)),
    bad('extension-not-covered', 'a cosignature of the checkpoint without its extension lines', signNote(`${formatCheckpoint(head)}extension\n`, [log]) + line(0)),
    bad('other-time', 'another time than the one that was signed', signed + at(0, SECONDS + 1)),
    bad('beyond-9999', 'a time after the year 9999, well signed: no time that can be written', signed + line(0, 253_402_300_800)),
    bad('other-head', 'a cosignature of another head', signed + line(0, SECONDS, formatCheckpoint({ ...head, size: 1, root: seedOf('r') }))),
    bad('note-signature', 'the witness\'s key over the text alone, as a log would sign', signed + `\u2014 ${witnesses[0]!.keyName.slice(0, -9)} ${base64(Buffer.concat([Buffer.from(witnesses[0]!.keyName.slice(-8), 'hex'), signerOf('w1.test').sign(Buffer.from(formatCheckpoint(head)))]))}\n`),
    bad('short-cosignature', 'a cosignature without its time', signed + `\u2014 ${witnesses[0]!.keyName.slice(0, -9)} ${base64(Buffer.concat([Buffer.from(witnesses[0]!.keyName.slice(-8), 'hex'), Buffer.alloc(64)]))}\n`),
    bad('only-cosigned', 'cosigned, and not signed by the log', formatCheckpoint(head) + '\n' + line(0)),
    bad('other-origin', 'signed by a log with another origin, whose key is trusted', signCheckpoint(head, otherLog), `log ${otherLog.vkey}\nquorum none\n`),
    bad('unknown-log', 'signed by a log that nobody listed', signCheckpoint({ ...head, origin: 'log.test/b' }, otherLog), none),
    bad('other-key', 'signed under the origin by another key than the one listed', signCheckpoint(head, signerOf(ORIGIN, 'another'))),
    bad('no-signature', 'a checkpoint that nobody signed', `${formatCheckpoint(head)}\n`, none, 'malformed'),
    bad('not-a-checkpoint', 'a signed text that is no checkpoint', signNote('log.test/a\nhello\n', [log]), none, 'malformed'),
  ];
}

/** A trust policy; what it lists, or that it is refused. */
function policy(path: string, title: string, lines: readonly string[], expect: object): Vector {
  return { path: `policies/${path}`, content: { title, policy: lines.join('\n'), expect } };
}

export function policyVectors(): Vector[] {
  const logLine = `log ${log.vkey}`;
  const w = witnesses.map((witness, i) => `witness w${i + 1} ${witness.vkey}`);
  const bad = (path: string, title: string, lines: readonly string[]): Vector => policy(`refused-${path}`, title, [...lines, ''], { refused: 'malformed' });
  return [
    policy('least', 'one log and no witness', [logLine, 'quorum none', ''], { logs: [log.vkey], witnesses: [], groups: [], quorum: 'none' }),
    policy('no-last-newline', 'without a newline at the end', [logLine, 'quorum none'], { logs: [log.vkey], witnesses: [], groups: [], quorum: 'none' }),
    policy('whole', 'comments, spaces, tabs, addresses, groups of groups', [
      '# two operators', '', `\tlog\t${log.vkey} https://log.test/a`, ...w.map((line, i) => (i === 0 ? `${line} https://w1.test/` : line)), 'group north 1 w1 w2', 'group south all w3 w4', ' group both any north south', 'quorum both', '',
    ], {
      logs: [log.vkey], witnesses: witnesses.map(({ vkey }, i) => ({ name: `w${i + 1}`, key: vkey })),
      groups: [{ name: 'north', threshold: 1, members: ['w1', 'w2'] }, { name: 'south', threshold: 2, members: ['w3', 'w4'] }, { name: 'both', threshold: 1, members: ['north', 'south'] }], quorum: 'both',
    }),
    policy('quorum-of-one', 'a witness for the quorum', [logLine, w[0]!, 'quorum w1', ''], { logs: [log.vkey], witnesses: [{ name: 'w1', key: witnesses[0]!.vkey }], groups: [], quorum: 'w1' }),
    policy('no-log', 'no log at all: nobody is trusted', ['quorum none', ''], { logs: [], witnesses: [], groups: [], quorum: 'none' }),
    bad('no-quorum', 'no quorum line', [logLine]),
    bad('two-quorums', 'two quorum lines', [logLine, 'quorum none', 'quorum none']),
    bad('quorum-undefined', 'a quorum that no line defines', [logLine, 'quorum w1', w[0]!]),
    bad('quorum-of-two', 'two names for the quorum', [logLine, w[0]!, w[1]!, 'quorum w1 w2']),
    bad('unknown-keyword', 'a keyword that nobody knows', [logLine, 'wittness x', 'quorum none']),
    bad('keyword-case', 'a keyword in capitals', [logLine, 'QUORUM none']),
    bad('log-twice', 'a log key twice', [logLine, logLine, 'quorum none']),
    bad('log-key-other-name', 'one log key under two names', [logLine, `log ${signerOf('log.test/c', 'a').vkey}`, 'quorum none']),
    bad('witness-key-twice', 'a witness key under two names', [w[0]!, replaced(w[0]!, 'w1', 'w9'), 'quorum none']),
    bad('name-twice', 'a name for two witnesses', [w[0]!, replaced(w[1]!, 'w2', 'w1'), 'quorum none']),
    bad('group-named-as-witness', 'a group with the name of a witness', [w[0]!, w[1]!, 'group w1 any w2', 'quorum w1']),
    bad('witness-named-none', 'a witness called none', [replaced(w[0]!, 'w1', 'none'), 'quorum none']),
    bad('group-named-none', 'a group called none', [w[0]!, 'group none any w1', 'quorum none']),
    bad('log-key-for-witness', 'a log\'s key for a witness', [`witness w ${log.vkey}`, 'quorum none']),
    bad('witness-key-for-log', 'a witness\'s key for a log', [`log ${witnesses[0]!.vkey}`, 'quorum none']),
    bad('member-of-two-groups', 'a witness in two groups', [...w, 'group a any w1', 'group b any w1', 'quorum a']),
    bad('member-twice', 'a member twice in one group', [...w, 'group a any w1 w1', 'quorum a']),
    bad('member-later', 'a member that a later line defines', ['group a any w1', w[0]!, 'quorum a']),
    bad('member-itself', 'a group in itself', [w[0]!, 'group a any w1 a', 'quorum a']),
    bad('member-none', 'none as a member', [...w, 'group a any none', 'quorum a']),
    bad('empty-group', 'a group of nobody', [...w, 'group a any', 'quorum a']),
    bad('threshold-zero', 'a group that asks for nobody', [...w, 'group a 0 w1', 'quorum a']),
    bad('threshold-over', 'a group that asks for more than it has', [...w, 'group a 3 w1 w2', 'quorum a']),
    bad('threshold-leading-zero', 'a threshold with a leading zero', [...w, 'group a 02 w1 w2', 'quorum a']),
    bad('threshold-sign', 'a threshold with a sign', [...w, 'group a +1 w1 w2', 'quorum a']),
    bad('threshold-word', 'a threshold that is no number', [...w, 'group a most w1 w2', 'quorum a']),
    bad('log-words', 'a word too many for a log', [`${logLine} https://log.test extra`, 'quorum none']),
    bad('log-without-key', 'a log without a key', ['log', 'quorum none']),
    bad('witness-without-key', 'a witness without a key', ['witness w1', 'quorum none']),
    bad('carriage-return', 'a carriage return', [`${logLine}\r`, 'quorum none']),
    bad('small-order-key', 'a log key of small order', ['log x+4c4acb4f+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 'quorum none']),
  ];
}
