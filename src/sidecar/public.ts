/** What is served as it is: health, readiness, this API's description, and the ledger's files. */
import type { HeldEntry } from '../facts/granted.ts';
import type { Handlers } from './call.ts';
import type { Refused } from '../protocol/worker-state.ts';
import type { SidecarContext } from './context.ts';
import { readApprovePage } from './approve-page.ts';
import { Problem } from './errors.ts';
import { readTile } from './ledger-files.ts';
import { openApiDocument } from './openapi.ts';
import type { Readiness } from './schemas.ts';

type PublicOperation = 'getApprovePage' | 'getMetrics' | 'getHealth' | 'getReadiness' | 'getOpenApi' | 'getCheckpoint' | 'getTile' | 'getObjects';

/** The one spelling of a number of a segment of objects. */
const SEGMENT = /^(?:0|[1-9][0-9]{0,14})$/;

export function publicHandlers(context: SidecarContext): Handlers<PublicOperation> {
  // Made when it is first asked for: most sidecars are never asked, and all of them should start at once.
  let document: string | null = null;

  // What only some may read is kept by nobody between.
  const kept = context.ledgerReaders === 'anyone' ? 'public' : 'private';
  const serve = (bytes: Uint8Array | null, contentType: string, cache?: string): { status: number; body: Uint8Array; headers: Record<string, string> } => {
    if (bytes === null) throw new Problem('not-found', 'the ledger has no such file');
    return { status: 200, body: bytes, headers: { 'content-type': contentType, 'content-length': String(bytes.byteLength), ...(cache === undefined ? {} : { 'cache-control': cache }) } };
  };

  return {
    async getApprovePage() {
      if (context.approvePage === undefined) throw new Problem('not-found', 'passkeys belong to an address: publicUrl in the configuration says which');
      const page = await readApprovePage(context.approvePage);
      if (page === null) throw new Problem('not-found', 'this installation has no page for approvers: npm run verifier:build');
      return { status: 200, body: page.html, headers: { ...page.headers } };
    },
    async getMetrics() {
      if (context.metrics === undefined) throw new Problem('not-found', 'nobody is told here how the sidecar does: metrics: prometheus in the configuration');
      return { status: 200, body: Buffer.from(await context.metrics.text()), headers: { 'content-type': context.metrics.contentType } };
    },
    async getHealth() {
      return { status: 200, body: { status: 'ok' } };
    },
    async getReadiness() {
      const body = readiness(context);
      return { status: body.ready ? 200 : 503, body };
    },
    async getOpenApi() {
      document ??= JSON.stringify(openApiDocument());
      return { status: 200, body: Buffer.from(document), headers: { 'content-type': 'application/json' } };
    },
    async getCheckpoint() {
      return serve(await context.readLedgerFile('checkpoint'), 'text/plain; charset=utf-8', 'no-cache');
    },
    async getTile({ params }) {
      const bytes = await readTile(`tile/${params['tile']!}`, context.readLedgerFile, () => context.log.checkpoint().size);
      return serve(bytes, 'application/octet-stream', `${kept}, max-age=31536000, immutable`);
    },
    async getObjects({ params }) {
      // Never kept: an object may be erased.
      const segment = params['segment']!;
      return serve(SEGMENT.test(segment) ? await context.readLedgerFile(`objects/${segment}`) : null, 'application/octet-stream');
    },
  };
}

const CHECKS = { ledger: 'the ledger can be written', policy: 'a policy bundle is loaded', engine: 'the engine runs' } as const;

/** An executor that is away, or a copy of the ledger that does not come on, makes changes wait; it does not make the sidecar useless. */
export function readiness({ engine, draining, executors, copyTrouble, factsTrouble, heldExceptions, policySource, witnesses }: SidecarContext): Readiness {
  const troubles = engine.troubles();
  const checks: Readiness['checks'] = Object.entries(CHECKS).map(([check, well]) => {
    const trouble = troubles.find((one) => one.check === check);
    return { check, ok: trouble === undefined, required: true, message: trouble?.message ?? well };
  });
  for (const trouble of troubles) if (!Object.hasOwn(CHECKS, trouble.check)) checks.push({ check: trouble.check, ok: false, required: true, message: trouble.message });
  if (draining.aborted) checks.push({ check: 'stopping', ok: false, required: true, message: 'the sidecar is being stopped' });
  for (const { id, connected } of executors) {
    const { trouble, refused } = engine.executor(id);
    const isThere = connected();
    const how = !isThere ? 'not connected: its steps wait' : trouble === null ? 'connected' : 'connected; a lease book cannot be written: its worker takes back and gives nothing';
    checks.push({ check: id, ok: isThere && trouble === null, required: false, message: how + setAside(refused) });
  }
  if (factsTrouble !== undefined) {
    const trouble = factsTrouble();
    // Not required: it goes on by the facts before, until they are too old to give access by, which is policy's to say.
    checks.push({ check: 'facts', ok: trouble === null, required: false, message: trouble === null ? 'the facts files are in force' : `what they said before stays in force: ${trouble} cannot be taken; the log says why` });
  }
  const { floors, waiting } = engine.proposals();
  if (floors.length > 0) checks.push({ check: 'policyActivation', ok: waiting === null, required: false, message: waiting ?? 'no policy bundle waits for people' });
  const held = heldExceptions?.() ?? null;
  if (held !== null) checks.push({ check: 'exceptionGrants', ok: held.length === 0, required: false, message: held.length === 0 ? 'no exception waits for people to grant it' : `not in force: ${heldText(held)}` });
  // Not required: what was in force stays so. Where none is, that is the check of policy.
  if (policySource !== undefined) checks.push({ check: 'policySource', required: false, ...policySource() });
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

const HELD_SHOWN = 3;

function heldText(held: readonly HeldEntry[]): string {
  const further = held.length - HELD_SHOWN;
  return `${held.slice(0, HELD_SHOWN).map(({ id, lacks }) => `${id}, ${lacks}`).join('; ')}${further > 0 ? `; and ${further} more` : ''}`;
}
