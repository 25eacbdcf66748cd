/** Each a way to show, or to have shown, another text than the record commits to. */
import { canonicalBytes, digestOf, parseStrict, type JsonObject } from '../../ledger/index.ts';
import type { DraftWithObjects } from '../../src/evidence/record.ts';
import { systemDraft } from '../../src/evidence/record.ts';
import { disclose, type Disclosure } from '../../src/protocol/disclosure.ts';
import { draftOf } from '../support/drafts.ts';
import { cleanStory, salt, START_MS, type Beat } from '../support/story.ts';
import type { Case } from './verified.ts';

export const draftsOf = (beats: readonly Beat[]): DraftWithObjects[] => beats.map(({ changeId, event, atMs }) => draftOf(changeId, event, atMs));

/** The story with the first record of that type edited. */
const edited = (type: string, edit: (one: DraftWithObjects) => DraftWithObjects): Pick<Case, 'beats' | 'extra'> => {
  const drafts = draftsOf(cleanStory().beats);
  const at = drafts.findIndex(({ draft, objects }) => draft.type === type && objects.length > 0);
  if (at === -1) throw new Error(`the story has no ${type} with a disclosure`);
  return { beats: () => [], extra: drafts.map((one, i) => (i === at ? edit(one) : one)) };
};
const withObjects = ({ draft }: DraftWithObjects, objects: readonly Uint8Array[]): DraftWithObjects => ({ draft: { ...draft, objects: objects.map(digestOf) }, objects });
const disclosing = (edit: Partial<Record<keyof Disclosure, unknown>>) => (one: DraftWithObjects): DraftWithObjects =>
  withObjects(one, [canonicalBytes({ ...(parseStrict(one.objects[0]!) as JsonObject), ...edit })]);
const other = disclose('reason', 'another reason', salt(9)).object;
const erasure = (basis: string, object: Uint8Array): DraftWithObjects => {
  const { commitment } = disclose('basis', basis, salt(8));
  return systemDraft('erasure', { erased: [digestOf(Buffer.from('nothing'))], basis: commitment }, 'person:vera', START_MS + 9_000_000, [object]);
};

export const DISCLOSURE_CASES: readonly Case[] = [
  { title: 'a reason that was changed afterwards', code: 'disclosure-mismatch', ...edited('change.requested', disclosing({ value: 'a better reason' })) },
  { title: 'a reason under another salt', code: 'disclosure-mismatch', ...edited('change.requested', disclosing({ salt: salt(7) })) },
  { title: 'a comment that is disclosed as a reason', code: 'disclosure-mismatch', ...edited('approval.recorded', disclosing({ name: 'reason' })) },
  {
    title: 'a comment that commits to a reason', code: 'disclosure-mismatch',
    ...edited('approval.recorded', ({ draft }) => {
      const { commitment, object } = disclose('reason', 'planned', salt(6));
      return { draft: { ...draft, body: { ...draft.body, comment: commitment }, objects: [digestOf(object)] }, objects: [object] };
    }),
  },
  { title: 'a disclosure of another kind', code: 'disclosure-mismatch', ...edited('change.requested', disclosing({ kind: 'facts' })) },
  { title: 'a disclosure that is no JSON', code: 'disclosure-mismatch', ...edited('change.requested', (one) => withObjects(one, [Buffer.from('{')])) },
  { title: 'a commitment to what was never disclosed', code: 'disclosure-mismatch', ...edited('change.requested', (one) => withObjects(one, [])) },
  { title: 'a reason that is disclosed in two ways', code: 'disclosure-mismatch', ...edited('change.requested', (one) => withObjects(one, [...one.objects, other])) },
  { title: 'a comment on a revoke that was changed afterwards', code: 'disclosure-mismatch', ...edited('step.authorised', disclosing({ value: 'x' })) },
  { title: 'the basis of an erasure that was changed afterwards', code: 'disclosure-mismatch', extra: [erasure('request 17', disclose('basis', 'request 18', salt(8)).object)] },
  {
    title: 'a reason that is in clear in a record that is to commit to it', code: 'malformed-record', amongOthers: true,
    ...edited('change.requested', ({ draft }) => ({ draft: { ...draft, body: { ...draft.body, request: { ...(draft.body['request'] as JsonObject), reason: 'in clear' } }, objects: [] }, objects: [] })),
  },
  { title: 'a commitment in a record that is to have the reason in clear', code: 'malformed-record', amongOthers: true, ...edited('change.requested', (one) => ({ ...one, draft: { ...one.draft, v: 1 } })) },
];
