/** The access that runs now, at every sidecar, soonest to end first. */
import { askAll, isSignedOut, orNull } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Filter, filterOf, isAbout, placeChoice, type Choice } from '../parts/filter.tsx';
import { Leases, runningOf, type Running } from '../parts/leases.tsx';
import { pageOf, Pager } from '../parts/pager.tsx';
import { Troubles } from '../parts/small.tsx';

const SHOWN = 25;
const SORTS: Choice = { name: 'sort', label: 'Order', options: [['end', 'soonest to end'], ['identity', 'by identity'], ['sidecar', 'by sidecar']] };

export function addLeases(app: ConsoleApp, context: ConsoleContext): void {
  const isOnly = context.places.length === 1;
  const sorts = isOnly ? { ...SORTS, options: SORTS.options.slice(0, 2) } : SORTS;
  const choices = [sorts, ...placeChoice(context)];
  app.get('/leases', page(context, async (c, session) => {
    const asked = await askAll(context, session, async (client, _me, place) => {
      const [{ leases }, { locks }, held] = await Promise.all([client.leases(), client.locks(), orNull(client.heldRevokes())]);
      return runningOf(place, leases, locks, held);
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const filter = filterOf(c, choices);
    const all = asked.flatMap((one) => ('trouble' in one ? [] : one.value));
    const wanted = all.filter(({ place, lease }) => (filter['at'] ?? place.name) === place.name && isAbout(filter['q'], [lease.subject, lease.connector, lease.target, lease.account, lease.changeId, ...lease.privileges]));
    const paged = pageOf(wanted.sort((a, b) => byKeys(keysOf(filter['sort'], a), keysOf(filter['sort'], b))), SHOWN, c.req.query('page'));
    const back = `/leases?${new URLSearchParams({ ...filter, page: String(paged.number) }).toString()}`;
    return c.html(
      <Page context={context} session={session} title="Leases" section="leases">
        <h1>Leases</h1>
        <p class="lead">Access that was given and is not yet taken back, as far as you may see it.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {all.length === 0 ? null : <Filter path="/leases" filter={filter} search="Identity, privilege or target" choices={choices} />}
        {wanted.length === 0
          ? <p class="empty">{all.length === 0 ? `Nothing runs${asked.some((one) => 'trouble' in one) ? ' where sidecars answer' : ''} that you may see.` : 'No lease is like that.'}</p>
          : <p class="note">{wanted.length === all.length ? `${all.length} in all` : `${wanted.length} of ${all.length}`}.</p>}
        <Leases running={paged.shown} session={session} nowMs={context.nowMs()} back={back} isOnly={isOnly} isOfOne={false} />
        <Pager of={paged} path="/leases" query={filter} />
      </Page>,
    );
  }));
}

function keysOf(sort: string | undefined, { place, lease }: Running): string[] {
  const end = [lease.endsAt, lease.leaseId];
  return sort === 'identity' ? [lease.subject, ...end] : sort === 'sidecar' ? [place.name, ...end] : end;
}

function byKeys(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((key, index) => key !== b[index]);
  return at === -1 ? 0 : a[at]! < b[at]! ? -1 : 1;
}
