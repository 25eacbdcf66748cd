/** Which code this is, as far as it decides what the ledger folds to. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { VERSION } from '../version.ts';

/** What the fold is made of: the folders of this package whose every file is in the digest. */
const FOLDERS = ['change', 'engine', 'evidence', 'protocol'] as const;

/** The version of the package, and a digest of its own files: nobody need remember to raise a number, and what another build has folded is never taken for this one's. */
export async function codeVersion(): Promise<string> {
  const all = createHash('sha256');
  for (const folder of FOLDERS) {
    const directory = new URL(`../${folder}/`, import.meta.url);
    const names = (await readdir(directory)).filter((name) => /(?<!\.d)\.[jt]s$/.test(name)).sort();
    const files = await Promise.all(names.map((name) => readFile(new URL(name, directory))));
    for (const [n, bytes] of files.entries()) all.update(`${folder}/${names[n]!} ${bytes.byteLength}\n`).update(bytes);
  }
  return `${VERSION} ${process.versions.v8} ${all.digest('hex')}`;
}
