/** What pages load beside themselves, under names that hold a digest, so that browsers may keep it for ever. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { sha256 } from '../../ledger/index.ts';
import { defaultPolicyDirectory } from '../sidecar/default-policy.ts';

export const ASSET_NAMES = ['console.css', 'console.js', 'passkey.js', 'icon.svg'] as const;
export type AssetName = (typeof ASSET_NAMES)[number];

const CONTENT_TYPES: Readonly<Record<string, string>> = { '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml' };

export interface Asset {
  readonly path: string;
  readonly contentType: string;
  readonly bytes: Uint8Array;
  /** Brotli. */
  readonly packed: Uint8Array;
}
export type Assets = Readonly<Record<AssetName, Asset>>;

/** Where the package has them, once they are built. */
export function builtAssets(): string {
  return join(dirname(dirname(defaultPolicyDirectory())), 'dist', 'console');
}

/** @throws Error where they are not built */
export async function readAssets(directory: string): Promise<Assets> {
  const read = async (name: AssetName): Promise<[AssetName, Asset]> => {
    const bytes = await readFile(join(directory, name)).catch((cause: unknown) => {
      throw new Error(`this installation has no ${name} for its console: npm run verifier:build`, { cause });
    });
    return [name, assetOf(name, bytes)];
  };
  const found: [AssetName, Asset][] = [];
  // One after the other: of several that are missing, the first is named.
  for (const name of ASSET_NAMES) found.push(await read(name));
  return Object.fromEntries(found) as Assets;
}

export function assetOf(name: AssetName, bytes: Uint8Array): Asset {
  return { path: `/assets/${Buffer.from(sha256(bytes)).toString('hex').slice(0, 16)}-${name}`, contentType: CONTENT_TYPES[name.slice(name.lastIndexOf('.'))]!, bytes, packed: brotliCompressSync(bytes) };
}
