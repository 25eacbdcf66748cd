/** The real `ssh-keygen`, both ways: it takes what is taken here, and what it signs is taken here. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { APPROVAL_NAMESPACE } from '../../src/protocol/approval-proof.ts';
import { parseSshKey, SSH_KEY_TYPES } from '../../src/protocol/ssh-key.ts';
import { parseSshSignature, readArmour, writeArmour } from '../../src/protocol/ssh-signature.ts';
import { testSshKey } from '../support/ssh.ts';

const hasSshKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;
const MESSAGE = Buffer.from('{"approver":"person:ana","v":1}');

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-ssh-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function sshKeygen(args: readonly string[], input: Uint8Array | string = ''): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync('ssh-keygen', args, { input, encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe.skipIf(!hasSshKeygen)('ssh-keygen', () => {
  it.each(SSH_KEY_TYPES)('-Y verify takes what a key of type %s signed, as it is in the record, and nothing else', async (type) => {
    const key = testSshKey(type);
    const [signers, signature] = [join(directory, `${type}.signers`), join(directory, `${type}.sig`)];
    const line = `person:ana namespaces="${APPROVAL_NAMESPACE}" ${key.publicLine}\n`;
    await writeFile(signers, line);
    const bytes = key.sign(MESSAGE);
    await writeFile(signature, writeArmour(bytes));
    const verify = (message: Uint8Array, namespace = APPROVAL_NAMESPACE): number | null => sshKeygen(['-Y', 'verify', '-f', signers, '-I', 'person:ana', '-n', namespace, '-s', signature], message).status;
    expect(verify(MESSAGE)).toBe(0);
    expect(verify(Buffer.concat([MESSAGE, Buffer.of(0x20)]))).not.toBe(0);
    expect(verify(MESSAGE, 'git')).not.toBe(0);
    // The same file and the same signature, read here.
    const [signer] = [...parseAllowedSigners(line).values()];
    expect(parseSshSignature(bytes).key.fingerprint).toBe(signer!.key.fingerprint);
    await writeFile(join(directory, `${type}.pub`), `${key.publicLine}\n`);
    expect(sshKeygen(['-l', '-f', join(directory, `${type}.pub`)]).stdout).toContain(signer!.key.fingerprint);
  });

  it.each(['ed25519', 'ecdsa'])('-Y sign with a key of type %s is taken here, for what it signed', async (type) => {
    const file = join(directory, `id_${type}`);
    expect(sshKeygen(['-q', '-t', type, '-N', '', '-f', file])).toMatchObject({ status: 0 });
    const signed = sshKeygen(['-Y', 'sign', '-q', '-n', APPROVAL_NAMESPACE, '-f', file], MESSAGE);
    const signature = parseSshSignature(readArmour(signed.stdout));
    const [, base64] = (await readFile(`${file}.pub`, 'utf8')).split(' ');
    expect(signature.key.fingerprint).toBe(parseSshKey(Buffer.from(base64!, 'base64')).fingerprint);
    expect(signature.namespace).toBe(APPROVAL_NAMESPACE);
    expect(signature.holdsFor(MESSAGE)).toBe(true);
    expect(signature.holdsFor(Buffer.concat([MESSAGE, Buffer.of(0)]))).toBe(false);
  });
});
