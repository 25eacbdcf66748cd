import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/upgrading-parts.md'), 'utf8');
const named = [...page.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

it('names each part that comes with the package', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  expect(Object.keys(dependencies).filter((name) => !named.includes(name))).toEqual([]);
});

it('names tests and files that are there', () => {
  const paths = named.filter((name) => /^(test|src|examples|docs|\.ci)\//.test(name));
  expect(paths.length).toBeGreaterThan(30);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
