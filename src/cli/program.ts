/** Every command, and nothing else: each is a file of its own. */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import { EXIT } from './exit.ts';
import { openRunner, type Runner } from './runner.ts';
import type { World } from './world.ts';

type Add = (program: Command, run: Runner) => void;

/** In the order of the help. Only what a command line names is loaded: `verify` does not wait for a server, nor a policy engine. */
const COMMANDS: readonly { readonly names: readonly string[]; readonly load: () => Promise<Add> }[] = [
  { names: ['init'], load: async () => (await import('./init.ts')).addInit },
  { names: ['dev', 'demo'], load: async () => (await import('./dev.ts')).addDev },
  { names: ['serve', 'worker'], load: async () => (await import('./serve.ts')).addServe },
  { names: ['console'], load: async () => (await import('./console.ts')).addConsole },
  { names: ['request'], load: async () => (await import('./request.ts')).addRequest },
  { names: ['run'], load: async () => (await import('./run.ts')).addRun },
  { names: ['changes'], load: async () => (await import('./changes.ts')).addChanges },
  { names: ['approve', 'reject', 'withdraw'], load: async () => (await import('./decide.ts')).addDecisions },
  { names: ['breakglass'], load: async () => (await import('./break-glass.ts')).addBreakGlass }, { names: ['reduce'], load: async () => (await import('./reduce.ts')).addReduce },
  { names: ['extend'], load: async () => (await import('./extend.ts')).addExtend },
  { names: ['confirm'], load: async () => (await import('./confirm.ts')).addConfirm },
  { names: ['revoke'], load: async () => (await import('./revoke.ts')).addRevoke },
  { names: ['identify'], load: async () => (await import('./identify.ts')).addIdentify },
  { names: ['standing'], load: async () => (await import('./standing.ts')).addStanding },
  { names: ['lock'], load: async () => (await import('./lock.ts')).addLock },
  { names: ['erase'], load: async () => (await import('./erase.ts')).addErase },
  { names: ['redecision'], load: async () => (await import('./redecision.ts')).addRedecision },
  { names: ['reconcile'], load: async () => (await import('./reconcile.ts')).addReconcile },
  { names: ['inventory'], load: async () => (await import('./inventory.ts')).addInventory },
  { names: ['exceptions'], load: async () => (await import('./exceptions.ts')).addExceptions },
  { names: ['verify'], load: async () => (await import('./verify.ts')).addVerify },
  { names: ['report'], load: async () => (await import('./report.ts')).addReport },
  { names: ['who'], load: async () => (await import('./who.ts')).addWho },
  { names: ['witness'], load: async () => (await import('./witness.ts')).addWitness },
  { names: ['verifier'], load: async () => (await import('./verifier-page.ts')).addVerifierPage },
  { names: ['evidence'], load: async () => (await import('./evidence.ts')).addEvidence },
  { names: ['policy'], load: async () => (await import('./policy.ts')).addPolicy },
  { names: ['nats'], load: async () => (await import('./nats.ts')).addNats },
  { names: ['restore'], load: async () => (await import('./restore.ts')).addRestore },
  { names: ['ledger'], load: async () => (await import('./ledger.ts')).addLedger },
  { names: ['doctor'], load: async () => (await import('./doctor.ts')).addDoctor },
  { names: ['connector'], load: async () => (await import('./connector.ts')).addConnector },
  { names: ['keygen'], load: async () => (await import('./keygen.ts')).addKeygen },
  { names: ['completion'], load: async () => (await import('./completion.ts')).addCompletion },
];

/**
 * Every command that a command line may name, none of them run.
 *
 * @param argv what comes after the program's name: only what it names is loaded, and all of them where it names none
 * @param run what becomes of a command that is named
 */
export async function openProgram(argv: readonly string[], world: Pick<World, 'stdout' | 'stderr'>, run: Runner): Promise<Command> {
  const program = new Command('countersign')
    .description('Access-work orchestration for machine identities.')
    .version(VERSION)
    .option('--json', 'one JSON document on stdout instead of lines')
    .showHelpAfterError('(countersign --help lists the commands)')
    .configureOutput({ writeOut: (text) => void world.stdout.write(text), writeErr: (text) => void world.stderr.write(text) })
    .exitOverride()
    // An option belongs to the command that it comes after: `worker apply --config` is not `worker --config`.
    .enablePositionalOptions();
  const named = argv.find((word) => !word.startsWith('-')) ?? '';
  // Help, a word that is no command, and the script that completes them are told of all of them.
  const known = named === 'completion' ? [] : COMMANDS.filter(({ names }) => names.includes(named));
  for (const { load } of known.length > 0 ? known : argv.includes('--version') || argv.includes('-V') ? [] : COMMANDS) (await load())(program, run);
  inherit(program);
  return program;
}

/**
 * Runs one command line. Resolves with its exit code, for `run` its command's; never rejects for what a user can type.
 *
 * @param argv what comes after the program's name
 */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  let exit: number = EXIT.ok;
  const program = await openProgram(argv, world, openRunner(world, (code) => {
    exit = code;
  }));
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
    inner.copyInheritedSettings(command).showHelpAfterError(`(${pathOf(inner)} --help says what it takes)`).option('--json', 'one JSON document on stdout instead of lines');
    inherit(inner);
  }
}

/** `countersign lock set`. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
