/** The newest changes that she may see, at every sidecar. */
import type { ChangeView } from '../../client/index.ts';
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { changePath, State, Time, Title, Troubles } from '../parts/small.tsx';

const SHOWN = 50;

export function addChanges(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/changes', page(context, async (c, session) => {
    const asked = await askAll(context, session, (client) => client.list({ limit: SHOWN }));
    if (isSignedOut(asked)) return signInFirst(c, context);
    const found = asked.flatMap((one) => ('trouble' in one ? [] : one.value.changes.map((change) => ({ place: one.place, change })))).sort((a, b) => byAge(a.change, b.change)).slice(0, SHOWN);
    return c.html(
      <Page context={context} session={session} title="Changes" section="changes">
        <h1>Changes</h1>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {found.length === 0 ? <p class="empty">There are no changes that you may see.</p> : <p class="lead">The newest {found.length} that you may see.</p>}
        <ul class="rows" role="list">
          {found.map(({ place, change }) => (
            <li>
              <a href={changePath(place, change.id)} data-stop><Title change={change} /></a>
              <span class="meta"><State state={change.state} /><Time at={change.requestedAt} />{context.places.length === 1 ? null : <span>at {place.name}</span>}</span>
            </li>
          ))}
        </ul>
      </Page>,
    );
  }));
}

const byAge = (a: ChangeView, b: ChangeView): number => (a.requestedAt < b.requestedAt ? 1 : -1);
