/** The fenced blocks of a page, as Markdown has them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

export interface Fence {
  /** Of the page, from 1. */
  readonly line: number;
  /** Empty where it says none. */
  readonly language: string;
  /** What stands after the language: `file=rotate.sh`. */
  readonly about: string;
  /** Without the indentation of the fence. */
  readonly text: string;
}

export function fencesIn(page: string): Fence[] {
  return [...page.matchAll(/^( *)```(\S*)[ \t]*(.*)\n([^]*?)^\1```$/gm)].map(({ index, 1: indent, 2: language, 3: about, 4: text }) => ({
    line: page.slice(0, index).split('\n').length, language: language!, about: about!, text: text!.replaceAll(new RegExp(`^${indent!}`, 'gm'), ''),
  }));
}

export const textOf = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** Every page that somebody reads, by its path. */
export function pages(): string[] {
  const below = (folder: string): string[] => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.md')).map((path) => join(folder, path));
  return [...['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CONTRIBUTING.md', 'ledger/FORMAT.md'], ...below('docs'), ...below('examples')].sort();
}
