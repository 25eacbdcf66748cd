/** The files of an installation in a directory of its own: keys, tokens, trust, configuration; facts and policy are the package's examples. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSignerKey, parseSigner, type Signer } from '../../ledger/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { hashToken, type TokensFile } from '../../src/identity/tokens.ts';
import { systemRandom } from '../../src/sidecar/system.ts';

export const EXECUTOR_ID = 'executor:pg-1';
export const TOKENS: Readonly<Record<string, string>> = {
  'nhi:prod/ci-deployer': 'cst_deployer', 'person:wei': 'cst_wei', 'person:sam': 'cst_sam', 'nhi:prod/billing-export': 'cst_billing', 'person:ana': 'cst_ana',
};
const PACKAGE = join(import.meta.dirname, '../..');

export interface Installation {
  readonly directory: string;
  readonly configPath: string;
  /** Loads the file anew. */
  config(): Promise<Config>;
  readonly executorSigner: Signer;
  write(name: string, content: string, mode?: number): Promise<void>;
  remove(): Promise<void>;
}

export async function makeInstallation(): Promise<Installation> {
  const directory = await mkdtemp(join(tmpdir(), 'cs-'));
  const origin = 'installation.example/ledger';
  const [log, ticket, executor] = [origin, 'tickets.installation.example', 'pg-1.installation.example'].map((name) => generateSignerKey(name, systemRandom(32)));
  const write = async (name: string, content: string, mode = 0o600): Promise<void> => {
    await writeFile(join(directory, name), content);
    await chmod(join(directory, name), mode);
  };
  await mkdir(join(directory, 'trust'));
  await write('log.key', `${log!.skey}\n`);
  await write('ticket.key', `${ticket!.skey}\n`);
  const tokens: TokensFile = Object.entries(TOKENS).map(([principal, token]) => ({ principal, roles: ['caller', 'approver', 'operator', 'auditor'], tokenSha256: hashToken(token) }));
  await write('tokens.json', JSON.stringify(tokens));
  await write('trust/trust.policy', `log ${log!.vkey}\nquorum none\n`);
  await write('trust/sidecars.json', JSON.stringify([{ origin, key: ticket!.vkey }]));
  await write('trust/executors.json', JSON.stringify([{ id: EXECUTOR_ID, key: executor!.vkey, connectors: ['pg-main'] }]));
  await write('trust/requirements.json', JSON.stringify({ v: 1, floors: [], revokers: [], clockSkewMs: 0 }));
  const facts = join(PACKAGE, 'examples/facts');
  await write('countersign.yaml', [
    `origin: ${origin}`, 'data: data', 'listen: {socket: s.sock, port: 0}', 'tokens: tokens.json', 'keys: {log: log.key, ticket: ticket.key}', 'trust: trust',
    `facts: {inventory: ${facts}/inventory.yaml, catalogue: ${facts}/catalogue.yaml, directory: ${facts}/directory.yaml}`,
    `executors: [{id: ${EXECUTOR_ID}, socket: pg-1.sock, connectors: [pg-main]}]`, 'logLevel: silent', 'limits: {drainSeconds: 2}', '',
  ].join('\n'));
  const configPath = join(directory, 'countersign.yaml');
  return {
    directory, configPath, write, executorSigner: parseSigner(executor!.skey),
    config: async () => (await loadConfig({ path: configPath })).config,
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
