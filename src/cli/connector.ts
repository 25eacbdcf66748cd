/** `countersign connector new`: the beginning of a connector of one's own, with the conformance kit as its test. */
import type { Command } from 'commander';
import { join, resolve } from 'node:path';
import { connectorIdSchema } from '../protocol/values.ts';
import { VERSION } from '../version.ts';
import { connectorFiles } from './connector-files.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { isEmptyOrAbsent, writeNew } from './files.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export function addConnector(program: Command, run: Runner): void {
  const connector = program.command('connector').description('connectors of your own');
  connector
    .command('new')
    .argument('<name>', 'lower case letters, digits and -')
    .description('make the beginning of a connector: a package that compiles, and whose test fails until it is written')
    .option('--out <directory>', 'where (default: ./<name>)')
    .action(run(newConnector));
}

async function newConnector(session: Session, name: string, flags: { readonly out?: string }): Promise<ExitCode> {
  if (!connectorIdSchema.safeParse(name).success) {
    throw new CliError(EXIT.usage, 'usage', { cause: `${JSON.stringify(name)} is no name of a connector`, next: 'lower case letters, digits and -, at most 40, such as our-crm' });
  }
  const directory = resolve(session.cwd, flags.out ?? name);
  if (!isEmptyOrAbsent(directory)) throw new CliError(EXIT.usage, 'not-empty', { cause: `${directory} is not empty`, effect: 'It was left as it is.', next: 'name another with --out' });
  const files = connectorFiles(name, VERSION);
  for (const [file, text] of files) writeNew(join(directory, file), text);
  session.out.document({ directory, files: [...files.keys()] });
  session.out.say(`${directory}: ${[...files.keys()].join(', ')}`);
  session.out.say('npm install && npm test runs the kit, which fails until connector.ts and adapter.ts are written; README.md says in which order');
  return EXIT.ok;
}
