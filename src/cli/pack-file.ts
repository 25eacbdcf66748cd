/** A file that is given for a ledger: an evidence pack, which what is in it tells and not its name. */
import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { PackBytes, PackVerification } from '../evidence/pack-verify.ts';
import { CliError, EXIT } from './exit.ts';
import { plain } from './output.ts';

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** What `use` makes of the file's bytes; it is closed again. @throws CliError `unreadable`, also where it becomes shorter meanwhile */
export async function withPackFile<T>(path: string, use: (pack: PackBytes) => Promise<T>): Promise<T> {
  const unreadable = (cause: unknown): CliError => new CliError(EXIT.io, 'unreadable', { cause: `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, effect: 'Nothing was verified.' }, { cause });
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(cause);
  });
  try {
    const { size } = await handle.stat();
    return await use({
      byteLength: size,
      async read(start, length) {
        const bytes = Buffer.alloc(length);
        const { bytesRead } = await handle.read(bytes, 0, length, start).catch((cause: unknown) => {
          throw unreadable(cause);
        });
        if (bytesRead !== length) throw unreadable(`it has fewer than ${size} bytes now`);
        return bytes;
      },
    });
  } finally {
    await handle.close();
  }
}

/** What the pack says that it is of, for people. */
export function packLine({ pack }: PackVerification): string[] {
  if (pack === null) return [];
  const { asked, records, changes } = pack;
  const of = 'change' in asked ? asked.change : 'nhi' in asked ? asked.nhi : `${asked.from} to ${asked.to}`;
  return [`pack     of ${plain(of)}: ${records} records, ${changes.length} ${changes.length === 1 ? 'change' : 'changes'}`];
}
