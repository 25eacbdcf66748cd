/** The worked example of `docs/surface.md`: a change, really made, and the documents that it left. */
import { join } from 'node:path';
import { inlinePdp } from '../../src/pdp/inline.ts';
import { readBundle } from '../../src/pdp/bundle.ts';
import { actedReportSchema, approvalStatementSchema, revokedReportSchema, revokeOrderSchema, ticketSchema, type Dsse } from '../../src/protocol/signed.ts';
import { readPayload } from '../../src/protocol/dsse.ts';
import type { ChangeView, Evidence } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar } from '../support/sidecar.ts';

const CALLER = 'nhi:prod/ci-deployer';
const APPROVER = 'person:wei';
type Records = Evidence['records'];

export interface Example {
  /** What goes between the markers of the page. */
  readonly text: string;
  /** `docs/example/records.jsonl`: the change's records as the ledger holds them, one a line. */
  readonly records: string;
}

export async function makeExample(): Promise<Example> {
  const sidecar = await openTestSidecar({ pdp: inlinePdp(await readBundle(join(import.meta.dirname, '../../policy/bundle'))) });
  try {
    const pending = await sidecar.change(CALLER, GRANT);
    const approval = { verdict: 'approve', planDigest: pending.planDigest, comment: 'release 42 is planned for tonight' };
    await sidecar.send(APPROVER, 'POST', pending.links.approvals, approval);
    const until = async (state: ChangeView['state']): Promise<void> => {
      for (let view = pending; view.state !== state; ) {
        view = (await sidecar.send(CALLER, 'GET', `${view.links.self}?wait=PT10S&since=${view.length}`)).body as ChangeView;
        if (['denied', 'failed', 'stuck'].includes(view.state)) throw new Error(`the example is ${view.state}: ${JSON.stringify(view)}`);
      }
    };
    await until('active');
    await sidecar.send(APPROVER, 'POST', `${pending.links.self}/revoke`, { comment: 'the release is out' });
    await until('revoked');
    const { records } = (await sidecar.send(CALLER, 'GET', pending.links.evidence)).body as Evidence;
    const lines: string[] = [];
    for await (const { bytes, record } of sidecar.log.entries(0)) if (record.change === pending.id) lines.push(Buffer.from(bytes).toString());
    return { text: tell(pending, approval, records), records: `${lines.join('\n')}\n` };
  } finally {
    await sidecar.close();
  }
}

function tell(pending: ChangeView, approval: object, records: Records): string {
  const find = (type: string, kind?: string): Records[number] => records.find((record) => record.type === type && (kind === undefined || record.body['kind'] === kind))!;
  const payload = <T>(envelope: unknown, schema: Parameters<typeof readPayload<T>>[1]): T => readPayload(envelope as Dsse, schema);
  const authorised = find('step.authorised', 'act');
  const lease = authorised.body['lease'] as { order: Dsse };
  const recorded = find('approval.recorded').body['approval'] as { envelope: Dsse };
  return [
    'A deployment job asks for the deploy role for a quarter of an hour. `POST /v1/changes?wait=PT10S`, with `Authorization: Bearer …` and `Idempotency-Key: "run-42"`:',
    block('change-request', GRANT),
    'Policy asks for an approval, so the answer, `201 Created`, is a change that is `pending`:',
    block('change', pending),
    'Its `decision` is this one, as the ledger holds it:',
    block('decision', find('policy.decided').body['decision']),
    'Wei sees that plan and approves it by its digest. `POST /v1/changes/{id}/approvals`:',
    block('approval-body', approval),
    'which is recorded as this statement, signed (DSSE) by the sidecar that authenticated her:',
    block('approval-statement', payload(recorded.envelope, approvalStatementSchema)),
    'Policy is asked once more, on fresh facts. Then the sidecar authorises one step for one executor, for minutes. The ticket on the wire is an envelope:',
    block('dsse', authorised.body['ticket']),
    'and this is what is in it:',
    block('ticket', payload(authorised.body['ticket'], ticketSchema)),
    'With it travels the order that takes the access back, armed before the ticket is sent:',
    block('revoke-order', payload(lease.order, revokeOrderSchema)),
    'The executor checks all of that for itself, acts once, and signs what it did:',
    block('report', payload(find('step.succeeded').body['report'], actedReportSchema)),
    'The release is out early; Wei takes the access back (`POST /v1/changes/{id}/revoke`), and the executor signs that it is gone:',
    block('report', payload(find('lease.ended').body['report'], revokedReportSchema)),
    `The change has ${records.length} records. They are, whole, in [\`example/records.jsonl\`](example/records.jsonl); the last is`,
    block('record', records.at(-1)),
    '| `seq` | `type` | `actor` |\n|---|---|---|',
    ...records.map((record) => `| ${record.seq} | \`${record.type}\` | \`${record.actor}\` |`),
    '',
  ].join('\n\n').replaceAll(/\|\n\n\|/g, '|\n|').trimEnd();
}

function block(schema: string, value: unknown): string {
  return `\`\`\`json schema=${schema}\n${JSON.stringify(value, null, 2)}\n\`\`\``;
}
