/** A connector that is not part of this package: a module that the configuration names. */
import { stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { ConfigError, type ModuleConfig } from './config.ts';
import { TargetError, type Connector } from './connector.ts';

const METHODS = ['describe', 'read', 'apply', 'probe', 'tryUse', 'revoke', 'close'] as const satisfies readonly (keyof Connector)[];
const KINDS: readonly string[] = ['unreachable', 'rejected', 'ambiguous', 'notYet'] satisfies readonly TargetError['kind'][];

/** What the module's `openConnector(id, options)` gives. @throws ConfigError when somebody else could change the module, or it gives no connector; else whatever the module throws */
export async function openModule(id: string, { file, options }: ModuleConfig): Promise<Connector> {
  await mustBeOwn(file);
  const { openConnector } = (await import(pathToFileURL(file).href)) as { readonly openConnector?: unknown };
  if (typeof openConnector !== 'function') throw new ConfigError(file, 'exports no function openConnector');
  const connector: unknown = await (openConnector as (id: string, options: ModuleConfig['options']) => unknown)(id, options);
  const missing = METHODS.filter((method) => typeof (connector as Partial<Connector> | null)?.[method] !== 'function');
  if (missing.length > 0) throw new ConfigError(file, `what its openConnector gives has no ${missing.join(', ')}`);
  return adopted(connector as Connector);
}

/** It runs in the executor, with all that the executor may do. */
async function mustBeOwn(file: string): Promise<void> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new ConfigError(file, 'is not there', { cause });
  });
  const self = process.getuid?.();
  if (self !== undefined && found.uid !== self && found.uid !== 0) throw new ConfigError(file, `belongs to uid ${found.uid}, and would run as ${self}`);
  if ((found.mode & 0o022) !== 0) throw new ConfigError(file, `others can write to it (mode ${(found.mode & 0o777).toString(8)}), and it would run in the executor: chmod go-w ${file}`);
}

/** The same connector. A module may come with a copy of this package of its own, whose TargetError is another class: what it says is taken all the same. */
function adopted(connector: Connector): Connector {
  const ours = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw error instanceof Error && error.name === 'TargetError' && 'kind' in error && KINDS.includes(error.kind as string)
        ? new TargetError(error.kind as TargetError['kind'], error.message, { cause: error })
        : error;
    }
  };
  return {
    describe: (action) => connector.describe(action),
    read: (query, signal) => ours(() => connector.read(query, signal)),
    apply: (input) => ours(() => connector.apply(input)),
    probe: (step, signal, validUntil) => ours(() => connector.probe(step, signal, validUntil)),
    tryUse: (step, secret, signal) => ours(() => connector.tryUse(step, secret, signal)),
    revoke: (order, signal) => ours(() => connector.revoke(order, signal)),
    close: () => connector.close(),
    ...(connector.discover === undefined ? {} : { discover: (query, signal) => ours(() => connector.discover!(query, signal)) }),
    ...(connector.issue === undefined ? {} : { issue: (input) => ours(() => connector.issue!(input)) }),
  };
}
