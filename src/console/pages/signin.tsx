/** Signing in and out. */
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { createRates } from '../../transport/https/rates.ts';
import { askAll, isSignedOut } from '../ask.ts';
import { begunSignIns } from '../begun.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv } from '../context.ts';
import { giveCookie, readCookie, takeCookie } from '../cookies.ts';
import { isFormOf, ownPath } from '../edge.ts';
import { Page } from '../layout.tsx';
import { CALLBACK } from '../oidc.ts';
import type { Said } from '../sessions.ts';
import { sourceOf } from '../source.ts';

/** Long enough for a second factor that has to be found. */
const SIGN_IN_MS = 600_000;
/** By then, whoever waits may try again. */
const AGAIN_SECONDS = 10;
const TOKEN = /^[A-Za-z0-9._~+/-]{1,8192}=*$/;

export function addSignIn(app: ConsoleApp, context: ConsoleContext): void {
  const { oidc, sessions, publicUrl, nowMs, random } = context;
  const begun = begunSignIns(nowMs, random);
  const rates = createRates({ nowMs });
  const signedIn = async (c: Context<ConsoleEnv>, token: string, endsAtMs: number | null, then: string): Promise<Response> => {
    const session = sessions.make(token, endsAtMs);
    const asked = await askAll(context, session, async (_client, me) => me);
    // Whatever somebody signs in with: until a sidecar has taken it, it makes nobody else's session be forgotten.
    if (isSignedOut(asked)) rates.mistook(sourceOf(c, context.isTrustedProxy));
    if (asked.every((one) => 'trouble' in one)) return refused(c, context, then, asked.map((one) => ('trouble' in one ? one.trouble.text : '')).join(' '));
    sessions.begin(session);
    // A session that was there ends with the new one: nobody goes on in what somebody else had begun.
    const before = readCookie(c, 'session', publicUrl);
    if (before !== undefined) sessions.end(before);
    giveCookie(c, 'session', publicUrl, session.id);
    return c.redirect(then, 303);
  };

  app.get('/signin', (c) => c.html(<SignIn context={context} then={ownPath(c.req.query('then'), publicUrl)} said={c.req.query('over') === undefined ? null : OVER} />));
  app.post('/signin', async (c) => {
    if (oidc !== null) return c.notFound();
    const form = await c.req.parseBody();
    const then = ownPath(typeof form['then'] === 'string' ? form['then'] : undefined, publicUrl);
    // Each is a question to every sidecar, and may be a guess.
    if (!rates.mayAsk(sourceOf(c, context.isTrustedProxy))) {
      c.header('retry-after', String(AGAIN_SECONDS));
      return refused(c, context, then, `Too many have tried from where you are. Try again in ${AGAIN_SECONDS} seconds.`, 429);
    }
    const token = typeof form['token'] === 'string' ? form['token'].trim() : '';
    return TOKEN.test(token) ? signedIn(c, token, null, then) : refused(c, context, then, 'That is not a token of a sidecar, which begins with cst_.');
  });
  app.post('/signout', async (c) => {
    const [session, form] = [c.get('session'), await c.req.parseBody()];
    if (session !== null && isFormOf(session, form['formKey'])) {
      sessions.end(session.id);
      takeCookie(c, 'session', publicUrl);
    }
    return c.redirect('/signin', 303);
  });
  if (oidc === null) return;

  app.get('/signin/provider', async (c) => {
    const then = ownPath(c.req.query('then'), publicUrl);
    const asked = await oidc.begin().catch((cause: unknown) => {
      context.logger.error({ cause: String(cause) }, 'the identity provider does not answer');
      return null;
    });
    if (asked === null) return refused(c, context, then, 'Your identity provider does not answer just now. Try again in a moment.', 503);
    giveCookie(c, 'signin', publicUrl, begun.seal({ ...asked.begun, then, untilMs: nowMs() + SIGN_IN_MS }));
    return c.redirect(asked.url.href, 303);
  });
  app.get(CALLBACK, async (c) => {
    const mine = begun.open(readCookie(c, 'signin', publicUrl));
    takeCookie(c, 'signin', publicUrl);
    if (mine === null) return refused(c, context, '/', 'This sign-in was not begun here, or is too old. Begin again.', 400);
    const answered = new URL(new URL(c.req.url).search, new URL(CALLBACK, publicUrl));
    const got = await oidc.finish(answered, mine).catch((cause: unknown) => {
      context.logger.error({ cause: String(cause) }, 'a sign-in did not hold');
      return null;
    });
    if (got === null) return refused(c, context, mine.then, 'What your identity provider answered does not hold. Begin again.', 400);
    return signedIn(c, got.token, got.endsAtMs, mine.then);
  });
}

const OVER: Said = { how: 'open', text: 'Your session is over. Nothing was lost: sign in again, and what you typed is where you left it.' };

function refused(c: Context<ConsoleEnv>, context: ConsoleContext, then: string, text: string, status: ContentfulStatusCode = 401): Response | Promise<Response> {
  return c.html(<SignIn context={context} then={then} said={{ how: 'bad', text }} />, status);
}

/** @param written what came with a form whose session was over: shown, so that it is not lost without script either */
export function SignIn({ context, then, said, written = null }: { context: ConsoleContext; then: string; said: Said | null; written?: string | null }) {
  return (
    <Page context={context} session={null} title="Sign in" said={said}>
      <section class="signin">
        <h1>Sign in</h1>
        {written === null || written === '' ? null : <><p>You had written:</p><blockquote>{written}</blockquote></>}
        {context.oidc === null ? (
          <form method="post" action="/signin">
            <input type="hidden" name="then" value={then} />
            <label for="token">Your token</label>
            <p class="hint" id="token-hint">The one that <code>countersign</code> uses in your terminal. It stays with this console’s process, and goes to your sidecars alone.</p>
            <input type="password" id="token" name="token" autocomplete="current-password" required aria-describedby="token-hint" />
            <button class="main" type="submit">Sign in</button>
          </form>
        ) : (
          <>
            <p>You decide in your own name, by your organisation’s sign-in.</p>
            <a class="button main" href={`/signin/provider?then=${encodeURIComponent(then)}`}>Sign in with your organisation</a>
          </>
        )}
      </section>
    </Page>
  );
}
