/** `worker apply`, where no worker runs: what it does not do. That it takes back, with and without one, is tried with real processes. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateSignerKey, nodeDisk } from '../../ledger/index.ts';
import { deriveRevokeOrder } from '../../src/change/derive.ts';
import { openLeaseBook } from '../../src/executor/lease-book.ts';
import { signDsse } from '../../src/protocol/dsse.ts';
import { locksInForce } from '../../src/protocol/lock.ts';
import { TICKET_TYPE, type Dsse, type RevokeOrder } from '../../src/protocol/signed.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { makeStep } from '../support/envelopes.ts';
import { signedLock } from '../support/locks.ts';
import { EXECUTOR, keys, sign, trustFiles } from '../support/story.ts';
import { openDesk, type Desk } from '../support/world.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };
let desk: Desk;
const at = (...names: string[]): string => join(desk.directory, ...names);
beforeEach(() => {
  desk = openDesk();
  mkdirSync(at('trust'));
  for (const [name, text] of Object.entries(trustFiles())) writeFileSync(at('trust', name), text);
  for (const [name, text] of [['executor.key', generateSignerKey(EXECUTOR, new Uint8Array(32).fill(3)).skey], ['password', 'hunter2']] as const) writeFileSync(at(name), `${text}\n`, { mode: 0o600 });
  writeFileSync(at('executor.yaml'), [
    `id: ${EXECUTOR}`, 'socket: s', 'key: executor.key', 'trust: trust', 'state: state', 'fingerprintKey: fingerprint.key',
    'connectors:', '  pg-main: { kind: postgres, host: 127.0.0.1, port: 1, database: app, user: countersign, passwordFile: password }', '',
  ].join('\n'));
});
afterEach(() => desk.remove());

function order(edit: Partial<RevokeOrder> = {}, by = keys.revoker): Dsse {
  return sign.order({ ...deriveRevokeOrder(makeStep().plan, EXECUTOR, Date.now(), 'early', 'person:sam')!, ...edit }, by);
}
const apply = (text: string, ...args: string[]): ReturnType<Desk['run']> => {
  writeFileSync(at('order.dsse'), text);
  return desk.run('worker', 'apply', 'order.dsse', '--config', 'executor.yaml', '--wait', '1', ...args);
};
const line = (...orders: Dsse[]): string => orders.map((one) => `${JSON.stringify(one)}\n`).join('');

describe('worker apply', () => {
  it.each<[string, () => string, number, string]>([
    ['nothing', () => '\n', 2, '(malformed)'],
    ['rubbish', () => 'order\n', 2, '(malformed)'],
    ['a line of several that is cut', () => `${line(order())}${line(order()).slice(0, 80)}`, 2, '(malformed)'],
    ['a field twice', () => line(order()).replace('{', '{"payloadType":"x",'), 2, '(malformed)'],
    ['a ticket', () => line(signDsse(TICKET_TYPE, makeStep().ticket, keys.revoker)), 2, '(malformed)'],
    ['an order for another executor', () => line(order({ audience: 'executor:other' })), 1, '(wrong-audience)'],
  ])('does nothing with %s', async (_what, text, exit, said) => {
    const ran = await apply(text());
    expect([ran.exit, ran.stderr], ran.stderr).toEqual([exit, expect.stringContaining(said)]);
    expect(existsSync(at('state'))).toBe(false);
  });

  it.each<[string, () => Dsse]>([
    ['that a stranger has signed', () => order({}, keys.stranger)],
    ['in the name of another', () => order({ orderedBy: 'person:eve' })],
    ['whose ids do not agree', () => order({ clientToken: `cs_${'0'.repeat(26)}` })],
  ])('refuses an order %s, and opens nothing', async (_what, make) => {
    const ran = await apply(line(make()));
    expect([ran.exit, ran.stdout]).toEqual([1, expect.stringMatching(/ rejected by executor:main: (?:bad-signature|unknown-sidecar|order-mismatch)/)]);
    expect(existsSync(at('state'))).toBe(false);
  });

  it('acts as the executor whose configuration is named, in whichever folder, and never as the one that lies here', async () => {
    mkdirSync(at('away'));
    writeFileSync(at('order.dsse'), line(order({ audience: 'executor:other' })));
    writeFileSync(at('away', 'other.yaml'), readFileSync(at('executor.yaml'), 'utf8').replace(`id: ${EXECUTOR}`, 'id: executor:other').replaceAll(': executor.key', ': ../executor.key').replace('trust: trust', 'trust: ../trust').replace('passwordFile: password', 'passwordFile: ../password'));
    for (const flags of [['--config', 'away/other.yaml'], ['--config=away/other.yaml']]) {
      const ran = await desk.run('worker', 'apply', 'order.dsse', ...flags, '--wait', '1');
      expect(ran.stdout + ran.stderr).toContain('executor:other');
      expect(ran.stderr).not.toContain('wrong-audience');
    }
    const absent = await desk.run('worker', 'apply', 'order.dsse', '--config', 'nowhere.yaml');
    expect([absent.exit, absent.stderr]).toEqual([4, expect.stringContaining('nowhere.yaml')]);
    expect(existsSync(at('state'))).toBe(false);
  });

  it('holds an order whose target does not answer: whoever runs the executor next goes on with it', async () => {
    const held = order();
    const ran = await apply(line(held), '--json');
    expect(ran.exit).toBe(5);
    expect(JSON.parse(ran.stdout)).toMatchObject({ applied: [{ outcome: 'failed', executor: EXECUTOR, report: { v: 1 } }] });
    expect(readFileSync(at('state', 'lease-book'), 'utf8')).toContain(held.payload);
  });

  it('holds one that is not due, and does not wait for it', async () => {
    const ran = await apply(line(order({ notBefore: formatTime(Date.now() + 3_600_000) })));
    expect([ran.exit, ran.stdout]).toEqual([5, expect.stringContaining('accepted')]);
  });

  it('carries out each order of several that is for this executor, and names the others', async () => {
    const ran = await apply(line(order(), order({ audience: 'executor:other' }), order({}, keys.stranger)));
    expect(ran.stdout.trim().split('\n')).toHaveLength(2);
    expect(ran.stderr).toContain('is for executor:other: apply the file there as well');
  });

  it('touches nothing while a worker that does not answer has the state directory', async () => {
    mkdirSync(at('state'));
    const book = await openLeaseBook(nodeDisk(at('state')), EXECUTOR, QUIET);
    const ran = await apply(line(order()));
    await book.close();
    expect([ran.exit, ran.stderr]).toEqual([4, expect.stringMatching(/\(locked\)[^]*next: end that process/)]);
  });

  it('writes a lock into the book, which whoever opens that next holds, beside an order', async () => {
    const lock = signedLock({}, keys.revoker);
    const both = await apply(line(lock, signedLock({ op: 'lift' }, keys.revoker)));
    expect([both.exit, both.stdout], both.stderr).toEqual([0, expect.stringMatching(/^lck_\S+ set at executor:main\nlck_\S+ lifted at executor:main\n$/)]);
    expect((await apply(line(lock))).exit).toBe(0);
    const book = await openLeaseBook(nodeDisk(at('state')), EXECUTOR, QUIET);
    expect(locksInForce(book.state.locks).map(({ envelope }) => envelope)).toEqual([lock]);
    await book.close();
    expect((await apply(line(signedLock(), order({}, keys.stranger)))).exit).toBe(1);
  });

  it.each<[string, () => Dsse]>([['of a stranger', () => signedLock({}, keys.stranger)], ['of nothing', () => signedLock({ nhi: null, connector: null }, keys.revoker)]])('holds no lock %s', async (_what, make) => {
    const ran = await apply(line(make()));
    expect([ran.exit, ran.stdout]).toEqual([1, expect.stringMatching(/^lck_\S+ rejected at executor:main/)]);
    expect(existsSync(at('state'))).toBe(false);
  });

  it('says what is wrong with its configuration', async () => {
    writeFileSync(at('executor.yaml'), 'id: executor:main\n');
    expect(await apply(line(order()))).toMatchObject({ exit: 4, stderr: expect.stringContaining('(config)') as string });
  });
});
