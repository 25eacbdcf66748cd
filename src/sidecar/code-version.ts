/** Which code this is, as far as it decides what the ledger folds to. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { VERSION } from '../version.ts';

/** What the fold is made of: the folders of this package whose every file is in the digest. */
const FOLDERS = ['change', 'engine', 'evidence', 'protocol'] as const;

/** What {@link codeDigest} said where all of it was put into one file (`build.mjs`). */
declare const COUNTERSIGN_CODE: string | undefined;

/** The version of the package, and a digest of its own files: nobody need remember to raise a number, and what another build has folded is never taken for this one's. */
export function codeVersion(): string {
  return `${VERSION} ${process.versions.v8} ${typeof COUNTERSIGN_CODE === 'string' ? COUNTERSIGN_CODE : codeDigest()}`;
}

/** Of the files as they are beside this one. Read in one go: a start waits for it, and a hundred small files cost several times as much one by one in other threads. */
export function codeDigest(): string {
  const all = createHash('sha256');
  for (const folder of FOLDERS) {
    const directory = new URL(`../${folder}/`, import.meta.url);
    const names = readdirSync(directory).filter((name) => /(?<!\.d)\.[jt]s$/.test(name)).sort();
    for (const name of names) {
      const bytes = readFileSync(new URL(name, directory));
      all.update(`${folder}/${name} ${bytes.byteLength}\n`).update(bytes);
    }
  }
  return all.digest('hex');
}
