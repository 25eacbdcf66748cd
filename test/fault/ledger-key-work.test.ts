/** What records that say they change the log's key cost a verifier: two signatures each, and none any more once one of them does not. */
import { beforeEach, expect, it } from 'vitest';
import { RecordedKeys, type LedgerRecord, type Signer } from '../../ledger/index.ts';
import { draftRotation } from '../../ledger/key-rotation.ts';
import { AT_MS, ORIGIN, signerOf } from './ledger-fixture.ts';

let looked = 0;
beforeEach(() => {
  looked = 0;
});

const MANY = 100;
const signers = Array.from({ length: MANY + 1 }, (_, i): Signer => signerOf(ORIGIN, `key ${i}`));

/** A record that counts each look at one of its signatures. */
async function rotation(seq: number, from: number, to: number): Promise<LedgerRecord> {
  const draft = await draftRotation({ origin: ORIGIN, seq, old: signers[from]!, next: signers[to]!, at: new Date(AT_MS).toISOString(), actor: 'sidecar:test' });
  const body = { ...draft.body };
  for (const name of ['oldSignature', 'newSignature']) {
    const value = body[name]!;
    Object.defineProperty(body, name, {
      enumerable: true,
      get: () => {
        looked += 1;
        return value;
      },
    });
  }
  return { ...draft, body, seq, prev: null, changeSeq: null, changePrev: null };
}
const signed = { opened: null, claimed: null, verdict: { name: 'SIGNATURE', status: 'notEstablished', message: '' } } as const;

it('a long chain of keys costs two signatures for each, however long it is', async () => {
  const keys = new RecordedKeys(ORIGIN);
  for (let i = 0; i < MANY; i += 1) keys.note(await rotation(i, i, i + 1));
  expect(looked).toBe(2 * MANY);
  expect(keys.judge(signed).status).toBe('notEstablished');
});

it('after one that is none, no other is looked at: the first is what is told', async () => {
  const keys = new RecordedKeys(ORIGIN);
  keys.note(await rotation(0, 0, 1));
  keys.note(await rotation(1, 0, 2));
  const before = looked;
  for (let i = 2; i < MANY; i += 1) keys.note(await rotation(i, i, i + 1));
  expect([before, looked]).toEqual([4, 4]);
  expect(keys.judge(signed)).toMatchObject({ status: 'fails', seq: 1 });
});
