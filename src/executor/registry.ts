/** Makes the connectors that a configuration names. A driver, or a module, is loaded only where one of its connectors is configured. */
import { readFile } from 'node:fs/promises';
import { readPrivateFile } from '../identity/private-file.ts';
import { VERSION } from '../version.ts';
import { readWebhookSecrets } from '../webhook/secrets.ts';
import type { ConnectorConfig, OpenBaoConfig, PostgresConfig, WebhookConfig } from './config.ts';
import type { Connector } from './connector.ts';
import { openModule } from './own-module.ts';
import { systemClock } from './system-clock.ts';

/** The connector, not yet connected to anything. @throws PrivateFileError when others can read its password or token; RangeError on an address that is none; ConfigError on a module that cannot be used */
export async function openConnector(id: string, config: ConnectorConfig): Promise<Connector> {
  switch (config.kind) {
    case 'postgres':
      return openPostgres(id, config);
    case 'openbao':
      return openOpenBao(id, config);
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
  const { address, tokenFile, caFile, mount, namespace, allowHttp } = config;
  const token = await secretIn(tokenFile);
  const connection = {
    address, token, allowHttp,
    ...(namespace === undefined ? {} : { namespace }), ...(caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }),
  };
  return openbaoConnector({ id, connection, mount });
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
