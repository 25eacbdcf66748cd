import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { workerFile } from '../../src/pdp/worker-file.ts';
import { ROOT } from './support.ts';

test('compiled code has its worker beside it', () => {
  const own = pathToFileURL(join(ROOT, 'dist', 'src', 'pdp', 'worker-file.js')).href;
  expect(workerFile(own).href).toBe(new URL('./worker.js', own).href);
});

test('code that runs from source has a worker that this Node can run', () => {
  expect(existsSync(workerFile())).toBe(true);
});

test('code that was never compiled says what to do', () => {
  const strips = (process.features as { typescript?: unknown }).typescript;
  const own = pathToFileURL('/nonexistent/src/pdp/worker-file.ts').href;
  if (strips === undefined || strips === false) expect(() => workerFile(own)).toThrow(/npm run build/);
  else expect(workerFile(own).href).toMatch(/worker\.ts$/);
});

test.each(['worker', 'evaluator', 'fault'])('the compiled %s is that of the source: if not, run `npm run build`', (part) => {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')) as { config: { compilerOptions: object } };
  const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, module: 'ESNext', moduleResolution: 'Bundler', sourceMap: false }, ROOT);
  const source = join(ROOT, 'src', 'pdp', `${part}.ts`);
  const fresh = ts.transpileModule(readFileSync(source, 'utf8'), { fileName: source, compilerOptions: options }).outputText;
  const compiled = readFileSync(join(ROOT, 'dist', 'src', 'pdp', `${part}.js`), 'utf8').replace(/\/\/# sourceMappingURL=.*\s*$/, '');
  expect(compiled.trim()).toBe(fresh.trim());
});
