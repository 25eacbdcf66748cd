/** Makes the connectors that a configuration names. A driver is loaded only where one of its connectors is configured. */
import { readFile } from 'node:fs/promises';
import { readPrivateFile } from '../identity/private-file.ts';
import type { ConnectorConfig } from './config.ts';
import type { Connector } from './connector.ts';

/** The connector, not yet connected to anything. @throws PrivateFileError when others can read its password */
export async function openConnector(id: string, config: ConnectorConfig): Promise<Connector> {
  const { postgresConnector } = await import('../connectors/postgres/connector.ts');
  const { host, port, database, user, passwordFile, sslmode, caFile } = config;
  const password = async (): Promise<string> => Buffer.from(await readPrivateFile(passwordFile)).toString('utf8').replace(/\r?\n$/, '');
  // Asked now as well, so that a file that is missing or open to others is found at the start and not at the first revoke.
  await password();
  const connection = {
    host, port, database, user, password,
    ...(sslmode === undefined ? {} : { sslmode }), ...(caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }),
  };
  return postgresConnector({ id, connection });
}
