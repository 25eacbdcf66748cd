/** Puts what was made beside a sidecar's data into its place. */
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk } from '../../ledger/index.ts';

export interface Taking {
  /** Of `data`. */
  readonly disk: Disk;
  readonly data: string;
  /** The directory that holds the new parts. */
  readonly made: string;
  /** Directories that come to their places, in this order: after a crash in between, what is there is opened by the first of them alone. */
  readonly parts: readonly string[];
  /** What else is moved aside, and nothing put in its place. */
  readonly left?: readonly string[];
  /** What was there is kept as `<part>.<suffix>`. */
  readonly suffix: string;
}

/** What was there is aside, and what was made is in its place, durably. The data directory must be held. @returns the directories that were kept */
export async function takePlace({ disk, data, made, parts, left = [], suffix }: Taking): Promise<string[]> {
  const kept: string[] = [];
  for (const part of [...parts, ...left]) {
    if ((await disk.list(part)).length === 0) {
      await rm(join(data, part), { recursive: true, force: true });
      continue;
    }
    const aside = join(data, `${part}.${suffix}`);
    await rename(join(data, part), aside);
    kept.push(aside);
  }
  for (const part of parts) await rename(join(made, part), join(data, part));
  const directory = await open(data, 'r');
  await directory.sync().finally(() => directory.close());
  return kept;
}
