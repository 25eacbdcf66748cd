/** `countersign console`: the pages by which people decide, for every sidecar that its configuration names. */
import type { Command } from 'commander';
import { resolve } from 'node:path';
import { ConfigError } from '../config/load.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export function addConsole(program: Command, run: Runner): void {
  program.command('console').description('run the console, where people decide in a browser').option('--config <file>', 'console.yaml', 'console.yaml').action(run(runConsole));
}

async function runConsole(session: Session, flags: { readonly config: string }): Promise<ExitCode> {
  const { out } = session;
  const [{ loadConsoleConfig }, { startConsole }] = await Promise.all([import('../console/config.ts'), import('../console/start.ts')]);
  const config = await loadConsoleConfig(resolve(session.cwd, flags.config)).catch((cause: unknown) => {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new CliError(cause.code === 'unreadable' ? EXIT.io : EXIT.usage, `config-${cause.code}`, { cause: cause.message, effect: 'Nothing was started.', ...(cause.code === 'unreadable' ? { next: 'write one: docs/console.md has the smallest, under “To try it”' } : {}) }, { cause });
  });
  const started = await startConsole(config).catch((cause: unknown) => {
    throw new CliError(EXIT.io, 'not-started', { cause: cause instanceof Error ? cause.message : String(cause), effect: 'The console was not started.' }, { cause });
  });
  out.document({ address: started.address, publicUrl: config.publicUrl });
  out.line(`listening ${started.address}`);
  await new Promise<void>((stop) => {
    if (session.signal.aborted) stop();
    else session.signal.addEventListener('abort', () => stop(), { once: true });
  });
  out.say('stopping: requests in flight are answered first');
  await started.close();
  return EXIT.ok;
}
