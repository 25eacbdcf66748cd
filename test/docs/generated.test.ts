import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONFIG_KEYS } from '../../src/config/keys.ts';
import { generateDocs } from '../../src/cli/generate-docs.ts';
import { openApiDocument } from '../../src/sidecar/openapi.ts';
import { AUTHZEN_ROUTES } from '../../src/sidecar/authzen/routes.ts';
import { ROUTES } from '../../src/sidecar/routes.ts';
import { VERSION } from '../../src/version.ts';

const ROOT = join(import.meta.dirname, '../..');
const documents = generateDocs();

describe('generated documents', () => {
  it.each([...documents.keys()])('%s is what `npm run docs:build` makes', async (path) => {
    expect(await readFile(join(ROOT, path), 'utf8')).toBe(documents.get(path));
  });

  it('holds no schema that is published no more', async () => {
    const there = (await readdir(join(ROOT, 'docs/schemas'))).map((name) => `docs/schemas/${name}`);
    expect(there.filter((path) => !documents.has(path))).toEqual([]);
  });

  it('are made the same way twice', () => {
    expect([...generateDocs()]).toEqual([...documents]);
  });
});

describe('the OpenAPI document', () => {
  const document = openApiDocument() as { paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown>; security: unknown[] }>>; components: { schemas: Record<string, unknown> } };

  it('describes every route, once', () => {
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods).map((operation) => operation.operationId));
    expect(operations.sort()).toEqual(Object.keys({ ...ROUTES, ...AUTHZEN_ROUTES }).sort());
  });

  it('refers to nothing that it does not hold', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1]!);
    expect(refs.length).toBeGreaterThan(50);
    for (const ref of new Set(refs)) {
      const [start, ...path] = ref.split('/');
      expect(start).toBe('#');
      let at: unknown = document;
      for (const name of path) at = (at as Record<string, unknown>)[name];
      expect(at, ref).toBeDefined();
    }
  });

  it('lets nobody in without a token but where it says so', () => {
    const open = Object.entries(document.paths).filter(([, methods]) => Object.values(methods).some((operation) => operation.security.length === 0));
    expect(open.map(([path]) => path).sort()).toEqual(['/.well-known/authzen-configuration', '/approve', '/healthz', '/openapi.json', '/readyz']);
  });
});

describe('names that stand in two places', () => {
  it('has the version of package.json', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(VERSION).toBe(version);
  });

  it('has configuration keys that the published schema has', () => {
    const schema = JSON.parse(documents.get('docs/schemas/countersign.yaml.json')!) as { properties: Record<string, unknown> };
    expect([...new Set(CONFIG_KEYS.map((key) => key.path.split('.')[0]))]).toEqual(Object.keys(schema.properties));
  });
});
