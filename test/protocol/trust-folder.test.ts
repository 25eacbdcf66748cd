import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logIdOf } from '../../ledger/index.ts';
import { floorFor, loadTrustFolder, parseTrust, revokerOf, type TrustTexts } from '../../src/protocol/trust-folder.ts';
import type { Floor, RequirementsFile } from '../../src/protocol/trust.ts';
import { testPasskey } from '../support/passkey.ts';
import { EXECUTOR, keys, ORIGIN, trustFiles } from '../support/story.ts';

const files = trustFiles();
const texts: TrustTexts = {
  policy: files['trust.policy'], rest: { sidecars: files['sidecars.json'], executors: files['executors.json'], requirements: files['requirements.json'] },
};
const changed = (rest: Partial<NonNullable<TrustTexts['rest']>>): TrustTexts => ({ ...texts, rest: { ...texts.rest!, ...rest } });

describe('a trust folder', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-trust-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('is loaded whole', async () => {
    const trust = await loadTrustFolder(folder);
    expect(trust.sidecars.get(logIdOf(ORIGIN))?.map(({ keyName }) => keyName)).toEqual([keys.ticket.keyName]);
    expect(trust.executors.get(EXECUTOR)).toMatchObject({ connectors: ['pg-main'] });
    expect(revokerOf(trust.requirements, keys.revoker.keyName)?.principal).toBe('person:sam');
    expect(revokerOf(trust.requirements, keys.ticket.keyName)).toBeNull();
  });

  test('may be a lone trust.policy, which says nothing of sidecars or executors', async () => {
    const trust = await loadTrustFolder(join(folder, 'trust.policy'));
    expect(trust.policy.logs).toHaveLength(1);
    expect(trust.sidecars.size + trust.executors.size).toBe(0);
  });

  test('that everybody can write to is nothing to act on, and can still be read', async () => {
    for (const [path, usual] of [[folder, 0o755], [join(folder, 'requirements.json'), 0o644]] as const) {
      await chmod(path, usual | 0o002);
      await expect(loadTrustFolder(folder, { actedOn: true })).rejects.toThrow(`everybody can write to it, and so say whom to trust: chmod o-w ${path}`);
      await loadTrustFolder(folder);
      await chmod(path, usual);
    }
    await loadTrustFolder(folder, { actedOn: true });
  });

  test('may list passkeys: then they are part of what it is, and of what nobody else may write', async () => {
    const before = (await loadTrustFolder(folder)).digest;
    const path = join(folder, 'passkeys.json');
    await writeFile(path, json([testPasskey().entry('person:ana')]));
    const trust = await loadTrustFolder(folder);
    expect([...trust.passkeys.values()].map(({ person }) => person)).toEqual(['person:ana']);
    expect(trust.digest).not.toBe(before);
    await chmod(path, 0o646);
    await expect(loadTrustFolder(folder, { actedOn: true })).rejects.toThrow(`chmod o-w ${path}`);
    await rm(path);
    expect((await loadTrustFolder(folder)).passkeys.size).toBe(0);
  });

  test('with a file missing is not half believed', async () => {
    await rm(join(folder, 'requirements.json'));
    await expect(loadTrustFolder(folder)).rejects.toThrow(/requirements\.json: cannot be read/);
    await expect(loadTrustFolder(join(folder, 'nowhere'))).rejects.toThrow(/cannot be read/);
  });
});

const sidecar = { origin: ORIGIN, key: keys.ticket.vkey };
const executor = { id: EXECUTOR, key: keys.executor.vkey, connectors: ['pg-main'] };
const requirements = { v: 1, floors: [], revokers: [{ principal: 'person:sam', key: keys.revoker.vkey }], clockSkewMs: 0 };
const json = (value: unknown): string => JSON.stringify(value);

test.each<[string, TrustTexts, RegExp]>([
  ['a policy that is none', { ...texts, policy: 'log\n' }, /^trust\.policy: .*line 1/],
  ['an unknown field', changed({ sidecars: json([{ ...sidecar, also: 1 }]) }), /^sidecars\.json at \/0/],
  ['a key twice in one object', changed({ sidecars: '[{"origin":"a","origin":"b"}]' }), /^sidecars\.json at \/0\/origin/],
  ['a key that is none', changed({ sidecars: json([{ ...sidecar, key: `${keys.ticket.keyName}+AAAA` }]) }), /^sidecars\.json at \/0\/key/],
  ['a sidecar of a log that the policy does not list', changed({ sidecars: json([{ ...sidecar, origin: 'other.example' }]) }), /^sidecars\.json at \/0\/origin: .*no log/],
  ["the log's own key as a ticket key", changed({ sidecars: json([{ ...sidecar, key: keys.log.vkey }]) }), /^sidecars\.json at \/0\/key: .*key of the log/],
  ['a sidecar twice', changed({ sidecars: json([sidecar, sidecar]) }), /^sidecars\.json at \/1\/key/],
  ['an executor twice', changed({ executors: json([executor, executor]) }), /^executors\.json at \/1\/id/],
  ['an executor that is no id', changed({ executors: json([{ ...executor, id: 'main' }]) }), /^executors\.json at \/0\/id/],
  ['a revoker key with two owners', changed({ requirements: json({ ...requirements, revokers: [...requirements.revokers, { principal: 'person:rita', key: keys.revoker.vkey }] }) }), /^requirements\.json at \/revokers\/1\/key/],
  ['no clock skew', changed({ requirements: json({ ...requirements, clockSkewMs: undefined }) }), /^requirements\.json at \/clockSkewMs/],
  ['a passkey of nobody', changed({ passkeys: json([testPasskey().entry('nhi:prod/ci')]) }), /^passkeys\.json at \/0\/person/],
  ['a passkey at an origin elsewhere', changed({ passkeys: json([testPasskey().entry('person:ana', { origins: ['https://evil.example'] })]) }), /^passkeys\.json at \/0\/origins\/0/],
  ['a broken glass that only who broke it could review', changed({ requirements: json({ ...requirements, breakGlass: [{ connector: '*', target: '*', privilege: '*', people: ['person:sam'], maxLeaseSeconds: 60, reviewWithinSeconds: 60, reviewers: ['person:sam'] }] }) }), /^requirements\.json at \/breakGlass\/0: somebody who may break the glass is the only one to review it/],
  ['more approvers than can be asked', changed({ requirements: json({ ...requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'session', approvers: Array.from({ length: 65 }, (_, i) => `person:p${i}`), maxLeaseSeconds: null }] }) }), /^requirements\.json at \/floors\/0\/approvers: .*64 items/],
  ['a quorum that is no number', changed({ requirements: json({ ...requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: '1', proofClass: 'session', approvers: null, maxLeaseSeconds: null }] }) }), /^requirements\.json at \/floors\/0\/quorum/],
])('%s is refused by file and place', (_name, given, message) => {
  expect(() => parseTrust(given)).toThrow(message);
});

describe('the floor', () => {
  const any: Floor = { connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null };
  const floors = (...given: Partial<Floor>[]): RequirementsFile => ({ v: 1, revokers: [], clockSkewMs: 0, floors: given.map((one) => ({ ...any, ...one })) });
  const effect = { connector: 'pg-main', target: 'app', privileges: ['role:admin'] };

  test('asks for one approval where it says nothing: silence is not consent', () => {
    expect(floorFor(floors(), effect)).toEqual({ quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null, standing: false });
    expect(floorFor(floors({ connector: 'aws', quorum: 0 }), effect).quorum).toBe(1);
    expect(floorFor(floors({ privilege: 'role:reader', quorum: 0 }), { ...effect, privileges: ['role:reader', 'role:admin'] }).quorum).toBe(1);
  });
  test('asks for nothing where it says so in so many words', () => {
    expect(floorFor(floors({ quorum: 0 }), effect).quorum).toBe(0);
  });
  test('is the strictest of all that match, part by part', () => {
    const all = floors({ quorum: 0, maxLeaseSeconds: 60 }, { target: 'app', quorum: 2 }, { privilege: 'role:admin', proofClass: 'passkey', maxLeaseSeconds: 600 }, { connector: 'aws', quorum: 9 });
    expect(floorFor(all, effect)).toEqual({ quorum: 2, proofClass: 'passkey', approvers: null, maxLeaseSeconds: 60, standing: false });
  });
  test('counts standing approvals only where every matching floor says so', () => {
    expect(floorFor(floors({ standing: true }), effect).standing).toBe(true);
    expect(floorFor(floors({ standing: true }, { privilege: 'role:admin' }), effect).standing).toBe(false);
    expect(floorFor(floors({ privilege: 'role:reader', standing: true }), { ...effect, privileges: ['role:reader', 'role:admin'] }).standing).toBe(false);
  });
  test('counts only approvers that every matching floor counts, even if that is nobody', () => {
    const all = floors({ approvers: ['person:a', 'person:b'] }, { privilege: 'role:admin', approvers: ['person:b', 'person:c'] });
    expect(floorFor(all, effect).approvers).toEqual(['person:b']);
    expect(floorFor(floors({ approvers: ['person:a'] }, { approvers: ['person:c'] }), effect).approvers).toEqual([]);
  });
  test('is that of every privilege asked for at once', () => {
    const all = floors({ privilege: 'role:reader', quorum: 0 }, { privilege: 'role:admin', quorum: 3 });
    expect(floorFor(all, { ...effect, privileges: ['role:reader', 'role:admin'] }).quorum).toBe(3);
  });
});
