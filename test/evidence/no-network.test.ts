import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
/** What verification may load: reading files, hashing, threads, and two packages, neither of which has code for a network. */
const ALLOWED = [
  'commander', 'zod', 'node:crypto', 'node:fs', 'node:fs/promises', 'node:os', 'node:path', 'node:readline/promises', 'node:url', 'node:util', 'node:worker_threads', 'node:zlib',
  // The writer, which the ledger's one door shows as well.
  'node:child_process',
  // Reads cron expressions, for the calendars that recorded questions are made of.
  'croner',
];
const WORDS = /\b(?:fetch|WebSocket|EventSource|XMLHttpRequest|navigator)\b\s*\(/;

interface Loaded {
  /** By path below the root. */
  readonly files: ReadonlySet<string>;
  /** Packages and parts of Node, each with a file that imports it. */
  readonly outside: ReadonlyMap<string, string>;
}

/** All that is loaded with `entry` before a line of it runs: what is imported for its types alone, and what is imported later, is not. */
function loadedWith(entry: string): Loaded {
  const [files, outside] = [new Set<string>(), new Map<string, string>()];
  const pending = [join(ROOT, entry)];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (files.has(relative(ROOT, path))) continue;
    files.add(relative(ROOT, path));
    const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
    for (const statement of source.statements) {
      const specifier = importedBy(statement);
      if (specifier === null) continue;
      if (specifier.startsWith('.')) pending.push(join(dirname(path), specifier));
      else outside.set(builtinModules.includes(specifier) ? `node:${specifier}` : specifier, relative(ROOT, path));
    }
  }
  return { files, outside };
}

function importedBy(statement: ts.Statement): string | null {
  if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return null;
  if (statement.moduleSpecifier === undefined || !ts.isStringLiteral(statement.moduleSpecifier)) return null;
  const isTypes = ts.isImportDeclaration(statement)
    ? statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
      || (statement.importClause?.namedBindings !== undefined && statement.importClause.name === undefined && ts.isNamedImports(statement.importClause.namedBindings)
        && statement.importClause.namedBindings.elements.length > 0 && statement.importClause.namedBindings.elements.every(({ isTypeOnly }) => isTypeOnly))
    : statement.isTypeOnly;
  return isTypes ? null : statement.moduleSpecifier.text;
}

describe('nothing that could open a socket is loaded', () => {
  it.each(['src/main.ts', 'src/cli/verify.ts', 'src/evidence/verify.ts', 'src/evidence/bundle-thread.ts', 'ledger/verify.ts'])('with %s', (entry) => {
    const { files, outside } = loadedWith(entry);
    expect([...outside].filter(([name]) => !ALLOWED.includes(name))).toEqual([]);
    for (const file of files) expect(readFileSync(join(ROOT, file), 'utf8'), file).not.toMatch(WORDS);
  });

  it('is told by a walk that sees what a server loads', () => {
    const { files, outside } = loadedWith('src/sidecar/start.ts');
    expect(files.size).toBeGreaterThan(100);
    expect([...outside.keys()]).toEqual(expect.arrayContaining(['node:http', 'node:https']));
  });

  it('imports nothing later: what verifies is all there from the start', () => {
    for (const file of loadedWith('src/cli/verify.ts').files) expect(readFileSync(join(ROOT, file), 'utf8'), file).not.toMatch(/\bimport\(|\brequire\(/);
  });
});
