/** The records of a change as the ledger holds them, and the proof of the last. */
import { ClientError } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import { troubleOf, whoIs } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { changePath, inert, recordPath, Time } from '../parts/small.tsx';
import { VerifyYourself } from '../parts/verify.tsx';
import { changeNamed, showChange } from './change.tsx';

export function addEvidence(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/changes/:place/:id/evidence', page(context, async (c, session) => {
    const named = changeNamed(c, context);
    if (named === null) return showChange(c, context, session);
    const { place, id } = named;
    const isFile = c.req.query('as') === 'file';
    try {
      const client = place.open(session.token);
      const [me, evidence] = await Promise.all([whoIs(session, place, client), client.evidence(id)]);
      if (isFile) return c.body(JSON.stringify(evidence, null, 2), 200, { 'content-type': 'application/json', 'content-disposition': `attachment; filename="${id}.evidence.json"` });
      return await c.html(
        <Page context={context} session={session} title={`Evidence of ${id}`}>
          <h1>Evidence</h1>
          <p class="lead">{evidence.records.length} records of <a href={changePath(place, id)} class="id">{id}</a>, each holding the digest of the one before, and the proof that the last is in the ledger.</p>
          <p><a class="button" href={`${changePath(place, id, '/evidence')}?as=file`} download>Save all of it</a></p>
          <ol class="records" role="list">
            {evidence.records.map((record) => (
              <li id={`r${record.seq}`}>
                <h2>Record {record.seq} <span class="kind">{plain(record.type)}</span></h2>
                <p class="meta"><Time at={record.at} /><span class="id">{plain(record.actor)}</span>{me.roles.includes('auditor') ? <a href={recordPath(place, record.seq)}>its own proof</a> : null}</p>
                <pre tabindex={0} aria-label={`Record ${record.seq} as JSON`}>{inert(JSON.stringify(record, null, 2))}</pre>
              </li>
            ))}
          </ol>
          <h2>Proof</h2>
          <p>To be checked by <code>countersign verify</code>, offline, against a trust folder: not by this page.</p>
          <pre tabindex={0} aria-label="Proof of the last record">{inert(evidence.proof)}</pre>
          {me.roles.includes('auditor') ? <VerifyYourself context={context} place={place} session={session} change={id} /> : null}
        </Page>,
      );
    } catch (error) {
      if (error instanceof ClientError && troubleOf(error, place).isOver) return signInFirst(c, context);
      if (error instanceof ClientError) return showChange(c, context, session);
      throw error;
    }
  }));
}
