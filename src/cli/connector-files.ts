/** What `countersign connector new` writes: texts that compile, and say where to write what. */

const CONNECTOR = `/**
 * NAME: a connector. The only code that touches its target: it decides nothing and keeps nothing, and what it made it finds again by the client
 * token. Each method has a deadline, \`signal\`; after it the outcome is unknown and is probed.
 */
import { TargetError, type Connector, type Described } from 'countersign/executor';

/** What is done at this target, and how. An action that is not here is refused. */
const ACTIONS: Readonly<Partial<Record<string, Described>>> = {
  // \`native\`: the target ends the access itself at \`validUntil\`; \`external\`: only a revoke does.
  provision: { expiry: 'external', endsSessions: true, residualMs: 0, findable: true },
};

/** Called once, with the id and the \`options\` of executor.yaml. Opens nothing before a method is called. */
export function openConnector(id: string, options: Readonly<Record<string, unknown>>): Connector {
  return {
    describe: (action) => ACTIONS[action] ?? null,

    /** The account as it is, and in \`touched\` what the change depends on: read again just before the effect, and compared. Changes nothing. */
    async read(query, signal) {
      return notWritten('read', id, options, query, signal);
    },

    /**
     * Makes the change, wholly or not at all, marked with \`step.clientToken\` in the same breath. Throws a TargetError: \`unreachable\` or
     * \`rejected\` where nothing happened, \`ambiguous\` where it may have. The secret is in no error, no log, no argument of a process.
     */
    async apply(input) {
      return notWritten('apply', input);
    },

    /** Whether what \`apply\` would have made for this client token is there. Changes nothing. */
    async probe(step, signal) {
      return notWritten('probe', step, signal);
    },

    /** Uses the new credential, as its owner will. */
    async tryUse(step, secret, signal) {
      return notWritten('tryUse', step, secret, signal);
    },

    /** Takes back what the order names, sessions included, and reads that it is gone. What bears another token is left alone: \`mismatch\`. */
    async revoke(order, signal) {
      return notWritten('revoke', order, signal);
    },

    async close() {},
  };
}

function notWritten(method: string, ..._given: readonly unknown[]): never {
  throw new TargetError('rejected', \`\${method} is not written yet\`);
}
`;

const ADAPTER = `/**
 * What the kit needs to know of the target itself: it asks this, and never the connector, what is really there. Start a real one here (a test
 * instance, a container), not a copy in memory.
 */
import type { TargetAdapter } from 'countersign/executor/kit';
import { openConnector } from './connector.js';

export const adapter: TargetAdapter = {
  open: () => openConnector('NAME', {}),
  connector: 'NAME',
  target: 'main',
  /** Two privileges or more that are there to be given, in the connector's own words. */
  privileges: ['read', 'write'],
  /** Which names of accounts the target takes literally. Every other must be refused. */
  takes: (name) => /^[a-z0-9_-]{1,63}$/.test(name),
  async makeAccount(name, secret, privileges) {
    return notWritten('makeAccount', name, secret, privileges);
  },
  async use(name, secret) {
    return notWritten('use', name, secret);
  },
  async list() {
    return notWritten('list');
  },
};

function notWritten(method: string, ..._given: readonly unknown[]): never {
  throw new Error(\`adapter: \${method} is not written yet\`);
}
`;

const TEST = `import { test } from 'node:test';
import { connectorChecks } from 'countersign/executor/kit';
import { adapter } from './adapter.js';

/** All that the connector does, as it states in \`describe\`. */
const ACTIONS = ['provision'] as const;

for (const { title, run } of connectorChecks(ACTIONS, () => adapter)) test(title, run);
`;

const README = `# NAME: a Countersign connector

\`\`\`sh
npm install
npm test        # compiles, and runs the kit: every check fails until what it checks is written
\`\`\`

1. \`adapter.ts\`: how to make an account at the target, use a credential, and list what is there. The kit believes this and not the connector.
2. \`connector.ts\`: \`read\`, \`apply\`, \`probe\`, \`tryUse\`, \`revoke\`. State in \`ACTIONS\` what is done, and in \`connector.test.ts\` the same.
3. In executor.yaml:

\`\`\`yaml
connectors:
  NAME:
    kind: module
    file: NAME/dist/connector.js   # writable by its owner alone
    options: {}                    # given to openConnector
\`\`\`

The executor's id and this connector's stand together in the trust folder's \`executors.json\`.
`;

/** By name. */
export function connectorFiles(name: string, version: string): ReadonlyMap<string, string> {
  const manifest = {
    name, version: '0.1.0', private: true, type: 'module', engines: { node: '>=20.19' },
    scripts: { build: 'tsc', test: 'tsc && node --test dist/connector.test.js' },
    dependencies: { countersign: `^${version}` },
    devDependencies: { '@types/node': '^20', typescript: '^6' },
  };
  const options = {
    compilerOptions: {
      target: 'ES2023', module: 'NodeNext', moduleResolution: 'NodeNext', types: ['node'], outDir: 'dist', strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true,
      skipLibCheck: true,
    },
    include: ['*.ts'],
  };
  const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
  const texts = { 'connector.ts': CONNECTOR, 'adapter.ts': ADAPTER, 'connector.test.ts': TEST, 'README.md': README };
  return new Map([
    ['package.json', json(manifest)], ['tsconfig.json', json(options)], ['.gitignore', 'dist/\nnode_modules/\n'],
    ...Object.entries(texts).map(([file, text]) => [file, text.replaceAll('NAME', name)] as const),
  ]);
}
