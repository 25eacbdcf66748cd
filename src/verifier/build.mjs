/**
 * Builds the one-file verifier: `node src/verifier/build.mjs [FILE]` writes it (default dist/verifier.html) and its SHA-256 beside it.
 * `--approver`: the page that a sidecar serves to approvers instead (dist/approve.html).
 * `--console [FOLDER]`: what pages of the console load beside themselves (dist/console/), as modules, made small since they are loaded over networks.
 * `--module FILE`: the verification alone, as a module, for the tests that compare it with node's.
 *
 * The same source gives the same bytes. The bundle is not minified: whoever wonders what it does can read it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const HERE = import.meta.dirname;
const ROOT = join(HERE, '..', '..');
/** What stands for what only node has. */
const TWINS = new Map([
  [join(ROOT, 'ledger', 'crypto.ts'), join(HERE, 'noble-crypto.ts')],
  [join(ROOT, 'src', 'protocol', 'ssh-crypto.ts'), join(HERE, 'noble-ssh-crypto.ts')],
]);
/** Zod's messages in fifty languages; the product speaks one, which Zod brings in by itself. */
const LOCALES = join('zod', 'v4', 'locales', 'index.js');

const sha256 = (text, encoding) => createHash('sha256').update(text).digest(encoding);

/** Ours is free of side effects when imported: what nothing uses, and what only that would have needed of node, is left out. */
function ours(template) {
  return {
    name: 'countersign',
    setup(bundler) {
      bundler.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
      bundler.onResolve({ filter: /^countersign:template$/ }, ({ path }) => ({ path, namespace: 'template' }));
      bundler.onLoad({ filter: /.*/, namespace: 'template' }, () => ({ contents: `export const TEMPLATE = ${JSON.stringify(template)};`, loader: 'js' }));
      bundler.onResolve({ filter: /^\./ }, async ({ path, resolveDir, kind, importer, pluginData }) => {
        if (pluginData === 'resolving') return undefined;
        const found = await bundler.resolve(path, { resolveDir, kind, importer, pluginData: 'resolving' });
        if (found.path.endsWith(LOCALES)) return { path: 'locales', namespace: 'none' };
        if (found.errors.length > 0 || found.path.includes('node_modules')) return found;
        return { path: TWINS.get(found.path) ?? found.path, sideEffects: false };
      });
      bundler.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {};', loader: 'js' }));
    },
  };
}

async function bundle(entry, format, template, more = {}) {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT, entryPoints: [join(HERE, entry)], bundle: true, format, platform: 'browser', target: 'es2022', charset: 'ascii', tsconfig: join(HERE, 'tsconfig.json'),
    inject: [join(HERE, 'surroundings.ts')], plugins: [ours(template)], metafile: true, write: false, outfile: 'out.js', logLevel: 'error', legalComments: 'inline', ...more,
  });
  const left = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  if (left.length > 0) throw new Error(`no browser has ${left.join(', ')}`);
  return outputFiles[0].text;
}

function put(marker, text, into) {
  if (into.split(marker).length !== 2) throw new Error(`the page is to have one ${marker}`);
  return into.replace(marker, () => text);
}

/** @param folder of `page.html` and `main.ts`, below {@link HERE} @param sheets what it looks like, put one after another */
async function page(folder, sheets) {
  const style = sheets.map((sheet) => readFileSync(join(HERE, sheet), 'utf8')).join('');
  const template = put('{{style}}', style, put('{{style-hash}}', sha256(style, 'base64'), readFileSync(join(HERE, folder, 'page.html'), 'utf8')));
  const script = `\n${await bundle(join(folder, 'main.ts'), 'iife', template)}`;
  // Either would end the script, or let a browser read on past its end.
  if (/<\/script|<!--|\0|\r/i.test(script)) throw new Error('the script cannot stand in a page as it is');
  return put('{{script}}', script, put('{{script-hash}}', sha256(script, 'base64'), template));
}

/** Each in one file of its own; what is no script as it is written. */
async function consoleParts(folder) {
  mkdirSync(folder, { recursive: true });
  const put = (name, text) => {
    writeFileSync(join(folder, name), text);
    console.log(`${sha256(text, 'hex')}  ${relative(process.cwd(), join(folder, name))} (${text.length} bytes)`);
  };
  for (const [name, entry, inject] of [['console.js', 'main.ts', []], ['passkey.js', 'passkey.ts', [join(HERE, 'surroundings.ts')]]]) put(name, await bundle(join('..', 'console', 'browser', entry), 'esm', '', { minify: true, inject }));
  for (const name of ['console.css', 'icon.svg']) put(name, readFileSync(join(HERE, '..', 'console', 'browser', name), 'utf8'));
}

const { values, positionals } = parseArgs({ options: { module: { type: 'string' }, approver: { type: 'boolean' }, console: { type: 'boolean' } }, allowPositionals: true });
if (values.module !== undefined) {
  writeFileSync(values.module, await bundle('verify-given.ts', 'esm', ''));
} else if (values.console) {
  await consoleParts(resolve(positionals[0] ?? join(ROOT, 'dist', 'console')));
} else {
  const path = resolve(positionals[0] ?? join(ROOT, 'dist', values.approver ? 'approve.html' : 'verifier.html'));
  const text = values.approver ? await page('../approver', ['page.css', '../approver/page.css']) : await page('.', ['page.css']);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  writeFileSync(`${path}.sha256`, `${sha256(text, 'hex')}  ${basename(path)}\n`);
  console.log(`${sha256(text, 'hex')}  ${relative(process.cwd(), path)} (${text.length} bytes)`);
}
