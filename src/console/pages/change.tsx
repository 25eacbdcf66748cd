/** One change: the exact plan, what one can do about it, and what has happened, as it happens. */
import type { Context } from 'hono';
import { ClientError, type ChangeView, type Client, type Evidence } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import { changeIdSchema } from '../../protocol/values.ts';
import { troubleOf, whoIs } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv, Place } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { actsOf, mayStand, type Who } from '../may.ts';
import { ActsOn, type ActsProps } from '../parts/acts.tsx';
import { PlanLines } from '../parts/plan.tsx';
import { changePath, Countdown, Reason, recordPath, Risk, State, Time, Title, Troubles } from '../parts/small.tsx';
import { Story } from '../parts/story.tsx';
import type { Said, Session } from '../sessions.ts';
import { boundsOf } from '../standing-template.ts';
import { keepCurrent, pause, type Look } from '../stream.ts';

const AGAIN_MS = 2_000;
const LONG_POLL_MS = 25_000;

export interface Seen {
  readonly change: ChangeView;
  readonly evidence: Evidence;
  readonly who: Who;
}

export function addChange(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/changes/:place/:id', page(context, (c, session) => showChange(c, context, session)));

  app.get('/changes/:place/:id/stream', (c) => keepCurrent(c, context, async (session, last, signal) => {
    const named = changeNamed(c, context);
    if (named === null) return null;
    const { place, id } = named;
    const client = place.open(session.token);
    try {
      // Whatever was seen before: what has come since is told at once.
      const length = last === null ? 0 : Number(last.key);
      if (Number.isInteger(length) && length > 0) await client.wait(id, { until: (change) => change.length !== length, timeoutMs: LONG_POLL_MS, signal });
      const seen = await readChange(client, session, place, id);
      return { key: String(seen.change.length), regions: await regionsOf(context, session, place, seen) };
    } catch (error) {
      if (signal.aborted) return last;
      const trouble = troubleOf(error, place);
      if (trouble.isOver) return null;
      await pause(AGAIN_MS, signal);
      return { key: trouble.text, regions: { troubles: String(await (<Troubles troubles={[trouble.text]} />)) } };
    }
  }));

  // What the island that asks for a passkey computes the digest of, and what would be signed.
  app.get('/changes/:place/:id/view', (c) => relay(c, context, (client, id) => client.get(id)));
  app.get('/changes/:place/:id/statement', (c) => relay(c, context, (client, id) => client.statement(id, 'approve')));
  app.get('/changes/:place/:id/review-statement', (c) => relay(c, context, (client, id) => client.breakGlassReviewStatement(id)));
}

/** The sidecar and change that an address names; null where there is none such. */
export function changeNamed(c: Context<ConsoleEnv>, context: ConsoleContext): { place: Place; id: string } | null {
  const place = context.places.find(({ name }) => name === c.req.param('place'));
  const id = changeIdSchema.safeParse(c.req.param('id'));
  return place === undefined || !id.success ? null : { place, id: id.data };
}

export async function relay(c: Context<ConsoleEnv>, context: ConsoleContext, ask: (client: Client, id: string) => Promise<object>): Promise<Response> {
  const [session, named] = [c.get('session'), changeNamed(c, context)];
  if (session === null) return c.json({ code: 'unauthenticated', detail: 'your session is over' }, 401);
  if (named === null) return c.json({ code: 'no-such-change', detail: 'no change of this id' }, 404);
  try {
    return c.json(await ask(named.place.open(session.token), named.id));
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return c.json({ code: error.code, detail: error.message }, 502);
  }
}

export interface Telling {
  readonly said: Said;
  readonly status: 403 | 409 | 422 | 502;
  readonly written: ActsProps['written'];
}

/** The page of the change; `telling`: what was refused, and what had been typed. */
export async function showChange(c: Context<ConsoleEnv>, context: ConsoleContext, session: Session, telling: Telling | null = null): Promise<Response> {
  const named = changeNamed(c, context);
  if (named === null) return c.html(<Missing context={context} session={session} text="There is no change at this address." />, 404);
  const { place, id } = named;
  let seen: Seen;
  try {
    seen = await readChange(place.open(session.token), session, place, id);
  } catch (error) {
    const trouble = troubleOf(error, place);
    if (trouble.isOver) return signInFirst(c, context);
    return c.html(<Missing context={context} session={session} text={trouble.text} stream={changePath(place, id, '/stream')} written={telling?.written?.comment ?? null} />, error instanceof ClientError && error.code === 'no-such-change' ? 404 : 502);
  }
  const { change, evidence } = seen;
  const path = changePath(place, id);
  return c.html(
    <Page context={context} session={session} title={`${change.kind} for ${plain(change.subject)}`} section="inbox" stream={`${path}/stream?since=${change.length}`} said={telling?.said ?? null}>
      <Status change={change} nowMs={context.nowMs()} place={place} isOnly={context.places.length === 1} />
      <Troubles troubles={[]} />
      <div class="columns">
        <div>
          <Planned change={change} />
          <Story evidence={evidence} path={path} {...proofsFor(place, seen.who)} />
        </div>
        <div class="side">
          <p id="changed" class="banner open" role="alert" hidden></p>
          <Acting context={context} session={session} place={place} seen={seen} written={telling?.written ?? null} />
        </div>
      </div>
    </Page>,
    telling?.status ?? 200,
  );
}

/** All that the page shows, asked for in her name. */
async function readChange(client: Client, session: Session, place: Place, id: string): Promise<Seen> {
  const [me, change, evidence] = await Promise.all([whoIs(session, place, client), client.get(id), client.evidence(id)]);
  const decides = change.state === 'pending' && me.roles.includes('approver');
  const statement = decides ? await client.statement(id, 'approve').catch(noStatement) : null;
  const reviews = change.breakGlass !== undefined && me.roles.includes('approver');
  const review = reviews ? await client.breakGlassReviewStatement(id).catch(noStatement) : null;
  return { change, evidence, who: { me, statement, review } };
}

/** It was decided, or planned anew, between two questions. */
function noStatement(error: unknown): null {
  if (error instanceof ClientError && error.status !== null) return null;
  throw error;
}

async function regionsOf(context: ConsoleContext, session: Session, place: Place, seen: Seen): Promise<Look['regions']> {
  const { change, evidence } = seen;
  return {
    troubles: String(await (<Troubles troubles={[]} />)),
    status: String(await (<Status change={change} nowMs={context.nowMs()} place={place} isOnly={context.places.length === 1} />)),
    plan: String(await (<Planned change={change} />)),
    acts: String(await (<Acting context={context} session={session} place={place} seen={seen} written={null} />)),
    story: String(await (<Story evidence={evidence} path={changePath(place, change.id)} {...proofsFor(place, seen.who)} />)),
  };
}

/** The sidecar proves single records to auditors. */
function proofsFor(place: Place, { me }: Who): { proofs?: (seq: number) => string } {
  return me.roles.includes('auditor') ? { proofs: (seq) => recordPath(place, seq) } : {};
}

function Acting({ context, session, place, seen: { change, who }, written }: { context: ConsoleContext; session: Session; place: Place; seen: Seen; written: ActsProps['written'] }) {
  return <ActsOn change={change} place={place} session={session} acts={actsOf(change, who, context.nowMs())} mayStand={mayStand(change, who) && boundsOf(change) !== null} passkeyScript={context.assets['passkey.js'].path} written={written} />;
}

function Status({ change, nowMs, place, isOnly }: { change: ChangeView; nowMs: number; place: Place; isOnly: boolean }) {
  return (
    <header id="status" class="status">
      <h1><Title change={change} /></h1>
      <p class="meta">
        <State state={change.state} />
        {change.state === 'pending' && change.approvalsBy !== null ? <Countdown until={change.approvalsBy} nowMs={nowMs} what="to decide" /> : null}
        {change.lease !== null && change.ended === null ? <Countdown until={change.lease.endsAt} nowMs={nowMs} what="access" /> : null}
        <Risk change={change} />
        {isOnly ? null : <span>at {place.name}</span>}
        <span class="id">{change.id}</span>
      </p>
      {change.waitingFor === null ? null : <p class="banner open">{plain(change.waitingFor)}</p>}
      {change.stuck === null ? null : <p class="banner bad">Stuck since <Time at={change.stuck.since} />{change.stuck.owner === null ? '' : `, for ${plain(change.stuck.owner)}`}: {plain(change.stuck.nextTry)}</p>}
      {change.findings.map((one) => <p class="banner bad"><strong>{one.code}</strong> {plain(one.message)}</p>)}
    </header>
  );
}

function Planned({ change }: { change: ChangeView }) {
  return (
    <section id="plan" aria-labelledby="plan-title">
      <h2 id="plan-title">{change.plan === null ? 'What is asked for' : `The plan, revision ${change.revision}`}</h2>
      <Reason change={change} />
      {change.reduced === null ? null : <p class="note">Reduced by {plain(change.reduced.by)} from revision {change.reduced.revision}, <Time at={change.reduced.at} />.</p>}
      <PlanLines change={change} />
      {change.approvals.length === 0 ? null : (
        <ul class="approvals" role="list">
          {change.approvals.map((one) => <li><span class={`state ${one.verdict === 'approve' ? 'good' : 'bad'}`}>{one.verdict === 'approve' ? 'approved' : 'rejected'}</span> by <span class="id">{plain(one.approver)}</span>, proven by {one.proofClass}{one.standing === undefined ? '' : `, by a standing approval: use ${one.standing.use} of ${one.standing.uses}, until ${one.standing.expiresAt}`}, <a href={`#r${one.record}`}>record {one.record}</a></li>)}
        </ul>
      )}
      {change.planDigest === null ? null : <p class="meta">Digest of the plan <code id="digest">{change.planDigest}</code></p>}
    </section>
  );
}

function Missing({ context, session, text, stream, written = null }: { context: ConsoleContext; session: Session; text: string; stream?: string; written?: string | null }) {
  return (
    <Page context={context} session={session} title="Not to be shown" {...(stream === undefined ? {} : { stream })}>
      <h1>Not to be shown</h1>
      <p class="banner bad">{plain(text)}</p>
      {written === null || written === '' ? null : <><p>You had written:</p><blockquote>{plain(written)}</blockquote></>}
      <p><a href="/">To the inbox</a></p>
    </Page>
  );
}
