/** Sees a record the moment its bytes are in the journal: before they are synced, acknowledged or acted on. */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface JournalWatch {
  /** The changes that have records, in order of their first. */
  changes(): readonly string[];
  /** The types of a change's records so far, in order. */
  typesOf(changeId: string): readonly string[];
  /** Resolves once `seen` returns true; looks every 2 ms. @throws Error after `timeoutMs` */
  until(seen: (changes: readonly string[]) => boolean, timeoutMs: number): Promise<void>;
  close(): void;
}

/** Records are canonical JSON, so that these members are always spelled and ordered so. */
const CHANGE = /"change":"(chg_[0-9a-f]{16}_[0-9A-Z]{26})"/g;

export function watchJournal(directory: string): JournalWatch {
  const files = new Map<string, { readonly fd: number; at: number; rest: string }>();
  const types = new Map<string, string[]>();

  const look = (): void => {
    for (const name of readdirSync(directory).filter((one) => one.endsWith('.journal')).sort()) {
      const file = files.get(name) ?? { fd: openSync(join(directory, name), 'r'), at: 0, rest: '' };
      files.set(name, file);
      const size = fstatSync(file.fd).size;
      // A torn end may be cut by recovery and written again.
      if (size < file.at) Object.assign(file, { at: 0, rest: '' });
      if (size === file.at) continue;
      const bytes = Buffer.alloc(size - file.at);
      const read = readSync(file.fd, bytes, 0, bytes.length, file.at);
      file.at += read;
      file.rest = take(file.rest + bytes.subarray(0, read).toString('latin1'));
    }
  };

  /** Notes every record that is whole in `text`; returns what may be the beginning of another. */
  const take = (text: string): string => {
    let taken = 0;
    for (const match of text.matchAll(/"type":"([a-z.]+)","v":\d+\}/g)) {
      const changeId = [...text.slice(taken, match.index).matchAll(CHANGE)].at(-1)?.[1];
      taken = match.index + match[0].length;
      if (changeId !== undefined) types.set(changeId, [...(types.get(changeId) ?? []), match[1]!]);
    }
    return text.slice(taken);
  };

  return {
    changes() {
      look();
      return [...types.keys()];
    },
    typesOf: (changeId) => types.get(changeId) ?? [],
    async until(seen, timeoutMs) {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        look();
        if (seen([...types.keys()])) return;
        if (performance.now() > deadline) throw new Error(`not seen in ${timeoutMs} ms; there is ${JSON.stringify([...types].at(-1))}`);
        await delay(2);
      }
    },
    close() {
      for (const { fd } of files.values()) closeSync(fd);
    },
  };
}
