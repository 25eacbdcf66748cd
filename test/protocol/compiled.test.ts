import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { JsonValue } from '../../ledger/index.ts';
import { changeEventBodies } from '../../src/change/events.ts';
import { isKeeping, parseBy } from '../../src/protocol/compiled.ts';
import { planSchema, targetStateSchema } from '../../src/protocol/plan.ts';
import { approvalStatementSchema, reportSchema, revokeOrderSchema, ticketSchema } from '../../src/protocol/signed.ts';
import { principalSchema } from '../../src/protocol/values.ts';
import { draftOf } from '../support/drafts.ts';
import { toldUntilActive, toldUntilArmed, toldUntilDecided, toldUntilEnded, toldUntilOrdered, PROVISION, START_MS } from '../support/story.ts';

const telling = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS)));
const beats = toldUntilEnded(telling, toldUntilOrdered(telling.later(1_000), 'person:olga')).beats;

/** Documents as they come out of a ledger, with the schema that each is read by. */
const documents = beats.flatMap(({ changeId, event, atMs }): [name: string, schema: z.ZodType, document: unknown][] => {
  const { draft, objects } = draftOf(changeId, event, atMs);
  const payload = (envelope: { readonly payload: string }): unknown => JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'));
  const body = draft.body as unknown as { readonly ticket?: { payload: string }; readonly report?: { payload: string }; readonly order?: { payload: string } | string; readonly approval?: { envelope: { payload: string } } };
  return [
    [event.type, changeEventBodies[event.type], draft.body],
    ...(body.ticket === undefined ? [] : [['ticket', ticketSchema, payload(body.ticket)] as [string, z.ZodType, unknown]]),
    ...(body.report === undefined ? [] : [['report', reportSchema, payload(body.report)] as [string, z.ZodType, unknown]]),
    ...(typeof body.order !== 'object' ? [] : [['order', revokeOrderSchema, payload(body.order)] as [string, z.ZodType, unknown]]),
    ...(body.approval === undefined ? [] : [['approval', approvalStatementSchema, payload(body.approval.envelope)] as [string, z.ZodType, unknown]]),
    ...objects.map((bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as { readonly kind?: string }).filter(({ kind }) => kind !== 'disclosure').map((object): [string, z.ZodType, unknown] => ('kind' in object ? ['plan', planSchema, object] : ['state', targetStateSchema, object])),
  ];
});

const STRANGE: readonly JsonValue[] = [null, true, 0, -1, 3.5, 10_000, '', 'x', 'a\u0000b', 'sha256:00', '2026-02-30T00:00:00.000Z', '2026-02-28T00:00:00.000Z', [], {}, [[]], { allOf: [] }, { atLeast: 0, of: [] }];

/** The document with something strange at one place, or a member more or fewer there. */
function altered(document: unknown, path: number, how: number): unknown {
  const copy = structuredClone(document);
  const places: [holder: Record<string, unknown>, key: string][] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const key of Object.keys(value)) {
      places.push([value as Record<string, unknown>, key]);
      visit((value as Record<string, unknown>)[key]);
    }
  };
  visit(copy);
  const [holder, key] = places[path % places.length]!;
  if (how === 0 && Array.isArray(holder)) holder.pop();
  else if (how === 0) delete holder[key];
  else if (how === 1) holder[Array.isArray(holder) ? holder.length : `${key}x`] = holder[key];
  else holder[key] = STRANGE[(how - 2) % STRANGE.length];
  return copy;
}

describe('a schema that was made into a function', () => {
  it('accepts what the schema accepts, and gives the same', () => {
    for (const [name, schema, document] of documents) {
      const parsed = schema.safeParse(document);
      expect(parsed.success, name).toBe(true);
      expect(parseBy(schema, document), name).toEqual({ success: true, data: parsed.data });
    }
    expect(new Set(documents.map(([name]) => name)).size).toBeGreaterThan(15);
  });

  it('accepts nothing else, and says what the schema says', () => {
    let refused = 0;
    fc.assert(fc.property(fc.constantFrom(...documents), fc.nat(), fc.nat({ max: 1 + STRANGE.length }), ([, schema, document], path, how) => {
      const strange = altered(document, path, how);
      const [due, found] = [schema.safeParse(strange), parseBy(schema, strange)];
      expect(found.success).toBe(due.success);
      expect(found.data).toEqual(due.data);
      expect(found.error?.issues).toEqual(due.error?.issues);
      if (!due.success) refused += 1;
    }), { numRuns: 1_500 });
    expect(refused).toBeGreaterThan(600);
  });

  it('is one that changes nothing, whatever a record may hold', () => {
    for (const schema of [...Object.values(changeEventBodies), ticketSchema, reportSchema, revokeOrderSchema, approvalStatementSchema, planSchema, targetStateSchema, principalSchema]) expect(isKeeping(schema, new Set())).toBe(true);
  });

  it.each<[string, z.ZodType, unknown, unknown]>([
    ['drops members', z.object({ a: z.string() }), { a: 'x', b: 1 }, { a: 'x' }],
    ['fills members in', z.strictObject({ a: z.string().default('y') }), {}, { a: 'y' }],
    ['trims', z.strictObject({ a: z.array(z.string().trim()) }), { a: [' x '] }, { a: ['x'] }],
    ['converts', z.strictObject({ a: z.coerce.number() }), { a: '1' }, { a: 1 }],
    ['transforms', z.strictObject({ a: z.string().transform((text) => text.length) }), { a: 'xy' }, { a: 2 }],
    ['falls back', z.strictObject({ a: z.number().catch(7) }), { a: 'xy' }, { a: 7 }],
    ['does so within what contains itself', z.strictObject({ a: z.lazy(() => z.string().toLowerCase()) }), { a: 'XY' }, { a: 'xy' }],
  ])('is read by zod where it %s', (_what, schema, value, made) => {
    expect(isKeeping(schema, new Set())).toBe(false);
    expect(parseBy(schema, value).data).toEqual(made);
  });
});
