import { createPublicKey } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crypto, dsse } from '@sigstore/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateSignerKey, parseCheckpoint, parseVerifier } from '../../ledger/index.ts';
import { verifyDocumentSchema } from '../../src/evidence/verification-document.ts';
import { progressOf } from '../../src/cli/verify-progress.ts';
import { openOutput } from '../../src/cli/output.ts';
import { trustDigest } from '../../src/protocol/trust-folder.ts';
import { cleanStory, ORIGIN, trustFiles, writeStory } from '../support/story.ts';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
const auditor = generateSignerKey('person:auditor', new Uint8Array(32).fill(77));
const files = trustFiles();

beforeAll(async () => {
  desk = openDesk();
  await writeStory(join(desk.directory, 'clean'), cleanStory().beats);
  mkdirSync(join(desk.directory, 'trust'));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(desk.directory, 'trust', file), text);
  writeFileSync(join(desk.directory, 'auditor.key'), `${auditor.skey}\n`, { mode: 0o600 });
});
afterAll(() => desk.remove());

const at = (name: string): string => join(desk.directory, name);
const attest = (file: string, ...more: string[]): ReturnType<Desk['run']> => desk.run('verify', 'clean', '--trust', 'trust', '--attest', file, '--attest-key', 'auditor.key', ...more);

interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}
interface Statement {
  readonly _type: string;
  readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256: string }; readonly annotations: { readonly size: number } }[];
  readonly predicateType: string;
  readonly predicate: { readonly verifier: { readonly id: string; readonly policies: readonly { readonly digest: { readonly sha256: string } }[] }; readonly timeCreated: string; readonly properties: readonly string[] };
}

/** As an implementation of DSSE that is not ours sees it. */
function opened(envelope: Envelope, vkey: string): { readonly holds: boolean; readonly statement: Statement } {
  const payload = Buffer.from(envelope.payload, 'base64');
  const key = createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), parseVerifier(vkey).publicKey]), format: 'der', type: 'spki' });
  const holds = crypto.verify(dsse.preAuthEncoding(envelope.payloadType, payload), key, Buffer.from(envelope.signatures[0]!.sig, 'base64'));
  return { holds, statement: JSON.parse(payload.toString('utf8')) as Statement };
}

describe('--attest', () => {
  it('writes what holds as an in-toto statement that others verify, about this ledger, under this trust, by the key that was named', async () => {
    const { exit, stderr } = await attest('svr.json');
    expect(exit).toBe(0);
    expect(stderr).toContain('attests it, signed by person:auditor+');
    const envelope = JSON.parse(readFileSync(at('svr.json'), 'utf8')) as Envelope;
    expect(envelope.payloadType).toBe('application/vnd.in-toto+json');
    const { holds, statement } = opened(envelope, auditor.vkey);
    expect(holds).toBe(true);
    expect(opened({ ...envelope, payload: Buffer.from('{}').toString('base64') }, auditor.vkey).holds).toBe(false);
    const head = parseCheckpoint(readFileSync(at('clean/ledger/checkpoint'), 'utf8').split('\n\n')[0]! + '\n');
    expect(statement).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1', predicateType: 'https://in-toto.io/attestation/svr/v0.2',
      subject: [{ name: ORIGIN, digest: { sha256: Buffer.from(head.root).toString('hex') }, annotations: { size: head.size } }],
    });
    expect(statement.predicate.properties).toEqual(['INTEGRITY', 'SIGNATURE', 'COMPLETENESS', 'WORKFLOW'].map((name) => `COUNTERSIGN_${name}`));
    const digest = trustDigest({ policy: files['trust.policy'], rest: { sidecars: files['sidecars.json'], executors: files['executors.json'], requirements: files['requirements.json'] } });
    expect(statement.predicate.verifier).toMatchObject({ id: 'https://countersign.dev/verifier/v1', policies: [{ digest: { sha256: digest.slice(7) } }] });
    expect(Date.parse(statement.predicate.timeCreated)).toBeGreaterThan(Date.parse('2026-01-01'));
  });

  it('writes nothing where something that is required does not hold', async () => {
    const { exit, stderr } = await attest('not.json', '--min-size', '10000');
    expect(exit).toBe(1);
    expect(stderr).toContain('Nothing was attested.');
    expect(existsSync(at('not.json'))).toBe(false);
  });

  it.each<readonly [string, readonly string[], number, RegExp]>([
    ['without a key', ['--attest', 'a.json', '--trust', 'trust'], 2, /go together/],
    ['without trust', ['--attest', 'a.json', '--attest-key', 'auditor.key'], 2, /--attest takes --trust/],
    ['as of another time', ['--attest', 'a.json', '--attest-key', 'auditor.key', '--trust', 'trust', '--as-of', '2027-01-01T00:00:00.000Z'], 2, /goes with no --as-of/],
    ['over a file that is there', ['--attest', 'trust/trust.policy', '--attest-key', 'auditor.key', '--trust', 'trust'], 2, /is there already/],
    ['with a key that others can read', ['--attest', 'a.json', '--attest-key', 'open.key', '--trust', 'trust'], 4, /can be read by others/],
    ['with a file that is no key', ['--attest', 'a.json', '--attest-key', 'no.key', '--trust', 'trust'], 2, /holds no key to sign with/],
  ])('%s is told before anything is verified', async (_what, flags, exit, message) => {
    writeFileSync(at('open.key'), auditor.skey);
    chmodSync(at('open.key'), 0o644);
    writeFileSync(at('no.key'), 'nothing', { mode: 0o600 });
    const ran = await desk.run('verify', 'clean', ...flags);
    expect(ran.exit).toBe(exit);
    expect(ran.stderr).toMatch(message);
    expect(ran.stdout).toBe('');
    expect(existsSync(at('a.json'))).toBe(false);
  });
});

it('attests no evidence pack: the statement would speak of the whole ledger', async () => {
  writeFileSync(at('some.pack'), 'anything');
  const { exit, stderr } = await desk.run('verify', 'some.pack', '--trust', 'trust', '--attest', 'a.json', '--attest-key', 'auditor.key');
  expect(exit).toBe(2);
  expect(stderr).toMatch(/--attest is for a whole ledger, and this is an evidence pack/);
  expect(existsSync(at('a.json'))).toBe(false);
});

describe('--json', () => {
  it('is what docs/schemas/verify-output.json says, with every verdict, the head, the counts and the digest of the trust', async () => {
    const { stdout } = await desk.run('verify', '--json', 'clean', '--trust', 'trust');
    const document = verifyDocumentSchema.parse(JSON.parse(stdout));
    expect(document.trust).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(document.verdicts.map(({ name }) => name)).toEqual(['INTEGRITY', 'SIGNATURE', 'WITNESS', 'COMPLETENESS', 'WORKFLOW', 'TIME', 'REPLAY']);
    expect(document).toMatchObject({ head: { origin: ORIGIN }, workflow: { counts: { changes: 3 } }, attestation: null });
    expect(verifyDocumentSchema.parse(JSON.parse((await desk.run('verify', '--json', 'clean')).stdout)).trust).toBeNull();
  });

  it('names the trust anew for any change of any of its files', () => {
    const rest = { sidecars: '[]', executors: '[]', requirements: '{}' };
    const all = [{ policy: 'a', rest: null }, { policy: 'a', rest }, { policy: 'a', rest: { ...rest, sidecars: '{}' } }, { policy: 'b', rest }].map(trustDigest);
    expect(new Set(all).size).toBe(all.length);
  });
});

describe('progress', () => {
  function shown(isTTY: boolean, ticks: readonly (readonly [atMs: number, done: number])[]): string {
    let [text, nowMs] = ['', 0];
    const stderr = { isTTY, write: (more: string) => void (text += more) };
    const report = progressOf({ out: openOutput({ stdout: stderr, stderr, env: {}, json: true }), nowMs: () => nowMs, stderr }, 'records');
    for (const [atMs, done] of ticks) {
      nowMs = atMs;
      report(done, 1_000);
    }
    return text;
  }

  it('is a bar with rate and time left on a terminal, once there is something to wait for', () => {
    expect(shown(true, [[100, 10], [400, 40]])).toBe('');
    expect(shown(true, [[500, 250]])).toBe('[######..................] 250/1000 records, 500/s, 2 s left');
  });

  it('is a line every ten seconds elsewhere, and nothing where it does not take so long', () => {
    expect(shown(false, [[500, 10], [9_000, 800]])).toBe('');
    expect(shown(false, [[10_000, 250], [12_000, 300], [20_000, 500]])).toBe('250/1000 records, 25/s, 30 s left\n500/1000 records, 25/s, 20 s left\n');
  });
});
