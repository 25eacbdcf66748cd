/**
 * What is looked at before anything is answered: is this request for us, and from one of our pages? And what every answer says to the browser.
 *
 * A cookie comes with whatever the browser sends here, so a request that does something must also show that one of our pages made it: by
 * `Sec-Fetch-Site` or `Origin`, and by the key that only our forms carry.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import type { ConsoleEnv } from './context.ts';
import type { Session } from './sessions.ts';

/** Only what is served here, nothing inline, framed by nobody; what an island puts into a page came from here, by the one policy that it names. */
const CONTENT_POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
  "require-trusted-types-for 'script'", 'trusted-types countersign',
].join('; ');

/** Nothing of an address here is told elsewhere; `no-referrer` would have browsers leave our own forms' `Origin` out as well. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin', 'permissions-policy': 'publickey-credentials-get=(self)',
};

/** Answers only to its own name, and takes what does something only from its own pages. */
export function atTheEdge(publicUrl: URL): MiddlewareHandler<ConsoleEnv> {
  return async (c, next) => {
    if ((c.req.header('host') ?? new URL(c.req.url).host).toLowerCase() !== publicUrl.host) return c.text('This console does not answer to that name.\n', 421, HEADERS);
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD' && !isFromOurPages(c, publicUrl.origin)) return c.text('What another page sends here is refused. Nothing was done.\n', 403, HEADERS);
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store');
    if (publicUrl.protocol === 'https:') c.res.headers.set('strict-transport-security', 'max-age=31536000');
    return undefined;
  };
}

/** Every browser of today says at least one of the two with a form. */
function isFromOurPages(c: Context, origin: string): boolean {
  const [site, from] = [c.req.header('sec-fetch-site'), c.req.header('origin')];
  return (site === undefined || site === 'same-origin') && (from === undefined || from === origin) && (site !== undefined || from !== undefined);
}

/** Whether a form was made for this session. */
export function isFormOf(session: Session, formKey: unknown): boolean {
  const [given, own] = [Buffer.from(typeof formKey === 'string' ? formKey : ''), Buffer.from(session.formKey)];
  return given.length === own.length && timingSafeEqual(given, own);
}

/** The path of this console that a text names; the inbox for anything else: nobody is sent elsewhere. */
export function ownPath(text: string | undefined, publicUrl: URL): string {
  if (text === undefined || !URL.canParse(text, publicUrl.href)) return '/';
  const url = new URL(text, publicUrl);
  // `/.//elsewhere.example` is a path of ours until its dots are gone: what is left of it names another host.
  return url.origin === publicUrl.origin && text.startsWith('/') && !url.pathname.startsWith('//') ? url.pathname + url.search : '/';
}
