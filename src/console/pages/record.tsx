/** One record by its number, as the ledger holds it, and the proof that it is in there. */
import { canonicalText, LedgerError, type LedgerRecord } from '../../../ledger/index.ts';
import { ClientError, type Client } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import { troubleOf } from '../ask.ts';
import type { ConsoleApp, ConsoleContext } from '../context.ts';
import { page, signInFirst } from '../gate.tsx';
import { Page } from '../layout.tsx';
import { collect, readHead, readRecords } from '../ledger-files.ts';
import { changePath, inert, recordPath, Time } from '../parts/small.tsx';
import { VerifyYourself } from '../parts/verify.tsx';

const SEQ = /^(?:0|[1-9][0-9]{0,14})$/;

export function addRecord(app: ConsoleApp, context: ConsoleContext): void {
  app.get('/ledger/:place/records', page(context, (c) => c.redirect(`/ledger/${encodeURIComponent(c.req.param('place') ?? '')}/records/${encodeURIComponent((c.req.query('seq') ?? '').trim())}`, 303)));

  app.get('/ledger/:place/records/:seq', page(context, async (c, session) => {
    const place = context.places.find(({ name }) => name === c.req.param('place'));
    const seq = c.req.param('seq') ?? '';
    const none = (text: string, status: 403 | 404 | 502) => c.html(
      <Page context={context} session={session} title="Not to be shown" section="ledger">
        <h1>Not to be shown</h1>
        <p class="banner bad">{plain(text)}</p>
        <p><a href={place === undefined ? '/ledger' : `/ledger?at=${place.name}`}>To the ledger</a></p>
      </Page>, status,
    );
    if (place === undefined || !SEQ.test(seq)) return none('There is no record at this address: records are numbered 0, 1, 2 and so on.', 404);
    try {
      const found = await read(place.open(session.token), Number(seq));
      if (found === null) return await none(`The ledger has no record ${seq} under its newest checkpoint.`, 404);
      const { record, proof } = found;
      if (c.req.query('as') === 'record') return c.body(canonicalText(record), 200, { 'content-type': 'application/json', 'content-disposition': `attachment; filename="${seq}.json"` });
      if (c.req.query('as') === 'proof') return c.body(proof, 200, { 'content-type': 'text/plain; charset=utf-8', 'content-disposition': `attachment; filename="${seq}.tlog-proof"` });
      return await c.html(
        <Page context={context} session={session} title={`Record ${seq}`} section="ledger">
          <h1>Record {seq} <span class="kind">{plain(record.type)}</span></h1>
          <p class="meta">
            <Time at={record.at} /><span class="id">{plain(record.actor)}</span>
            {record.change === null ? <span>of no change</span> : <a class="id" href={changePath(place, record.change)}>{plain(record.change)}</a>}
            {context.places.length === 1 ? null : <span>at {place.name}</span>}
          </p>
          <pre tabindex={0} aria-label={`Record ${seq} as JSON`}>{inert(JSON.stringify(record, null, 2))}</pre>
          <h2>Its proof</h2>
          <p>That these bytes are record {seq} of the log, under the checkpoint at the end of it. To be checked offline, against a trust folder: not by this page.</p>
          <pre tabindex={0} aria-label={`Proof of record ${seq}`}>{inert(proof)}</pre>
          <p class="buttons"><a class="button" href={`${recordPath(place, record.seq)}?as=record`} download>Save the record</a><a class="button" href={`${recordPath(place, record.seq)}?as=proof`} download>Save the proof</a></p>
          {record.change === null ? null : <VerifyYourself context={context} place={place} session={session} change={record.change} />}
        </Page>,
      );
    } catch (error) {
      if (error instanceof LedgerError) return none(`What the sidecar serves as record ${seq} cannot be read: ${error.message}`, 502);
      const trouble = troubleOf(error, place);
      if (trouble.isOver) return signInFirst(c, context);
      const code = error instanceof ClientError ? error.code : null;
      if (code === 'role-required') return none('Records by their number are for auditors: your sign-in has not that role here. Those of a change are in its evidence.', 403);
      return none(trouble.text, code === 'not-found' ? 404 : 502);
    }
  }));
}

async function read(client: Client, seq: number): Promise<{ readonly record: LedgerRecord; readonly proof: string } | null> {
  const { size } = await readHead(client);
  if (seq >= size) return null;
  const [[record], proof] = await Promise.all([readRecords(client, size, seq + 1, 1), collect(client.proof(seq))]);
  return { record: record!, proof: proof.toString('utf8') };
}
