/** Makes the connectors that a configuration names. A driver, or a module, is loaded only where one of its connectors is configured. */
import { readFile } from 'node:fs/promises';
import { readPrivateFile } from '../identity/private-file.ts';
import type { OpenBaoAddress } from '../connectors/openbao/address.ts';
import { VERSION } from '../version.ts';
import { readWebhookSecrets } from '../webhook/secrets.ts';
import type { ConnectorConfig, OpenBaoConfig, OpenBaoDatabaseConfig, OpenBaoKvConfig, OpenBaoTokenConfig, PostgresConfig, WebhookConfig } from './config.ts';
import type { Connector } from './connector.ts';
import { openModule } from './own-module.ts';
import type { Sink } from './sink.ts';
import { systemClock } from './system-clock.ts';

/** The connector, not yet connected to anything. @throws PrivateFileError when others can read its password or token; RangeError on an address that is none; ConfigError on a module that cannot be used */
export async function openConnector(id: string, config: ConnectorConfig): Promise<Connector> {
  switch (config.kind) {
    case 'postgres':
      return openPostgres(id, config);
    case 'openbao':
      return openOpenBao(id, config);
    case 'openbao-token':
      return openOpenBaoToken(id, config);
    case 'openbao-database':
      return openOpenBaoDatabase(id, config);
    case 'webhook':
      return openWebhook(id, config);
    case 'module':
      return openModule(id, config);
  }
}

async function openPostgres(id: string, config: PostgresConfig): Promise<Connector> {
  const { postgresConnector } = await import('../connectors/postgres/connector.ts');
  const { host, port, database, user, passwordFile, sslmode, caFile } = config;
  const password = await secretIn(passwordFile);
  const connection = {
    host, port, database, user, password,
    ...(sslmode === undefined ? {} : { sslmode }), ...(caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }),
  };
  return postgresConnector({ id, connection });
}

async function openOpenBao(id: string, config: OpenBaoConfig): Promise<Connector> {
  const { openbaoConnector } = await import('../connectors/openbao/connector.ts');
  return openbaoConnector({ id, connection: await openbaoAddress(config), mount: config.mount });
}

async function openOpenBaoToken(id: string, config: OpenBaoTokenConfig): Promise<Connector> {
  const { openbaoTokenConnector } = await import('../connectors/openbao/token-connector.ts');
  return openbaoTokenConnector({ id, connection: await openbaoAddress(config) });
}

async function openOpenBaoDatabase(id: string, config: OpenBaoDatabaseConfig): Promise<Connector> {
  const { openbaoDatabaseConnector } = await import('../connectors/openbao/database-connector.ts');
  return openbaoDatabaseConnector({ id, connection: await openbaoAddress(config), mount: config.mount, policy: config.policy });
}

/** The sink, not yet connected to anything. @throws PrivateFileError when others can read its token; RangeError on an address that is none */
export async function openSink(config: OpenBaoKvConfig): Promise<Sink> {
  const { openbaoKvSink } = await import('../connectors/openbao/kv-sink.ts');
  return openbaoKvSink({ connection: await openbaoAddress(config), mount: config.mount, ...(config.prefix === undefined ? {} : { prefix: config.prefix }) });
}

async function openbaoAddress({ address, tokenFile, caFile, namespace, allowHttp }: Omit<OpenBaoTokenConfig, 'kind'>): Promise<OpenBaoAddress> {
  return {
    address, token: await secretIn(tokenFile), allowHttp,
    ...(namespace === undefined ? {} : { namespace }), ...(caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }),
  };
}

async function openWebhook(id: string, config: WebhookConfig): Promise<Connector> {
  const { webhookConnector } = await import('../connectors/webhook/connector.ts');
  const { url, signingSecretFile, caFile, timeoutSeconds, allowHttp, allowPrivate } = config;
  const signingSecrets = (): Promise<string[]> => readWebhookSecrets(signingSecretFile);
  await signingSecrets();
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8');
  return webhookConnector({ id, url, signingSecrets, ca, timeoutMs: timeoutSeconds * 1000, allowHttp, allowPrivate, clock: systemClock, userAgent: `countersign/${VERSION}` });
}

/**
 * What the file holds, read each time it is asked for. Asked once here as well, so that a file that is missing or open to others is found at the
 * start and not at the first revoke.
 */
async function secretIn(path: string): Promise<() => Promise<string>> {
  const read = async (): Promise<string> => Buffer.from(await readPrivateFile(path)).toString('utf8').replace(/\r?\n$/, '');
  await read();
  return read;
}
