/** What somebody writes into the scaffold of `countersign connector new`: accounts that are files in a directory. */

export const CONNECTOR = `
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TargetError, type Connector } from 'countersign/executor';

interface Account { readonly name: string; readonly token: string | null; readonly hash: string; readonly privileges: readonly string[] }
const PRIVILEGES = ['read', 'write'];
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');
const fileOf = (directory: string, name: string): string => join(directory, Buffer.from(name).toString('hex'));

export async function find(directory: string, name: string): Promise<Account | null> {
  return readFile(fileOf(directory, name), 'utf8').then((text) => JSON.parse(text) as Account, () => null);
}
export async function save(directory: string, account: Account): Promise<void> {
  await writeFile(fileOf(directory, account.name), JSON.stringify(account));
}

export function openConnector(id: string, options: Readonly<Record<string, unknown>>): Connector {
  const directory = String(options['directory']);
  const check = (target: string, name: string, signal: AbortSignal): void => {
    if (signal.aborted) throw new TargetError('unreachable', 'the deadline has passed');
    if (target !== 'main') throw new TargetError('rejected', 'there is one target, main');
    if (!/^[a-z0-9_-]{1,63}$/.test(name)) throw new TargetError('rejected', 'not a name of an account');
  };
  const marked = async (token: string): Promise<Account | null> => {
    for (const file of await readdir(directory)) {
      const account = JSON.parse(await readFile(join(directory, file), 'utf8')) as Account;
      if (account.token === token) return account;
    }
    return null;
  };
  return {
    describe: (action) => (action === 'provision' ? { expiry: 'external', endsSessions: true, residualMs: 0, findable: true } : null),
    async read({ target, account: name }, signal) {
      check(target, name, signal);
      const account = await find(directory, name);
      return { connector: id, target, account: name, exists: account !== null, touched: { token: account?.token ?? null }, held: [...(account?.privileges ?? [])] };
    },
    async apply({ step, secret, signal }) {
      check(step.target, step.account, signal);
      if (step.action !== 'provision' || secret === null) throw new TargetError('rejected', 'only accounts are made here');
      if (step.privileges.some((privilege) => !PRIVILEGES.includes(privilege))) throw new TargetError('rejected', 'no such privilege');
      if ((await find(directory, step.account)) !== null) throw new TargetError('rejected', 'there is an account of that name');
      await save(directory, { name: step.account, token: step.clientToken, hash: hashOf(secret), privileges: [...step.privileges].sort() });
    },
    async probe({ target, account, clientToken }, signal) {
      check(target, account, signal);
      return (await marked(clientToken)) === null ? 'absent' : 'applied';
    },
    async tryUse({ target, account: name }, secret, signal) {
      check(target, name, signal);
      return secret !== null && (await find(directory, name))?.hash === hashOf(secret) ? 'works' : 'fails';
    },
    async revoke({ target, account: name, clientToken }, signal) {
      check(target, name, signal);
      const ours = await marked(clientToken);
      if (ours !== null) await rm(fileOf(directory, ours.name));
      if ((await find(directory, name)) !== null) return 'mismatch';
      return ours === null ? 'already-absent' : 'done';
    },
    async close() {},
  };
}
`;

export const ADAPTER = `
import { mkdtempSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TargetAdapter } from 'countersign/executor/kit';
import { find, hashOf, openConnector, save } from './connector.js';

const directory = mkdtempSync(join(process.env['TARGET'] ?? tmpdir(), 'target-'));
export const adapter: TargetAdapter = {
  open: () => openConnector('our-crm', { directory }), connector: 'our-crm', target: 'main', privileges: ['read', 'write'], takes: (name) => /^[a-z0-9_-]{1,63}$/.test(name),
  makeAccount: (name, secret, privileges) => save(directory, { name, token: null, hash: hashOf(secret), privileges }),
  async use(name, secret) {
    const account = await find(directory, name);
    return account?.hash === hashOf(secret) ? account.privileges : null;
  },
  list: () => readdir(directory),
};
`;

/** A worker in a process of one's own. */
export const WORKER = `
import { randomBytes } from 'node:crypto';
import { writeFileSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listenLocal, loadTrustFolder, openWorker, sealSecret, systemClock, TargetError, type Connector, type Logger } from 'countersign/executor';
import { generateSignerKey, nodeDisk, parseSigner } from 'countersign/ledger';
import { openConnector } from './connector.js';

const directory = mkdtempSync(join(process.env['TARGET'] ?? tmpdir(), 'worker-'));
const signer = parseSigner(generateSignerKey('executor:own', randomBytes(32)).skey);
const log = generateSignerKey('log.example/own', randomBytes(32)).vkey;
mkdirSync(join(directory, 'trust'), { mode: 0o700 });
for (const [name, text] of Object.entries({
  'trust.policy': \`log \${log}\\nquorum none\\n\`, 'sidecars.json': '[]', 'executors.json': JSON.stringify([{ id: 'executor:own', key: signer.vkey, connectors: ['our-crm'] }]),
  'requirements.json': JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 1_000 }),
})) writeFileSync(join(directory, 'trust', name), text, { mode: 0o600 });
mkdirSync(join(directory, 'state'));
const connector: Connector = openConnector('our-crm', { directory });
const logger: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const worker = await openWorker({
  executorId: 'executor:own', signer, trust: await loadTrustFolder(join(directory, 'trust'), { actedOn: true }), connectors: new Map([['our-crm', connector]]),
  disk: nodeDisk(join(directory, 'state')), clock: systemClock, random: (length) => randomBytes(length), seal: sealSecret, fingerprintKey: randomBytes(32), logger,
  send: (message) => listener.send(message),
});
const listener = await listenLocal({ socket: join(directory, 's'), worker, clock: systemClock, logger });
const refused = await worker.step({ nonsense: true }).then(() => null, (error: unknown) => (error instanceof Error ? error.name : ''));
console.log(JSON.stringify({ healthy: worker.healthy, refused, isTargetError: new TargetError('rejected', 'x') instanceof Error }));
await worker.close();
await listener.close();
`;
