/** "Approve the next ones like this": a template as wide as one plan and no wider, shown exactly before a passkey signs it. */
import type { Context } from 'hono';
import { commitmentTo } from '../../protocol/disclosure.ts';
import { formatLength, plain } from '../../protocol/plain.ts';
import { passkeyAnswerSchema } from '../../protocol/passkeys.ts';
import { standingStatementSchema, templateFault, type StandingStatement } from '../../protocol/standing-approval.ts';
import { formatTime, parseTime } from '../../protocol/values.ts';
import { ClientError, type StandingApprovalList } from '../../client/index.ts';
import { troubleOf, whoIs } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv, Place } from '../context.ts';
import { deed, page, signInAgain, signInFirst, type Form } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { mayStand } from '../may.ts';
import { changePath } from '../parts/small.tsx';
import type { Said, Session } from '../sessions.ts';
import { boundsOf, type Bounds } from '../standing-template.ts';
import { changeNamed, relay, showChange } from './change.tsx';
import { NotSent, readProof, tellingOf } from './decide.ts';
import { Template } from './standing.tsx';

const DAYS = [1, 7, 14, 30];
const USES_MAX = 1_000;

interface Asked {
  readonly place: Place;
  readonly id: string;
  readonly bounds: Bounds;
  readonly list: StandingApprovalList;
}

export function addStand(app: ConsoleApp, context: ConsoleContext): void {
  const back = (c: Context<ConsoleEnv>): string => {
    const named = changeNamed(c, context);
    return named === null ? '/' : changePath(named.place, named.id, '/standing');
  };
  /** What there is to be made of, or the page that says that there is nothing. */
  const withAsked = async (c: Context<ConsoleEnv>, session: Session, show: (asked: Asked) => Response | Promise<Response>): Promise<Response> => {
    const named = changeNamed(c, context);
    if (named === null) return showChange(c, context, session);
    const { place, id } = named;
    try {
      const client = place.open(session.token);
      const [me, change, list] = await Promise.all([whoIs(session, place, client), client.get(id), client.standingApprovals({ limit: 1 })]);
      const bounds = mayStand(change, { me }) ? boundsOf(change) : null;
      return bounds === null ? await showChange(c, context, session, { said: { how: 'bad', text: 'Nothing like this can be approved once for many times, or not by you.' }, status: 422, written: null }) : await show({ place, id, bounds, list });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      return troubleOf(error, place).isOver ? signInFirst(c, context) : showChange(c, context, session);
    }
  };
  const form = (c: Context<ConsoleEnv>, session: Session, asked: Asked, said: Said | null = null, written: Form = {}): Response | Promise<Response> => c.html(<Asking context={context} session={session} asked={asked} said={said} written={written} />, said === null ? 200 : 422);

  app.get('/changes/:place/:id/standing', page(context, (c, session) => withAsked(c, session, (asked) => form(c, session, asked))));
  app.post('/changes/:place/:id/standing', deed(context, back, (c, session, written) => withAsked(c, session, (asked) => {
    const reason = written['comment']?.trim() ?? '';
    const made = templateOf(asked, written, reason, context);
    return typeof made === 'string' ? form(c, session, asked, { how: 'bad', text: made }, written) : c.html(<Showing context={context} session={session} asked={asked} template={made.template} reason={reason} salt={made.salt} />);
  })));
  // In whose name, for which log and by which passkeys the island has it signed.
  app.get('/changes/:place/:id/standing/passkeys', (c) => relay(c, context, async (client) => {
    const { log, principal, passkeys } = await client.standingApprovals({ limit: 1 });
    return { log, principal, passkeys };
  }));
  app.post('/changes/:place/:id/standing/sign', deed(context, back, (c, session, written) => withAsked(c, session, async (asked) => {
    const { statement = '', salt = '', comment: reason = '', passkey = '' } = written;
    try {
      if (passkey === '') throw new NotSent('No passkey has answered: that needs JavaScript.');
      const { approvalId } = await asked.place.open(session.token).giveStandingApproval({ statement: readProof(standingStatementSchema, statement), salt, reason, passkey: readProof(passkeyAnswerSchema, passkey) });
      session.said = { how: 'good', text: `${approvalId} approves what is within it from now on.` };
      context.logger.info({ deed: 'stand', id: approvalId, place: asked.place.name }, 'asked for, and done');
      return c.redirect('/standing', 303);
    } catch (error) {
      if (error instanceof ClientError && (error.code === 'unauthenticated' || error.code === 'token-refused')) {
        context.sessions.end(session.id);
        return signInAgain(c, context, back(c), reason);
      }
      return form(c, session, asked, tellingOf(error).said, { ...written, ...typedFor(statement) });
    }
  })));
}

/** What had been typed for the template, so that she finds it again, and nothing wider. */
function typedFor(statement: string): Form {
  try {
    const { uses, notBefore, expiresAt, maxLeaseSeconds } = readProof(standingStatementSchema, statement);
    return { uses: String(uses), days: String(Math.round((parseTime(expiresAt) - parseTime(notBefore)) / 86_400_000)), ...(maxLeaseSeconds === null ? {} : { lease: String(maxLeaseSeconds) }) };
  } catch (error) {
    if (error instanceof NotSent) return {};
    throw error;
  }
}

/** Or what is wrong with what was typed. */
function templateOf({ bounds, list: { log, principal } }: Asked, { uses = '', days = '', lease = '' }: Form, reason: string, { nowMs, random }: ConsoleContext): { readonly template: StandingStatement; readonly salt: string } | string {
  if (reason === '') return 'A standing approval says why.';
  const [count, good, longest] = [uses, days, lease].map((text) => (/^[1-9][0-9]{0,6}$/.test(text) ? Number(text) : null)) as [number | null, number | null, number | null];
  if (count === null || count > USES_MAX) return `How often is a number from 1 to ${USES_MAX}.`;
  if (good === null || !DAYS.includes(good)) return 'For how long is one of the times that are offered.';
  const { maxLeaseSeconds } = bounds;
  if (maxLeaseSeconds !== null && (longest === null || longest > maxLeaseSeconds)) return 'The longest lease is that of the plan, or shorter.';
  const salt = Buffer.from(random(16)).toString('base64url');
  const fromMs = nowMs();
  const parsed = standingStatementSchema.safeParse({
    v: 1, log, approver: principal, ...bounds, maxLeaseSeconds: maxLeaseSeconds === null ? null : longest, uses: count, notBefore: formatTime(fromMs), expiresAt: formatTime(fromMs + good * 86_400_000),
    reason: commitmentTo({ name: 'reason', salt, value: reason }),
  });
  return parsed.success && templateFault(parsed.data) === null ? { template: parsed.data, salt } : 'What this plan does is more than a standing approval holds: it has 8 accounts, 8 recipients and 16 privileges at most.';
}

type Props = { readonly context: ConsoleContext; readonly session: Session; readonly asked: Asked };

function Asking({ context, session, asked: { place, id, bounds, list }, said, written }: Props & { readonly said: Said | null; readonly written: Form }) {
  const { maxLeaseSeconds } = bounds;
  const leases = maxLeaseSeconds === null ? [] : [maxLeaseSeconds, ...[14_400, 3_600, 1_800, 900, 300].filter((seconds) => seconds < maxLeaseSeconds)];
  return (
    <Page context={context} session={session} title="Approve the next ones like this" section="standing" said={said}>
      <h1>Approve the next ones like this</h1>
      <p class="lead">What is asked for {plain(bounds.subject)} as in <a href={changePath(place, id)} class="id">{id}</a>, and nothing that goes beyond it, is then approved in your name without asking you. You can end it at any time.</p>
      <p class="note">It counts where you are asked, policy lets standing approvals count, and so does the floor of the executor. What waits now and is within it, this change too, is approved with it.</p>
      <form method="post" action={changePath(place, id, '/standing')} data-deed="stand" class="card">
        <input type="hidden" name="formKey" value={session.formKey} />
        <label for="stand-uses">How often, at most</label>
        <input type="text" id="stand-uses" name="uses" inputmode="numeric" required maxlength={4} autocomplete="off" value={written['uses'] ?? '10'} />
        <label for="stand-days">For how long</label>
        <select id="stand-days" name="days">{DAYS.map((days) => <option value={String(days)} selected={(written['days'] ?? '7') === String(days)}>{days === 1 ? 'a day' : `${days} days`}</option>)}</select>
        {leases.length === 0 ? null : (
          <>
            <label for="stand-lease">Each lease at most</label>
            <select id="stand-lease" name="lease">{leases.map((seconds) => <option value={String(seconds)} selected={written['lease'] === String(seconds)}>{formatLength(seconds)}{seconds === maxLeaseSeconds ? ', as in this plan' : ''}</option>)}</select>
          </>
        )}
        <label for="stand-comment">Why</label>
        <input type="text" id="stand-comment" name="comment" required maxlength={500} autocomplete="off" value={written['comment'] ?? ''} />
        <div class="buttons"><button class="main" type="submit" id="stand-show">Show what I would sign</button></div>
        {list.passkeys.length > 0 ? null : <p class="why">The sidecar’s trust folder lists no passkey of yours that is good now. You can sign one in a terminal: <code>countersign standing sign --ssh-key FILE …</code></p>}
      </form>
    </Page>
  );
}

function Showing({ context, session, asked: { place, id, list }, template, reason, salt }: Props & { readonly template: StandingStatement; readonly reason: string; readonly salt: string }) {
  return (
    <Page context={context} session={session} title="Approve the next ones like this" section="standing">
      <h1>This is what you would sign</h1>
      <section id="template" class="card" aria-label="What is signed">
        <Template statement={template} />
        <blockquote><p id="template-why">{plain(reason)}</p></blockquote>
      </section>
      <form method="post" action={changePath(place, id, '/standing/sign')} data-deed="sign">
        <input type="hidden" name="formKey" value={session.formKey} />
        <input type="hidden" id="template-statement" name="statement" value={JSON.stringify(template)} />
        <input type="hidden" id="template-salt" name="salt" value={salt} />
        <input type="hidden" id="template-reason" name="comment" value={reason} />
        <input type="hidden" name="passkey" value="" />
        <div class="buttons">
          {list.passkeys.length === 0 ? null : <button class="main" type="submit" id="standing-passkey" data-passkey={context.assets['passkey.js'].path} data-change={changePath(place, id, '/standing/passkeys')} hidden>Sign with a passkey</button>}
          <a href={changePath(place, id, '/standing')}>Change it</a>
        </div>
        {list.passkeys.length === 0 ? <p class="why">No passkey of yours is listed here.</p> : <noscript><p class="note">A passkey needs JavaScript.</p></noscript>}
      </form>
    </Page>
  );
}
