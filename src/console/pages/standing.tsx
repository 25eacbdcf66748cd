/** Standing approvals at every sidecar: what each approves, how often it has, and the way to end it. */
import type { Context } from 'hono';
import { ClientError, type StandingApprovalView } from '../../client/index.ts';
import { standingEnd, templateLines } from '../../cli/shown-template.ts';
import { plain } from '../../protocol/plain.ts';
import { approvalIdSchema } from '../../protocol/values.ts';
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv } from '../context.ts';
import { deed, page, signInAgain, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Filter, filterOf, narrowed, placeChoice } from '../parts/filter.tsx';
import { cursorsOf, merged, Pager, type Listed } from '../parts/pager.tsx';
import { Countdown, Time, Troubles } from '../parts/small.tsx';
import type { Session } from '../sessions.ts';
import type { Telling } from './change.tsx';
import { tellingOf } from './decide.ts';

const SHOWN = 25;
const CURSOR = /^[01] ./;
type Standing = Listed<StandingApprovalView>;

export function addStanding(app: ConsoleApp, context: ConsoleContext): void {
  const isOnly = context.places.length === 1;
  const choices = placeChoice(context);
  /** @param refused what was asked for on it and not done, and what was written for that */
  const show = async (c: Context<ConsoleEnv>, session: Session, refused: (Omit<Telling, 'written'> & { readonly written: string }) | null = null): Promise<Response> => {
    const [nowMs, filter, cursors] = [context.nowMs(), filterOf(c, choices), cursorsOf(c.req.queries('after'))];
    const keyOf = (one: StandingApprovalView): string => `${standingEnd(one, nowMs) === null ? '0' : '1'} ${one.at} ${one.approvalId}`;
    const order = (a: StandingApprovalView, b: StandingApprovalView): number => (isAfter(keyOf(a), keyOf(b)) ? 1 : -1);
    const asked = await askAll(narrowed(context, filter), session, async (client, _me, place) => {
      const { standingApprovals } = await client.standingApprovals();
      const wanted = standingApprovals.filter((one) => isAbout(filter['q'], one)).sort(order);
      const from = cursors.get(place.name) ?? '';
      const rest = CURSOR.test(from) ? wanted.filter((one) => isAfter(keyOf(one), from)) : wanted;
      return { all: rest, next: rest.length > SHOWN ? keyOf(rest[SHOWN - 1]!) : null, count: wanted.length, seen: standingApprovals.length };
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const paged = merged(asked, SHOWN, cursors, (a, b) => order(a.one, b.one) < 0, keyOf);
    const sumOf = (what: 'count' | 'seen'): number => asked.reduce((sum, one) => sum + ('trouble' in one ? 0 : one.value[what]), 0);
    const [count, all] = [sumOf('count'), sumOf('seen')];
    return c.html(
      <Page context={context} session={session} title="Standing approvals" section="standing" said={refused?.said ?? null}>
        {refused === null || refused.written === '' ? null : <><p>You had written:</p><blockquote>{plain(refused.written)}</blockquote></>}
        <h1>Standing approvals</h1>
        <p class="lead">What people have approved once for many times, within bounds that they signed. One is made on the page of a change like those that it is to approve.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {all === 0 && Object.keys(filter).length === 0 ? null : <Filter path="/standing" filter={filter} search="Identity, person or privilege" choices={choices} />}
        {count === 0 ? <p class="empty">{all === 0 ? 'There are none that you may see.' : 'None is like that.'}</p> : null}
        <ul class="cards" role="list">
          {paged.shown.map((standing) => <Card standing={standing} session={session} nowMs={nowMs} isOnly={isOnly} />)}
        </ul>
        <Pager after={paged.after} isFirst={cursors.size === 0} path="/standing" query={filter} />
      </Page>,
      refused?.status ?? 200,
    );
  };
  app.get('/standing', page(context, (c, session) => show(c, session)));
  app.post('/standing/:place/:id/revoke', deed(context, () => '/standing', async (c, session, form) => {
    const place = context.places.find(({ name }) => name === c.req.param('place'));
    const id = approvalIdSchema.safeParse(c.req.param('id'));
    if (place === undefined || !id.success) return c.redirect('/standing', 303);
    const reason = form['comment']?.trim() ?? '';
    try {
      const { used, statement } = await place.open(session.token).revokeStandingApproval(id.data, reason);
      session.said = { how: 'good', text: `${id.data} approves nothing more. It was used ${used} of ${statement.uses} times.` };
      context.logger.info({ deed: 'revoke-standing', id: id.data, place: place.name }, 'asked for, and done');
    } catch (error) {
      if (error instanceof ClientError && (error.code === 'unauthenticated' || error.code === 'token-refused')) {
        context.sessions.end(session.id);
        return signInAgain(c, context, '/standing', reason);
      }
      return show(c, session, { ...tellingOf(error), written: reason });
    }
    return c.redirect('/standing', 303);
  }));
}

/** Of what is in force, then of what is over, the newest first. What has ended since it was shown is among the others, and a page goes on from where it was. */
function isAfter(a: string, b: string): boolean {
  return a[0] === b[0] ? a < b : a > b;
}

function isAbout(q: string | undefined, { approvalId, statement: { approver, subject, connector, target, privileges } }: StandingApprovalView): boolean {
  return q === undefined || [approvalId, approver, subject, connector, target, ...privileges].some((text) => text.toLowerCase().includes(q.toLowerCase()));
}

function Card({ standing: { place, one }, session, nowMs, isOnly }: { standing: Standing; session: Session; nowMs: number; isOnly: boolean }) {
  const { approvalId, statement, proofClass, used, at, revoked } = one;
  const ended = standingEnd(one, nowMs);
  return (
    <li class="card" id={approvalId}>
      <header>
        <h2>{plain(statement.subject)}</h2>
        {ended === null ? <Countdown until={statement.expiresAt} nowMs={nowMs} what="approves" /> : <span class="state">{ended}</span>}
      </header>
      <p class="meta">
        <span class={`state ${ended === null ? 'good' : ''}`}>used {used} of {statement.uses}</span>
        <span>by <span class="id">{plain(statement.approver)}</span>, proven by {proofClass}, <Time at={at} /></span>
        {isOnly ? null : <span>at {place.name}</span>}
        <span class="id">{approvalId}</span>
      </p>
      <Template statement={statement} />
      {revoked?.reason == null ? null : <blockquote><p>{plain(revoked.reason)}</p></blockquote>}
      {ended !== null ? null : (
        <details id={`revoke-${approvalId}`}>
          <summary>Revoke<span class="hidden"> what {plain(statement.approver)} approves for {plain(statement.subject)}</span></summary>
          <form method="post" action={`/standing/${place.name}/${approvalId}/revoke`} data-deed="revoke-standing">
            <input type="hidden" name="formKey" value={session.formKey} />
            <p class="note">It approves nothing more at once, and what it has approved and nobody has begun is over. For who gave it, owners, on call and security.</p>
            <label for={`${approvalId}-comment`}>Why</label>
            <input type="text" id={`${approvalId}-comment`} name="comment" required maxlength={500} autocomplete="off" />
            <div class="buttons"><button class="bad" type="submit">Revoke now</button></div>
          </form>
        </details>
      )}
    </li>
  );
}

/** Each line of it as the command shows it, its text by itself: what a browser computes again is compared with that. */
export function Template({ statement }: { statement: StandingApprovalView['statement'] }) {
  return <dl class="plan">{templateLines(statement).map(({ name, text }) => <div><dt>{name}</dt><dd><span data-line>{text}</span></dd></div>)}</dl>;
}
