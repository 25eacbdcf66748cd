/** The access that runs now, at every sidecar, soonest to end first. */
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Filter, filterOf, narrowed, placeChoice, type Choice } from '../parts/filter.tsx';
import { Leases, runningOf, type Running } from '../parts/leases.tsx';
import { cursorsOf, listAddress, merged, Pager, type Listed } from '../parts/pager.tsx';
import { Troubles } from '../parts/small.tsx';

const SHOWN = 25;
const SORTS: Choice = { name: 'sort', label: 'Order', options: [['end', 'soonest to end'], ['identity', 'by identity'], ['sidecar', 'by sidecar']] };

export function addLeases(app: ConsoleApp, context: ConsoleContext): void {
  const isOnly = context.places.length === 1;
  const sorts = isOnly ? { ...SORTS, options: SORTS.options.slice(0, 2) } : SORTS;
  const choices = [sorts, ...placeChoice(context)];
  app.get('/leases', page(context, async (c, session) => {
    const [filter, cursors] = [filterOf(c, choices), cursorsOf(c.req.queries('after'))];
    const { sort, q } = filter;
    const asked = await askAll(narrowed(context, filter), session, async (client, _me, place) => {
      const cursor = cursors.get(place.name);
      const [{ leases, next = null, count = leases.length, all = leases.length }, { locks }] = await Promise.all([
        client.leases({ limit: SHOWN, ...(sort === 'identity' ? { order: sort } : {}), ...(q === undefined ? {} : { q }), ...(cursor === undefined ? {} : { cursor }) }), client.locks(),
      ]);
      return { all: runningOf(place, leases, locks), next, count, seen: all };
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const paged = merged(asked, SHOWN, cursors, (a, b) => isBefore(sort, a, b), ({ lease }) => keyOf(sort, lease));
    const answered = asked.flatMap((one) => ('trouble' in one ? [] : [one.value]));
    const [count, all] = [answered.reduce((sum, one) => sum + one.count, 0), answered.reduce((sum, one) => sum + one.seen, 0)];
    return c.html(
      <Page context={context} session={session} title="Leases" section="leases">
        <h1>Leases</h1>
        <p class="lead">Access that was given and is not yet taken back, as far as you may see it.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {all === 0 && Object.keys(filter).length === 0 ? null : <Filter path="/leases" filter={filter} search="Identity, privilege or target" choices={choices} />}
        {count === 0
          ? <p class="empty">{all === 0 ? `Nothing runs${asked.some((one) => 'trouble' in one) ? ' where sidecars answer' : ''} that you may see.` : 'No lease is like that.'}</p>
          : <p class="note">{count === all ? `${all} in all` : `${count} of ${all}`}.</p>}
        <Leases running={paged.shown.map(({ one }) => one)} session={session} nowMs={context.nowMs()} back={listAddress('/leases', filter, c.req.queries('after') ?? [])} isOnly={isOnly} isOfOne={false} />
        <Pager after={paged.after} isFirst={cursors.size === 0} path="/leases" query={filter} />
      </Page>,
    );
  }));
}

/** What a sidecar orders its leases by. */
function keyOf(sort: string | undefined, { subject, endsAt, leaseId }: Running['lease']): string {
  return sort === 'identity' ? `${subject} ${endsAt} ${leaseId}` : `${endsAt} ${leaseId}`;
}

function isBefore(sort: string | undefined, a: Listed<Running>, b: Listed<Running>): boolean {
  if (sort === 'sidecar') return a.place.name < b.place.name;
  return keyOf(sort, a.one.lease) < keyOf(sort, b.one.lease);
}
