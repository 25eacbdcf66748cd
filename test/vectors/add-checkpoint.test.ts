/** The request to a witness and its answer: one spelling of each, and what a client believes of the answer. */
import { describe, expect, it } from 'vitest';
import {
  ADD_CHECKPOINT_BYTES_MAX, addCheckpoint, formatAddCheckpoint, formatCosignatures, formatNote, generateSignerKey, MerkleTree, parseAddCheckpoint, parseCosignatures,
  parseCosigner, parseNote, parseSigner, parseVerifier, sha256, signCheckpoint, TLOG_SIZE_TYPE,
  type Cosigner, type HttpAnswer, type WitnessOutcome,
} from '../../ledger/index.ts';

const seed = (name: string): Uint8Array => sha256(Buffer.from(name));
const signer = parseSigner(generateSignerKey('log.test/a', seed('a')).skey);
const cosignerOf = (name: string): Cosigner => parseCosigner(generateSignerKey(name, seed(name), 4).skey);
const north = cosignerOf('witness.test/north');
const south = cosignerOf('witness.test/south');
const malformed = expect.objectContaining({ code: 'malformed' }) as Error;

const tree = new MerkleTree();
for (let i = 0; i < 21; i++) tree.append(seed(`leaf ${i}`));
const checkpoint = signCheckpoint({ origin: 'log.test/a', size: 21, root: tree.root() }, signer);
const { text } = parseNote(checkpoint);
const request = { oldSize: 13, proof: tree.consistencyProof(13, 21), checkpoint };
const body = formatAddCheckpoint(request);

describe('an add-checkpoint request', () => {
  it('is read back as it was written, with and without a proof', () => {
    expect(parseAddCheckpoint(Buffer.from(body))).toEqual(request);
    const first = { oldSize: 0, proof: [], checkpoint };
    expect(formatAddCheckpoint(first)).toBe(`old 0\n\n${checkpoint}`);
    expect(parseAddCheckpoint(Buffer.from(formatAddCheckpoint(first)))).toEqual(first);
  });

  it('is the example of the specification', () => {
    const example = [
      'old 20852014', 'PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=', 'jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=',
      '5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=', '/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=', '',
      'example.com/behind-the-sofa', '20852163', 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=', '',
      '\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=',
      '\u2014 example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=', '',
    ].join('\n');
    const parsed = parseAddCheckpoint(Buffer.from(example));
    expect(parsed).toMatchObject({ oldSize: 20852014 });
    expect(parsed.proof).toHaveLength(4);
    expect(formatAddCheckpoint(parsed)).toBe(example);
  });

  const [oldLine, hash] = body.split('\n') as [string, string];
  const hashes = (count: number): string => `old 13\n${`${hash}\n`.repeat(count)}\n${checkpoint}`;
  it('may have 63 hashes', () => {
    expect(parseAddCheckpoint(Buffer.from(hashes(63))).proof).toHaveLength(63);
  });
  it.each<[string, string | Uint8Array]>([
    ['nothing', ''],
    ['no old size', body.slice(oldLine.length + 1)],
    ['another word for old', body.replace('old', 'Old')],
    ['two spaces', body.replace('old ', 'old  ')],
    ['a tab', body.replace('old ', 'old\t')],
    ['a space behind the old size', body.replace('old 13', 'old 13 ')],
    ['a leading zero', body.replace('old 13', 'old 013')],
    ['a sign', body.replace('old 13', 'old +13')],
    ['a negative size', body.replace('old 13', 'old -13')],
    ['a hexadecimal size', body.replace('old 13', 'old 0x0d')],
    ['an exponent', body.replace('old 13', 'old 1e1')],
    ['no digits', body.replace('old 13', 'old ')],
    ['an old size past 2^53 - 1', body.replace('old 13', 'old 9007199254740992')],
    ['an old size of seventeen digits', body.replace('old 13', `old ${'1'.repeat(17)}`)],
    ['a carriage return', body.replaceAll('\n', '\r\n')],
    ['64 hashes', hashes(64)],
    ['a hash of 31 bytes', body.replace(hash, Buffer.alloc(31).toString('base64'))],
    ['a hash of 33 bytes', body.replace(hash, Buffer.alloc(33).toString('base64'))],
    ['a hash without padding', body.replace(hash, hash.replace('=', ''))],
    ['a hash in the URL alphabet', body.replace(hash, Buffer.alloc(32, 0xff).toString('base64').replaceAll('/', '_'))],
    ['a hash with stray bits', body.replace(hash, hash.replace(/.=$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}=`))],
    ['a hash with a space', body.replace(hash, `${hash} `)],
    ['two empty lines', body.replace('\n\n', '\n\n\n')],
    ['no empty line', body.replace('\n\n', '\n')],
    ['no checkpoint', body.slice(0, body.indexOf('\n\n') + 2)],
    ['a checkpoint without signatures', body.slice(0, body.lastIndexOf('\n\n') + 2)],
    ['no last newline', body.slice(0, -1)],
    ['something behind it', `${body}\n`],
    ['a checkpoint whose size has a leading zero', body.replace('\n21\n', '\n021\n')],
    ['a checkpoint whose size is past 2^53 - 1', body.replace('\n21\n', '\n9007199254740992\n')],
    ['a byte that is no UTF-8', Buffer.concat([Buffer.from(body), Buffer.of(0xff)])],
    ['a byte order mark', `\ufeff${body}`],
    ['a byte that is no UTF-8 in the origin', Buffer.from(Buffer.from(body).toString('latin1').replaceAll('log.test/a', 'log.test/\xff'), 'latin1')],
    ['too many bytes', `${body}\u2014 x ${Buffer.alloc(ADD_CHECKPOINT_BYTES_MAX * 3 / 4).toString('base64')}\n`],
  ])('with %s is refused', (_name, bytes) => {
    expect(() => parseAddCheckpoint(Buffer.from(bytes))).toThrow(malformed);
  });
  it.each([
    ['a fraction', { ...request, oldSize: 1.5 }],
    ['a negative size', { ...request, oldSize: -1 }],
    ['a short hash', { ...request, proof: [Buffer.alloc(31)] }],
    ['too many hashes', { ...request, proof: Array.from({ length: 64 }, () => Buffer.alloc(32)) }],
    ['no checkpoint', { ...request, checkpoint: 'log.test/a\n' }],
  ])('of %s is never written', (_name, wrong) => {
    expect(() => formatAddCheckpoint(wrong)).toThrow(malformed);
  });
});

const cosignature = (by: Cosigner, timeSeconds = 1_700_000_000, over = text): { keyName: string; signature: Uint8Array } => ({ keyName: by.keyName, signature: by.cosign(over, timeSeconds) });

describe('an answer of cosignatures', () => {
  const lines = formatCosignatures([cosignature(north), cosignature(south)]);
  it('is read back as it was written', () => {
    expect(formatCosignatures(parseCosignatures(Buffer.from(lines)))).toBe(lines);
    expect(parseCosignatures(Buffer.from(lines)).map(({ name }) => name)).toEqual([north.name, south.name]);
  });
  it.each([
    ['nothing', ''],
    ['an empty line', '\n'],
    ['no last newline', lines.slice(0, -1)],
    ['something else for the last newline', `${lines.slice(0, -1)}!`],
    ['an empty line behind it', `${lines}\n`],
    ['an empty line before it', `\n${lines}`],
    ['something else', `ok\n${lines}`],
    ['a carriage return', lines.replaceAll('\n', '\r\n')],
    ['a hyphen for the dash', lines.replace('\u2014', '-')],
    ['a hundred and one lines', lines.split('\n')[0]!.concat('\n').repeat(101)],
    ['too many bytes', lines.repeat(Math.ceil(ADD_CHECKPOINT_BYTES_MAX / lines.length))],
  ])('with %s is refused', (_name, answer) => {
    expect(() => parseCosignatures(Buffer.from(answer))).toThrow(malformed);
  });
});

/** An answer, its body as text. */
type Told = Partial<Omit<HttpAnswer, 'body'>> & { readonly body?: string };

describe('what a client believes', () => {
  const verifiers = [parseVerifier(north.vkey)];
  const ask = async (answer: Told, more = request): Promise<WitnessOutcome> =>
    addCheckpoint(() => Promise.resolve({ status: 200, contentType: 'text/plain', ...answer, body: Buffer.from(answer.body ?? '') }), 'https://w.test/', verifiers, more);

  it('asks at the submission prefix, whether or not that ends in a slash', async () => {
    for (const url of ['https://w.test/p', 'https://w.test/p/']) {
      const asked: string[] = [];
      await addCheckpoint((to, sent) => {
        asked.push(to, sent);
        return Promise.resolve({ status: 500, contentType: null, body: Buffer.alloc(0) });
      }, url, verifiers, request);
      expect(asked).toEqual(['https://w.test/p/add-checkpoint', body]);
    }
  });

  it('is the cosignature of a known key, once, and the lines make a note that holds', async () => {
    const mine = cosignature(north);
    const outcome = await ask({ body: formatCosignatures([cosignature(south), mine, cosignature(north, 1_700_000_001)]) });
    expect(outcome).toMatchObject({ kind: 'cosigned', cosignatures: [{ line: formatCosignatures([mine]), timeSeconds: 1_700_000_000 }] });
    if (outcome.kind !== 'cosigned') throw new Error(outcome.kind);
    expect(outcome.cosignatures).toHaveLength(1);
    expect(parseNote(checkpoint + outcome.cosignatures[0].line).signatures).toHaveLength(2);
  });

  it('is the cosignature over extension lines, too', async () => {
    const extended = `${text}an extension\n`;
    const note = formatNote({ text: extended, signatures: [{ name: signer.name, keyName: signer.keyName, signature: signer.sign(Buffer.from(extended)) }] });
    expect(await ask({ body: formatCosignatures([cosignature(north, 1, extended)]) }, { ...request, checkpoint: note })).toMatchObject({ kind: 'cosigned' });
    expect(await ask({ body: formatCosignatures([cosignature(north, 1, text)]) }, { ...request, checkpoint: note })).toMatchObject({ kind: 'refused' });
  });

  it('is no signature of another kind, even by a key that is known', async () => {
    const [, line] = checkpoint.split('\n\n') as [string, string];
    const outcome = await addCheckpoint(() => Promise.resolve({ status: 200, contentType: 'text/plain', body: Buffer.from(line) }), 'https://w.test', [parseVerifier(signer.vkey)], request);
    expect(outcome).toMatchObject({ kind: 'refused', why: 'no cosignature of a key that is known here' });
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['a text', 'ok\n'],
    ['only the cosignature of another', formatCosignatures([cosignature(south)])],
    ['a cosignature of another checkpoint', formatCosignatures([cosignature(north, 1, text.replace('\n21\n', '\n22\n'))])],
    ['a cosignature with another time than was signed', formatCosignatures([{ keyName: north.keyName, signature: Buffer.concat([Buffer.alloc(7), Buffer.of(9), north.cosign(text, 8).subarray(8)]) }])],
    ['a cosignature of no time', formatCosignatures([cosignature(north, 0)])],
    ['a cosignature from beyond the year 9999', formatCosignatures([cosignature(north, 253_402_300_800)])],
    ['a signature without a time', formatCosignatures([{ keyName: north.keyName, signature: north.cosign(text, 1).subarray(8) }])],
    ['a good one and a bad one of the same key first', formatCosignatures([{ keyName: north.keyName, signature: Buffer.alloc(72, 1) }, cosignature(north)])],
    ['the checkpoint itself', checkpoint],
  ])('is nothing in a 200 with %s', async (_name, answer) => {
    expect(await ask({ body: answer })).toMatchObject({ kind: 'refused', status: 200 });
  });

  it.each<[string, Told, Partial<WitnessOutcome>]>([
    ['a smaller size', { status: 409, contentType: TLOG_SIZE_TYPE, body: '12\n' }, { kind: 'behind', size: 12 }],
    ['size 0', { status: 409, contentType: TLOG_SIZE_TYPE, body: '0\n' }, { kind: 'behind', size: 0 }],
    ['a larger size', { status: 409, contentType: 'Text/X.tlog.size; charset=utf-8', body: '14\n' }, { kind: 'ahead', size: 14 }],
    ['the size of the checkpoint', { status: 409, contentType: TLOG_SIZE_TYPE, body: '21\n' }, { kind: 'ahead', size: 21 }],
    ['more than the checkpoint has', { status: 409, contentType: TLOG_SIZE_TYPE, body: '22\n' }, { kind: 'conflict', size: 22 }],
    ['the very size that was said', { status: 409, contentType: TLOG_SIZE_TYPE, body: '13\n' }, { kind: 'conflict', size: 13 }],
    ['a proof or root that is not its own', { status: 422, body: 'bad proof' }, { kind: 'conflict', size: null, why: 'the witness answered 422: bad proof' }],
    ['a size of another type', { status: 409, contentType: 'text/plain', body: '12\n' }, { kind: 'refused', status: 409 }],
    ['a size of no type', { status: 409, contentType: null, body: '12\n' }, { kind: 'refused', status: 409 }],
    ['a size without a newline', { status: 409, contentType: TLOG_SIZE_TYPE, body: '12' }, { kind: 'refused', status: 409 }],
    ['a size with a leading zero', { status: 409, contentType: TLOG_SIZE_TYPE, body: '012\n' }, { kind: 'refused', status: 409 }],
    ['a size past counting', { status: 409, contentType: TLOG_SIZE_TYPE, body: '9007199254740992\n' }, { kind: 'refused', status: 409 }],
    ['two sizes', { status: 409, contentType: TLOG_SIZE_TYPE, body: '12\n13\n' }, { kind: 'refused', status: 409 }],
    ['no knowledge of the log', { status: 404 }, { kind: 'refused', status: 404, why: 'the witness answered 404' }],
    ['no trust in the key', { status: 403 }, { kind: 'refused', status: 403 }],
    ['a fault in the request', { status: 400 }, { kind: 'refused', status: 400 }],
    ['an illness', { status: 500, body: 'a\u001b[31m\nb' }, { kind: 'refused', status: 500, why: 'the witness answered 500: a [31m b' }],
    ['a redirect', { status: 301 }, { kind: 'refused', status: 301 }],
    ['an empty success', { status: 204 }, { kind: 'refused', status: 204 }],
  ])('of a witness that answers with %s', async (_name, answer, expected) => {
    expect(await ask(answer)).toMatchObject(expected);
  });

  it('is nothing of a post that fails, and nothing is posted that is no request', async () => {
    await expect(addCheckpoint(() => Promise.reject(new Error('cut')), 'https://w.test', verifiers, request)).rejects.toThrow('cut');
    const posted: string[] = [];
    await expect(addCheckpoint((to) => {
      posted.push(to);
      return Promise.reject(new Error('cut'));
    }, 'https://w.test', verifiers, { ...request, oldSize: -1 })).rejects.toThrow(malformed);
    expect(posted).toEqual([]);
  });
});
