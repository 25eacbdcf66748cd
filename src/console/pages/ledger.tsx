/** The ledger of a sidecar: how far it is, how it is kept, its newest records, and what one takes home to verify it. */
import type { Context } from 'hono';
import { LedgerError, type LedgerRecord } from '../../../ledger/index.ts';
import { ClientError, type Readiness } from '../../client/index.ts';
import { formatSpan, plain } from '../../protocol/plain.ts';
import { changeIdSchema } from '../../protocol/values.ts';
import { orNull, troubleOf, whoIs } from '../ask.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv, Place } from '../context.ts';
import { deed, page, signInAgain, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { readHead, readRecords, type Head } from '../ledger-files.ts';
import { changePath, recordPath, Time, Troubles } from '../parts/small.tsx';
import { VerifyYourself } from '../parts/verify.tsx';
import type { Said, Session } from '../sessions.ts';

const SHOWN = 25;

interface Seen {
  readonly ready: Readiness;
  /** null: the ledger is not for her to read. */
  readonly ledger: { readonly head: Head; readonly newest: LedgerRecord | null; readonly records: readonly LedgerRecord[]; readonly to: number } | null;
}

export function addLedger(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/ledger', page(context, (c, session) => {
    const place = context.places.find(({ name }) => name === c.req.query('at')) ?? context.places[0]!;
    return showLedger(c, context, session, place, null);
  }));

  app.post('/ledger/:place/pack', deed(context, () => '/ledger', async (c, session, form) => {
    const place = context.places.find(({ name }) => name === c.req.param('place'));
    if (place === undefined) return c.notFound();
    const asked = (form['change'] ?? '').trim();
    const refused = (text: string, status: 422 | 502) => showLedger(c, context, session, place, { said: { how: 'bad', text: `${text} Nothing was saved.` }, status, written: asked });
    const change = changeIdSchema.safeParse(asked);
    if (!change.success) return refused('That is no id of a change: chg_, the log, and the change.', 422);
    try {
      const pieces = await place.open(session.token).pack({ change: change.data });
      return c.body(ReadableStream.from<Uint8Array>(pieces), 200, { 'content-type': 'application/x-tar', 'content-disposition': `attachment; filename="${change.data}.evidence.tar"` });
    } catch (error) {
      const trouble = troubleOf(error, place);
      if (!trouble.isOver) return refused(isNotForHer(error) ? 'Evidence packs are for auditors: your sign-in has not that role.' : trouble.text, error instanceof ClientError && error.status === null ? 502 : 422);
      context.sessions.end(session.id);
      return signInAgain(c, context, '/ledger', asked);
    }
  }));

  app.get('/verifier.html', page(context, (c) => {
    if (context.verifier === null) return c.notFound();
    // To be opened from disk: what is served here may do nothing but what this console's pages do.
    return c.body(Buffer.from(context.verifier.bytes), 200, { 'content-type': 'text/html; charset=utf-8', 'content-disposition': 'attachment; filename="verifier.html"' });
  }));
}

const isNotForHer = (error: unknown): boolean => error instanceof ClientError && error.code === 'role-required';

interface Telling {
  readonly said: Said;
  readonly status: 422 | 502;
  readonly written: string;
}

async function showLedger(c: Context<ConsoleEnv>, context: ConsoleContext, session: Session, place: Place, telling: Telling | null): Promise<Response> {
  const seen = await look(c, session, place).catch((error: unknown) => {
    if (error instanceof LedgerError) return { isOver: false, text: `Sidecar ${place.name}: what it serves as its ledger cannot be read: ${error.message}` };
    return troubleOf(error, place);
  });
  if ('isOver' in seen && seen.isOver) return telling === null ? signInFirst(c, context) : signInAgain(c, context, '/ledger', telling.written);
  const trouble = 'isOver' in seen ? seen.text : null;
  return c.html(
    <Page context={context} session={session} title="Ledger" section="ledger" said={telling?.said ?? null}>
      <h1>Ledger</h1>
      {context.places.length === 1 ? null : (
        <nav class="places" aria-label="Sidecars">{context.places.map(({ name }) => <a href={`/ledger?at=${name}`} aria-current={name === place.name ? 'page' : undefined}>{name}</a>)}</nav>
      )}
      <Troubles troubles={trouble === null ? [] : [trouble]} />
      {'isOver' in seen ? null : <Shown context={context} session={session} place={place} seen={seen} written={telling?.written ?? ''} />}
    </Page>,
    telling?.status ?? (trouble === null ? 200 : 502),
  );
}

async function look(c: Context<ConsoleEnv>, session: Session, place: Place): Promise<Seen> {
  const client = place.open(session.token);
  const [ready, head] = await Promise.all([client.ready(), orNull(readHead(client)), whoIs(session, place, client)]);
  if (head === null) return { ready, ledger: null };
  const asked = c.req.query('before');
  const to = asked !== undefined && /^(?:0|[1-9][0-9]{0,14})$/.test(asked) ? Math.min(head.size, Number(asked)) : head.size;
  const records = await readRecords(client, head.size, to, SHOWN);
  const [newest = null] = to === head.size ? records : await readRecords(client, head.size, head.size, 1);
  return { ready, ledger: { head, newest, records, to } };
}

function Shown({ context, session, place, seen: { ready, ledger }, written }: { context: ConsoleContext; session: Session; place: Place; seen: Seen; written: string }) {
  return (
    <>
      {ledger === null ? <p class="banner open">The records themselves are for auditors: your sign-in has not that role here. What becomes of a change is in its own evidence.</p> : <Headed head={ledger.head} newest={ledger.newest} nowMs={context.nowMs()} />}
      <section aria-labelledby="checks-title">
        <h2 id="checks-title">How it is kept</h2>
        <p class="lead">{ready.ready ? 'The sidecar can do its work.' : 'The sidecar cannot do its work just now.'} Checks are its own word.</p>
        <ul class="checks" role="list">
          {ready.checks.map(({ check, ok, required, message }) => (
            <li><span class={`state ${ok ? 'good' : required ? 'bad' : 'open'}`}>{ok ? 'well' : required ? 'not well' : 'look at it'}</span> <strong>{plain(check)}</strong> <span class="note">{plain(message)}</span></li>
          ))}
        </ul>
        {ready.checks.some(({ check }) => check === 'witnesses') ? null : <p class="note">No witness is asked to cosign it.</p>}
        {ready.checks.some(({ check }) => check === 'copy') ? null : <p class="note">No copy of it is kept on a bus.</p>}
      </section>
      {ledger === null ? null : <Records place={place} ledger={ledger} />}
      {ledger === null ? null : <VerifyYourself context={context} place={place} session={session} change={null} written={written} />}
    </>
  );
}

function Headed({ head: { size, origin, root, signatures }, newest, nowMs }: { head: Head; newest: LedgerRecord | null; nowMs: number }) {
  return (
    <section aria-labelledby="head-title">
      <h2 id="head-title">The newest checkpoint</h2>
      <dl class="plan about">
        <div><dt>log</dt><dd class="id">{plain(origin)}</dd></div>
        <div><dt>size</dt><dd>{size} records</dd></div>
        <div><dt>root</dt><dd class="id">{root}</dd></div>
        <div><dt>newest record</dt><dd>{newest === null ? 'none yet' : <><Time at={newest.at} />, {formatSpan(Math.max(0, nowMs - Date.parse(newest.at)))} ago</>}</dd></div>
        <div><dt>signed by</dt>{signatures.map(({ key, at }) => <dd><span class="id">{plain(key)}</span>{at === null ? '' : <>, a witness’s, <Time at={at} /></>}</dd>)}</div>
      </dl>
      <p class="note">As the sidecar serves it; the signatures are not checked by this page. A checkpoint has no time of its own: it is no older than its newest record.</p>
    </section>
  );
}

function Records({ place, ledger: { head, records, to } }: { place: Place; ledger: NonNullable<Seen['ledger']> }) {
  const here = `/ledger?at=${place.name}`;
  return (
    <section aria-labelledby="records-title">
      <h2 id="records-title">{to === head.size ? 'The newest records' : `Records before ${to}`}</h2>
      <form class="filter" method="get" action={`/ledger/${place.name}/records`}>
        <div class="wide"><label for="seq">A record by its number</label><input type="text" id="seq" name="seq" inputmode="numeric" pattern="[0-9]{1,15}" maxlength={15} required autocomplete="off" /></div>
        <button type="submit">Show</button>
      </form>
      <ul class="rows" role="list">
        {records.map((record) => (
          <li>
            <a href={recordPath(place, record.seq)} data-stop><span class="seq">{record.seq}</span> {plain(record.type)}</a>
            <span class="meta">{record.change === null ? null : <a class="id" href={changePath(place, record.change)}>{plain(record.change)}</a>}<Time at={record.at} /></span>
          </li>
        ))}
      </ul>
      <nav class="pager" aria-label="Further records">
        {to < head.size ? <a href={here}>The newest</a> : null}
        {to > SHOWN ? <a href={`${here}&before=${to - SHOWN}`} rel="next">Older</a> : null}
      </nav>
    </section>
  );
}
