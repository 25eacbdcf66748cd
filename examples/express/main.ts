/**
 * An internal service, two of whose routes need access for a moment: one while it answers, one for work that goes on after the answer.
 *
 *     PORT                    where it listens on loopback; 0: the system chooses
 *     COUNTERSIGN_SOCKET      the sidecar's socket
 *     COUNTERSIGN_TOKEN_FILE  its token, read at each request: it may be replaced meanwhile
 *     PGHOST, PGPASSWORD, …   its standing login, which holds nothing by itself; as node-postgres reads them
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, withAccess, type AccessOptions, type LeasedRequest } from 'countersign';
import { access, accessOf } from 'countersign/express';
import express, { type NextFunction, type Request, type Response } from 'express';
import { Client as Postgres } from 'pg';

/** How long a rollout may wait for a person; its answer was given before. */
const ROLLOUT_MS = 3_600_000;

interface Deployment {
  readonly version: string;
}

const { PORT = '0', COUNTERSIGN_SOCKET: socket, COUNTERSIGN_TOKEN_FILE: tokenFile } = process.env;
if (socket === undefined || tokenFile === undefined) throw new Error('COUNTERSIGN_SOCKET and COUNTERSIGN_TOKEN_FILE say where the sidecar is, and who asks');
const client = connect({ socket, token: () => readFileSync(tokenFile, 'utf8').trim() });

/** What a request needs: the deploy role, for as long as one deployment takes. */
function deployOf({ body }: Request<unknown, unknown, Deployment>): Extract<LeasedRequest, { kind: 'grant' }> {
  return {
    kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: `deploys ${body.version}`, duration: 'PT5M',
    entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }],
  };
}

/** Nobody is asked for what could not be deployed. */
function wantsVersion({ body }: { readonly body: unknown }, response: Response, next: NextFunction): void {
  const version = typeof body === 'object' && body !== null && 'version' in body ? body.version : undefined;
  if (typeof version === 'string' && /^[0-9A-Za-z.-]{1,32}$/.test(version)) next();
  else response.status(400).json({ error: 'version is 1 to 32 letters, digits, points and dashes' });
}

/** With the login that the service always has: it may do this only while the access is there. */
async function deploy(version: string, account: string, signal: AbortSignal): Promise<void> {
  const database = new Postgres({ user: account });
  await database.connect();
  try {
    signal.throwIfAborted();
    await database.query('INSERT INTO deployments (version) VALUES ($1)', [version]);
  } finally {
    await database.end();
  }
}

/** Told to end: nobody should approve what is not waited for any more, and what is at work stops and gives back. */
const ending = new AbortController();

const app = express();
app.use(express.json({ limit: '1kb' }));

// In one request: it waits for the access, has it while its handler runs, and gives it back when the response is over.
app.post('/deployments', wantsVersion, access({ client, change: deployOf }), async (request: Request<unknown, unknown, Deployment>, response) => {
  const { account, changeId, signal } = accessOf(request);
  await deploy(request.body.version, account, signal);
  response.status(201).json({ version: request.body.version, change: changeId });
});

// For what waits for a person longer than a client does: the answer says which change to look at, and the work begins once that is active.
app.post('/rollouts', wantsVersion, async (request: Request<unknown, unknown, Deployment>, response) => {
  const { version } = request.body;
  const change = await begin(deployOf(request), ({ account, signal }) => deploy(version, account, signal));
  response.status(202).location(`/rollouts/${change}`).json({ change });
});
app.get('/rollouts/:change', async (request, response) => {
  const { id, state } = await client.get(request.params.change);
  response.json({ change: id, state });
});

/** The id of the change, once it is recorded; `work` goes on behind it, and what becomes of that is said in the log. */
function begin(change: LeasedRequest, work: Parameters<typeof withAccess<void>>[2]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options: AccessOptions = { timeoutMs: ROLLOUT_MS, signal: ending.signal, seen: ({ id }) => resolve(id) };
    withAccess(client, change, work, options).then(
      ({ change: { id } }) => console.log(`${id} is through`),
      (error: unknown) => {
        console.error(error instanceof Error ? error.message : String(error));
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

// Whoever asked hears that it was not done; where it went wrong is for the log, and nobody else's to know.
app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
  console.error(error instanceof Error ? error.message : String(error));
  if (response.headersSent) return next(error);
  const isTheirs = error instanceof Error && 'expose' in error && error.expose === true && 'statusCode' in error;
  return void response.status(isTheirs ? Number(error.statusCode) : 503).json({ error: isTheirs ? 'this cannot be read' : 'not done; ask again later' });
});

const server = app.listen(Number(PORT), '127.0.0.1', () => console.log(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}`));
process.once('SIGTERM', () => {
  server.close();
  ending.abort();
});
