/** Standing approvals at every sidecar: what each approves, how often it has, and the way to end it. */
import type { Context } from 'hono';
import { ClientError, type StandingApprovalView } from '../../client/index.ts';
import { standingEnd, templateLines } from '../../cli/shown-template.ts';
import { plain } from '../../protocol/plain.ts';
import { STANDING_STATES } from '../../protocol/standing-approval.ts';
import { approvalIdSchema } from '../../protocol/values.ts';
import { askAll, isSignedOut } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv } from '../context.ts';
import { deed, page, signInAgain, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { Filter, filterOf, narrowed, placeChoice, type Choice } from '../parts/filter.tsx';
import { cursorsOf, merged, Pager, type Listed } from '../parts/pager.tsx';
import { Countdown, Time, Troubles } from '../parts/small.tsx';
import type { Session } from '../sessions.ts';
import type { Telling } from './change.tsx';
import { tellingOf } from './decide.ts';

const SHOWN = 25;
/** As an address of this page holds it; anything else is none. */
const CURSOR = /^\d{4}-\S+Z apr_[0-9a-f]{32}$/;
const STATES: Choice = { name: 'state', label: 'Which', options: [['inForce', 'in force'], ['over', 'over']] };
type Standing = Listed<StandingApprovalView>;

export function addStanding(app: ConsoleApp, context: ConsoleContext): void {
  const isOnly = context.places.length === 1;
  const choices = [STATES, ...placeChoice(context)];
  /** @param refused what was asked for on it and not done, and what was written for that */
  const show = async (c: Context<ConsoleEnv>, session: Session, refused: (Omit<Telling, 'written'> & { readonly written: string }) | null = null): Promise<Response> => {
    const [nowMs, filter, cursors] = [context.nowMs(), filterOf(c, choices), cursorsOf(c.req.queries('after'))];
    const { q, state = 'inForce' } = filter;
    const asked = await askAll(narrowed(context, filter), session, async (client, _me, place) => {
      const cursor = cursors.get(place.name) ?? '';
      const { standingApprovals, next = null, count = standingApprovals.length, all = standingApprovals.length } = await client.standingApprovals({
        limit: SHOWN, order: 'newest', state: STANDING_STATES.find((one) => one === state)!, ...(q === undefined ? {} : { q }), ...(CURSOR.test(cursor) ? { cursor } : {}),
      });
      return { all: standingApprovals, next, count, seen: all };
    });
    if (isSignedOut(asked)) return signInFirst(c, context);
    const paged = merged(asked, SHOWN, cursors, (a, b) => keyOf(a.one) > keyOf(b.one), keyOf);
    const sumOf = (what: 'count' | 'seen'): number => asked.reduce((sum, one) => sum + ('trouble' in one ? 0 : one.value[what]), 0);
    const [count, all] = [sumOf('count'), sumOf('seen')];
    return c.html(
      <Page context={context} session={session} title="Standing approvals" section="standing" said={refused?.said ?? null}>
        {refused === null || refused.written === '' ? null : <><p>You had written:</p><blockquote>{plain(refused.written)}</blockquote></>}
        <h1>Standing approvals</h1>
        <p class="lead">What people have approved once for many times, within bounds that they signed. One is made on the page of a change like those that it is to approve.</p>
        <Troubles troubles={asked.flatMap((one) => ('trouble' in one ? [one.trouble.text] : []))} />
        {all === 0 && Object.keys(filter).length === 0 ? null : <Filter path="/standing" filter={filter} search="Identity, person or privilege" choices={choices} clear="Show those in force" />}
        {count === 0 ? <p class="empty">{all === 0 ? 'There are none that you may see.' : q === undefined && filter['at'] === undefined ? `None is ${state === 'over' ? 'over' : 'in force'}.` : 'None is like that.'}</p> : null}
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

/** What sidecars order them by. */
const keyOf = ({ at, approvalId }: StandingApprovalView): string => `${at} ${approvalId}`;

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
