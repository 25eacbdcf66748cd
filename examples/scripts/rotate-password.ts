/**
 * A rotation script as teams have them: sets a new password for one PostgreSQL login and keeps it where the service looks for it. It knows
 * nothing of Countersign; `countersign run` tells it which account, in the environment, and starts it only once the change is approved.
 *
 *     DATABASE_URL     how to log in as somebody who may set passwords
 *     SECRET_FILE      where the new password goes
 *     COUNTERSIGN_ACCOUNT   whose password is set
 */
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';

const { DATABASE_URL: url, SECRET_FILE: file, COUNTERSIGN_ACCOUNT: account } = process.env;
if (url === undefined || file === undefined || account === undefined) throw new Error('DATABASE_URL, SECRET_FILE and COUNTERSIGN_ACCOUNT say what to rotate');

const password = randomBytes(24).toString('base64url');
// Kept before it is set: a password that only the database knows would be nobody's.
writeFileSync(`${file}.new`, `${password}\n`, { mode: 0o600 });
const client = new Client({ connectionString: url });
await client.connect();
try {
  await client.query(`ALTER ROLE ${escapeIdentifier(account)} PASSWORD ${escapeLiteral(password)}`);
} finally {
  await client.end();
}
renameSync(`${file}.new`, file);
