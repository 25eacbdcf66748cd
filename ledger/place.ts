/**
 * Which place a writer's own files are in: what tells their directory from a copy of it, kept in the file `place` among them.
 *
 * A copy that is gone on with, while the original is, or from where the original went on, makes two histories under one key. So a copy does not open, until
 * somebody says that it is meant. A file system that is cloned block by block is the same place by this: then only what others have seen of the log tells.
 */
import type { Disk } from './disk.ts';
import { LedgerError } from './errors.ts';

interface Site {
  readonly disk: Disk;
  /** Directory of the writer's own files. */
  readonly journal: string;
}

const pathOf = ({ journal }: Site): string => `${journal}/place`;

/** Whether the place is known, or nobody can tell. @throws LedgerError `copied` where it is another; nothing was changed */
export async function checkPlace(site: Site): Promise<boolean> {
  const here = await site.disk.placeOf(site.journal);
  if (here === null) return true;
  const kept = await site.disk.read(pathOf(site));
  if (kept === null) return false;
  if (Buffer.from(kept).toString('utf8') !== textOf(here)) {
    throw new LedgerError('copied', `${site.journal} is a copy of a writer's files, or was moved here from another file system: written in both places, it would be two histories of one log`);
  }
  return true;
}

/** From now on this is the place: at the first opening, or once it is on record that a move is meant. */
export async function takePlaceOf(site: Site): Promise<void> {
  const here = await site.disk.placeOf(site.journal);
  if (here !== null) await site.disk.writeDurable(pathOf(site), Buffer.from(textOf(here)));
}

function textOf(place: string): string {
  return `${place}\n`;
}
