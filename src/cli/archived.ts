/** A ledger folder with the archives that parts of it were moved to, as commands take them. */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { nodeEvidence, withArchives, type EvidenceDisk } from '../../ledger/index.ts';
import { CliError, EXIT } from './exit.ts';
import type { Session } from './world.ts';

/** Of one option that may be given again. */
export function archives(path: string, before: readonly string[] = []): readonly string[] {
  return [...before, path];
}

/** The folder beside which the ledger is, with the archives that were named. @throws CliError `no-archive` */
export function withArchived(session: Pick<Session, 'cwd'>, directory: string, given: readonly string[] = []): EvidenceDisk {
  const folders = given.map((path) => resolve(session.cwd, path));
  const absent = folders.find((folder) => !existsSync(folder) || !statSync(folder).isDirectory());
  if (absent !== undefined) throw new CliError(EXIT.io, 'no-archive', { cause: `${absent} is no folder that is there`, effect: 'Nothing was read.' });
  return withArchives(nodeEvidence(dirname(directory)), basename(directory), folders.map((folder) => nodeEvidence(folder)));
}
