/** A job of GitHub Actions without GitHub: its steps by a shell, as a runner does them, and in place of GitHub's endpoint for tokens, one that a test's key signs for. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { issue, type IssuerKey } from '../../support/token-issuer.ts';

export interface Workflow {
  readonly permissions: object;
  readonly jobs: { readonly deploy: { readonly env: Readonly<Record<string, string | number>>; readonly steps: readonly Step[] } };
}
export interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string | number>>;
  readonly 'working-directory'?: string;
}

export interface TokenEndpoint {
  /** What a job finds in `ACTIONS_ID_TOKEN_REQUEST_URL`. */
  readonly url: string;
  /** How many tokens it has given. */
  issued(): number;
  close(): void;
}

/** Tells each job about itself, for the audience that it names, and nobody without a job's own request token. @param claimsOf by repository */
export async function serveTokenEndpoint(key: IssuerKey, claimsOf: (repository: string) => Readonly<Record<string, string>>): Promise<TokenEndpoint> {
  let issued = 0;
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://localhost');
    const repository = /^Bearer job-of (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (repository === undefined || url.searchParams.get('api-version') !== '2.0') return void response.writeHead(401).end();
    issue(key, { ...claimsOf(repository), aud: url.searchParams.get('audience') }).then((value) => {
      issued += 1;
      response.end(JSON.stringify({ value }));
    }, () => response.writeHead(500).end());
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/?api-version=2.0`, issued: () => issued, close: () => void server.close() };
}

export interface JobStep {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What a runner starts for each step that is a script, in the checked-out repository at `root`. */
export function stepsOf(workflow: Workflow, { root, repository, version, temp, endpoint }: { root: string; repository: string; version: string; temp: string; endpoint: TokenEndpoint }): JobStep[] {
  const filled = (text: string): string => text.replaceAll('${{ runner.temp }}', temp).replaceAll('${{ inputs.version }}', version);
  const { env: ofJob, steps } = workflow.jobs.deploy;
  return steps.flatMap(({ run, env, 'working-directory': directory }) => (run === undefined ? [] : [{
    command: ['bash', '-e', '-c', filled(run)],
    cwd: join(root, directory ?? '.'),
    env: {
      ...Object.fromEntries(Object.entries({ ...ofJob, ...env }).map(([name, value]) => [name, filled(String(value))])),
      ACTIONS_ID_TOKEN_REQUEST_URL: endpoint.url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: `job-of ${repository}`, RUNNER_TEMP: temp,
    },
  }]));
}
