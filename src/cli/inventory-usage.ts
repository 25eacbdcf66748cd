/** `countersign inventory usage`: what a query at a PostgreSQL server says was used becomes a file of facts: all of it, or none. */
import { resolve } from 'node:path';
import { TargetError } from '../executor/connector.ts';
import { FactsError, parseInventory } from '../facts/load.ts';
import { openObservedRows, type ObservedRows } from '../facts/observed-rows.ts';
import { usageFormat } from '../facts/usage-rows.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, readText } from './files.ts';
import { plain } from './output.ts';
import { heldBy, replace } from './replace-file.ts';
import type { Session } from './world.ts';

export interface UsageFlags {
  readonly postgres: string;
  readonly query: string;
  readonly into: string;
  readonly connector?: string;
  readonly inventory?: string;
  readonly dryRun?: true;
}

const NOTHING = 'Nothing was written.';
const TIMEOUT_MS = 300_000;

export async function usage(session: Session, flags: UsageFlags): Promise<ExitCode> {
  const { cwd, out } = session;
  if (usageFormat(flags.into) !== null) throw new CliError(EXIT.usage, 'usage', { cause: '--into is a file such as facts/usage.yaml; rows are folded before they are written', effect: NOTHING });
  const into = resolve(cwd, flags.into);
  const nowMs = session.nowMs();
  const query = readText(resolve(cwd, flags.query), 'the query');
  // Whoever calls this has a database; nobody else loads its driver.
  const { parseConnectionString } = await import('../connectors/postgres/address.ts');
  const { readObservedUsage } = await import('../connectors/postgres/observed-usage.ts');
  const address = orUsage(() => parseConnectionString(readSecret(resolve(cwd, flags.postgres), 'the connection string')));
  const held = heldBy(into);
  const rows = openObservedRows({ name: flags.query, connector: flags.connector ?? null, nhis: inventoryOf(session, flags.inventory), nowMs });
  try {
    await readObservedUsage({ address, query, statementTimeoutMs: TIMEOUT_MS }, AbortSignal.any([session.signal, AbortSignal.timeout(TIMEOUT_MS)]), rows.take);
    return await write(rows);
  } catch (cause) {
    if (cause instanceof TargetError) throw new CliError(EXIT.io, cause.kind === 'unreachable' ? 'unreachable' : 'query-refused', { cause: cause.message, effect: NOTHING, next: 'try the query with psql; names need their schema, since only pg_catalog is searched' }, { cause });
    if (cause instanceof FactsError) throw new CliError(EXIT.failed, 'bad-rows', { cause: cause.message, effect: NOTHING, next: 'correct the query' }, { cause });
    throw cause;
  }

  function write(from: ObservedRows): Promise<ExitCode> {
    const file = from.end();
    const privileges = file.usage.reduce((sum, one) => sum + one.privileges.length, 0);
    const isWritten = flags.dryRun !== true;
    if (isWritten) replace(into, held, `${JSON.stringify(file, null, 1)}\n`, Buffer.from(session.randomBytes(12)).toString('hex'), { code: 'usage-changed', next: 'ask again' });
    out.document({ into: flags.into, written: isWritten, accounts: file.usage.length, privileges, observedAtMs: file.observedAtMs });
    out.line(`${file.usage.length} accounts, ${privileges} privileges in use, looked at ${new Date(file.observedAtMs).toISOString()}`);
    out.say(isWritten ? `written to ${plain(flags.into)}` : `${NOTHING} It was a dry run.`);
    return Promise.resolve(EXIT.ok);
  }
}

function inventoryOf({ cwd }: Session, path: string | undefined): ReturnType<typeof parseInventory>['value']['nhis'] | null {
  if (path === undefined) return null;
  try {
    return parseInventory({ name: path, text: readText(resolve(cwd, path), 'the inventory') }).value.nhis;
  } catch (cause) {
    if (!(cause instanceof FactsError)) throw cause;
    throw new CliError(EXIT.failed, 'bad-inventory', { cause: cause.message, effect: NOTHING, next: 'correct the inventory first' }, { cause });
  }
}

function orUsage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new CliError(EXIT.usage, 'usage', { cause: `--postgres: ${cause.message}`, effect: NOTHING }, { cause });
  }
}
