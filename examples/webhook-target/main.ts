/**
 * Runs the receiver: `node dist/examples/webhook-target/main.js DIRECTORY [PORT]`.
 *
 * In the directory are `signing.secret` (`whsec_…`, the same as the connector's `signingSecretFile`), `admin.token`, and, for https, `tls.crt` and
 * `tls.key`; its state goes to `accounts.json`. Says on standard output, as one line of JSON, where it listens.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Accounts } from './accounts.ts';
import { createReceiver } from './receiver.ts';

const [directory = '.', port = '0'] = process.argv.slice(2);
const textOf = (name: string): string => readFileSync(join(directory, name), 'utf8').trim();
const tls = existsSync(join(directory, 'tls.key')) ? { tls: { cert: textOf('tls.crt'), key: textOf('tls.key') } } : {};
const accounts = await Accounts.open(join(directory, 'accounts.json'));
const server = createReceiver({ accounts, signingSecret: textOf('signing.secret'), adminToken: textOf('admin.token'), ...tls });
server.listen(Number(port), '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ listening: (server.address() as AddressInfo).port })}\n`);
});
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
