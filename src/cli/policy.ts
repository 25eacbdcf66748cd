/** `countersign policy build|sign|test|eval`. */
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { openPdp, EngineFault } from '../pdp/engine.ts';
import { changeInputSchema, reconcileInputSchema, verificationInputSchema } from '../pdp/policy-input.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readText } from './files.ts';
import { PolicyToolError } from './opa.ts';
import { plain, table } from './output.ts';
import { packageRoot } from './package.ts';
import { buildPolicy } from './policy-build.ts';
import { sign } from './policy-sign.ts';
import { testPolicy } from './policy-test.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface PolicyFlags {
  readonly root?: string;
  readonly opa?: string;
}

interface EvalFlags {
  readonly bundle?: string;
  readonly input: string;
  readonly entrypoint: string;
}

export function addPolicy(program: Command, run: Runner): void {
  const policy = program.command('policy').description('build, test and ask policy');
  const sources = (name: string): Command =>
    policy.command(name).option('--root <folder>', 'the folder that holds policy/ (default: here, else the package)').option('--opa <command>', 'the opa command');
  sources('build').description('compile the Rego to policy/bundle').action(run(build));
  sources('test').description('format, types, unit tests, coverage, and all of it again compiled').action(run(test));
  policy
    .command('sign')
    .argument('[folder]', 'a compiled bundle (default: ./policy)')
    .description('sign a bundle, for sidecars and verifiers whose trust folder names you among its policySigners')
    .requiredOption('--key <file>', 'your key: countersign keygen policy')
    .option('--revision <text>', 'what you call it')
    .action(run(sign));
  policy
    .command('eval')
    .description('ask the compiled policy one question')
    .requiredOption('-i, --input <file>', 'the question in JSON or YAML; - for standard input')
    .option('--entrypoint <name>', 'access/decide, access/schedule, access/verify or access/reconcile', 'access/decide')
    .option('--bundle <folder>', 'a compiled bundle (default: the one that comes with the package)')
    .action(run(evaluate));
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

async function withTool<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof PolicyToolError)) throw cause;
    throw new CliError(cause.code === 'opa-failed' ? EXIT.failed : EXIT.io, cause.code, { cause: cause.message, effect: 'No file was changed.' }, { cause });
  }
}

async function evaluate(session: Session, flags: EvalFlags): Promise<ExitCode> {
  const { out } = session;
  const text = flags.input === '-' ? Buffer.from(await session.readStdin()).toString('utf8') : readText(resolve(session.cwd, flags.input), 'the input');
  const input: unknown = parse(text, { uniqueKeys: true });
  const directory = flags.bundle === undefined ? join(packageRoot(), 'policy', 'bundle') : resolve(session.cwd, flags.bundle);
  try {
    const pdp = await openPdp({ directory });
    try {
      const answer = await ask(pdp, flags.entrypoint, input);
      out.document({ bundle: pdp.bundle, answer });
      if (!out.json) session.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
      // A schedule says when, and never no.
      const granted = !('effect' in answer) || answer.effect !== 'deny';
      return granted ? EXIT.ok : EXIT.failed;
    } finally {
      await pdp.close();
    }
  } catch (cause) {
    if (!(cause instanceof EngineFault)) throw cause;
    throw new CliError(EXIT.notEstablished, cause.code, { cause: `policy gave no answer: ${cause.message}`, effect: 'Where this happens to a change, nothing is given.' }, { cause });
  }
}

type Asked = Awaited<ReturnType<typeof openPdp>>;

async function ask(pdp: Asked, entrypoint: string, input: unknown): Promise<Awaited<ReturnType<Asked['decide' | 'schedule' | 'verify' | 'reconcile']>>> {
  switch (entrypoint) {
    case 'access/decide':
      return pdp.decide(checked(changeInputSchema.safeParse(input)));
    case 'access/schedule':
      return pdp.schedule(checked(changeInputSchema.safeParse(input)));
    case 'access/verify':
      return pdp.verify(checked(verificationInputSchema.safeParse(input)));
    case 'access/reconcile':
      return pdp.reconcile(checked(reconcileInputSchema.safeParse(input)));
    default:
      throw new CliError(EXIT.usage, 'usage', { cause: `${plain(entrypoint)} is not an entrypoint`, next: 'access/decide, access/schedule, access/verify or access/reconcile' });
  }
}

interface Parsed<T> {
  readonly success: boolean;
  readonly data?: T;
  readonly error?: { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] };
}

function checked<T>(parsed: Parsed<T>): T {
  if (parsed.success) return parsed.data!;
  const issues = (parsed.error?.issues ?? []).map(({ path, message }) => `/${path.join('/')}: ${message}`);
  throw new CliError(EXIT.usage, 'invalid-input', { cause: `the input is not what this entrypoint takes: ${issues.join('; ')}` });
}
