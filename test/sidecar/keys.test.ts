/** The log's key as a sidecar is given it: encrypted, taken over by another, or not the one that the log is of. */
import { armor, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCodeOf, generateSignerKey, nodeDisk, openCheckpoint, parseTrustPolicy, type LedgerRecord } from '../../ledger/index.ts';
import { connect } from '../../src/client/index.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { GRANT } from '../support/sidecar.ts';

const ORIGIN = 'installation.example/ledger';
let installation: Installation;
const running: Sidecar[] = [];
beforeEach(async () => {
  installation = await makeInstallation();
});
afterEach(async () => {
  for (const sidecar of running.splice(0)) await sidecar.close();
  await installation.remove();
});

async function start(keys = '{log: log.key, ticket: ticket.key}'): Promise<Sidecar> {
  const config = await readFile(installation.configPath, 'utf8');
  await installation.write('countersign.yaml', config.replace(/^keys: .*$/m, `keys: ${keys}`));
  const sidecar = await startSidecar(await installation.config(), { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
  running.push(sidecar);
  return sidecar;
}

async function encrypted(name: string, encrypter: Encrypter): Promise<void> {
  const key = await readFile(join(installation.directory, name), 'utf8');
  await installation.write(name, armor.encode(await encrypter.encrypt(key)));
}

async function records(sidecar: Sidecar, type: string): Promise<LedgerRecord[]> {
  const found: LedgerRecord[] = [];
  for await (const { record } of sidecar.log.entries(0)) if (record.type === type) found.push(record);
  return found;
}

describe('a key file that is encrypted', () => {
  it('is opened with the passphrase in a file, or with an age identity', async () => {
    const withPassphrase = new Encrypter();
    withPassphrase.setScryptWorkFactor(10);
    withPassphrase.setPassphrase('correct horse');
    await encrypted('log.key', withPassphrase);
    await installation.write('unlock', 'correct horse\n');
    await (await start('{log: log.key, ticket: ticket.key, unlock: unlock}')).close();

    const identity = await generateX25519Identity();
    const toRecipient = new Encrypter();
    toRecipient.addRecipient(await identityToRecipient(identity));
    await encrypted('ticket.key', toRecipient);
    await installation.write('identity', `${identity}\n`);
    await installation.write('log.key', generateSignerKey(ORIGIN, systemRandom(32)).skey);
    // One file opens both, or the start says which it does not open.
    await expect(start('{log: log.key, ticket: ticket.key, unlock: unlock}')).rejects.toMatchObject({ code: 'bad-key', message: expect.stringContaining('does not open it') as string });
    await expect(start('{log: log.key, ticket: ticket.key, unlock: identity}')).rejects.toMatchObject({ code: 'untrusted' });
  });

  it.each([
    ['nothing says with what', '{log: log.key, ticket: ticket.key}', 'keys.unlock'],
    ['the passphrase is another', '{log: log.key, ticket: ticket.key, unlock: unlock}', 'does not open it'],
  ])('keeps the sidecar from starting where %s', async (_title, keys, message) => {
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(10);
    encrypter.setPassphrase('correct horse');
    await encrypted('log.key', encrypter);
    await installation.write('unlock', 'battery staple\n');
    const failure: unknown = await start(keys).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'bad-key', message: expect.stringContaining(message) as string });
    expect(String(failure)).not.toMatch(/PRIVATE|battery|horse/);
  });

  it('is not looked at while others can read what opens it', async () => {
    const encrypter = new Encrypter();
    encrypter.setScryptWorkFactor(10);
    encrypter.setPassphrase('correct horse');
    await encrypted('log.key', encrypter);
    await installation.write('unlock', 'correct horse\n', 0o644);
    await expect(start('{log: log.key, ticket: ticket.key, unlock: unlock}')).rejects.toThrow(/others can read/);
  });
});

describe('a key that takes over', () => {
  it('is on record and signs from then on; changes go on, and the whole verifies under it', async () => {
    const first = await start();
    const caller = connect({ socket: first.socket!, token: TOKENS['nhi:prod/ci-deployer']! });
    const change = await caller.request(GRANT, { waitSeconds: 20 });
    await first.close();
    const next = generateSignerKey(ORIGIN, systemRandom(32));
    await installation.write('next.key', next.skey);
    const policy = await readFile(join(installation.directory, 'trust/trust.policy'), 'utf8');
    await installation.write('trust/trust.policy', `log ${next.vkey}\n${policy}`);

    const second = await start('{log: next.key, ticket: ticket.key, rotateFrom: log.key}');
    expect(await records(second, 'key.rotated')).toMatchObject([{ actor: `sidecar:${second.log.logId}`, body: { new: next.vkey } }]);
    const approver = connect({ socket: second.socket!, token: TOKENS['person:wei']! });
    await approver.approve(change.id, change.planDigest!);
    await approver.wait(change.id, { until: ({ state }) => state === 'active' });
    expect(openCheckpoint(second.log.checkpoint().text, parseTrustPolicy(`log ${next.vkey}\nquorum none\n`)).size).toBeGreaterThan(0);
    await second.close();

    const third = await start('{log: next.key, ticket: ticket.key}');
    expect(await records(third, 'key.rotated')).toHaveLength(1);
    await third.close();
    const verification = await verifyEvidence({ disk: nodeDisk(join(installation.directory, 'data')), directory: 'ledger', trust: await loadTrustFolder(join(installation.directory, 'trust')), wholeFolder: true });
    expect(verification.verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
    expect(exitCodeOf(verification.verdicts)).toBe(0);
  });

  it('does not take over where nobody said so', async () => {
    await (await start()).close();
    await installation.write('next.key', generateSignerKey(ORIGIN, systemRandom(32)).skey);
    await expect(start('{log: next.key, ticket: ticket.key}')).rejects.toMatchObject({ code: 'untrusted' });
    await (await start()).close();
  });
});
