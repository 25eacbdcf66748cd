// The HTTP API and the bus break nobody who keeps to the last release, but where `test/interfaces/breaking.json` lists it, with why.
// `node .ci/interfaces.mjs --take` makes what is now the baseline of the version in package.json: part of a release (CONTRIBUTING.md).
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, copyFileSync } from 'node:fs';
import { breaksOfAsyncApi, breaksOfOpenApi } from './breaking.mjs';

const root = new URL('../', import.meta.url);
const folder = new URL('test/interfaces/', root);
const listed = new URL('breaking.json', folder);
const KINDS = { 'openapi.json': breaksOfOpenApi, 'asyncapi.json': breaksOfAsyncApi };
const read = (url) => JSON.parse(readFileSync(url, 'utf8'));

if (process.argv[2] === '--take') take();
else process.exitCode = check();

function take() {
  for (const { name } of versions()) rmSync(new URL(`${name}/`, folder), { recursive: true });
  const baseline = new URL(`${read(new URL('package.json', root)).version}/`, folder);
  mkdirSync(baseline, { recursive: true });
  for (const name of Object.keys(KINDS)) copyFileSync(new URL(`docs/${name}`, root), new URL(name, baseline));
  writeFileSync(listed, '[]\n');
}

function versions() {
  return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
}

function check() {
  const [{ name: version }] = versions();
  const allowed = new Map(read(listed).map(({ what, why }) => [what, why]));
  const unsaid = [...allowed].filter(([, why]) => typeof why !== 'string' || why.trim() === '');
  const found = Object.entries(KINDS).flatMap(([name, breaksOf]) => breaksOf(read(new URL(`${version}/${name}`, folder)), read(new URL(`docs/${name}`, root))).map((what) => `${name}: ${what}`));
  const unlisted = found.filter((what) => !allowed.has(what));
  const stale = [...allowed.keys()].filter((what) => !found.includes(what));
  for (const what of unlisted) console.log(`breaks who keeps to ${version}: ${what}`);
  for (const what of stale) console.log(`listed in test/interfaces/breaking.json, and not so: ${what}`);
  for (const [what] of unsaid) console.log(`listed in test/interfaces/breaking.json without why: ${what}`);
  return unlisted.length + stale.length + unsaid.length === 0 ? 0 : 1;
}
