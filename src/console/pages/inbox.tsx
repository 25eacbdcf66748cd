/** What waits for whoever is signed in, at every sidecar, soonest to end first. */
import { sha256 } from '../../../ledger/index.ts';
import type { ChangeView } from '../../client/index.ts';
import { askAll, isSignedOut, type Asked } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, Place } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { PlanLines } from '../parts/plan.tsx';
import { changePath, Countdown, Reason, Risk, Title, Troubles } from '../parts/small.tsx';
import type { Session } from '../sessions.ts';
import { keepCurrent, pause, type Regions } from '../stream.ts';

/** How many are shown with their plan, and how many are named; where there are more, it says where. */
const SHOWN_MAX = 12;
const NAMED_MAX = 25;
const LOOK_AGAIN_MS = 3_000;
/** What is read before anything else; the change's own page has every line. */
const LINES: ReadonlySet<string> = new Set(['access', 'keeps', 'loses', 'duration', 'ends', 'ends by', 'extends', 'made by', 'window', 'rotation', 'because', 'approvers', 'can decide']);

/** At one sidecar. `count`: with those that are not told here. */
interface Waits {
  readonly changes: readonly ChangeView[];
  readonly count: number;
}

interface Waiting {
  readonly place: Place;
  readonly change: ChangeView;
}

export function addInbox(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/', page(context, async (c, session) => {
    const asked = await askWhatWaits(context, session);
    if (isSignedOut(asked)) return signInFirst(c, context);
    const waiting = await lookAt(asked, session);
    return c.html(
      <Page context={context} session={session} title="Inbox" section="inbox" stream={`/stream?since=${keyOf(asked)}`}>
        <h1>Inbox</h1>
        <Inbox context={context} asked={asked} waiting={waiting} />
      </Page>,
    );
  }));
  app.get('/stream', (c) => keepCurrent(c, context, async (session, last, signal) => {
    if (last !== null) await pause(LOOK_AGAIN_MS, signal);
    const asked = await askWhatWaits(context, session);
    if (isSignedOut(asked)) return null;
    const key = keyOf(asked);
    return last?.key === key ? last : { key, regions: await regionsOf(context, asked, session) };
  }));
}

async function regionsOf(context: ConsoleContext, asked: readonly Asked<Waits>[], session: Session): Promise<Regions> {
  return { inbox: String(await (<Inbox context={context} asked={asked} waiting={await lookAt(asked, session)} />)) };
}

/** Changes as it does what is shown. */
function keyOf(asked: readonly Asked<Waits>[]): string {
  const all = asked.map((one) => `${one.place.name}:${'trouble' in one ? one.trouble.text : `${one.value.count}:${one.value.changes.map(({ id, length }) => `${id}.${length}`).join(',')}`}`);
  return Buffer.from(sha256(Buffer.from(JSON.stringify(all)))).toString('base64url');
}

/** What waits at each sidecar, soonest to end first. */
function askWhatWaits(context: ConsoleContext, session: Session): Promise<Asked<Waits>[]> {
  return askAll(context, session, async (client) => {
    const { changes, count = changes.length } = await client.list({ waitingForMe: true, order: 'soonest', limit: NAMED_MAX });
    return { changes, count };
  });
}

/** All of it, soonest to end first. The first ones are asked for by id: only so does an answer say what they bear on, which costs the sidecar some looking up. */
async function lookAt(asked: readonly Asked<Waits>[], session: Session): Promise<Waiting[]> {
  const lists = asked.flatMap((one) => ('trouble' in one || one.value.changes.length === 0 ? [] : [one.value.changes.map((change): Waiting => ({ place: one.place, change })).sort(bySoonest)]));
  // When its own end, a sidecar says itself: none keeps another's from being named.
  const share = Math.max(1, Math.floor(NAMED_MAX / lists.length));
  const first = lists.flatMap((list) => list.slice(0, share));
  const more = lists.flatMap((list) => list.slice(share)).sort(bySoonest).slice(0, Math.max(0, NAMED_MAX - first.length));
  return Promise.all([...first, ...more].sort(bySoonest).map(async (one, index) => {
    if (index >= SHOWN_MAX) return one;
    // A sidecar that has just gone away leaves what it had said.
    return { ...one, change: await one.place.open(session.token).get(one.change.id).catch(() => one.change) };
  }));
}

const bySoonest = (a: Waiting, b: Waiting): number => (soonness(a.change) === soonness(b.change) ? 0 : soonness(a.change) - soonness(b.change));
const soonness = (change: ChangeView): number => Date.parse(dueOf(change)?.until ?? '') || Infinity;

/** By when she is to decide or, where the glass was broken, to review that; null where nothing says. */
function dueOf({ state, approvalsBy, breakGlass }: ChangeView): { readonly until: string; readonly what: string } | null {
  if (state !== 'pending' && breakGlass?.review === null) return { until: breakGlass.reviewBy, what: 'to review' };
  return approvalsBy === null ? null : { until: approvalsBy, what: 'to decide' };
}

function Inbox({ context, asked, waiting }: { context: ConsoleContext; asked: readonly Asked<Waits>[]; waiting: readonly Waiting[] }) {
  const [shown, further] = [waiting.slice(0, SHOWN_MAX), waiting.slice(SHOWN_MAX)];
  const count = asked.reduce((sum, one) => sum + ('trouble' in one ? 0 : one.value.count), 0);
  return (
    <div id="inbox">
      <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
      {waiting.length === 0
        ? <p class="empty">Nothing waits for you{asked.some((one) => 'trouble' in one) ? ' where sidecars answer' : ''}. What does will appear here by itself.</p>
        : <p class="lead">{count === 1 ? 'One change waits' : `${count} changes wait`} for your decision{shown.length === count ? '' : ', those that end soonest first'}.</p>}
      <ol class="cards" role="list">{shown.map((one) => <Card one={one} nowMs={context.nowMs()} isOnly={context.places.length === 1} />)}</ol>
      {further.length === 0 ? null : (
        <>
          <h2>And {count - shown.length} more</h2>
          <ul class="rows" role="list">{further.map(({ place, change }) => <li><a href={changePath(place, change.id)} data-stop><Title change={change} /></a></li>)}</ul>
          {count <= waiting.length ? null : <p><a href="/changes?waits=me">All {count} of them</a></p>}
        </>
      )}
    </div>
  );
}

function Card({ one: { place, change }, nowMs, isOnly }: { one: Waiting; nowMs: number; isOnly: boolean }) {
  const due = dueOf(change);
  return (
    <li>
      <article class="card">
        <header>
          <h2><a href={changePath(place, change.id)} data-stop><Title change={change} /></a></h2>
          {due === null ? null : <Countdown {...due} nowMs={nowMs} />}
        </header>
        <Reason change={change} />
        <PlanLines change={change} only={LINES} />
        <p class="meta"><Risk change={change} />{isOnly ? null : <span>at {place.name}</span>}<span class="id">{change.id}</span></p>
      </article>
    </li>
  );
}
