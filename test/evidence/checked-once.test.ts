import { beforeEach, describe, expect, it } from 'vitest';
import { parseVerifier, type Verifier } from '../../ledger/index.ts';
import { checkedOnce } from '../../src/evidence/checked-once.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { REVOKE_ORDER_TYPE, TICKET_TYPE, type Dsse } from '../../src/protocol/signed.ts';
import { keys } from '../support/story.ts';

let asked = 0;
const counted = (vkey: string): Verifier => {
  const verifier = parseVerifier(vkey);
  return { ...verifier, verify: (message, signature) => (asked++, verifier.verify(message, signature)) };
};
const key = counted(keys.ticket.vkey);
const order = (n = 0): Dsse => signDsse(REVOKE_ORDER_TYPE, { n }, keys.ticket);

beforeEach(() => (asked = 0));

describe('a signature that was found to hold', () => {
  it('is not checked again for the same order, wherever it is carried', () => {
    const proven = checkedOnce(null);
    expect([proven.has(key, order()), proven.has(key, structuredClone(order())), proven.has(key, order())]).toEqual([true, true, true]);
    expect(asked).toBe(1);
  });

  it.each<[string, (envelope: Dsse) => [Verifier, Dsse]]>([
    ['another payload', (envelope) => [key, { ...envelope, payload: order(1).payload }]],
    ['another signature', (envelope) => [key, { ...envelope, signatures: order(1).signatures }]],
    ['another spelling of the signature', ({ signatures: [signature], ...rest }) => [key, { ...rest, signatures: [{ keyid: signature!.keyid, sig: `${signature!.sig}\n` }] }]],
    ['another type', (envelope) => [key, { ...envelope, payloadType: TICKET_TYPE }]],
    ['what is moved from one part to the next', ({ payload, signatures: [signature], ...rest }) => [key, { ...rest, payload: payload.slice(0, -4), signatures: [{ keyid: signature!.keyid, sig: payload.slice(-4) + signature!.sig }] }]],
    ['another key of that name', (envelope) => [counted(keys.stranger.vkey), envelope]],
  ])('says nothing of %s', (_what, alter) => {
    const proven = checkedOnce(null);
    expect(proven.has(key, order())).toBe(true);
    expect(proven.has(...alter(order()))).toBe(false);
  });

  it('is remembered of orders alone: nothing else comes twice', () => {
    const proven = checkedOnce(null);
    const ticket = signDsse(TICKET_TYPE, { n: 0 }, keys.ticket);
    expect([proven.has(key, ticket), proven.has(key, ticket)]).toEqual([true, true]);
    expect(asked).toBe(2);
  });

  it('is forgotten once so many others have held since, so that memory does not grow', () => {
    const proven = checkedOnce(null, 4);
    for (const n of [0, 1, 2, 3, 4]) proven.has(key, order(n));
    asked = 0;
    expect([proven.has(key, order(4)), asked]).toEqual([true, 0]);
    expect([proven.has(key, order(0)), asked]).toEqual([true, 1]);
  });

  it('need not be checked here where it was elsewhere', () => {
    expect(checkedOnce({ has: () => true }).has(key, order())).toBe(true);
    expect(asked).toBe(0);
  });
});

describe('a signature that does not hold', () => {
  it('is not remembered', () => {
    const proven = checkedOnce({ has: () => false });
    const forged: Dsse = { ...order(), payload: order(1).payload };
    expect([proven.has(key, forged), proven.has(key, forged)]).toEqual([false, false]);
    expect(asked).toBe(2);
  });
});
