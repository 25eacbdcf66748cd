/** What the client sends for a decision counts: an SSH signature, a passkey's answer, a reduction. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import type { Client } from '../../src/client/index.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { passkeysFileSchema, passkeysOf } from '../../src/protocol/passkeys.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { testPasskey } from '../support/passkey.ts';
import { answerOf, GRANT } from '../support/sidecar.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { testSshKey } from '../support/ssh.ts';

const [key, passkey] = [testSshKey(), testPasskey()];
let sidecar: ServedSidecar;
let wei: Client;
beforeAll(async () => {
  sidecar = await serveTestSidecar({
    decide: () => {
      const asked = answerOf('needsApproval', { allOf: ['person:wei', 'person:ana'] });
      return { ...asked, obligations: { ...asked.obligations, proofClass: 'ssh' } };
    },
    trusts: (trust) => Object.assign(trust, { signers: parseAllowedSigners(`person:wei ${key.publicLine}`), passkeys: passkeysOf(passkeysFileSchema.parse([passkey.entry('person:wei')])) }),
  });
  wei = sidecar.client('person:wei');
});
afterAll(() => sidecar.close());

it('an SSH signature, as the last argument', async () => {
  const { id, planDigest } = await sidecar.change('nhi:prod/ci-deployer', GRANT);
  await expect(wei.approve(id, planDigest!)).rejects.toMatchObject({ code: 'proof-too-weak' });
  const { statement } = await wei.statement(id, 'approve');
  const signature = writeArmour(key.sign(canonicalBytes(statement)));
  expect(await wei.approve(id, planDigest!, 'as announced', { ssh: { expiresAt: statement.expiresAt, signature } })).toMatchObject({ approvals: [{ approver: 'person:wei', proofClass: 'ssh' }] });
});

it('a passkey’s answer, as the last argument; of it, the record says no channel', async () => {
  const { id, planDigest } = await sidecar.change('nhi:prod/ci-deployer', GRANT);
  const { statement } = await wei.statement(id, 'reject');
  const { authenticatorData, clientDataJSON, signature } = passkey.assert(canonicalBytes(statement));
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const proof = { passkey: { expiresAt: statement.expiresAt, credentialId: passkey.credentialId, authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature) } };
  expect(await wei.reject(id, planDigest!, 'not tonight', proof)).toMatchObject({ state: 'rejected', approvals: [{ approver: 'person:wei', verdict: 'reject' }] });
  const { records } = await sidecar.client('person:kim').evidence(id);
  expect(records.at(-1)).toMatchObject({ type: 'approval.rejected', v: 2, body: { approval: { proofClass: 'passkey' } } });
});

it('less than was asked for', async () => {
  const { id, planDigest } = await sidecar.change('nhi:prod/ci-deployer', GRANT);
  expect(await wei.reduce(id, planDigest!, { duration: 'PT5M' })).toMatchObject({ revision: 2, reduced: { by: 'person:wei', revision: 1 } });
});
