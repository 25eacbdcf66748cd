/** Verifies what a command line names, a ledger folder or an evidence pack, under the trust that it names: the same for whatever tells of it. */
import { InvalidArgumentError } from 'commander';
import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { LedgerError, nodeEvidence } from '../../ledger/index.ts';
import { openBundleThreads } from '../evidence/bundle-threads.ts';
import { verifyPack, type PackVerification } from '../evidence/pack-verify.ts';
import { verifyEvidence, type EvidenceVerification, type VerifyEvidenceOptions } from '../evidence/verify.ts';
import { createReplayer } from '../pdp/replayer.ts';
import { loadTrustFolder, TrustError, type LoadedTrust } from '../protocol/trust-folder.ts';
import { parseTime, timeSchema } from '../protocol/values.ts';
import { withArchived } from './archived.ts';
import { CliError, EXIT } from './exit.ts';
import { readText } from './files.ts';
import { isFile, withPackFile } from './pack-file.ts';
import { progressOf } from './verify-progress.ts';
import type { Session } from './world.ts';

export interface VerifyPathFlags {
  readonly trust?: string;
  readonly pinned?: string;
  readonly minSize?: number;
  readonly asOf?: string;
  readonly oldLedger?: string;
  readonly archive?: readonly string[];
  readonly threads?: number;
  readonly replay: boolean;
  readonly acceptObserved?: true;
}

/** What was named, before anything of it is verified. */
export interface NamedEvidence {
  /** The ledger folder itself, or the file. */
  readonly path: string;
  readonly isPack: boolean;
}

const THREADS_MAX = 8;

export function threadCount(text: string): number {
  if (!/^[0-9]{1,2}$/.test(text) || Number(text) > 64) throw new InvalidArgumentError('not a number of threads from 0 to 64');
  return Number(text);
}

/** @throws CliError `usage` for what goes with no pack, or a time that is none; `no-ledger` */
export function evidenceAt(session: Pick<Session, 'cwd'>, given: string, { asOf, oldLedger, archive }: Pick<VerifyPathFlags, 'asOf' | 'oldLedger' | 'archive'>): NamedEvidence {
  if (asOf !== undefined && !timeSchema.safeParse(asOf).success) throw new CliError(EXIT.usage, 'usage', { cause: '--as-of takes a time such as 2026-11-23T19:05:00.000Z' });
  const path = resolve(session.cwd, given);
  const isPack = isFile(path);
  if (isPack && oldLedger !== undefined) throw new CliError(EXIT.usage, 'usage', { cause: '--old-ledger is for a ledger, and this is a file' });
  if (isPack && archive !== undefined) throw new CliError(EXIT.usage, 'usage', { cause: '--archive is for a ledger, and this is a file' });
  return { path: isPack ? path : ledgerFolder(path), isPack };
}

export interface OpenedTrust {
  readonly trust: LoadedTrust | null;
  readonly wholeFolder: boolean;
}

/** @throws CliError `no-trust` */
export async function openTrust(session: Session, given: string | undefined): Promise<OpenedTrust> {
  if (given === undefined) {
    session.out.say('no --trust: nobody’s signature is believed, so little can be established');
    return { trust: null, wholeFolder: false };
  }
  const path = resolve(session.cwd, given);
  try {
    return { trust: await loadTrustFolder(path), wholeFolder: statSync(path).isDirectory() };
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause;
    throw new CliError(EXIT.notEstablished, 'no-trust', { cause: `the trust cannot be used: ${cause.message}`, effect: 'Nothing was verified.' }, { cause });
  }
}

/** What holds of it. @param more who is to be told of what is verified */
export async function verifyNamed(session: Session, { path, isPack }: NamedEvidence, { trust, wholeFolder }: OpenedTrust, flags: VerifyPathFlags, more: Pick<VerifyEvidenceOptions, 'listChanges' | 'onlooker'>): Promise<EvidenceVerification | PackVerification> {
  const old = flags.oldLedger === undefined ? null : ledgerFolder(resolve(session.cwd, flags.oldLedger));
  const common = {
    trust, wholeFolder, pinned: flags.pinned === undefined ? null : readText(resolve(session.cwd, flags.pinned), 'the pinned checkpoint'), progress: progressOf(session, isPack ? 'files' : 'records'), signal: session.signal, ...more,
    ...(flags.minSize === undefined ? {} : { minSize: flags.minSize }), ...(flags.asOf === undefined ? {} : { asOfMs: parseTime(flags.asOf) }),
    ...(flags.acceptObserved === undefined ? {} : { acceptObserved: true }),
  };
  const verification = isPack
    ? await guarded(() => withPackFile(path, (pack) => verifyPack({ pack, ...common, ...(flags.replay ? { replayer: createReplayer() } : {}) })))
    : await verifyFolder(session, path, old, common, flags);
  session.out.progress('');
  return verification;
}

async function verifyFolder(session: Session, directory: string, old: string | null, common: Omit<VerifyEvidenceOptions, 'disk' | 'directory' | 'old'>, { threads: asked, replay, archive }: VerifyPathFlags): Promise<EvidenceVerification> {
  const threads = openBundleThreads(asked ?? Math.min(availableParallelism() - 1, THREADS_MAX), common.wholeFolder ? common.trust : null, { signal: session.signal });
  return guarded(() => verifyEvidence({
    disk: withArchived(session, directory, archive), directory: basename(directory), ...common, ...(threads === null ? {} : { ahead: threads }), ...(replay ? { replayer: createReplayer() } : {}),
    ...(old === null ? {} : { old: { disk: nodeEvidence(dirname(old)), directory: basename(old), signal: session.signal } }),
  })).finally(() => threads?.close());
}

/** The ledger folder itself, whether it or its parent was named. @throws CliError `no-ledger` */
export function ledgerFolder(path: string): string {
  if (!existsSync(path)) throw new CliError(EXIT.io, 'no-ledger', { cause: `${path} is not there`, effect: 'Nothing was verified.' });
  if (!statSync(path).isDirectory()) throw new CliError(EXIT.usage, 'no-ledger', { cause: `${path} is not a folder`, effect: 'Nothing was verified.' });
  const isLedger = (folder: string): boolean => ['checkpoint', 'tile', 'objects'].some((name) => existsSync(join(folder, name)));
  const candidates = [path, join(path, 'ledger'), join(path, 'data', 'ledger')];
  const found = candidates.find((folder) => existsSync(folder) && isLedger(folder));
  if (found === undefined) throw new CliError(EXIT.notEstablished, 'no-ledger', { cause: `there is no ledger in ${path}: neither checkpoint, tile/ nor objects/`, effect: 'Nothing was verified.', next: 'name the folder that holds them, or its parent' });
  return found;
}

/** What is wrong with the evidence is a verdict; what is thrown is about the auditor's own files. */
async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new CliError(EXIT.notEstablished, 'bad-pinned-checkpoint', { cause: `the pinned checkpoint is itself no good: ${cause.message}`, effect: 'Nothing was verified.' }, { cause });
  }
}
