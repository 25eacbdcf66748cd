import { expect, test } from 'vitest';
import { scramVerifier } from '../../../src/connectors/postgres/scram.ts';
import { createHash, createHmac } from 'node:crypto';

test('the verifier agrees with the exchange of RFC 7677 §3', () => {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
  const verifier = scramVerifier('pencil', salt);
  const [, storedKey, serverKey] = /^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$([^:]+):(.+)$/.exec(verifier) ?? [];
  const authMessage = [
    'n=user,r=rOprNGfwEbeRWgbNEkqO',
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  ].join(',');
  // ServerSignature := HMAC(ServerKey, AuthMessage), the `v=` of the RFC's last message.
  expect(createHmac('sha256', Buffer.from(serverKey ?? '', 'base64')).update(authMessage).digest('base64')).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  // ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage), and StoredKey := H(ClientKey): the `p=` of the RFC proves what is stored.
  const signature = createHmac('sha256', Buffer.from(storedKey ?? '', 'base64')).update(authMessage).digest();
  const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ signature[index]!));
  expect(createHash('sha256').update(clientKey).digest('base64')).toBe(storedKey);
});

test('another salt gives another verifier', () => {
  expect(scramVerifier('pencil', Buffer.alloc(16, 1))).not.toBe(scramVerifier('pencil', Buffer.alloc(16, 2)));
});

test.each(['', 'with space', 'tab\t', 'naïve', 'nul\0'])('a secret that SASLprep might change is refused: %j', (secret) => {
  expect(() => scramVerifier(secret, Buffer.alloc(16))).toThrow(RangeError);
});
