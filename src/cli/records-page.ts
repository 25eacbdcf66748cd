/** `docs/records.md`: every record type with its body, read off the schemas that check them. */
import { z } from 'zod';
import { changeEventBodies, type ChangeEventType } from '../change/events.ts';
import { RECORD_VERSIONS, systemRecordBodies, type SystemRecordType } from '../evidence/record.ts';
import { PARTS, SCALARS, WORDS } from './words.ts';

/** What is true once the record is durable. A type without a sentence does not compile. */
const MEANINGS: Readonly<Record<ChangeEventType | SystemRecordType, string>> = {
  'ledger.opened': 'A writer opened the log: the first record, and one for each start after it.',
  'ledger.recovered': 'A torn end of the journal, of which nobody had been told, was cut.',
  'ledger.restored': 'The ledger was made again from a copy, byte for byte, up to this head; `had` of its records were still there.',
  'ledger.heads': 'Which record was the last of each of the `changes` there were before this record: `root` is that of the change-head map (`ledger/FORMAT.md`, “Heads of changes”), by which an evidence pack shows that it holds a change to its last record. The verifier holds every one of these to the records before it.',
  'ledger.adopted': 'The first record of a log that goes on for another, of which no copy reaches what was signed: the newest checkpoint of the old log that is known whole, and in `ahead` what others have seen beyond it. The `changes` that were open there follow.',
  'redecision.completed': 'Policy was asked about every lease that ran, after facts or bundle had changed: how many it keeps, has looked at, and takes back.',
  'redecision.failed': 'Policy gave no answer about some of the leases that run, after facts or bundle had changed: nothing is taken back. Its owner looks at policy.',
  'witness.anchored': 'Witnesses have cosigned this head of the ledger: what follows was written after the times that they state. COMPLETENESS holds the head to the records, TIME the times.',
  'outbox.refilled': 'What should be on the bus was missing there, and is there again: records of the ledger’s copy from `from` on, or steps and orders of `changes`.',
  'messages.refused': 'Messages that no trusted key had signed for this executor, or that were none, were set aside: `count` more than the records before say, for each reason and run of a worker, which says so unsigned; without a run, by this sidecar. At most once an hour for each executor.',
  'facts.loaded': 'These facts are in force from here on. The facts themselves are the object.',
  'key.rotated': 'From the next record on the log is signed with another key. Both have signed it.',
  'bundle.activated': 'This policy bundle is in force from here on; `null`: none is. Its files, which `listing` names, are the objects; version 1 kept nothing of them. `revision` (version 3) is there where the bundle came from a source that only goes forward; `proposal` and `approvals` (version 4) where people had to let it.',
  'bundle.proposed': 'This policy bundle is good, and waits for people to let it come into force. Its files are the objects. A later proposal takes its place.',
  'proposal.approved': 'One person approved that exactly this bundle comes into force.',
  'proposal.rejected': 'One person rejected it: the bundle before stays in force, and this one is not proposed again.',
  'erasure': 'A person had these objects forgotten, and says on what basis: their bytes are zero in the ledger and its copies, and their digests stay.',
  'change.requested': 'Somebody asked. Nothing has been looked at.',
  'change.revised': 'The request was replaced. Every approval is void; the requirement never shrinks. With `reduced`, the actor is not who asked but who was asked to approve that plan, and what is left is less of the same.',
  'change.withdrawn': 'Who asked has taken it back, or somebody who may revoke has stopped it.',
  'change.expired': 'Nobody decided in time, the time for the change was over before it began, or the caller never took its ticket up. `adopted`: it was begun under an earlier log and had given nothing, or nothing more was heard of it.',
  'change.adopted': 'The change was begun under an earlier log, which this one has adopted: its records are in the objects `parts` (schema [`adopted-records`](schemas/adopted-records.json)), each with its proof under the adopted checkpoint. Nothing is gained by it any more.',
  'policy.decided': 'What policy answered about this revision. The plan and the policy input are objects, named by digest. `floor`: what the floor of the sidecar’s own trust folder asks for beyond that, and `requirement` has as well. `uncounted`: approvals that count no more, whose own proof is not good any more by that folder, such as by a key that is over, or standing ones, of which the executor will have none.',
  'approval.judged': 'Policy was asked whether this person may approve this plan, and the approval right after rests on its answer. The policy input is an object, named by digest.',
  'approval.recorded': 'One person approved exactly this plan.',
  'breakglass.used': 'A person whom floors name gave this lease without the approvals, by a signature of her own (SSHSIG over the statement, namespace `breakglass@countersign`) that commits to why. Those who were asked are told, and one of them reviews it by `reviewBy`.',
  'breakglass.reviewed': 'One of those who were not waited for has reviewed that the glass was broken: neither who broke it nor who asked for the change. `statement`: her own signature (SSHSIG, namespace `breakglass-review@countersign`; with `proofClass: passkey`, her passkey’s answer), where a floor asks for it. `rotation`: the new credential that is owed is not needed. `standsIn`: she was not asked, and by the directory nobody who was could review it any more.',
  'breakglass.rotated': 'The login that was lent more has a new credential: a rotation that began after the lease had ended has come to its end.',
  'standing.approved': 'A person signed a template (SSHSIG over the statement, namespace `standing-approval@countersign`; with `proofClass: passkey`, her passkey’s answer to it) that commits to why: plans within it are approved by her, each use an `approval.recorded` by the sidecar with the template as its envelope and the number of the use.',
  'standing.revoked': 'A standing approval approves nothing more: at the word of who gave it, or of who may lock its identity.',
  'approval.escalated': 'The change has waited for approvals for so long that further people are told. Who may approve is what it was; `dueAt` is when it was time.',
  'approval.rejected': 'One person rejected this plan. That ends the change, unless decisions ask for more people to reject it: then `outcome` says what it comes to (`open`: it waits on; `enough`; `unreachable`: those who are left cannot approve it), and `otherIds` by which else of her ids she is asked.',
  'step.authorised': 'The sidecar authorises an executor. The receipt that the executor demands is this very record: `read` and `act` are still written as version 1.',
  'step.claimed': 'The executor took the step up; nothing has been touched.',
  'step.succeeded': 'The effect is there and was read back.',
  'step.failed': 'The target refused; nothing was changed.',
  'step.refused': 'The executor refused: the ticket, its proof, or the state of the target was not what it should be.',
  'step.ambiguous': 'It is not known whether the effect happened; it will be probed, never blindly repeated.',
  'lease.armed': 'The order that takes the access back is held by the transport, or by the executor itself.',
  'lease.activated': 'The access is there and will end.',
  'lease.extended': 'An extension was applied and verified: the access ends later, by the order in here. `change` is the extension, whose records say who decided, approved and did it.',
  'lease.redecided': 'Policy was asked again about a lease that runs, on other facts or by another bundle, and says otherwise than is on record. The policy input is an object, named by digest.',
  'lease.disarmed': 'The order of an earlier end, which an extension has superseded, is no longer armed where it would act without the sidecar.',
  'lease.ended': 'The access is gone: the target was tried or read. `order` is what was carried out, as its executor received it.',
  'state.read': 'What was read at the target before the plan was derived; in caller mode a second one, after its code ran. The state is the object.',
  'entitlement.verified': 'Policy was asked whether the state that was read after the effect is what was decided.',
  'delivery.sealed': 'A sealed secret is durable at the executor, from before the secret was applied.',
  'delivery.acknowledged': 'Its recipient has the secret; the ciphertext is forgotten.',
  'delivery.undeliverable': 'Nobody fetched the secret; the credential is undone.',
  'finding.opened': 'Something is not as it should be, and somebody owns that.',
  'finding.closed': 'It is as it should be again.',
  'window.opened': 'The planned window is open and the change about to go on; its consumers are told.',
  'window.closed': 'Its time is over, nothing of the change needs it any more, or it was missed.',
  'consumer.confirmed': 'A consumer of a rotated credential uses the new one.',
  'item.started': 'Work on an item of an offboarding began: `change` takes it back.',
  'item.settled': 'The item is gone, or open: somebody’s to look at, and tried on.',
  'notification.delivered': 'A receiver took in what it was told about record `about`.',
  'notification.failed': 'It did not, for so long that it is not told any more.',
  'lock.set': 'From here on the identity, or whoever it is at the connector, gains nothing.',
  'lock.lifted': 'The lock is off.',
  'discovery.authorised': 'The sidecar authorises an executor to tell a page of what is there at its target. The receipt that the executor demands is this very record.',
  'discovery.read': 'What the executor answered. The page is the object; there is none where it would not tell.',
  'reconcile.found': 'Something at a target is not as it is recorded, and somebody owns that. `evidence`: the pages that show it.',
  'reconcile.cleared': 'It is as it is recorded again, as the pages show.',
  'reconcile.ordered': 'What this ledger gave and was found past its end is ordered back.',
  'reconcile.proposed': 'A change was asked for that would end what was found; people decide on it as on any other.',
  'reconcile.compared': 'A connector was looked at as a whole and compared with what is recorded. `complete`: no page is missing.',
};

interface Shape {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Shape[];
  readonly oneOf?: readonly Shape[];
  readonly items?: Shape;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Shape | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
}

export function recordsPage(): string {
  const lines = [
    '# Records', '',
    '<!-- Made by `npm run docs:build` from the schemas that check records; edit those. -->', '',
    'A record is one entry of the ledger: RFC 8785 (JCS) JSON of at most 60 KiB. What is common to all of them is in `ledger/FORMAT.md`; this page has',
    'what is in `body`, by `type`. `v` is the version of that type’s body. Old versions are read by `src/evidence/upcast.ts` and never rewritten.', '',
    'Objects that a body names by digest (the plan, states that were read, policy inputs, facts) are beside the log, salted, and can be erased; what is',
    'in a body cannot. What people write is `prose`: the body commits to it, as SHA-256 of JCS `{name, salt, value}`, and the record’s one object is the [`disclosure`](schemas/disclosure.json).',
    'Only records of version 1, of types that have a version 2 for it, have the text itself. The payloads of tickets, orders, approvals and reports (`dsse`) are in `docs/schemas/`. A field that ends in `?` may be absent; all others are always there, with `null` where there is nothing to say.', '',
    '## Of a change', '',
    ...Object.entries<z.ZodType>(changeEventBodies).flatMap(([type, schema]) => section(type as ChangeEventType, schema)),
    '## Of the ledger itself', '',
    'Their `change` is `null`.', '',
    ...Object.entries<z.ZodType>(systemRecordBodies).flatMap(([type, schema]) => section(type as SystemRecordType, schema)),
    '## Words', '', '| word | what it is | pattern |', '|---|---|---|',
    ...Object.entries(SCALARS).map(([word, [schema, meaning]]) => `| \`${word}\` | ${meaning} | ${patternOf(schema)} |`), '',
    '## Parts', '',
    ...Object.entries<z.ZodType>(PARTS).flatMap(([name, schema]) => ['### `' + name + '`', '', '```text', ...render(shapeOf(schema, name), ''), '```', '']),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

function section(type: ChangeEventType | SystemRecordType, schema: z.ZodType): string[] {
  return [`### \`${type}\``, '', `${MEANINGS[type]} (v ${RECORD_VERSIONS[type]})`, '', '```text', ...render(shapeOf(schema, null), ''), '```', ''];
}

/** @param name of the part that this is, whose own definition must not be a reference to itself */
function shapeOf(schema: z.ZodType, name: string | null): Shape {
  const made = z.toJSONSchema(schema, { target: 'draft-2020-12', unrepresentable: 'any', metadata: WORDS }) as Shape & { $defs?: Readonly<Record<string, Shape>> };
  return name !== null && made.$ref !== undefined ? (made.$defs?.[name] ?? made) : made;
}

function patternOf(schema: z.ZodType): string {
  const { pattern } = z.toJSONSchema(schema) as Shape;
  return pattern === undefined ? '' : `\`${pattern.replaceAll('|', '\\|')}\``;
}

/** A type as lines; only objects and unions of objects take more than one. */
function render(shape: Shape, indent: string): string[] {
  const union = shape.anyOf ?? shape.oneOf;
  if (union !== undefined) {
    const [first, second] = union;
    if (union.length === 2 && second?.type === 'null' && first !== undefined) return appendTo(render(first, indent), ' | null');
    const options = union.map((option) => render(option, indent));
    if (options.every((option) => option.length === 1)) return [options.map(([line]) => line!).join(' | ')];
    return options.flatMap((option, index) => (index === 0 ? option : [`${indent}| ${option[0]!.trimStart()}`, ...option.slice(1)]));
  }
  if (shape.type === 'array' && shape.items !== undefined) {
    const inner = render(shape.items, indent);
    return inner.length === 1 ? [`[${inner[0]!}, …]`] : [`[${inner[0]!}`, ...inner.slice(1, -1), `${inner.at(-1)!}, …]`];
  }
  if (shape.properties !== undefined) {
    const fields = Object.entries(shape.properties).flatMap(([field, value]) => {
      const [first, ...rest] = render(value, `${indent}  `);
      return [`${indent}  ${field}${shape.required?.includes(field) === true ? '' : '?'}: ${first!}`, ...rest];
    });
    return ['{', ...fields, `${indent}}`];
  }
  return [scalar(shape)];
}

function appendTo(lines: readonly string[], text: string): string[] {
  return [...lines.slice(0, -1), `${lines.at(-1)!}${text}`];
}

function scalar(shape: Shape): string {
  if (shape.$ref !== undefined) return shape.$ref === '#' ? 'approverExpression' : shape.$ref.slice(shape.$ref.lastIndexOf('/') + 1);
  if (shape.const !== undefined) return JSON.stringify(shape.const);
  if (shape.enum !== undefined) return shape.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (shape.type === 'integer') return shape.minimum === undefined || Math.abs(shape.minimum) > 2 ** 52 ? 'integer' : `integer ≥ ${shape.minimum}`;
  if (shape.type === 'string') return shape.maxLength === undefined ? 'text' : `text of at most ${shape.maxLength}`;
  if (shape.type === 'object') return 'object';
  return shape.type ?? 'JSON';
}
