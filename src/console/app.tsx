/** The console: the pages by which people decide. It holds no authority and keeps nothing but who is signed in. */
import { Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { ConsoleApp, ConsoleContext, ConsoleEnv } from './context.ts';
import { readCookie } from './cookies.ts';
import { atTheEdge } from './edge.ts';
import { Page } from './layout.tsx';
import { addChange } from './pages/change.tsx';
import { addChanges } from './pages/changes.tsx';
import { addDecide } from './pages/decide.ts';
import { addEvidence } from './pages/evidence.tsx';
import { addIdentity } from './pages/identity.tsx';
import { addInbox } from './pages/inbox.tsx';
import { addInventory } from './pages/inventory.tsx';
import { addLeases } from './pages/leases.tsx';
import { addLedger } from './pages/ledger.tsx';
import { addRecord } from './pages/record.tsx';
import { addSignIn } from './pages/signin.tsx';
import { addStand } from './pages/stand.tsx';
import { addStanding } from './pages/standing.tsx';
import { understood } from './understood.ts';

/** A passkey's answer and a comment. */
const FORM_BYTES_MAX = 65_536;
const PAGES = [addSignIn, addInbox, addChanges, addChange, addDecide, addEvidence, addLeases, addStanding, addStand, addInventory, addIdentity, addLedger, addRecord] as const;

/** Streams are a page's own doing: they do not keep a session from ending. */
function findSession({ sessions, publicUrl }: ConsoleContext): MiddlewareHandler<ConsoleEnv> {
  return async (c, next) => {
    c.set('session', sessions.find(readCookie(c, 'session', publicUrl), !c.req.path.endsWith('/stream')));
    await next();
  };
}

/** The app over sidecars that it asks. Owns nothing. */
export function createConsole(given: ConsoleContext): ConsoleApp {
  const context: ConsoleContext = { ...given, places: given.places.map((place) => ({ ...place, open: (token) => understood(place.open(token)) })) };
  const app: ConsoleApp = new Hono<ConsoleEnv>();
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.use('*', atTheEdge(context.publicUrl));
  app.use('*', bodyLimit({ maxSize: FORM_BYTES_MAX, onError: (c) => c.text('That is more than any form here holds.\n', 413) }));
  app.use('*', findSession(context));
  for (const { path, contentType, bytes, packed } of Object.values(context.assets)) {
    app.get(path, (c) => {
      const isPacked = /\bbr\b/.test(c.req.header('accept-encoding') ?? '');
      return c.body(Buffer.from(isPacked ? packed : bytes), 200, { 'content-type': contentType, 'cache-control': 'public, max-age=31536000, immutable', vary: 'accept-encoding', ...(isPacked ? { 'content-encoding': 'br' } : {}) });
    });
  }
  for (const add of PAGES) add(app, context);
  app.notFound((c) => c.html(
    <Page context={context} session={c.get('session')} title="Nothing here">
      <h1>Nothing here</h1>
      <p>There is no page at this address. <a href="/">To the inbox</a></p>
    </Page>, 404,
  ));
  app.onError((error, c) => {
    context.logger.error({ method: c.req.method, path: c.req.path, cause: error.stack ?? error.message }, 'a request failed');
    return c.html(
      <Page context={context} session={null} title="Something failed">
        <h1>Something failed here</h1>
        <p>It is none of your doing, and nothing was decided by this page. <a href="/">To the inbox</a></p>
      </Page>, 500,
    );
  });
  return app;
}
