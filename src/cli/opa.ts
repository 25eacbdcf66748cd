/** The `opa` command: the only compiler of Rego to WebAssembly, needed to change policy and never to run it. */
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';

/** Another version compiles to other bytes. */
export const OPA_VERSION = '1.22.2';

export const POLICY_TOOL_ERRORS = ['opa-not-found', 'opa-version', 'opa-failed', 'overlay-loosens', 'overlay-not-heard'] as const;
export type PolicyToolErrorCode = (typeof POLICY_TOOL_ERRORS)[number];

/** A policy could not be built or tested; `code` says why. No file was changed. */
export class PolicyToolError extends Error {
  readonly code: PolicyToolErrorCode;
  constructor(code: PolicyToolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PolicyToolError';
    this.code = code;
  }
}

/** How opa is run: a command, or one with its first arguments, in which `{cwd}`, `{tmp}` and `{user}` are filled in. */
export type OpaCommand = string | readonly [string, ...string[]];

/** Where opa may be had, in the order in which it is looked for. All but the first fetch it, once. */
const CANDIDATES: readonly { readonly name: string; readonly command: OpaCommand }[] = [
  { name: '`opa` on the PATH', command: 'opa' },
  { name: `\`go run\` of its module`, command: ['go', 'run', `github.com/open-policy-agent/opa@v${OPA_VERSION}`] },
  { name: '`docker`', command: ['docker', 'run', '--rm', '--network', 'none', '--user', '{user}', '-v', '{cwd}:{cwd}', '-v', '{tmp}:{tmp}', '-w', '{cwd}', `openpolicyagent/opa:${OPA_VERSION}`] },
];
/** Compiling opa takes minutes, once. */
const TIMEOUT_MS = 600_000;

/**
 * How the pinned opa can be run here: the command itself, else its module by go, else its image by docker.
 *
 * @param path where commands are looked for
 * @throws PolicyToolError `opa-not-found`, or `opa-version` where there is only another one: why none of them would do
 */
export async function findOpa(cwd: string, path = process.env['PATH'] ?? ''): Promise<OpaCommand> {
  const why: string[] = [];
  let other = false;
  for (const { name, command } of CANDIDATES) {
    try {
      const { status, stderr, stdout } = await runOpa(command, ['version'], cwd, path);
      const version = versionIn(stdout);
      if (status === 0 && version === OPA_VERSION) return command;
      other ||= command === 'opa' && version !== null;
      why.push(`${name}: ${version === null ? (stderr.trim().split('\n').at(-1) ?? '').slice(0, 200) || `exited ${status}` : `is ${version}`}`);
    } catch (cause) {
      if (!(cause instanceof PolicyToolError)) throw cause;
      why.push(`${name}: not there`);
    }
  }
  throw new PolicyToolError(other ? 'opa-version' : 'opa-not-found', `opa ${OPA_VERSION} is needed to change policy, and cannot be run here (${why.join('; ')}): go install github.com/open-policy-agent/opa@v${OPA_VERSION}`);
}

const versionIn = (stdout: string): string | null => /^Version:\s*(\S+)/m.exec(stdout)?.[1] ?? null;

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the command ended. @throws PolicyToolError `opa-not-found` when there is no such command */
export function runOpa(opa: OpaCommand, args: readonly string[], cwd: string, path = process.env['PATH'] ?? ''): Promise<Ran> {
  const [command, ...first] = typeof opa === 'string' ? [opa] : opa;
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const filled = first.map((one) => one.replaceAll('{cwd}', cwd).replaceAll('{tmp}', tmpdir()).replaceAll('{user}', user));
  return new Promise((resolve, reject) => {
    execFile(command, [...filled, ...args], { cwd, env: { ...process.env, PATH: path }, maxBuffer: 64 * 1024 * 1024, timeout: TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) return resolve({ status: 0, stdout, stderr });
      if (error.code === 'ENOENT' || error.code === 'EACCES') {
        return reject(new PolicyToolError('opa-not-found', `no \`${command}\` command: go install github.com/open-policy-agent/opa@v${OPA_VERSION}`, { cause: error }));
      }
      return resolve({ status: typeof error.code === 'number' ? error.code : 1, stdout, stderr: stderr + stdout === '' ? error.message : stderr });
    });
  });
}

/** Whatever the command printed. @throws PolicyToolError `opa-not-found` or, with what it wrote to stderr, `opa-failed` */
export async function demandOpa(opa: OpaCommand, args: readonly string[], cwd: string): Promise<string> {
  const ran = await runOpa(opa, args, cwd);
  if (ran.status !== 0) throw new PolicyToolError('opa-failed', `opa ${args[0] ?? ''} exited ${ran.status}: ${(ran.stderr + ran.stdout).trim().slice(0, 4_000)}`);
  return ran.stdout;
}

/** The command is there and is the version that the committed bundle was built with. @throws PolicyToolError `opa-not-found` or `opa-version` */
export async function demandOpaVersion(opa: OpaCommand, cwd: string): Promise<void> {
  const version = versionIn(await demandOpa(opa, ['version'], cwd)) ?? 'unknown';
  if (version !== OPA_VERSION) {
    throw new PolicyToolError('opa-version', `opa is ${version}, the bundle is built with ${OPA_VERSION}: go install github.com/open-policy-agent/opa@v${OPA_VERSION}`);
  }
}
