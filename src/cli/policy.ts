/** `countersign policy`: Rego compiled, tested, signed and asked. */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { PolicyToolError, type PolicyToolErrorCode } from './opa.ts';
import { table } from './output.ts';
import { packageRoot } from './package.ts';
import { buildPolicy } from './policy-build.ts';
import { addDiff } from './policy-diff.ts';
import { evaluate } from './policy-eval.ts';
import { initPolicy } from './policy-init.ts';
import { lint } from './policy-lint.ts';
import { addReplay } from './policy-replay.ts';
import { pack } from './policy-pack.ts';
import { addProposed } from './policy-proposed.ts';
import { sign } from './policy-sign.ts';
import { addSimulate } from './policy-simulate.ts';
import { testPolicy } from './policy-test.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface PolicyFlags {
  readonly root?: string;
  readonly opa?: string;
}

/** What `--policy` takes. */
const POLICY = 'a compiled policy, or a folder that holds policy/ with one (default: here, else the one that comes with the package)';

export function addPolicy(program: Command, run: Runner): void {
  const policy = program.command('policy').description('build, test and ask policy');
  const sources = (name: string): Command =>
    policy.command(name).option('--root <folder>', 'the folder that holds policy/ (default: here, else the package)').option('--opa <command>', 'the opa command (default: opa on the PATH, else go run of its module, else docker)');
  sources('build').description('compile the Rego to policy/bundle').action(run(build));
  sources('test').description('format, types, unit tests, coverage, and all of it again compiled').action(run(test));
  policy
    .command('init')
    .argument('<folder>', 'a new or empty folder')
    .description('make a policy repository: the baseline, an overlay of your own with a rule and its test, and CI that lints, tests and builds')
    .option('--team <name>', 'what the overlay is called', 'team')
    .action(run(initPolicy));
  policy
    .command('lint')
    .argument('[folder]', 'the folder that holds policy/ (default: here, else the package)')
    .description('rules without code, message, solution, controls or test; controls that there are not; what is not deterministic. Needs no opa, but for types')
    .option('--opa <command>', 'the opa command, for syntax and types (default: opa on the PATH; without one they are not checked)')
    .option('--no-types', 'leave syntax and types to countersign policy test')
    .action(run(lint));
  policy
    .command('sign')
    .argument('[folder]', 'a compiled bundle (default: ./policy)')
    .description('sign a bundle, for sidecars and verifiers whose trust folder names you among its policySigners')
    .requiredOption('--key <file>', 'your key: countersign keygen policy')
    .option('--revision <text>', 'what you call it')
    .action(run(sign));
  policy
    .command('pack')
    .argument('[folder]', 'a compiled bundle (default: ./policy)')
    .description('write a bundle as one signed file in the format of OPA, for what policySource.url names')
    .requiredOption('--out <file>', 'bundle.tar.gz')
    .requiredOption('--signing-key <file>', 'private key in PEM')
    .requiredOption('--revision <text>', 'begins with a number that only grows: 17, 17-3fa2c1b')
    .option('--signing-alg <name>', 'ES256, RS256 or EdDSA', 'ES256')
    .option('--key-id <text>', 'by which OPA finds the key in its configuration')
    .option('--scope <text>', 'what the signature is for')
    .action(run(pack));
  policy
    .command('eval')
    .description('ask the compiled policy one question')
    .requiredOption('-i, --input <file>', 'the question in JSON or YAML; - for standard input')
    .option('--entrypoint <name>', 'access/decide, access/schedule, access/verify, access/reconcile, access/redecide or workflow/accept', 'access/decide')
    .option('--policy <folder>', POLICY)
    .option('--explain', 'every reason with its METADATA, what the strictest was, and what of the question is not there; takes an incomplete question too')
    .action(run(evaluate));
  addSimulate(policy, run, POLICY);
  addReplay(policy, run, POLICY);
  addDiff(policy, run);
  addProposed(policy, run);
}

function rootOf(session: Session, flags: PolicyFlags): string {
  if (flags.root !== undefined) return resolve(session.cwd, flags.root);
  return existsSync(join(session.cwd, 'policy', 'access')) ? session.cwd : packageRoot();
}

async function build(session: Session, flags: PolicyFlags): Promise<ExitCode> {
  const manifest = await withTool(() => buildPolicy({ root: rootOf(session, flags), ...(flags.opa === undefined ? {} : { opa: flags.opa }) }));
  session.out.document(manifest);
  session.out.line(`bundle ${manifest.digest}`);
  return EXIT.ok;
}

async function test(session: Session, flags: PolicyFlags): Promise<ExitCode> {
  const { out } = session;
  const report = await withTool(() => testPolicy({ root: rootOf(session, flags), ...(flags.opa === undefined ? {} : { opa: flags.opa }) }));
  out.document(report);
  for (const line of table(report.checks.map(({ name, ok, detail }) => [ok ? '✓' : '✗', name, detail]))) out.line(line);
  return report.ok ? EXIT.ok : EXIT.failed;
}

/** The policy is at fault, and not the machine. */
const FAILED: ReadonlySet<PolicyToolErrorCode> = new Set(['opa-failed', 'overlay-loosens', 'overlay-not-heard']);

async function withTool<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof PolicyToolError)) throw cause;
    throw new CliError(FAILED.has(cause.code) ? EXIT.failed : EXIT.io, cause.code, { cause: cause.message, effect: 'No file was changed.' }, { cause });
  }
}
