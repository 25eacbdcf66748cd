/** Where records commit to what people wrote: a draft is made with the text beside it, and a record is read with the text while that is there. */
import type { JsonObject, JsonValue, LedgerRecord } from '../../ledger/index.ts';
import { disclose, disclosedBy, isCommitment, type ProseName } from '../protocol/disclosure.ts';
import { newestVersion } from './upcast.ts';

interface Place {
  readonly name: ProseName;
  /** The part of the body that has it; null: the body itself. */
  readonly within: 'request' | null;
}

const REQUEST: Place = { name: 'reason', within: 'request' };
const COMMENT: Place = { name: 'comment', within: null };
const PLACES: Readonly<Record<string, Place>> = {
  'change.requested': REQUEST, 'change.revised': REQUEST, 'change.withdrawn': COMMENT, 'approval.recorded': COMMENT, 'approval.rejected': COMMENT, 'step.authorised': COMMENT,
  'breakglass.used': { name: 'reason', within: null }, 'breakglass.reviewed': COMMENT,
  erasure: { name: 'basis', within: null }, 'standing.approved': { name: 'reason', within: null },
};

/** The version from which on a type commits to what people wrote: those that are younger than that have always done so. */
const committedSince = (type: string): number => Math.min(2, newestVersion(type));

/** By type, the field that its newest version has brought. */
const NEWEST_FIELD: Readonly<Record<string, string>> = { 'change.revised': 'reduced', 'approval.recorded': 'channel', 'approval.rejected': 'channel', 'notification.delivered': 'message', 'notification.failed': 'message' };

/** What says nothing that is new is told as the version before told it, so that verifiers of that time read it. */
function versionOf(type: string, body: JsonObject): number {
  const field = NEWEST_FIELD[type];
  return newestVersion(type) - (field !== undefined && body[field] === undefined ? 1 : 0);
}

/** Types of record of which every object is a disclosure. */
export const DISCLOSING: ReadonlySet<string> = new Set(Object.keys(PLACES));

export interface Concealed {
  readonly v: number;
  readonly body: JsonObject;
  /** The disclosure; none where nobody wrote anything, or its text is known no more. */
  readonly objects: readonly Uint8Array[];
}

/** The body as the record has it. @param salt a new one for each call */
export function concealed(type: string, body: JsonObject, salt: () => string): Concealed {
  const place = PLACES[type];
  // What an executor is shown as its receipt has no prose, and is what version 1 says.
  if (type === 'step.authorised' && body['kind'] !== 'revoke') return { v: 1, body, objects: [] };
  const text = place === undefined ? null : proseIn(body, place);
  if (place === undefined || typeof text !== 'string') return { v: versionOf(type, body), body, objects: [] };
  const { commitment, object } = disclose(place.name, text, salt());
  return { v: versionOf(type, body), body: withProse(body, place, commitment), objects: [object] };
}

export interface Revealed {
  readonly body: JsonObject;
  /** `gone`: the text is not there any more, or was never brought here. `another`: what is there is not what the record commits to. null: nothing is missing. */
  readonly prose: 'gone' | 'another' | null;
}

/** The text could not be said to be what this version of the record has. */
export class MisplacedProse extends Error {}

/**
 * The body of an upcast record with its text in place of the commitment, while it is there: at once where no object has to be read from elsewhere.
 *
 * @param stored the version that the record itself is of
 * @throws MisplacedProse for text in clear where there is to be a commitment, and the other way round
 */
export function revealed(record: LedgerRecord, stored: number, readObject: (digest: string) => Promise<Uint8Array | null> | Uint8Array | null): Revealed | Promise<Revealed> {
  const { type, body, objects } = record;
  const place = PLACES[type];
  const prose = place === undefined ? null : proseIn(body, place);
  const isOld = stored < committedSince(type);
  if (place !== undefined && typeof prose === 'string' && !isOld) throw new MisplacedProse(`its ${place.name} is in clear, and version ${stored} is committed to it`);
  if (place === undefined || !isCommitment(prose)) return { body, prose: null };
  if (isOld) throw new MisplacedProse(`it commits to its ${place.name}, which version ${stored} does not do`);
  const [digest] = objects;
  // Planned anew by the sidecar, or reduced, when the reason was known no more.
  if (digest === undefined && (body['cause'] === 'windowMissed' || body['reduced'] !== undefined)) return { body, prose: 'gone' };
  if (digest === undefined || objects.length > 1) return { body, prose: 'another' };
  const reveal = (object: Uint8Array | null): Revealed => {
    if (object === null) return { body, prose: 'gone' };
    const text = disclosedBy(object, place.name, prose);
    return text === null ? { body, prose: 'another' } : { body: withProse(body, place, text), prose: null };
  };
  const object = readObject(digest);
  return object instanceof Promise ? object.then(reveal) : reveal(object);
}

/** The commitment in a record as it is stored, and what it is to; null where there is none. */
export function commitmentIn({ type, body }: Pick<LedgerRecord, 'type' | 'body'>): { readonly name: ProseName; readonly commitment: string } | null {
  const place = PLACES[type];
  const prose = place === undefined ? null : proseIn(body, place);
  return place !== undefined && isCommitment(prose) ? { name: place.name, commitment: prose.commitment } : null;
}

/** The stored body with its text, which somebody knows from elsewhere. */
export function withText(type: string, body: JsonObject, text: string): JsonObject {
  const place = PLACES[type];
  return place === undefined ? body : withProse(body, place, text);
}

function proseIn(body: JsonObject, { name, within }: Place): JsonValue | undefined {
  const holder = within === null ? body : body[within];
  return isObject(holder) ? holder[name] : undefined;
}

function withProse(body: JsonObject, { name, within }: Place, prose: JsonValue): JsonObject {
  return within === null ? { ...body, [name]: prose } : { ...body, [within]: { ...(body[within] as JsonObject), [name]: prose } };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
