/** The two servers of `npm run bench:policy`: a sidecar, and `opa run --server` with the same Rego and data, each a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../../examples/support/free-port.ts';
import { buildPolicy, policyRoots } from '../../src/cli/policy-build.ts';
import { hashToken } from '../../src/identity/tokens.ts';
import { makeInstallation } from '../support/installation.ts';

export interface Server {
  readonly url: string;
  readonly pid: number;
  /** From its start until it listens, or answers that it is well. */
  readonly readyMs: number;
  stop(): Promise<void>;
}

export interface SidecarServer extends Server {
  /** What a request of this principal carries. */
  readonly headersOf: (principal: string) => Readonly<Record<string, string>>;
}

/** A principal that the directory does not know: denied, and that recorded, before anything is read at a target. */
export const STRANGER = 'nhi:prod/stranger';
export const DEPLOYER = 'nhi:prod/ci-deployer';
const tokenOf = (principal: string): string => `cst_${Buffer.from(principal).toString('base64url')}`;

const FACTS = join(process.cwd(), 'examples', 'facts');
export const POLICY = join(process.cwd(), 'policy');

/** Words before a command that keep it on these cores. */
export const pinned = (cores: string): readonly string[] => ['taskset', '-c', cores];

function started([program, ...args]: readonly string[], options: { readonly stdout: 'pipe' | 'ignore'; readonly cwd?: string }): { child: ChildProcess; stop(): Promise<void> } {
  const child = spawn(program!, args, { stdio: ['ignore', options.stdout, 'ignore'], ...(options.cwd === undefined ? {} : { cwd: options.cwd }) });
  const exited = once(child, 'exit');
  return {
    child,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** @param policy the folder of the compiled bundle */
export async function startSidecar(cores: string, policy = join(POLICY, 'bundle')): Promise<SidecarServer> {
  const installation = await makeInstallation();
  const tokens = [DEPLOYER, STRANGER].map((principal) => ({ principal, roles: ['caller'], tokenSha256: hashToken(tokenOf(principal)) }));
  await installation.write('tokens.json', JSON.stringify(tokens));
  const config = readFileSync(installation.configPath, 'utf8').replaceAll(/[^ ]*\/examples\/facts/g, FACTS);
  await installation.write('countersign.yaml', `${config}policy: ${policy}\n`);
  const startMs = performance.now();
  const { child, stop } = started([...pinned(cores), process.execPath, join(import.meta.dirname, '../../src/main.js'), 'serve', '--config', installation.configPath], { stdout: 'pipe' });
  let url: string | undefined;
  for await (const line of createInterface({ input: child.stdout! })) {
    url = /^listening (http:\S+)$/.exec(line)?.[1];
    if (url !== undefined) break;
  }
  if (url === undefined) throw new Error('the sidecar did not listen');
  return {
    url, pid: child.pid!, readyMs: performance.now() - startMs,
    headersOf: (principal) => ({ authorization: `Bearer ${tokenOf(principal)}` }),
    async stop() {
      await stop();
      await installation.remove();
    },
  };
}

/** OPA on the Rego and data that our bundle is compiled from. */
export async function startOpa(cores: string): Promise<Server> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const startMs = performance.now();
  const { child, stop } = started(
    [...pinned(cores), 'opa', 'run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--skip-version-check', '--ignore', '*_test.rego', ...policyRoots(POLICY)],
    { stdout: 'ignore', cwd: POLICY },
  );
  for (;;) {
    if (child.exitCode !== null) throw new Error(`opa ended with ${child.exitCode}`);
    const well = await fetch(`${url}/health`).then(({ ok }) => ok, () => false);
    if (well) return { url, pid: child.pid!, readyMs: performance.now() - startMs, stop };
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A purpose that the policy of {@link runawayPolicy} does not come to an end about. */
export const RUNAWAY = 'runaway';

/** The shipped policy and a team's rule that, for one purpose, never ends: the folder of its bundle. */
export async function runawayPolicy(directory: string): Promise<string> {
  cpSync(POLICY, join(directory, 'policy'), { recursive: true });
  const overlay = join(directory, 'policy', 'overlays', 'slow');
  mkdirSync(overlay, { recursive: true });
  writeFileSync(join(overlay, 'slow.rego'), `package overlays.slow

import data.lib

wide := numbers.range(1, 4000)

# METADATA
# title: Slow
# description: Takes as long as it is let.
# custom:
#   code: slow
#   message: "Slow."
#   solution: Wait.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3}
deny contains lib.said(rego.metadata.chain()) if {
	input.change.purpose == "${RUNAWAY}"
	some a in wide
	some b in wide
	some c in wide
	a > b
	b > c
	c > a
}
`);
  await buildPolicy({ root: directory });
  return join(directory, 'policy', 'bundle');
}
