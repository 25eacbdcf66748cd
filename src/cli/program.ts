/** Every command, and nothing else: each is a file of its own. */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import { addChanges } from './changes.ts';
import { addDecisions } from './decide.ts';
import { addDev } from './dev.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { addInit } from './init.ts';
import { addKeygen } from './keygen.ts';
import { addPolicy } from './policy.ts';
import { addRequest } from './request.ts';
import { addRevoke } from './revoke.ts';
import { openRunner } from './runner.ts';
import { addServe } from './serve.ts';
import { addVerify } from './verify.ts';
import type { World } from './world.ts';

/**
 * Runs one command line. Resolves with its exit code; never rejects for what a user can type.
 *
 * @param argv what comes after the program's name
 */
export async function runCli(argv: readonly string[], world: World): Promise<ExitCode> {
  let exit: ExitCode = EXIT.ok;
  const program = new Command('countersign')
    .description('Access-work orchestration for machine identities.')
    .version(VERSION)
    .option('--json', 'one JSON document on stdout instead of lines')
    .showHelpAfterError('(countersign --help lists the commands)')
    .configureOutput({ writeOut: (text) => void world.stdout.write(text), writeErr: (text) => void world.stderr.write(text) })
    .exitOverride();
  const run = openRunner(world, (code) => {
    exit = code;
  });
  for (const add of [addInit, addDev, addServe, addRequest, addChanges, addDecisions, addRevoke, addVerify, addPolicy, addKeygen]) add(program, run);
  inherit(program);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exit;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end the parser as well; they are not errors.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

/** `--json` goes anywhere on the line; and no command may end the process behind our back. */
function inherit(command: Command): void {
  for (const inner of command.commands) {
    inner.copyInheritedSettings(command).option('--json', 'one JSON document on stdout instead of lines');
    inherit(inner);
  }
}
