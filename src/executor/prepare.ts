/** What an executor's configuration comes to: who it is, whom it believes, what it can touch. Nothing is written, and no target is asked. */
import { parseSigner, type Signer } from '../../ledger/index.ts';
import { readPrivateFile } from '../identity/private-file.ts';
import { loadTrustFolder, type Trust } from '../protocol/trust-folder.ts';
import { ConfigError, loadExecutorConfig, type ExecutorConfig } from './config.ts';
import type { Connector } from './connector.ts';
import { openConnector, openSink } from './registry.ts';
import type { Sink } from './sink.ts';

export { systemClock } from './system-clock.ts';

export interface PreparedExecutor {
  readonly config: ExecutorConfig;
  readonly trust: Trust;
  readonly signer: Signer;
}

/** @throws ConfigError, TrustError or PrivateFileError */
export async function prepareExecutor(configPath: string): Promise<PreparedExecutor> {
  const config = await loadExecutorConfig(configPath);
  const trust = await loadTrustFolder(config.trust, { actedOn: true });
  const signer = parseSigner((await privateText(config.key)).trim());
  requireTrusted(configPath, config, trust, signer);
  return { config, trust, signer };
}

/**
 * The connectors of the configuration, by id, for the caller to close.
 *
 * @param broken told of each that cannot be opened, which is then left out; without it the first ends all
 * @throws PrivateFileError when others can read a password
 */
export async function openConnectors(config: ExecutorConfig, broken?: (id: string, error: unknown) => void): Promise<Map<string, Connector>> {
  const connectors = new Map<string, Connector>();
  for (const [id, connector] of Object.entries(config.connectors)) {
    try {
      connectors.set(id, await openConnector(id, connector));
    } catch (error) {
      if (broken === undefined) throw error;
      broken(id, error);
    }
  }
  return connectors;
}

/** The sinks of the configuration, by id. @throws PrivateFileError when others can read a token */
export async function openSinks(config: ExecutorConfig): Promise<Map<string, Sink>> {
  const sinks = new Map<string, Sink>();
  for (const [id, sink] of Object.entries(config.sinks)) sinks.set(id, await openSink(sink));
  return sinks;
}

/** The text of a file that nobody but its owner can read. @throws PrivateFileError */
export async function privateText(path: string): Promise<string> {
  return Buffer.from(await readPrivateFile(path)).toString('utf8');
}

/** Reports that nobody will believe are found out now, not after the first effect. */
function requireTrusted(configPath: string, config: ExecutorConfig, trust: Trust, signer: Signer): void {
  const listed = trust.executors.get(config.id);
  if (listed === undefined) throw new ConfigError(configPath, `executors.json of its trust folder does not list ${config.id}`);
  if (listed.key.vkey !== signer.vkey) throw new ConfigError(configPath, `executors.json lists another key for ${config.id}`);
  for (const id of Object.keys(config.connectors)) {
    if (!listed.connectors.includes(id)) throw new ConfigError(configPath, `executors.json does not let ${config.id} speak for connector ${id}`);
  }
}
