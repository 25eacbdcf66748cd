/** The frame of every page: who is signed in, where one can go, what was just done. */
import { raw } from 'hono/html';
import type { Child } from 'hono/jsx';
import type { ConsoleContext } from './context.ts';
import type { Said, Session } from './sessions.ts';
import { plain } from '../protocol/plain.ts';

export type Section = 'inbox' | 'changes' | 'leases' | 'standing' | 'inventory' | 'ledger';
const SECTIONS: readonly { readonly section: Section; readonly path: string; readonly text: string }[] = [
  { section: 'inbox', path: '/', text: 'Inbox' },
  { section: 'changes', path: '/changes', text: 'Changes' },
  { section: 'leases', path: '/leases', text: 'Leases' },
  { section: 'standing', path: '/standing', text: 'Standing' },
  { section: 'inventory', path: '/inventory', text: 'Inventory' },
  { section: 'ledger', path: '/ledger', text: 'Ledger' },
];

export interface PageProps {
  readonly context: ConsoleContext;
  readonly session: Session | null;
  readonly title: string;
  readonly section?: Section;
  /** The stream that keeps the page as it is, for the island that reads it. */
  readonly stream?: string;
  readonly said?: Said | null;
  readonly children?: Child;
}

export function Page({ context: { assets, oidc }, session, title, section, stream, said = null, children }: PageProps) {
  const told = said ?? session?.said ?? null;
  if (session !== null) session.said = null;
  const people = [...new Set([...(session?.me.values() ?? [])].map(({ principal }) => principal))];
  return (
    <>
    {raw('<!DOCTYPE html>')}
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{title} · Countersign</title>
        <link rel="stylesheet" href={assets['console.css'].path} />
        <link rel="icon" href={assets['icon.svg'].path} />
        <script type="module" src={assets['console.js'].path}></script>
      </head>
      <body data-stream={stream} data-who={session === null ? undefined : people.join(' ')}>
        <a class="skip" href="#main">Skip to the content</a>
        <header class="top">
          <a class="mark" href="/">Countersign</a>
          {session === null ? null : (
            <>
              <nav aria-label="Pages">
                {SECTIONS.map((one) => <a href={one.path} aria-current={one.section === section ? 'page' : undefined}>{one.text}</a>)}
              </nav>
              <form class="who" method="post" action="/signout">
                <input type="hidden" name="formKey" value={session.formKey} />
                <span class="id">{people.map(plain).join(', ')}</span>
                <button class="quiet" type="submit">Sign out</button>
              </form>
            </>
          )}
        </header>
        <p id="link" class="banner open" role="status" hidden></p>
        <main id="main" tabindex={-1}>
          {told === null ? null : <p id="said" class={`banner ${told.how}`} role={told.how === 'bad' ? 'alert' : 'status'} tabindex={-1}>{plain(told.text)}</p>}
          {children}
        </main>
        <footer class="bottom">
          <p>This console asks in your name, with your {oidc === null ? 'token' : 'sign-in'}, and can do nothing that you could not. What it shows is on record in the ledger.</p>
          {session === null ? null : <button class="quiet" type="button" id="show-keys" aria-haspopup="dialog" hidden>Keyboard</button>}
        </footer>
        {session === null ? null : <Keys />}
      </body>
    </html>
    </>
  );
}

const KEYS: readonly (readonly [string, string])[] = [
  ['j', 'next change, or next part of the page'], ['k', 'the one before'], ['Enter', 'open it'], ['a', 'to Approve'], ['r', 'to Reject'], ['i', 'to the inbox'], ['?', 'this help'],
];

function Keys() {
  return (
    <dialog id="keys" aria-labelledby="keys-title">
      <h2 id="keys-title">Keyboard</h2>
      <dl class="keys">{KEYS.map(([key, what]) => <div><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
      <p class="note">No key decides anything: it takes you to where you decide.</p>
      <form method="dialog">
        <label class="check"><input type="checkbox" id="keys-on" checked /> Single keys are on</label>
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
