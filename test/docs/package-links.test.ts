/** What the documents in the package lead to is in the package as well. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

it('each document that another one of the package leads to comes with it', () => {
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
  const isIn = (path: string): boolean => path === 'README.md' || files.some((one) => path === one || path.startsWith(`${one}/`));
  const documents = [...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((path) => join('docs', path)), 'README.md'].filter((path) => path.endsWith('.md'));
  const missing = documents.flatMap((document) => [...readFileSync(join(ROOT, document), 'utf8').matchAll(/\]\(([^):#\s]+\.md)(?:#[^)]*)?\)/g)]
    .map(([, to]) => normalize(join(dirname(document), to!))).filter((path) => !path.startsWith('examples') && !isIn(path)));
  expect([...new Set(missing)]).toEqual([]);
});
