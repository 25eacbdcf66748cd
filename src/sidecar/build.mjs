/**
 * Puts what `countersign serve` and its policy thread load into a dozen files (dist/serve), of what tsc has compiled: a start waits for each file that it opens, and there
 * are five hundred. What only some sidecars need (the bus, tokens of others, encrypted keys) is in files of its own; other commands stay where they are.
 */
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const ROOT = join(import.meta.dirname, '..', '..');
const COMPILED = join(ROOT, 'dist', 'src');
const OUT = join(ROOT, 'dist', 'serve');
/** What of the commands is loaded when there is need of it, and may be here: the others are never asked of these files. */
const OF_SERVE = new Set(['./serve.js', '../sidecar/start.js']);
/** Zod's messages in fifty languages; the product speaks one, which Zod brings in by itself. */
const LOCALES = join('zod', 'v4', 'locales', 'index.js');

const { codeDigest } = await import(pathToFileURL(join(COMPILED, 'sidecar', 'code-version.js')).href);

const serveAlone = {
  name: 'serve-alone',
  setup(bundler) {
    bundler.onResolve({ filter: /^\./ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (pluginData === 'resolving') return undefined;
      const isOfCommand = kind === 'dynamic-import' && importer.startsWith(join(COMPILED, 'cli'));
      if (isOfCommand && !OF_SERVE.has(path)) return { path: relative(OUT, resolve(resolveDir, path)).replaceAll(sep, '/'), external: true };
      const found = await bundler.resolve(path, { resolveDir, kind, importer, pluginData: 'resolving' });
      if (found.path.endsWith(LOCALES)) return { path: 'locales', namespace: 'none' };
      // Ours does nothing when imported: what nothing uses is left out.
      return found.errors.length > 0 || found.path.includes('node_modules') ? found : { path: found.path, sideEffects: false };
    });
    bundler.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {};', loader: 'js' }));
  },
};

rmSync(OUT, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: ROOT, outdir: OUT, entryPoints: { program: join(COMPILED, 'cli', 'program.js'), worker: join(COMPILED, 'pdp', 'worker.js') },
  bundle: true, splitting: true, chunkNames: '[name]-[hash]', format: 'esm', platform: 'node', target: 'node20', plugins: [serveAlone],
  // Names stay, for traces. Comments go: one letter of theirs that is not ASCII makes a text of twice the size of the whole file.
  minifyWhitespace: true, lineLimit: 160, sourcemap: true, sourcesContent: false, metafile: true, logLevel: 'error', legalComments: 'none',
  define: { COUNTERSIGN_CODE: JSON.stringify(codeDigest()) },
  banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" },
});

/** `node_modules/@scope/name` of each that is in: whoever passes these files on passes on the terms that they came under. */
const packages = new Set(Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs)).map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter((folder) => folder !== undefined));
writeFileSync(join(OUT, 'LICENSES'), [...packages].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
  const file = readdirSync(join(ROOT, folder)).find((one) => /^licen[cs]e/i.test(one));
  return `${name} ${version} (${license})\n\n${file === undefined ? '' : readFileSync(join(ROOT, folder, file), 'utf8')}`;
}).join(`\n${'-'.repeat(80)}\n`));
