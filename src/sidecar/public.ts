/** What is served as it is: health, readiness, this API's description, and the ledger's files. */
import type { Handlers } from './call.ts';
import type { Refused } from '../protocol/worker-state.ts';
import type { SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import { openApiDocument } from './openapi.ts';
import type { Readiness } from './schemas.ts';

type PublicOperation = 'getHealth' | 'getReadiness' | 'getOpenApi' | 'getCheckpoint' | 'getTile' | 'getObjects';

/** Names of what is in the ledger's directory; anything else there is not served. @see https://c2sp.org/tlog-tiles */
const TILE = /^(?:entries|[0-9]{1,2})(?:\/x[0-9]{3}){0,6}\/[0-9]{3}(?:\.p\/[0-9]{1,3})?$/;
const SEGMENT = /^[0-9]{1,16}$/;

/** A partial tile is replaced by a longer one, the checkpoint by the next; only a full tile stays as it is for ever. */
const FULL_TILE_CACHE = 'private, max-age=31536000, immutable';

export function publicHandlers(context: SidecarContext): Handlers<PublicOperation> {
  const { engine, draining } = context;
  // Made when it is first asked for: most sidecars are never asked, and all of them should start at once.
  let document: string | null = null;

  const serve = async (path: string, contentType: string, cache?: string): Promise<{ status: number; body: Uint8Array; headers: Record<string, string> }> => {
    const bytes = await context.readLedgerFile(path);
    if (bytes === null) throw new Problem('not-found', 'the ledger has no such file');
    return { status: 200, body: bytes, headers: { 'content-type': contentType, ...(cache === undefined ? {} : { 'cache-control': cache }) } };
  };

  return {
    async getHealth() {
      return { status: 200, body: { status: 'ok' } };
    },
    async getReadiness() {
      const body = readiness(engine.troubles(), context, draining.aborted);
      return { status: body.ready ? 200 : 503, body };
    },
    async getOpenApi() {
      document ??= JSON.stringify(openApiDocument());
      return { status: 200, body: Buffer.from(document), headers: { 'content-type': 'application/json' } };
    },
    getCheckpoint: () => serve('checkpoint', 'text/plain; charset=utf-8'),
    async getTile({ params }) {
      const tile = params['tile']!;
      if (!TILE.test(tile)) throw new Problem('not-found', 'the ledger has no such file');
      return serve(`tile/${tile}`, 'application/octet-stream', tile.includes('.p/') ? undefined : FULL_TILE_CACHE);
    },
    async getObjects({ params }) {
      const segment = params['segment']!;
      if (!SEGMENT.test(segment)) throw new Problem('not-found', 'the ledger has no such file');
      return serve(`objects/${segment}`, 'application/octet-stream');
    },
  };
}

const CHECKS = { ledger: 'the ledger can be written', policy: 'a policy bundle is loaded', engine: 'the engine runs' } as const;

/** An executor that is away, or a copy of the ledger that does not come on, makes changes wait; it does not make the sidecar useless. */
function readiness(troubles: readonly { check: string; message: string }[], { engine, executors, copyTrouble, witnesses }: SidecarContext, stopping: boolean): Readiness {
  const checks: Readiness['checks'] = Object.entries(CHECKS).map(([check, well]) => {
    const trouble = troubles.find((one) => one.check === check);
    return { check, ok: trouble === undefined, required: true, message: trouble?.message ?? well };
  });
  for (const trouble of troubles) if (!Object.hasOwn(CHECKS, trouble.check)) checks.push({ check: trouble.check, ok: false, required: true, message: trouble.message });
  if (stopping) checks.push({ check: 'stopping', ok: false, required: true, message: 'the sidecar is being stopped' });
  for (const { id, connected } of executors) {
    const { trouble, refused } = engine.executor(id);
    const isThere = connected();
    const how = !isThere ? 'not connected: its steps wait' : trouble === null ? 'connected' : 'connected; a lease book cannot be written: its worker takes back and gives nothing';
    checks.push({ check: id, ok: isThere && trouble === null, required: false, message: how + setAside(refused) });
  }
  if (copyTrouble !== undefined) {
    const trouble = copyTrouble();
    checks.push({ check: 'copy', ok: trouble === null, required: false, message: trouble ?? 'the copy of the ledger comes on' });
  }
  if (witnesses !== undefined) checks.push({ check: 'witnesses', required: false, ...witnesses() });
  return { ready: checks.every(({ ok, required }) => ok || !required), checks };
}

/** Nothing of it had an effect: it is no reason to be called unwell. */
function setAside(refused: readonly Refused[]): string {
  if (refused.length === 0) return '';
  const sum = refused.reduce((all, { count }) => all + count, 0);
  return `; set aside since the start: ${sum} (${refused.map(({ code, count }) => `${code} ${count}`).join(', ')})`;
}
