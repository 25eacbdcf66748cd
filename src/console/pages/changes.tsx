/** The changes that she may see, at every sidecar, newest first, narrowed and a page at a time. */
import type { ChangeView, ListOptions } from '../../client/index.ts';
import { subjectSchema } from '../../protocol/values.ts';
import { changeViewSchema } from '../../sidecar/schemas.ts';
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Filter, filterOf, narrowed, placeChoice, type Choice } from '../parts/filter.tsx';
import { cursorsOf, merged, Pager } from '../parts/pager.tsx';
import { changePath, State, stateWords, Time, Title, Troubles } from '../parts/small.tsx';

const SHOWN = 25;
const KINDS = ['provision', 'grant', 'extend', 'rotate', 'disable', 'offboard'] as const satisfies readonly ChangeView['kind'][];
const CHOICES: readonly Choice[] = [
  { name: 'state', label: 'State', options: [['', 'any'], ...changeViewSchema.shape.state.options.map((one) => [one, stateWords(one)] as const)] },
  { name: 'kind', label: 'Kind', options: [['', 'any'], ...KINDS.map((one) => [one, one] as const)] },
  { name: 'waits', label: 'Waits', options: [['', 'any'], ['me', 'for you']] },
];

export function addChanges(app: ConsoleApp, context: ConsoleContext): void {
  const choices = [...CHOICES, ...placeChoice(context)];
  app.get('/changes', page(context, async (c, session) => {
    const [filter, cursors] = [filterOf(c, choices), cursorsOf(c.req.queries('after'))];
    const { q } = filter;
    const subject = subjectSchema.safeParse(q);
    // Changes are found by the whole id of their identity: to look for parts of one there is the inventory.
    const isFound = q === undefined || subject.success;
    const asked = await askAll(narrowed(context, filter), session, async (client, _me, place) => {
      if (!isFound) return { all: [], next: null };
      const { changes, next } = await client.list({ limit: SHOWN, ...questionOf(filter), ...(subject.success ? { subject: subject.data } : {}), ...(cursors.has(place.name) ? { cursor: cursors.get(place.name)! } : {}) });
      return { all: changes, next };
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const { shown, after } = merged(asked, SHOWN, cursors, (a, b) => a.one.requestedAt > b.one.requestedAt, ({ id }) => id);
    const isAny = Object.keys(filter).length === 0;
    return c.html(
      <Page context={context} session={session} title="Changes" section="changes">
        <h1>Changes</h1>
        <p class="lead">Those that you may see, newest first.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        <Filter path="/changes" filter={filter} search="Identity, by its whole id" choices={choices} />
        {isFound ? null : <p class="banner open">That is no id of an identity, such as nhi:prod/ci-deployer. The <a href={`/inventory?${new URLSearchParams({ q }).toString()}`}>inventory</a> finds identities by a part of it.</p>}
        {shown.length > 0 || !isFound ? null : <p class="empty">{isAny && cursors.size === 0 ? 'There are no changes that you may see.' : 'No change is like that.'}</p>}
        <ul class="rows" role="list">
          {shown.map(({ place, one: change }) => (
            <li>
              <a href={changePath(place, change.id)} data-stop><Title change={change} /></a>
              <span class="meta"><State state={change.state} /><Time at={change.requestedAt} />{context.places.length === 1 ? null : <span>at {place.name}</span>}</span>
            </li>
          ))}
        </ul>
        <Pager after={after} isFirst={cursors.size === 0} path="/changes" query={filter} />
      </Page>,
    );
  }));
}

/** What the sidecar is asked, of what the list is narrowed to. */
function questionOf({ state, kind, waits }: Readonly<Record<string, string>>): ListOptions {
  return { ...(state === undefined ? {} : { state: state as ChangeView['state'] }), ...(kind === undefined ? {} : { kind: kind as ChangeView['kind'] }), ...(waits === undefined ? {} : { waitingForMe: true }) };
}
