/** The `opa` command: the only compiler of Rego to WebAssembly, needed to change policy and never to run it. */
import { execFile } from 'node:child_process';

/** Another version compiles to other bytes. */
export const OPA_VERSION = '1.22.2';

export const POLICY_TOOL_ERRORS = ['opa-not-found', 'opa-version', 'opa-failed'] as const;
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

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the command ended. @throws PolicyToolError `opa-not-found` when there is no such command */
export function runOpa(opa: string, args: readonly string[], cwd: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    execFile(opa, [...args], { cwd, maxBuffer: 64 * 1024 * 1024, timeout: 120_000 }, (error, stdout, stderr) => {
      if (error === null) return resolve({ status: 0, stdout, stderr });
      if (error.code === 'ENOENT' || error.code === 'EACCES') {
        return reject(new PolicyToolError('opa-not-found', `no \`${opa}\` command: go install github.com/open-policy-agent/opa@v${OPA_VERSION}`, { cause: error }));
      }
      return resolve({ status: typeof error.code === 'number' ? error.code : 1, stdout, stderr: stderr === '' ? error.message : stderr });
    });
  });
}

/** Whatever the command printed. @throws PolicyToolError `opa-not-found` or, with what it wrote to stderr, `opa-failed` */
export async function demandOpa(opa: string, args: readonly string[], cwd: string): Promise<string> {
  const ran = await runOpa(opa, args, cwd);
  if (ran.status !== 0) throw new PolicyToolError('opa-failed', `opa ${args[0] ?? ''} exited ${ran.status}: ${(ran.stderr + ran.stdout).trim().slice(0, 4_000)}`);
  return ran.stdout;
}

/** The command is there and is the version that the committed bundle was built with. @throws PolicyToolError `opa-not-found` or `opa-version` */
export async function demandOpaVersion(opa: string, cwd: string): Promise<void> {
  const version = /^Version:\s*(\S+)/m.exec(await demandOpa(opa, ['version'], cwd))?.[1] ?? 'unknown';
  if (version !== OPA_VERSION) {
    throw new PolicyToolError('opa-version', `opa is ${version}, the bundle is built with ${OPA_VERSION}: go install github.com/open-policy-agent/opa@v${OPA_VERSION}`);
  }
}
