import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sha256 } from '../../ledger/index.ts';

test('SHA-256 over parts is that of an independent implementation over the whole', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }), (parts) => {
    expect(Buffer.from(sha256(...parts)).equals(nobleSha256(Buffer.concat(parts)))).toBe(true);
  }));
});
