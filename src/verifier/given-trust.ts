/** The auditor's own trust, as chosen in a browser: what it says, and a number to recognise it by. */
import { sha256Hex } from '../../ledger/hash.ts';
import { parseTrust, type LoadedTrust } from '../protocol/trust-folder.ts';
import type { GivenFile } from './file-disk.ts';

export interface GivenTrust {
  readonly trust: LoadedTrust;
  readonly wholeFolder: boolean;
  readonly shown: TrustShown;
}

export interface TrustShown {
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** Of a lone file its SHA-256; of a folder, that of the lines that `sha256sum` prints of its files, in the order of their names. */
  readonly sha256: string;
  /** What prints it in a shell, within the folder. */
  readonly command: string;
}

const FILES = ['executors.json', 'requirements.json', 'sidecars.json', 'trust.policy'] as const;
/** May be left out. */
const SIGNERS = 'allowed_signers';
const PASSKEYS = 'passkeys.json';

/** @throws TrustError, as a trust folder on disk does */
export async function readGivenTrust(files: readonly GivenFile[]): Promise<GivenTrust> {
  const [only] = files;
  const isLone = files.length === 1 && only !== undefined && !only.path.includes('/');
  if (isLone) {
    const { text, sha256 } = await readFile(only);
    return { trust: parseTrust({ policy: text, rest: null }), wholeFolder: false, shown: { files: [{ name: only.path, sha256 }], sha256, command: `sha256sum ${quoted(only.path)}` } };
  }
  const read = new Map<string, { text: string; sha256: string }>();
  for (const name of [SIGNERS, PASSKEYS, ...FILES].sort()) {
    const file = files.find(({ path }) => path.split('/').length === 2 && path.endsWith(`/${name}`));
    if (file !== undefined) read.set(name, await readFile(file));
  }
  const missing = FILES.find((name) => !read.has(name));
  if (missing !== undefined) throw new MissingFile(missing);
  const text = (name: (typeof FILES)[number]): string => read.get(name)!.text;
  const listed = [...read].map(([name, { sha256 }]) => ({ name, sha256 }));
  const sha256 = sha256Hex(new TextEncoder().encode(listed.map((file) => `${file.sha256}  ${file.name}\n`).join('')));
  const rest = { sidecars: text('sidecars.json'), executors: text('executors.json'), requirements: text('requirements.json'), signers: read.get(SIGNERS)?.text ?? null, passkeys: read.get(PASSKEYS)?.text ?? null };
  return { trust: parseTrust({ policy: text('trust.policy'), rest }), wholeFolder: true, shown: { files: listed, sha256, command: `sha256sum ${[...read.keys()].join(' ')} | sha256sum` } };
}

/** A trust folder that lacks a file. Nothing is trusted. */
export class MissingFile extends Error {
  constructor(name: string) {
    super(`${name} is not in the folder`);
    this.name = 'MissingFile';
  }
}

async function readFile({ blob }: GivenFile): Promise<{ text: string; sha256: string }> {
  const bytes = new Uint8Array(await blob.slice(0, TRUST_BYTES_MAX).arrayBuffer());
  return { text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), sha256: sha256Hex(bytes) };
}

/** What is longer is cut, and then is no JSON any more. */
const TRUST_BYTES_MAX = 4_194_304;

function quoted(name: string): string {
  return /^[A-Za-z0-9._-]+$/.test(name) ? name : `'${name.replaceAll('\'', '\'\\\'\'')}'`;
}
