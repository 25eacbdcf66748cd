/**
 * `countersign init DIR`: a working installation in one directory: keys, trust, tokens, facts, and the two configurations.
 *
 *     countersign.yaml   for `serve`             trust/       whose word counts: for the sidecar, the executor, and auditors
 *     executor.yaml      for `worker`            facts/       identities, entitlements, people
 *     keys/ tokens.*     0600                    policy/      what is in force, signed
 *                                                requests/    a request to begin with
 *
 * With `--account`, for a script that changes that account today: an identity for it with a token, its change.yaml, and no executor.
 *
 * On one machine everything is in one place; in earnest the executor's key and trust folder are on another, and the revoker's key with the
 * person who is on call.
 */
import type { Command } from 'commander';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { stringify } from 'yaml';
import { generateSignerKey, parseSigner } from '../../ledger/index.ts';
import { hashToken, newToken, type Role } from '../identity/tokens.ts';
import { manifestSchema, SIGNATURE_FILE } from '../pdp/bundle.ts';
import { signBundle } from '../protocol/policy-bundle.ts';
import { floorSchema, type Floor } from '../protocol/trust.ts';
import { connectorIdSchema, nhiIdSchema, personIdSchema, plainTextSchema } from '../protocol/values.ts';
import { defaultPolicyDirectory } from '../sidecar/default-policy.ts';
import { VERSION } from '../version.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { isEmptyOrAbsent, readBytes, readSecret, readText, writeNew, writeSecret } from './files.ts';
import { newAgeIdentity, newFingerprintKey } from './keygen.ts';
import { packageRoot } from './package.ts';
import type { Runner } from './runner.ts';
import type { Session, World } from './world.ts';

export interface Principal {
  readonly principal: string;
  readonly roles: readonly Role[];
}

export interface LayoutOptions {
  /** Absolute; absent or empty. */
  readonly directory: string;
  /** The log's name, without white space or `+`. */
  readonly origin: string;
  readonly randomBytes: (length: number) => Uint8Array;
  /** The person who gets the revoker's key. */
  readonly operator: string;
  readonly principals: readonly Principal[];
  /** Folder whose inventory.yaml, catalogue.yaml, directory.yaml and usage.yaml are copied, but for those that `ownFacts` has the text of, or null for none. */
  readonly facts: string;
  readonly ownFacts?: Readonly<Record<string, string | null>>;
  readonly executorId: string;
  /** By connector id, as executor.yaml says it. None: there is no executor, and every change is made by its caller. */
  readonly connectors: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Default: one approval by session for whatever it is. */
  readonly floors?: readonly Floor[];
  /** Where the sockets go; a unix socket's path is short. Default: `run` in the directory. */
  readonly sockets?: string;
  /** Added to countersign.yaml, such as `limits`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Added to executor.yaml. */
  readonly executorConfig?: Readonly<Record<string, unknown>>;
}

export interface Layout {
  readonly directory: string;
  readonly origin: string;
  /** Paths, absolute. */
  readonly config: string;
  readonly executorConfig: string;
  readonly socket: string;
  readonly executorSocket: string;
  readonly trust: string;
  readonly ledger: string;
  readonly revokerKey: string;
  /** The only time that tokens are in clear anywhere but in tokens.txt. */
  readonly tokens: ReadonlyMap<string, string>;
  readonly vkeys: { readonly log: string; readonly ticket: string; readonly executor: string | null; readonly revoker: string; readonly policy: string };
}

const ANYTHING: Floor = floorSchema.parse({ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null });
/** sun_path holds 108 bytes on Linux and 104 on macOS, with the final zero. */
const SOCKET_PATH_BYTES_MAX = 103;

/**
 * Writes the whole installation. Everything that is secret is in files that only their owner can read.
 *
 * @throws CliError `not-empty` or `path-too-long`: nothing was written; `unwritable`: part of it was
 */
export function layOut(options: LayoutOptions): Layout {
  const { directory, origin, randomBytes, operator, executorId } = options;
  if (!isEmptyOrAbsent(directory)) {
    throw new CliError(EXIT.usage, 'not-empty', { cause: `${directory} is not empty`, effect: 'Nothing was written.', next: 'name a new directory' });
  }
  const at = (...names: string[]): string => join(directory, ...names);
  const sockets = options.sockets ?? at('run');
  const data = resolve(directory, typeof options.config?.['data'] === 'string' ? options.config['data'] : 'data');
  const socket = join(sockets, 'countersign.sock');
  const executorSocket = join(sockets, 'executor.sock');
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
    throw new CliError(EXIT.usage, 'path-too-long', { cause: `${socket} is too long for a unix socket`, effect: 'Nothing was written.', next: 'name a directory with a shorter path' });
  }
  const connectors = Object.keys(options.connectors);
  const hasExecutor = connectors.length > 0;
  for (const folder of [at(), at('keys'), ...(hasExecutor ? [at('secrets'), at('executor')] : []), data]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  mkdirSync(sockets, { recursive: true, mode: 0o700 });

  const keyPair = (name: string, file: string): string => {
    const { skey, vkey } = generateSignerKey(name, randomBytes(32));
    writeSecret(at('keys', file), `${skey}\n`);
    return vkey;
  };
  const vkeys = {
    log: keyPair(origin, 'log.key'),
    ticket: keyPair(`${origin}/ticket`, 'ticket.key'),
    executor: hasExecutor ? keyPair(executorId, 'executor.key') : null,
    revoker: keyPair(operator, 'revoker.key'),
    policy: keyPair(`${origin}/policy`, 'policy.key'),
  };
  copyPolicy(at('policy'), at('keys', 'policy.key'));
  if (hasExecutor) writeSecret(at('keys', 'fingerprint.key'), `${newFingerprintKey(randomBytes)}\n`);

  writeNew(at('log.vkey'), `${vkeys.log}\n`);
  writeNew(at('trust.policy'), trustPolicy(vkeys.log));
  writeTrust(at('trust'), options, vkeys, connectors);
  const tokens = writeTokens(at('tokens.json'), at('tokens.txt'), options);
  const ownFacts = Object.entries(options.ownFacts ?? {});
  cpSync(options.facts, at('facts'), { recursive: true, filter: (source) => !ownFacts.some(([name]) => basename(source) === name) });
  for (const [name, text] of ownFacts) if (text !== null) writeNew(at('facts', name), text);

  const local = (path: string): string => relative(directory, path) || '.';
  const inDirectory = (path: string): string => (local(path).startsWith('..') ? path : local(path));
  writeNew(at('countersign.yaml'), withCalendarHint(yaml('The sidecar. Paths are from this file.', {
    origin, data: 'data', listen: { socket: inDirectory(socket) }, tokens: 'tokens.json', keys: { log: 'keys/log.key', ticket: 'keys/ticket.key' }, trust: 'trust', policy: 'policy',
    facts: { inventory: 'facts/inventory.yaml', catalogue: 'facts/catalogue.yaml', directory: 'facts/directory.yaml', ...(existsSync(at('facts', 'usage.yaml')) ? { usage: 'facts/usage.yaml' } : {}) },
    executors: hasExecutor ? [{ id: executorId, socket: inDirectory(executorSocket), connectors }] : [],
    ...options.config,
  })));
  if (hasExecutor) writeNew(at('executor.yaml'), yaml('The executor. It believes its own trust folder and nothing else.', {
    id: executorId, socket: inDirectory(executorSocket), key: 'keys/executor.key', trust: 'trust', state: 'executor', fingerprintKey: 'keys/fingerprint.key',
    connectors: options.connectors,
    ...options.executorConfig,
  }));
  return {
    directory, origin, config: at('countersign.yaml'), executorConfig: at('executor.yaml'), socket, executorSocket, trust: at('trust'), ledger: join(data, 'ledger'),
    revokerKey: at('keys', 'revoker.key'), tokens, vkeys,
  };
}

/** The policy that comes with the package, signed: what is in force here is what was signed, and another version of the package does not change it. */
function copyPolicy(folder: string, key: string): void {
  mkdirSync(folder, { mode: 0o700 });
  const from = defaultPolicyDirectory();
  for (const name of ['manifest.json', 'data.json', 'policy.wasm']) writeNew(join(folder, name), readBytes(join(from, name), 'the policy of the package'));
  const { digest } = manifestSchema.parse(JSON.parse(readText(join(folder, 'manifest.json'), 'the manifest')));
  writeNew(join(folder, SIGNATURE_FILE), `${JSON.stringify(signBundle(digest, VERSION, parseSigner(readSecret(key, 'the key'))), null, 2)}\n`);
}

function writeTrust(folder: string, options: LayoutOptions, vkeys: Layout['vkeys'], connectors: readonly string[]): void {
  const json = (name: string, value: unknown): void => writeNew(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  writeNew(join(folder, 'trust.policy'), trustPolicy(vkeys.log));
  json('sidecars.json', [{ origin: options.origin, key: vkeys.ticket }]);
  json('executors.json', vkeys.executor === null ? [] : [{ id: options.executorId, key: vkeys.executor, connectors }]);
  json('requirements.json', { v: 1, floors: options.floors ?? [ANYTHING], revokers: [{ principal: options.operator, key: vkeys.revoker }], policySigners: [vkeys.policy], clockSkewMs: 5_000 });
}

/** All that an auditor needs to check signatures; the folder says the rest. */
function trustPolicy(logKey: string): string {
  return `log ${logKey}\nquorum none\n`;
}

function writeTokens(digests: string, clear: string, { principals, randomBytes }: LayoutOptions): Map<string, string> {
  const tokens = new Map(principals.map(({ principal }) => [principal, newToken(randomBytes)]));
  const entries = principals.map(({ principal, roles }) => ({ principal, roles, tokenSha256: hashToken(tokens.get(principal)!) }));
  writeSecret(digests, `${JSON.stringify(entries, null, 2)}\n`);
  const lines = [...tokens].map(([principal, token]) => `${principal} ${token}`);
  writeSecret(clear, `# Give each line to whom it names, then delete this file: the sidecar needs only tokens.json.\n${lines.join('\n')}\n`);
  return tokens;
}

/** What is not there by itself, shown where it would go. */
function withCalendarHint(text: string): string {
  const hint = '# calendar: facts/calendar.yaml   # maintenance windows and freezes: then what is of high risk waits for a window';
  return /^ +calendar:/m.test(text) ? text : text.replace(/^( +)directory: .*\n/m, `$&$1${hint}\n`);
}

function yaml(heading: string, value: object): string {
  return `# ${heading}\n${stringify(value, { lineWidth: 0 })}`;
}

/** Who has a token in an installation that is made of the example facts. */
export const EXAMPLE_PRINCIPALS: readonly Principal[] = [
  { principal: 'nhi:prod/billing-export', roles: ['caller'] },
  { principal: 'nhi:prod/ci-deployer', roles: ['caller'] },
  { principal: 'person:ana', roles: ['approver', 'caller'] },
  { principal: 'person:ben', roles: ['approver', 'caller'] },
  { principal: 'person:wei', roles: ['approver', 'caller'] },
  { principal: 'person:olga', roles: ['approver', 'caller', 'auditor'] },
  { principal: 'person:sam', roles: ['approver', 'caller', 'operator'] },
  { principal: 'person:mallory', roles: ['caller'] },
];

/** The folder of example facts that comes with the package. */
export function exampleFacts(): string {
  return join(packageRoot(), 'examples', 'facts');
}

/** An origin that no other installation has. */
export function newOrigin(randomBytes: World['randomBytes']): string {
  return `countersign.local/${Buffer.from(randomBytes(6)).toString('hex')}`;
}

export interface ExampleOptions {
  readonly directory: string;
  readonly randomBytes: World['randomBytes'];
  readonly origin?: string;
  readonly operator?: string;
}

/** The installation of the example facts: one PostgreSQL on this machine, and a request to begin with. */
export async function layOutExample({ directory, randomBytes, origin = newOrigin(randomBytes), operator = 'person:sam' }: ExampleOptions): Promise<Layout> {
  const database = (name: string): Record<string, unknown> => ({ kind: 'postgres', host: '127.0.0.1', port: 5432, database: name, user: 'countersign', passwordFile: 'secrets/postgres.password' });
  const layout = layOut({
    directory, origin, randomBytes, operator, principals: EXAMPLE_PRINCIPALS, facts: exampleFacts(), executorId: 'executor:main',
    connectors: { 'pg-main': database('app'), 'pg-dev': database('app_dev') },
  });
  // A password nobody has: the operator puts the real one here.
  writeSecret(join(directory, 'secrets', 'postgres.password'), `${Buffer.from(randomBytes(24)).toString('base64url')}\n`);
  const { secret, shown } = await newAgeIdentity();
  writeSecret(join(directory, 'requests', 'billing-export.age'), `${secret}\n`);
  writeNew(join(directory, 'requests', 'billing-export.yaml'), yaml('What nhi:prod/billing-export asks for, each night.', {
    kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', duration: 'PT15M', reason: 'the nightly export', recipient: shown.recipient,
    entitlements: ['table:public.orders:SELECT', 'table:public.invoices:SELECT'].map((privilege) => ({ connector: 'pg-main', target: 'app', privilege })),
  }));
  return layout;
}

export interface ScriptOptions extends ExampleOptions {
  /** What the script is about: an account, the connector it is known under, and the target there, such as a database. */
  readonly account: string;
  readonly connector: string;
  readonly target: string;
}

/**
 * The installation for a script that changes an account today: the account's identity and purpose, a token for it, and `change.yaml`. Nobody
 * looks at the target: there is no executor.
 *
 * @throws CliError `usage` when the account gives no name for an identity: nothing was written
 */
export function layOutForScript({ account, connector, target, directory, randomBytes, origin = newOrigin(randomBytes), operator = 'person:sam' }: ScriptOptions): Layout & { readonly subject: string } {
  const name = account.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 60);
  const subject = `nhi:prod/${name}`;
  if (!nhiIdSchema.safeParse(subject).success) throw new CliError(EXIT.usage, 'usage', { cause: `no identity can be named after ${account}`, effect: 'Nothing was written.', next: 'give an --account with a letter or digit in its name' });
  const purpose = `run-${name}`;
  const nhi = {
    id: subject, description: `Whatever logs in as ${account}.`, owner: 'person:wei', backupOwner: 'person:ben', environment: 'prod', purposes: [purpose], riskTier: 'medium',
    custody: 'workload', humanUse: false, consumers: [], accounts: { [connector]: account },
  };
  const layout = layOut({
    directory, origin, randomBytes, operator, facts: exampleFacts(), executorId: 'executor:main', connectors: {},
    principals: [{ principal: subject, roles: ['caller'] }, ...EXAMPLE_PRINCIPALS.filter(({ principal }) => principal.startsWith('person:'))],
    ownFacts: {
      'inventory.yaml': yaml('Machine identities: who answers for each, what it is for, where it has accounts.', { v: 1, nhis: [nhi] }),
      'catalogue.yaml': yaml('Every privilege that may be asked for, ranked, and what each purpose needs.', {
        v: 1, entitlements: [], purposes: [{ id: purpose, description: `What ${account} is for.`, needs: [], maxLeaseSeconds: null }],
      }),
      'usage.yaml': null,
    },
  });
  writeNew(join(directory, 'change.yaml'), yaml('What a run is for.', { kind: 'rotate', subject, connector, target, purpose, reason: 'the password is ninety days old' }));
  return { ...layout, subject };
}

interface InitFlags {
  readonly origin?: string;
  readonly operator: string;
  readonly account?: string;
  readonly connector: string;
  readonly target: string;
}

export function addInit(program: Command, run: Runner): void {
  program
    .command('init')
    .argument('<directory>', 'a new or empty directory')
    .description('make an installation: keys, trust, tokens, example facts, configurations')
    .option('--origin <name>', "the log's name, such as countersign.example.com/ledger (default: a new one); it never changes")
    .option('--operator <person>', "who holds the revoker's key", 'person:sam')
    .option('--account <name>', 'for a script of yours that changes this account: its identity, token and change.yaml, and no executor')
    .option('--connector <id>', 'with --account: what the system it is in is to be called', 'pg-main')
    .option('--target <name>', 'with --account: the part of that system, such as a database', 'app')
    .action(run(init));
}

async function init(session: Session, directory: string, flags: InitFlags): Promise<ExitCode> {
  const refuse = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was written.' });
  if (!personIdSchema.safeParse(flags.operator).success) throw refuse('--operator takes person:<id>');
  if (flags.origin !== undefined && !/^[^\s+]{1,240}$/.test(flags.origin)) throw refuse('--origin takes a name without white space and +');
  const common = {
    directory: resolve(session.cwd, directory), randomBytes: session.randomBytes, operator: flags.operator, ...(flags.origin === undefined ? {} : { origin: flags.origin }),
  };
  if (flags.account === undefined) {
    tell(session, await layOutExample(common), [
      'say in executor.yaml which database, and put its password in secrets/postgres.password; then',
      '  countersign worker --config executor.yaml',
      '  countersign serve',
    ]);
    return EXIT.ok;
  }
  const { account, connector, target } = flags;
  const text = plainTextSchema(128);
  if (!text.safeParse(account).success || !text.safeParse(target).success) throw refuse('--account and --target take up to 128 characters of plain text');
  if (!connectorIdSchema.safeParse(connector).success) throw refuse('--connector takes a name such as pg-main');
  const layout = layOutForScript({ ...common, account, connector, target });
  tell(session, layout, [
    `${layout.subject} is ${account} at ${connector}, and person:wei answers for it; then`,
    '  countersign serve &',
    `  countersign run --change change.yaml --as ${layout.subject} -- YOUR-SCRIPT`,
  ]);
  return EXIT.ok;
}

function tell({ out }: Session, layout: Layout, next: readonly string[]): void {
  const executor = existsSync(layout.executorConfig) ? { executorConfig: layout.executorConfig } : {};
  out.document({ directory: layout.directory, origin: layout.origin, config: layout.config, ...executor, trust: layout.trust, logKey: layout.vkeys.log });
  out.line(`installation ${layout.directory}`);
  out.line(`log          ${layout.vkeys.log}`);
  out.say('tokens are in tokens.txt, readable by you alone');
  out.say(`cd ${layout.directory}`);
  for (const line of next) out.say(line);
}
