/**
 * Every block of every page is held by something: run, compiled against the package's types, taken by the command line, or parsed by the schema of what it
 * is a part of. What is only printed says so (`text`). A block that nothing holds fails here.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import ts from 'typescript';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { openProgram } from '../../src/cli/program.ts';
import { configSchema } from '../../src/config/schema.ts';
import { consoleConfigSchema } from '../../src/console/config.ts';
import { executorConfigSchema } from '../../src/executor/config.ts';
import { exceptionsFileSchema } from '../../src/facts/exceptions.ts';
import { calendarSchema, catalogueSchema, directorySchema, inventoryFileSchema } from '../../src/facts/schemas.ts';
import { manifestSchema } from '../../src/evidence/pack-format.ts';
import { passkeysFileSchema } from '../../src/protocol/passkeys.ts';
import { requirementsFileSchema } from '../../src/protocol/trust.ts';
import { fencesIn, pages, ROOT, textOf, type Fence } from '../support/fences.ts';
import { commandsIn, namedScripts } from '../support/shell-lines.ts';

interface Block extends Fence {
  readonly page: string;
}
const blocks: Block[] = pages().flatMap((page) => fencesIn(textOf(page)).map((fence) => ({ ...fence, page })));
const placeOf = ({ page, line }: Block): string => `${page}:${line}`;

/** Tests that run, or parse, what a page has: all of its blocks of these languages. Each names the page. */
const HELD: readonly { readonly page: string; readonly languages: readonly string[]; readonly by: string }[] = [
  { page: 'docs/tutorial.md', languages: ['sh', 'text'], by: 'test/e2e/documented.test.ts' },
  ...['README', 'credential', 'deploy', 'over-broad', 'rotation', 'offboarding', 'script'].map((name) => ({ page: `docs/tutorials/${name}.md`, languages: name === 'README' ? ['sh'] : ['sh', 'text'], by: 'test/e2e/documented.test.ts' })),
  { page: 'docs/operations.md', languages: ['sh'], by: 'test/e2e/documented.test.ts' },
  { page: 'docs/auditors-guide.md', languages: ['sh'], by: 'test/e2e/documented.test.ts' },
  { page: 'docs/caller-mode.md', languages: ['sh'], by: 'test/integration/caller-mode.test.ts' },
  { page: 'docs/runbooks/leaked-credential.md', languages: ['sh'], by: 'test/e2e/leaked-credential.test.ts' },
  { page: 'docs/policy-cookbook.md', languages: ['rego', 'yaml', 'json'], by: 'test/docs/cookbook.test.ts' },
  { page: 'docs/identity.md', languages: ['yaml', 'json'], by: 'test/docs/identity.test.ts' },
  { page: 'docs/notifications.md', languages: ['json', 'js'], by: 'test/notify/docs.test.ts' },
  { page: 'docs/reports.md', languages: ['sh'], by: 'test/docs/reports.test.ts' },
  { page: 'docs/connectors/webhook.md', languages: ['json', 'http'], by: 'test/docs/webhook-connector.test.ts' },
  { page: 'docs/connectors/postgres.md', languages: ['sql'], by: 'test/integration/postgres-admin.test.ts' },
  { page: 'docs/connectors/openbao.md', languages: ['hcl'], by: 'test/integration/openbao-configured.test.ts' },
  { page: 'docs/inventory.md', languages: ['sql'], by: 'test/integration/postgres-usage.test.ts' },
  { page: 'docs/authzen.md', languages: ['http'], by: 'test/sidecar/authzen.test.ts' },
  { page: 'docs/metrics.md', languages: ['yaml'], by: 'test/metrics/metrics.test.ts' },
  { page: 'docs/surface.md', languages: ['json'], by: 'test/docs/surface.test.ts' },
  { page: 'ledger/FORMAT.md', languages: ['json', 'text'], by: 'test/vectors/ledger-format.test.ts' },
];
const holderOf = ({ page, language }: Block): string | undefined => HELD.find((one) => one.page === page && one.languages.includes(language))?.by;

/** What is held here, by language; anything else needs a test of its own above. */
const HERE: ReadonlySet<string> = new Set(['sh', 'ts', 'yaml', 'json', 'hcl']);

describe('every block of every page', () => {
  it('is held by something', () => {
    expect(blocks.length).toBeGreaterThan(200);
    expect(blocks.filter((block) => block.language !== 'text' && !HERE.has(block.language) && holderOf(block) === undefined).map((block) => `${placeOf(block)} ${block.language || '(no language)'}`)).toEqual([]);
  });

  it.each(HELD)('$page is read by $by', ({ page, languages, by }) => {
    // By its name, or as one of a folder.
    expect([page.replace(/^docs\//, ''), page.slice(page.lastIndexOf('/') + 1), page.slice(page.lastIndexOf('/') + 1, -'.md'.length)].some((name) => textOf(by).includes(name))).toBe(true);
    for (const language of languages) expect(blocks.some((block) => block.page === page && block.language === language), language).toBe(true);
  });
});

describe('shell', () => {
  const shell = blocks.filter(({ language }) => language === 'sh');

  it('is what a shell can read', () => {
    for (const block of shell) expect(() => execFileSync('bash', ['-n', '-c', block.text], { stdio: 'pipe' }), placeOf(block)).not.toThrow();
  });

  it('names commands, arguments and options that there are', async () => {
    const told: string[] = [];
    let count = 0;
    for (const block of shell) {
      for (const words of commandsIn(block.text)) {
        count += 1;
        let said = '';
        const world = { stdout: { write: () => true }, stderr: { write: (text: string) => (said += text) } };
        const program = await openProgram(words, world, () => () => Promise.resolve());
        await program.parseAsync(words, { from: 'user' }).catch(() => told.push(`${placeOf(block)} countersign ${words.join(' ')}: ${said.trim().split('\n')[0]!}`));
      }
    }
    expect(count).toBeGreaterThan(100);
    expect(told).toEqual([]);
  });

  it('names npm scripts that there are', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    expect(shell.flatMap((block) => namedScripts(block.text).filter((name) => scripts[name] === undefined).map((name) => `${placeOf(block)} npm run ${name}`))).toEqual([]);
  });
});

/** Files that a block may be a part of: each member by the schema of its own. Of most, other members are left out where only one is told of. */
const FILES: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  'countersign.yaml': configSchema.shape, 'executor.yaml': executorConfigSchema.shape, 'console.yaml': consoleConfigSchema.shape,
  'facts: inventory': inventoryFileSchema.shape, 'facts: catalogue': catalogueSchema.shape, 'facts: directory': directorySchema.shape, 'facts: exceptions': exceptionsFileSchema.shape, 'facts: calendar': calendarSchema.shape,
  'requirements.json': requirementsFileSchema.shape,
};

/** Files that are told of whole. */
const WHOLE: readonly z.ZodType[] = [passkeysFileSchema, manifestSchema];

/** Why this is a part of no file; null where it is of one. */
function troubleOf(value: unknown): string | null {
  if (WHOLE.some((schema) => schema.safeParse(value).success)) return null;
  if (typeof value !== 'object' || value === null) return 'no object';
  const members = Object.entries(value);
  const troubles = Object.entries(FILES).filter(([, shape]) => members.every(([name]) => name in shape)).map(([file, shape]) => {
    const wrong = members.map(([name, member]) => ({ name, error: shape[name]!.safeParse(member).error })).find(({ error }) => error !== undefined);
    return wrong === undefined ? null : `${file}: ${wrong.name}: ${wrong.error!.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`;
  });
  if (troubles.includes(null)) return null;
  return troubles.length === 0 ? `of no file: ${members.map(([name]) => name).join(', ')}` : troubles.join(' | ');
}

describe('configuration', () => {
  const PYTHON = 'examples/worker-python';
  const written = blocks.filter((block) => ['yaml', 'json'].includes(block.language) && holderOf(block) === undefined && block.page !== `${PYTHON}/README.md`);

  it('of the worker in Python has the members that it reads', () => {
    const [config] = blocks.filter(({ page, language }) => page === `${PYTHON}/README.md` && language === 'json');
    const names = (value: unknown): string[] => (typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value).flatMap(([name, more]) => [name, ...(name === 'connectors' ? names(Object.values(more as object)[0]) : names(more))]) : []);
    const source = textOf(`${PYTHON}/countersign_worker/__main__.py`);
    expect(names(parse(config!.text)).filter((name) => !source.includes(`"${name}"`))).toEqual([]);
  });

  it('is what the part that reads it takes', () => {
    const troubles = written.map((block) => {
      const trouble = troubleOf(parse(block.text));
      return trouble === null ? null : `${placeOf(block)} ${trouble}`;
    });
    expect(troubles.length).toBeGreaterThan(15);
    expect(troubles.filter((trouble) => trouble !== null)).toEqual([]);
  });

  it('is refused where a member is not one, or is of another kind', () => {
    expect(troubleOf({ slak: { channel: 'C0' } })).toMatch(/of no file/);
    expect(troubleOf({ policyActivation: { quorum: 'two', approvers: ['person:ana'] } })).toMatch(/quorum/);
  });
});

it('a policy of OpenBao gives capabilities that there are, on paths', () => {
  const policies = blocks.filter(({ language }) => language === 'hcl');
  expect(policies.length).toBeGreaterThan(3);
  for (const block of policies) {
    for (const line of block.text.trim().split('\n').filter((one) => !one.startsWith('#'))) {
      const capabilities = /^path "[a-z0-9/*+_-]+" +\{ capabilities = \[("[^\]]*")\] \}(?: +#.*)?$/.exec(line)?.[1];
      expect(capabilities, `${placeOf(block)} ${line}`).toBeDefined();
      for (const one of capabilities!.split(', ')) expect(['"create"', '"read"', '"update"', '"delete"', '"list"', '"sudo"'], placeOf(block)).toContain(one);
    }
  }
});

/** What a reader has of her own. */
const HERS = `
declare const token: string;
declare const runId: string;
declare function currentTraceparent(): string | undefined;
declare function deploy(...what: unknown[]): Promise<object>;
declare function rotatePassword(account: string): Promise<void>;
declare const app: any;
declare const entitlements: { connector: string; target: string; privilege: string }[];
`;

/** What the compiler has against these modules, each with the place of its block. */
function troublesOf(modules: readonly (readonly [place: string, text: string])[]): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as { config: { compilerOptions: object } };
  const { options } = ts.convertCompilerOptionsFromJson({
    ...config.compilerOptions, noEmit: true, incremental: false, tsBuildInfoFile: undefined, noUnusedLocals: false, noImplicitAny: false,
    paths: {
      countersign: ['./src/client/index.ts'], 'countersign/ledger': ['./ledger/index.ts'], 'countersign/executor': ['./src/executor/index.ts'],
      'countersign/hono': ['./src/client/middleware/hono.ts'], 'countersign/express': ['./src/client/middleware/express.ts'], 'countersign/fastify': ['./src/client/middleware/fastify.ts'],
    },
  }, ROOT);
  const texts = new Map(modules.map(([place, text], index) => [join(ROOT, `docs/block-${index}.ts`), { place, text: `${HERS}${text}\nexport {};\n` }]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path)?.text ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => (texts.has(path) ? ts.createSourceFile(path, texts.get(path)!.text, version) : getSourceFile(path, version, ...rest));
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...texts].flatMap(([path, { place }]) => {
    const file = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ messageText }) => `${place} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  });
}

it('TypeScript is what the package takes and gives, by its types', () => {
  const modules = blocks.filter(({ language }) => language === 'ts').map((block) => [placeOf(block), block.text] as const);
  expect(modules.length).toBeGreaterThan(6);
  // The last is wrong: a compiler that looks at nothing would have nothing against it.
  const said = troublesOf([...modules, ['wrong', `import type { Client } from 'countersign';\nexport const wrong = (client: Client) => client.approve('chg', 'sha256:', 'why', { passkey: 'no' });\n`]]);
  expect(said).toEqual([expect.stringContaining("wrong Type 'string' is not assignable to type") as string]);
}, 120_000);
