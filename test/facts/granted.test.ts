/** Exceptions and scopes that hold only where people have signed them: for what they signed, for no longer, and by nobody's word for herself. */
import { describe, expect, it } from 'vitest';
import { exceptionsFileSchema, type ExceptionsFile } from '../../src/facts/exceptions.ts';
import { grantedOnly, grantShortfall, type Asking, type GrantKind } from '../../src/facts/granted.ts';
import { estateOf } from '../../src/facts/beneficiaries.ts';
import { APPROVAL_NAMESPACE } from '../../src/protocol/approval-proof.ts';
import { passkeysFileSchema, passkeysOf } from '../../src/protocol/passkeys.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { exampleFacts } from '../pdp/support.ts';
import { grantedByPasskey, signedBy } from '../support/granted.ts';
import { testPasskey } from '../support/passkey.ts';
import { testSshKey } from '../support/ssh.ts';

type Exception = ExceptionsFile['exceptions'][number];
type Scope = NonNullable<ExceptionsFile['observe']>[number];

const { value } = await exampleFacts();
const [ana, wei, stranger] = [testSshKey(), testSshKey('sk-ecdsa-sha2-nistp256@openssh.com'), testSshKey()];
const [ANA, WEI, OLGA, BEN] = ['person:ana', 'person:wei', 'person:olga', 'person:ben'] as const;
const DAY = (text: string): number => Date.parse(`${text}T12:00:00.000Z`);
const NOW_MS = DAY('2026-11-29');
const floor = { quorum: 2, approvers: [ANA, WEI, OLGA] };
const [LOG, OTHER_LOG] = ['0123456789abcdef', 'fedcba9876543210'];
const olgas = testPasskey();
const asking: Asking = { floors: [floor], signers: parseAllowedSigners(`${ANA} ${ana.publicLine}\n${WEI} ${wei.publicLine}\n`), passkeys: passkeysOf(passkeysFileSchema.parse([olgas.entry(OLGA)])), logId: LOG, atMs: [NOW_MS] };

const nhis = value.inventory.nhis.map((nhi) => (nhi.id === 'nhi:prod/freight-sync' ? { ...nhi, owner: 'person:ines', backupOwner: 'person:noor' } : nhi));
const plain: Exception = { id: 'long-leases', rule: 'lease-too-long', subject: 'nhi:prod/freight-sync', reason: 'until it asks again', owner: BEN, from: '2026-11-23', until: '2027-01-15' };
const scope: Scope = { id: 'trial', environments: ['prod'], prefixes: ['nhi:prod/freight'], reason: 'the rules are tried out', owner: BEN, from: '2026-11-01', until: '2026-12-20' };
const signed = signedBy('exception', plain, { [ANA]: ana, [WEI]: wei });
const observed = signedBy('observe', scope, { [ANA]: ana, [WEI]: wei });

const estate = (edit: Partial<typeof value> = {}) => estateOf({ ...value, inventory: { ...value.inventory, nhis }, ...edit });
const lacks = (entry: Exception | Scope, { kind = 'exception', ...edit }: Partial<Asking> & { kind?: GrantKind } = {}, of = estate()): string | null => grantShortfall(kind, entry, of, { ...asking, ...edit });
const BY_WEI = /^granted by person:wei where 2 of person:ana, person:wei, person:olga must/;

it('an entry that as many have signed as are asked is granted, and its file is read with the signatures', () => {
  expect(lacks(signed)).toBeNull();
  expect(lacks(observed, { kind: 'observe' })).toBeNull();
  const file = { v: 1, exceptions: [signed], observe: [observed] } as const;
  expect(exceptionsFileSchema.parse(JSON.parse(JSON.stringify(file)))).toEqual(file);
});

it('where nobody is asked an entry holds as it is', () => {
  expect(lacks(plain, { floors: [] })).toBeNull();
});

it('says who has signed and who must', () => {
  expect(lacks(plain)).toBe('granted by nobody where 2 of person:ana, person:wei, person:olga must');
  expect(lacks(signedBy('exception', plain, { [WEI]: wei }))).toMatch(BY_WEI);
  expect(lacks(signed, { floors: [floor, { quorum: 1, approvers: [OLGA] }] })).toBe('granted by nobody where 1 of person:olga must');
});

it.each<[string, Partial<Exception>]>([
  ['rule', { rule: 'exceeds-purpose' }], ['identity', { subject: 'nhi:prod/ci-deployer' }], ['reason', { reason: 'for good' }], ['owner', { owner: 'person:sam' }], ['id', { id: 'another' }],
  ['later end', { until: '2027-01-16' }], ['earlier beginning', { from: '2026-11-22' }],
])('of an exception with another %s nobody has signed anything', (_what, edit) => {
  expect(lacks({ ...signed, ...edit })).toMatch(/^granted by nobody/);
});

it.each<[string, Partial<Scope>]>([
  ['environments', { environments: ['prod', 'dev'] }], ['prefixes', { prefixes: ['nhi:prod'] }], ['connectors', { connectors: ['pg-main'] }], ['owner', { owner: 'person:sam' }], ['later end', { until: '2026-12-21' }],
])('of a scope with other %s nobody has signed anything', (_what, edit) => {
  expect(lacks({ ...observed, ...edit }, { kind: 'observe' })).toMatch(/^granted by nobody/);
  const { prefixes: _gone, ...wider } = observed;
  expect(lacks(wider, { kind: 'observe' })).toMatch(/^granted by nobody/);
});

it('it may be shorter than what was signed, and that needs nobody', () => {
  expect(lacks({ ...signed, from: '2026-11-25', until: '2026-12-01' })).toBeNull();
  expect(lacks({ ...observed, until: '2026-12-01' }, { kind: 'observe' })).toBeNull();
});

it('a signature is for no more days than an entry may be, so that one cannot be made after the other', () => {
  const long = { ...signed, signatures: signed.signatures!.map((one) => ({ ...one, until: '2027-03-01' })) };
  expect(exceptionsFileSchema.safeParse({ v: 1, exceptions: [long] }).error?.issues[0]?.message).toBe('2027-03-01 is more than 90 days after 2026-11-23');
});

describe('whoever writes the file, and has not Ana’s key, does not have her grant', () => {
  const byWei = signedBy('exception', plain, { [WEI]: wei });
  const with_ = (...more: NonNullable<Exception['signatures']>): Exception => ({ ...byWei, signatures: [...byWei.signatures!, ...more] });
  const [hers] = signed.signatures!;
  it.each<[string, Exception]>([
    ['a key that nobody knows', signedBy('exception', byWei, { [ANA]: stranger })],
    ['Wei’s in her name', signedBy('exception', byWei, { [ANA]: wei })],
    ['Wei’s twice', signedBy('exception', byWei, { [WEI]: wei })],
    ['hers of another entry', with_(...signedBy('exception', { ...plain, id: 'another' }, { [ANA]: ana }).signatures!)],
    ['hers of a shorter one that is said to be longer', with_({ ...signedBy('exception', { ...plain, until: '2026-12-01' }, { [ANA]: ana }).signatures![0]!, until: plain.until })],
    ['hers of a shorter one', with_(...signedBy('exception', { ...plain, until: '2026-12-01' }, { [ANA]: ana }).signatures!)],
    ['hers as an approval of a change', signedBy('exception', byWei, { [ANA]: ana }, { namespace: APPROVAL_NAMESPACE })],
    ['hers of a scope of the same members', signedBy('observe', byWei, { [ANA]: ana })],
    ['no signature at all', with_({ ...hers!, signature: 'AAAA' })],
    ['hers of somebody else who is asked', with_({ ...hers!, approver: OLGA })],
  ])('by %s', (_how, entry) => {
    expect(lacks(entry)).toMatch(BY_WEI);
  });
});

it('a key counts while it is good, and for this kind of signature', () => {
  const until = (date: string): Partial<Asking> => ({ signers: parseAllowedSigners(`${ANA} valid-before="${date}" ${ana.publicLine}\n${WEI} ${wei.publicLine}\n`) });
  expect(lacks(signed, until('20261129120001Z'))).toBeNull();
  expect(lacks(signed, until('20261129120000Z'))).toMatch(BY_WEI);
  expect(lacks(signed, { ...until('20261129120000Z'), atMs: [NOW_MS, NOW_MS - 1] })).toBeNull();
  const named = (namespaces: string): Partial<Asking> => ({ signers: parseAllowedSigners(`${ANA} namespaces="${namespaces}" ${ana.publicLine}\n${WEI} ${wei.publicLine}\n`) });
  expect(lacks(signed, named('approval@countersign'))).toMatch(BY_WEI);
  expect(lacks(signed, named('approval@countersign,exception@countersign'))).toBeNull();
});

describe('nobody grants what is for herself', () => {
  const none = { ...floor, approvers: [ANA, WEI] };
  it('as its owner', () => {
    const own = signedBy('exception', { ...plain, owner: ANA }, { [ANA]: ana, [WEI]: wei });
    expect(lacks(own, { floors: [none] })).toBe('granted by person:wei where 2 of person:ana, person:wei must; person:ana does not count, whom it is for');
    expect(lacks(signedBy('observe', { ...scope, owner: ANA }, { [ANA]: ana, [WEI]: wei }), { kind: 'observe' })).toMatch(BY_WEI);
  });
  it('as who answers for the identity', () => {
    const owned = (edit: object) => estate({ inventory: { ...value.inventory, nhis: nhis.map((nhi) => (nhi.id === plain.subject ? { ...nhi, ...edit } : nhi)) } });
    expect(lacks(signed, {}, owned({ owner: ANA }))).toMatch(BY_WEI);
    expect(lacks(signed, {}, owned({ backupOwner: ANA }))).toMatch(BY_WEI);
  });
  it('nor under another id, whichever of the two says so', () => {
    const linked = (id: string, other: string) => estate({ inventory: { ...value.inventory, nhis }, directory: { ...value.directory, people: value.directory.people.map((one) => (one.id === id ? { ...one, linked: [...one.linked, other] } : one)) } });
    expect(lacks(signed, {}, linked(BEN, ANA))).toMatch(BY_WEI);
    expect(lacks(signed, {}, linked(ANA, BEN))).toMatch(BY_WEI);
  });
});

it('one person who signs under two ids counts once', () => {
  const signers = parseAllowedSigners(`${ANA} ${ana.publicLine}\nperson:ana-adm ${stranger.publicLine}\n`);
  const twice = signedBy('exception', plain, { [ANA]: ana, 'person:ana-adm': stranger });
  const floors = [{ quorum: 2, approvers: [ANA, 'person:ana-adm'] }];
  expect(lacks(twice, { signers, floors })).toBe('granted by person:ana where 2 of person:ana, person:ana-adm must');
  const unlinked = { ...value.directory, people: value.directory.people.map((one) => ({ ...one, linked: [] })) };
  expect(lacks(twice, { signers, floors }, estate({ inventory: { ...value.inventory, nhis }, directory: unlinked }))).toBeNull();
});

it('the rest of the file holds, and those that are over are not asked after', () => {
  const over = { ...plain, id: 'over', from: '2026-09-01', until: '2026-10-01' };
  const { file, held } = grantedOnly({ v: 1, exceptions: [plain, { ...signed }, over], observe: [scope] }, { ...value, inventory: { ...value.inventory, nhis } }, asking);
  expect(file).toEqual({ v: 1, exceptions: [signed], observe: [] });
  expect(held.map(({ kind, id }) => [kind, id])).toEqual([['exception', plain.id], ['observe', scope.id]]);
  expect('observe' in grantedOnly({ v: 1, exceptions: [signed] }, value, asking).file).toBe(false);
});

describe('by passkey', () => {
  const byOlga = grantedByPasskey('exception', signedBy('exception', plain, { [ANA]: ana }), OLGA, olgas);

  it('an entry is granted as by a signature, and its file is read with the answer', () => {
    expect(lacks(byOlga)).toBeNull();
    expect(lacks({ ...byOlga, until: '2026-12-01' })).toBeNull();
    const file = { v: 1, exceptions: [byOlga] } as const;
    expect(exceptionsFileSchema.parse(JSON.parse(JSON.stringify(file)))).toEqual(file);
    expect(exceptionsFileSchema.safeParse({ v: 1, exceptions: [{ ...byOlga, signatures: byOlga.signatures!.map((one) => ({ ...one, signature: 'AAAA' })) }] }).success).toBe(false);
  });

  it.each<[string, Exception, Partial<Asking>?]>([
    ['of another entry', { ...byOlga, reason: 'for good' }],
    ['of an entry that is longer', { ...byOlga, until: '2027-01-16' }],
    ['of nobody’s passkey', byOlga, { passkeys: new Map() }],
    ['of a passkey that is somebody else’s', byOlga, { passkeys: passkeysOf(passkeysFileSchema.parse([olgas.entry(BEN)])) }],
    ['of a passkey that was over', byOlga, { passkeys: passkeysOf(passkeysFileSchema.parse([olgas.entry(OLGA, { validBefore: '2026-11-29T00:00:00.000Z' })])) }],
    ['without her having been recognised', grantedByPasskey('exception', signedBy('exception', plain, { [ANA]: ana }), OLGA, olgas, { flags: 0x19 })],
    ['as a scope', grantedByPasskey('observe', signedBy('exception', plain, { [ANA]: ana }), OLGA, olgas)],
  ])('an answer %s grants nothing', (_what, entry, edit = {}) => {
    expect(lacks(entry, edit)).toMatch(/^granted by (nobody|person:ana) where/);
  });
});

describe('for one log alone', () => {
  const inOne = signedBy('exception', plain, { [ANA]: ana, [WEI]: wei }, { log: LOG });

  it('an entry is granted there, and nowhere else', () => {
    expect(lacks(inOne)).toBeNull();
    expect(lacks(inOne, { logId: OTHER_LOG })).toMatch(/^granted by nobody/);
    expect(lacks(inOne, { logId: null })).toMatch(/^granted by nobody/);
  });

  it('nobody takes the log off, or writes another', () => {
    const edited = (log: string | undefined): Exception => ({ ...inOne, signatures: inOne.signatures!.map(({ log: _log, ...one }) => ({ ...one, ...(log === undefined ? {} : { log }) })) });
    expect(lacks(edited(undefined), { logId: OTHER_LOG })).toMatch(/^granted by nobody/);
    expect(lacks(edited(OTHER_LOG), { logId: OTHER_LOG })).toMatch(/^granted by nobody/);
  });
});
