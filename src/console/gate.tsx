/** The way to what only somebody who is signed in sees or does. */
import type { Context, Handler } from 'hono';
import type { ConsoleContext, ConsoleEnv } from './context.ts';
import { readCookie, takeCookie } from './cookies.ts';
import { isFormOf } from './edge.ts';
import { SignIn } from './pages/signin.tsx';
import type { Session } from './sessions.ts';

type Answer = Response | Promise<Response>;
export type Form = Readonly<Record<string, string>>;

/** A page: whoever is not signed in goes and signs in, and comes back to it. */
export function page(context: ConsoleContext, show: (c: Context<ConsoleEnv>, session: Session) => Answer): Handler<ConsoleEnv> {
  return (c) => {
    const session = c.get('session');
    return session === null ? signInFirst(c, context) : show(c, session);
  };
}

export function signInFirst(c: Context<ConsoleEnv>, context: ConsoleContext): Response {
  const { pathname, search } = new URL(c.req.url);
  const wasSignedIn = readCookie(c, 'session', context.publicUrl) !== undefined;
  if (wasSignedIn) takeCookie(c, 'session', context.publicUrl);
  return c.redirect(`/signin?then=${encodeURIComponent(pathname + search)}${wasSignedIn ? '&over' : ''}`, 303);
}

/** What somebody does with a form of ours. `back`: the page that the form is on. */
export function deed(context: ConsoleContext, back: (c: Context<ConsoleEnv>) => string, act: (c: Context<ConsoleEnv>, session: Session, form: Form) => Answer): Handler<ConsoleEnv> {
  return async (c) => {
    const form = textsOf(await c.req.parseBody({ all: true }));
    const session = c.get('session');
    if (session !== null && isFormOf(session, form['formKey'])) return act(c, session, form);
    return signInAgain(c, context, back(c), form['comment'] ?? null);
  };
}

export function signInAgain(c: Context<ConsoleEnv>, context: ConsoleContext, then: string, written: string | null): Answer {
  return c.html(<SignIn context={context} then={then} written={written} said={{ how: 'bad', text: 'Your session was over: nothing was decided. Sign in again, and decide then.' }} />, 401);
}

/** Several values of one name are put a line each. */
function textsOf(body: Readonly<Record<string, unknown>>): Form {
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string').join('\n')]));
}
