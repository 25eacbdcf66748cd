/**
 * The API as it is answered over the bus, for consoles that cannot reach the sidecar otherwise: the same app, which looks at the same token. Only what
 * people do and read is there; what callers, executors and operators are for is not.
 */
import { Buffer } from 'node:buffer';
import type { Signer } from '../../ledger/index.ts';
import type { Config } from '../config/schema.ts';
import type { Clock, Logger } from '../engine/ports.ts';
import type { ApiCall } from '../protocol/api-call.ts';
import { isCanonicalPath } from './edge.ts';
import { Problem, problemBody } from './errors.ts';
import { openNatsBus } from './reach.ts';
import { ROUTES, type OperationId, type Route } from './routes.ts';

/** A route that is not here is not there over the bus, a new one neither. */
export const BUS_OPERATIONS = [
  'listChanges', 'getChange', 'reduceChange', 'decideApproval', 'getStatement', 'getBreakGlass', 'breakGlass', 'getBreakGlassReview', 'reviewBreakGlass', 'withdrawChange', 'revokeChange',
  'getEvidence', 'makePack', 'proveRecord', 'getMe', 'listNhis', 'getNhi', 'revokeNhi', 'listLeases', 'listHeldRevokes', 'confirmHeldRevokes',
  'getProposedPolicy', 'decideProposedPolicy', 'getProposalStatement', 'setLock', 'listLocks', 'liftLock', 'giveStandingApproval', 'listStandingApprovals', 'revokeStandingApproval',
  'listReconciliations', 'listFindings', 'getDiscovery', 'getCheckpoint', 'getTile', 'getObjects', 'getReadiness',
] as const satisfies readonly OperationId[];

const PATHS = BUS_OPERATIONS.map((operation): { method: string; path: RegExp } => {
  const { method, path }: Route = ROUTES[operation];
  return { method, path: new RegExp(`^${path.replaceAll('.', String.raw`\.`).replaceAll(/\{[a-z]+\\\.\\\.\\\.\}/g, '.+').replaceAll(/\{[a-z]+\}/g, '[^/]+')}$`) };
});

type Fetch = (request: Request, env: object) => Response | Promise<Response>;

/** Has a call answered by the app. It comes from nowhere: with no address, no peer and no `Host` of its own, and so with no more than its token. */
export function answererOf(fetch: Fetch): (call: ApiCall) => Promise<Response> {
  return async ({ method, path, query, headers, body }) => {
    // In its one spelling, a path is the same to this list and to the parser by which the app reads it.
    if (!isCanonicalPath(path) || !PATHS.some((one) => one.method === method && one.path.test(path))) return refusal(new Problem('not-found', 'no resource of this name over the bus'), path);
    const url = new URL(path, 'http://localhost');
    url.search = query;
    const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return fetch(new Request(url, { method, headers: given, ...(body === null || method === 'GET' ? {} : { body: Buffer.from(body, 'base64') }) }), {});
  };
}

function refusal(problem: Problem, path: string): Response {
  const body = problemBody(problem, path.slice(0, 512));
  return new Response(JSON.stringify(body), { status: body.status, headers: { 'content-type': 'application/problem+json' } });
}

export interface BusApi {
  close(): Promise<void>;
}

export interface BusApiOptions {
  readonly log: string;
  readonly ticketSigner: Signer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fetch: Fetch;
  /** How long calls that are being answered have, once this is closed. */
  readonly drainMs: number;
}

/** Answers on a connection of its own: whoever calls much holds up no step, lock or order. @throws PrivateFileError when the seed of the bus cannot be had */
export async function openBusApi(nats: NonNullable<Config['nats']>, { log, ticketSigner, clock, logger, fetch, drainMs }: BusApiOptions): Promise<BusApi> {
  const { answerApi } = await import('../transport/nats/api-answers.ts');
  const bus = await openNatsBus(nats, { name: `sidecar ${log}, its API`, inboxPrefix: `_INBOX_${log}_api`, logger });
  const answers = await answerApi({ bus, log, ticketSigner, clock, logger, answer: answererOf(fetch) });
  return {
    async close() {
      await answers.close(drainMs);
      await bus.close();
    },
  };
}
