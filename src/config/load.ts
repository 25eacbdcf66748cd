/**
 * The configuration in force: the file, overridden by the environment, overridden by flags.
 *
 * Unknown keys are refused, since a misspelt limit is a missing one. Paths become absolute, from the directory of the file.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument, visit } from 'yaml';
import { issueLine, issueWords } from '../protocol/issue-words.ts';
import { CONFIG_KEYS, type ConfigKey } from './keys.ts';
import { configSchema, PATH_KEYS, type Config } from './schema.ts';

export interface ConfigIssue {
  /** RFC 6901 JSON pointer; empty for the whole. */
  readonly pointer: string;
  readonly message: string;
  /** Where the value came from: the file's path, `COUNTERSIGN_…`, or a flag's path. */
  readonly source: string;
}

/** The configuration is not one to start with. Nothing has been opened. */
export class ConfigError extends Error {
  readonly code: 'unreadable' | 'malformed';
  readonly issues: readonly ConfigIssue[];
  constructor(code: ConfigError['code'], issues: readonly ConfigIssue[], options?: ErrorOptions) {
    super(issueLine(issues.map(({ source, pointer, message }) => ({ place: source, message: `${pointer === '' ? '' : `${pointer}: `}${message}` }))), options);
    this.name = 'ConfigError';
    this.code = code;
    this.issues = issues;
  }
}

export type ConfigSource = 'default' | 'file' | 'environment' | 'flag';

export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path of the file. */
  readonly path: string;
  /** Where each key that is set came from, by dotted path. */
  readonly sources: ReadonlyMap<string, ConfigSource>;
  /** What is probably a mistake, though nothing is wrong: variables that set nothing. */
  readonly warnings: readonly string[];
}

export interface LoadOptions {
  readonly path: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By dotted path: `{ 'listen.port': '8099' }`. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
}

/** Variables of the CLI and of tests: no keys of this file. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'COUNTERSIGN_CONFIG', 'COUNTERSIGN_SOCKET', 'COUNTERSIGN_URL', 'COUNTERSIGN_TOKEN', 'COUNTERSIGN_TOKEN_FILE', 'COUNTERSIGN_REQUIRE',
]);
const FILE_BYTES_MAX = 1_048_576;

type Tree = Record<string, unknown>;

/** @throws ConfigError naming every value that is wrong, and where it came from */
export async function loadConfig({ path, env = {}, flags = {} }: LoadOptions): Promise<LoadedConfig> {
  const file = resolve(path);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConfigError('unreadable', [{ pointer: '', message: 'cannot be read', source: file }], { cause });
  });
  const tree = parseFile(text, file);
  const sources = new Map<string, ConfigSource>();
  for (const { path: key } of CONFIG_KEYS) if (lookUp(tree, key) !== undefined) sources.set(key, 'file');
  const origins = new Map<string, string>();
  const override = (key: ConfigKey, value: string, source: ConfigSource, origin: string): void => {
    place(tree, key.path, coerce(key, value, origin));
    sources.set(key.path, source);
    origins.set(key.path, origin);
  };
  for (const key of CONFIG_KEYS) {
    const value = key.variable === null ? undefined : env[key.variable];
    if (value !== undefined) override(key, value, 'environment', key.variable!);
  }
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const key = CONFIG_KEYS.find((candidate) => candidate.path === name && candidate.kind !== 'objects');
    if (key === undefined) throw new ConfigError('malformed', [{ pointer: pointerOf(name.split('.')), message: 'no such key', source: name }]);
    override(key, value, 'flag', name);
  }

  const parsed = configSchema.safeParse(tree);
  if (!parsed.success) {
    throw new ConfigError('malformed', parsed.error.issues.flatMap((issue) => {
      const source = origins.get(issue.path.join('.')) ?? file;
      if (issue.code !== 'unrecognized_keys') return [{ pointer: pointerOf(issue.path), message: issueWords(issue.message), source }];
      return issue.keys.map((key) => ({ pointer: pointerOf([...issue.path, key]), message: 'unknown key', source }));
    }));
  }
  return { config: withAbsolutePaths(parsed.data, dirname(file)), path: file, sources, warnings: unknownVariables(env) };
}

/** The keys and values of a file, in the YAML that every file of ours is in. @throws ConfigError */
export function parseFile(text: string, file: string): Tree {
  const fail = (message: string): never => {
    throw new ConfigError('malformed', [{ pointer: '', message, source: file }]);
  };
  if (text.length > FILE_BYTES_MAX) fail('is too large to be a configuration');
  const lines = new LineCounter();
  const document = parseDocument(text, { version: '1.2', schema: 'core', strict: true, uniqueKeys: true, merge: false, prettyErrors: false, lineCounter: lines });
  const [wrong] = [...document.errors, ...document.warnings];
  if (wrong !== undefined) fail(`line ${lines.linePos(wrong.pos[0]).line}: ${wrong.message}`);
  visit(document, { Alias: () => fail('aliases are not used here: what is written is what is read') });
  const value: unknown = document.toJS();
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Tree) : fail('is not a mapping of keys to values');
}

function coerce(key: ConfigKey, value: string, source: string): unknown {
  if (key.kind === 'list') return value === '' ? [] : value.split(',').map((part) => part.trim());
  if (key.kind !== 'number') return value;
  if (/^(0|[1-9][0-9]{0,15})$/.test(value)) return Number(value);
  throw new ConfigError('malformed', [{ pointer: pointerOf(key.path.split('.')), message: 'must be a whole number', source }]);
}

function lookUp(tree: unknown, path: string): unknown {
  let value = tree;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Tree)[name];
  }
  return value;
}

/** `path` is one of ours, so no name in it is `__proto__`. */
function place(tree: Tree, path: string, value: unknown): void {
  const names = path.split('.');
  let at = tree;
  for (const name of names.slice(0, -1)) {
    const inner = at[name];
    if (typeof inner !== 'object' || inner === null) at[name] = {};
    at = at[name] as Tree;
  }
  at[names.at(-1)!] = value;
}

function withAbsolutePaths(config: Config, directory: string): Config {
  const absolute = structuredClone(config);
  for (const path of PATH_KEYS) {
    const value = lookUp(absolute, path);
    if (typeof value === 'string') place(absolute, path, resolve(directory, value));
  }
  return {
    ...absolute,
    ...(absolute.policySource === undefined ? {} : { policySource: { ...absolute.policySource, keys: absolute.policySource.keys.map((key) => ({ ...key, file: resolve(directory, key.file) })) } }),
    executors: absolute.executors.map((executor) => ({ ...executor, ...(executor.socket === undefined ? {} : { socket: resolve(directory, executor.socket) }), ...(executor.caFile === undefined ? {} : { caFile: resolve(directory, executor.caFile) }) })),
    identity: { issuers: absolute.identity.issuers.map((issuer) => ({ ...issuer, jwks: { ...issuer.jwks, ...(issuer.jwks.file === undefined ? {} : { file: resolve(directory, issuer.jwks.file) }), ...(issuer.jwks.caFile === undefined ? {} : { caFile: resolve(directory, issuer.jwks.caFile) }) } })) },
    webhooks: absolute.webhooks.map((webhook) => ({ ...webhook, secret: resolve(directory, webhook.secret) })),
  };
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(CONFIG_KEYS.map((key) => key.variable));
  return Object.keys(env)
    .filter((name) => name.startsWith('COUNTERSIGN_') && !known.has(name) && !OTHER_VARIABLES.has(name))
    .map((name) => `${name} sets nothing: no key of the configuration is called so`)
    .sort();
}

export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
