/**
 * `countersign identify`: whose credential is it that was found where it should not be? The secret comes by standard input, is looked at
 * once, and is written down nowhere. It is known by an HMAC under a key that its executor has, so whoever asks needs that file; there is
 * nobody to be asked over a network, and so nothing that a stranger could try secrets on.
 */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { nodeDisk } from '../../ledger/index.ts';
import { readCredential, type Credential, type CredentialReading } from '../evidence/credential.ts';
import type { ExecutorConfig } from '../executor/config.ts';
import { fingerprintOf, parseFingerprintKey } from '../protocol/fingerprint.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, readText } from './files.ts';
import { findConfig } from './find-config.ts';
import { plain, table } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export interface IdentifyFlags {
  readonly config?: string;
  readonly fingerprintKey?: string;
  readonly fingerprint?: string;
  readonly ledger?: string;
  readonly worker?: string;
}

const NOTHING_KEPT = 'The secret was not kept.';
const SECRET_BYTES_MAX = 65_536;

/** What tells a credential: for every command that takes one. */
export function withCredential(command: Command): Command {
  return command
    .option('--fingerprint-key <file>', "the executor's key (default: keys/fingerprint.key beside the configuration)")
    .option('--worker <file>', 'executor.yaml: its fingerprint key, and its lease book in place of a ledger')
    .option('--fingerprint <hex>', 'instead of the secret: what  identify --only-fingerprint  has printed where the key is');
}

export function addIdentify(program: Command, run: Runner): void {
  withCredential(program.command('identify'))
    .description('say whose credential is on standard input, which change made it, and what it opens')
    .option('--config <file>', 'countersign.yaml of the installation')
    .option('--ledger <folder>', 'where the ledger is (default: from the configuration)')
    .option('--only-fingerprint', 'print its fingerprint and no more: for where the ledger is')
    .action(run(identify));
}

async function identify(session: Session, flags: IdentifyFlags & { readonly onlyFingerprint?: boolean }): Promise<ExitCode> {
  const { out } = session;
  const fingerprints = await fingerprintsIn(session, flags);
  if (flags.onlyFingerprint === true) {
    out.document({ fingerprint: fingerprints[0], fingerprints });
    for (const one of fingerprints) out.line(one);
    return EXIT.ok;
  }
  const { credentials, fingerprint } = await findCredential(session, flags, fingerprints);
  const owners = ownersIn(session, flags);
  out.document({ fingerprint, credentials: credentials.map((one) => ({ ...one, owner: owners.get(one.subject) ?? null })) });
  for (const one of credentials) tellCredential(session, one, owners.get(one.subject) ?? null);
  if (credentials.some(({ endedBy }) => endedBy === null)) out.say('to take back what it opens:  countersign revoke --credential, with the secret on standard input again');
  return EXIT.ok;
}

/**
 * The fingerprints that were given, or those of the secret on standard input: of the text, and, where that is a document as it was delivered, of
 * each part that could be the credential. @throws CliError; the secret is in no message
 */
export async function fingerprintsIn(session: Session, flags: IdentifyFlags): Promise<readonly string[]> {
  if (flags.fingerprint !== undefined) {
    const given = flags.fingerprint.trim().split(/\s+/);
    if (given.every((one) => /^[0-9a-f]{64}$/.test(one))) return given;
    throw new CliError(EXIT.usage, 'usage', { cause: '--fingerprint takes 64 hex digits', next: 'get them by  countersign identify --only-fingerprint  where the key is' });
  }
  const config = findConfig(flags, session);
  const path = flags.fingerprintKey !== undefined ? resolve(session.cwd, flags.fingerprintKey) : flags.worker !== undefined ? (await workerOf(session, flags.worker)).fingerprintKey : config === null ? null : join(dirname(config), 'keys', 'fingerprint.key');
  if (path === null) throw new CliError(EXIT.usage, 'no-key', { cause: "the executor's fingerprint key was not given", next: 'give --fingerprint-key FILE' });
  const key = parseFingerprintKey(readSecret(path, 'the fingerprint key'));
  if (key === null) throw new CliError(EXIT.usage, 'no-key', { cause: `${path} holds no fingerprint key` });
  const input = Buffer.from(await session.readStdin());
  if (input.byteLength > SECRET_BYTES_MAX) throw new CliError(EXIT.usage, 'usage', { cause: 'what is on standard input is too long for a credential', effect: NOTHING_KEPT });
  // The end of the line belongs to the terminal, the editor or echo, not to the secret.
  const secret = input.toString('utf8').replace(/\r?\n$/, '');
  input.fill(0);
  if (secret === '') throw new CliError(EXIT.usage, 'usage', { cause: 'nothing is on standard input', next: 'put the secret there, and never in an argument:  countersign identify < file' });
  return [...new Set([secret, ...partsOf(secret)])].map((one) => fingerprintOf(key, one));
}

const PARTS_MAX = 16;

/** The strings in a JSON object; none of what is no such thing. */
function partsOf(secret: string): string[] {
  try {
    const parts: unknown = JSON.parse(secret);
    return typeof parts === 'object' && parts !== null ? Object.values(parts).filter((part) => typeof part === 'string').slice(0, PARTS_MAX) : [];
  } catch {
    return [];
  }
}

/** What is known by the first of the fingerprints that anything is known by. */
export interface Identified extends CredentialReading {
  readonly fingerprint: string;
}

/** @throws CliError `not-found` when no credential of that ledger has one of the fingerprints, `no-ledger` */
export async function findCredential(session: Session, flags: IdentifyFlags, fingerprints: readonly string[]): Promise<Identified> {
  if (flags.worker !== undefined && flags.ledger === undefined) return inBook(session, flags.worker, fingerprints);
  const config = findConfig(flags, session);
  const ledger = flags.ledger !== undefined ? resolve(session.cwd, flags.ledger) : config === null ? null : ledgerIn(config);
  if (ledger === null || !existsSync(ledger)) {
    throw new CliError(EXIT.io, 'no-ledger', { cause: `there is no ledger ${ledger === null ? 'configured' : `at ${ledger}`} to look in`, effect: NOTHING_KEPT, next: 'give --ledger FOLDER; or print its fingerprint here, with --only-fingerprint, and look for that where the ledger is' });
  }
  const reading = await firstOf(fingerprints, (fingerprint) => readCredential(nodeDisk(dirname(ledger)), basename(ledger), fingerprint));
  if (reading.unreadable > 0) session.out.say(`${reading.unreadable} records of ${ledger} could not be read: more may be known than is found here`);
  if (reading.credentials.length > 0) return reading;
  throw new CliError(reading.unreadable > 0 ? EXIT.notEstablished : EXIT.failed, 'not-found', {
    cause: `no credential that ${ledger} knows of has the fingerprint ${reading.fingerprint}`, effect: NOTHING_KEPT,
    next: 'is it of another executor, whose fingerprint key is another? Was it made without Countersign? Is there white space around it?',
  });
}

async function firstOf(fingerprints: readonly string[], read: (fingerprint: string) => Promise<CredentialReading>): Promise<Identified> {
  const [first = '', ...others] = fingerprints;
  const reading = { ...(await read(first)), fingerprint: first };
  if (reading.credentials.length > 0 || others.length === 0) return reading;
  const other = await firstOf(others, read);
  return other.credentials.length > 0 ? other : reading;
}

async function inBook(session: Session, path: string, fingerprints: readonly string[]): Promise<Identified> {
  const { state } = await workerOf(session, path);
  const { readCredentialInBook } = await import('../executor/credential-in-book.ts');
  const reading = await firstOf(fingerprints, (fingerprint) => readCredentialInBook(nodeDisk(state), fingerprint));
  if (reading.credentials.length > 0) return reading;
  throw new CliError(EXIT.failed, 'not-found', { cause: `no credential in the lease book of ${state} has the fingerprint ${reading.fingerprint}`, effect: NOTHING_KEPT, next: 'another worker of this executor may have made it: look in the ledger, with --ledger FOLDER' });
}

/** @throws CliError `config` */
async function workerOf({ cwd }: Session, path: string): Promise<ExecutorConfig> {
  const { ConfigError, loadExecutorConfig } = await import('../executor/config.ts');
  return loadExecutorConfig(resolve(cwd, path)).catch((cause: unknown) => {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new CliError(EXIT.io, 'config', { cause: cause.message, effect: NOTHING_KEPT }, { cause });
  });
}

export function tellCredential({ out }: Pick<Session, 'out'>, { changeId, subject, action, connector, target, account, sealedAt, endedBy, opens }: Credential, owner: string | null): void {
  out.line(`${subject}  ${endedBy === null ? out.bad('may still work') : out.good(`ended by ${endedBy}`)}`);
  for (const line of table([
    ['  owner', owner === null ? 'not known here' : plain(owner)],
    ['  account', `${connector} / ${plain(target)} / ${plain(account)}`],
    ['  made by', `${changeId} (${action}), ${sealedAt}`],
    ...opens.map((held): string[] => ['  opens', `${held.changeId} (${held.order.action} ${plain(held.order.privileges.join(', '))}), ${held.order.leaseId}`]),
  ])) out.line(line);
}

function ledgerIn(config: string): string | null {
  const { data } = (parse(readText(config, 'the configuration')) ?? {}) as { data?: unknown };
  return typeof data === 'string' ? resolve(dirname(config), data, 'ledger') : null;
}

/** By identity, as far as an inventory can be read: who answers for it now. */
export function ownersIn(session: Session, flags: IdentifyFlags): ReadonlyMap<string, string> {
  const config = findConfig(flags, session);
  try {
    const { facts } = (parse(readText(config ?? '', 'the configuration')) ?? {}) as { facts?: { inventory?: unknown } };
    const { nhis } = parse(readText(resolve(dirname(config ?? ''), String(facts?.inventory)), 'the inventory')) as { nhis?: unknown };
    const listed = Array.isArray(nhis) ? (nhis as { id?: unknown; owner?: unknown }[]) : [];
    return new Map(listed.flatMap(({ id, owner }) => (typeof id === 'string' && typeof owner === 'string' ? [[id, owner] as const] : [])));
  } catch {
    return new Map();
  }
}
