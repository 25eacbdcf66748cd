/**
 * What a reader does not know it refuses, and never ignores. `earlier/` has what readers took of before an approval could count no more, an expression
 * could have more than 32 parts and a floor could name reviewers, as JSON Schemas that their own code made; `golden/v4-floors` is a ledger with all of that.
 * Readers of now are held to the same for what is to come: in every record of every golden ledger, in every step that an executor takes, in trust folders.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { decodeBundle, decodeRecord, type JsonObject, type JsonValue, type LedgerRecord } from '../../ledger/index.ts';
import { isChangeEventType, requireReadable, type SystemRecordType } from '../../src/evidence/record.ts';
import { upcast } from '../../src/evidence/upcast.ts';
import { admit } from '../../src/executor/admission.ts';
import { loadTrustFolder, parseTrust } from '../../src/protocol/trust-folder.ts';
import { requirementsFileSchema } from '../../src/protocol/trust.ts';
import { parseTime } from '../../src/protocol/values.ts';
import type { StepVector } from '../support/protocol-vectors/steps.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const FLOORS = join(GOLDEN, 'v4-floors');
const ajv = new Ajv2020({ strict: false, validateFormats: false });
const earlier = (name: string): ((value: unknown) => boolean) => ajv.compile(JSON.parse(readFileSync(join(import.meta.dirname, `earlier/${name}.json`), 'utf8')) as object);
const taken = new Map(['policy.decided', 'step.authorised'].map((type) => [type, earlier(type)]));
const takesFolder = earlier('requirements');

/** A golden ledger is one bundle. Each body as the newest version has it. */
function recordsOf(directory: string): LedgerRecord[] {
  const bundles = join(directory, 'ledger/tile/entries/000.p');
  return decodeBundle(readFileSync(join(bundles, readdirSync(bundles)[0]!))).map((entry) => upcast(decodeRecord(entry)));
}
const decisionsIn = (directory: string): LedgerRecord[] => recordsOf(directory).filter(({ type }) => taken.has(type));
const takes = ({ type, body }: Pick<LedgerRecord, 'type' | 'body'>): boolean => taken.get(type)!(body);
const isLong = (value: JsonValue): boolean => partsOf(value).some(({ at }) => Array.isArray(at) && at.length > 32);
const requirements = JSON.parse(readFileSync(join(FLOORS, 'trust/requirements.json'), 'utf8')) as { readonly breakGlass: readonly object[]; readonly floors: readonly object[] };

interface Part {
  readonly path: readonly (string | number)[];
  readonly at: JsonValue;
}

/** A value, and all that is in it. */
function partsOf(at: JsonValue, path: readonly (string | number)[] = []): Part[] {
  const below = Array.isArray(at) ? (at as readonly JsonValue[]).flatMap((one, i) => partsOf(one, [...path, i])) : isObject(at) ? Object.entries(at).flatMap(([name, one]) => partsOf(one, [...path, name])) : [];
  return [{ path, at }, ...below];
}
const isObject = (value: JsonValue): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value once for each object in it, which says one thing more there. */
function* withMore<T extends JsonValue>(value: T): Generator<{ readonly where: string; readonly more: T }> {
  for (const { path, at } of partsOf(value)) {
    if (!isObject(at)) continue;
    const more = structuredClone(value);
    const inside = path.reduce<JsonValue>((one, name) => (one as Record<string, JsonValue>)[name]!, more) as Record<string, JsonValue>;
    inside['later'] = true;
    yield { where: `/${path.join('/')}`, more };
  }
}

describe('a reader of before', () => {
  it.each(readdirSync(GOLDEN).filter((name) => name !== 'v4-floors'))('takes all that was decided and authorised in the golden ledger %s', (version) => {
    const records = decisionsIn(join(GOLDEN, version));
    expect(records.length).toBeGreaterThan(0);
    expect(records.filter((record) => !takes(record)).map(({ seq }) => seq)).toEqual([]);
  });

  it('refuses each record in which an approval counts no more or more than 32 people are asked, and no other', () => {
    const records = decisionsIn(FLOORS);
    const isNews = ({ body }: LedgerRecord): boolean => body['uncounted'] !== undefined || isLong(body);
    expect(records.filter((record) => !takes(record)).map(({ seq }) => seq)).toEqual(records.filter(isNews).map(({ seq }) => seq));
    expect(records.filter(isNews).map(({ type }) => type)).toEqual(expect.arrayContaining(['policy.decided', 'step.authorised']));
  });

  it('refuses a record for an approval that counts no more alone, and for a long list alone', () => {
    const { type, body } = decisionsIn(FLOORS).find((record) => record.body['uncounted'] !== undefined)!;
    const short = JSON.parse(JSON.stringify(body), (_, value: JsonValue) => (Array.isArray(value) ? value.slice(0, 32) : value)) as JsonObject;
    const { uncounted: _, ...counted } = short;
    const { uncounted: __, ...long } = body;
    expect([short, long, counted].map((one) => takes({ type, body: one }))).toEqual([false, false, true]);
  });

  it('refuses a folder that names reviewers, and takes it where it names none', () => {
    const without = { ...requirements, breakGlass: requirements.breakGlass.map((one) => ({ ...one, reviewers: undefined })) };
    expect([requirements, JSON.parse(JSON.stringify(without))].map(takesFolder)).toEqual([false, true]);
  });
});

describe('a reader of now', () => {
  it.each(readdirSync(GOLDEN))('refuses whatever one thing more a record of the golden ledger %s says, at any depth', (version) => {
    const ignored: string[] = [];
    for (const { seq, type, body } of recordsOf(join(GOLDEN, version))) {
      const known = type as SystemRecordType;
      expect(() => requireReadable(known, body)).not.toThrow();
      for (const { where, more } of withMore(body)) if (reads(() => requireReadable(known, more))) ignored.push(`record ${seq} ${type}${isChangeEventType(type) ? '' : ', of no change,'} ${where}`);
    }
    expect(ignored).toEqual([]);
  });

  it('refuses a list of more than 64, and more than 256 approvals that count no more', () => {
    const { body } = decisionsIn(FLOORS).find((record) => record.body['uncounted'] !== undefined)!;
    const asking = (people: number): JsonObject => ({ ...body, requirement: { proofClass: 'ssh', approvers: { anyOf: Array.from({ length: people }, (_, i) => `person:p${i}`) } } });
    const uncounting = (approvals: number): JsonObject => ({ ...body, uncounted: Array.from({ length: approvals }, (_, i) => `apr_${String(i).padStart(32, '0')}`) });
    expect([asking(64), asking(65), uncounting(256), uncounting(257), uncounting(0)].map((one) => reads(() => requireReadable('policy.decided', one)))).toEqual([true, false, true, false, false]);
  });

  it('refuses whatever one thing more a trust folder says, at any depth', async () => {
    await expect(loadTrustFolder(join(FLOORS, 'trust'))).resolves.toBeDefined();
    const ignored = [...withMore(requirements as unknown as JsonObject)].filter(({ more }) => requirementsFileSchema.safeParse(more).success);
    expect(ignored.map(({ where }) => where)).toEqual([]);
  });

  const steps = join(import.meta.dirname, 'protocol/steps');
  it('takes no step whose envelope says one thing more, at any depth', () => {
    const ignored: string[] = [];
    for (const name of readdirSync(steps).filter((file) => file.startsWith('admitted-'))) {
      const { executor, connectors, now, head, begunAt, trust: texts, message } = JSON.parse(readFileSync(join(steps, name), 'utf8')) as StepVector['content'];
      if (!('json' in message)) continue;
      const trust = parseTrust({ policy: texts['trust.policy'], rest: { sidecars: texts['sidecars.json'], executors: texts['executors.json'], requirements: texts['requirements.json'], signers: texts['allowed_signers'] ?? null, passkeys: texts['passkeys.json'] ?? null } });
      const context = { trust, executorId: executor, nowMs: parseTime(now), connectors: new Set(connectors), head: () => head, beganAtMs: () => (begunAt === null ? null : parseTime(begunAt)) };
      expect(admit(message.json, context).ok, name).toBe(true);
      for (const { where, more } of withMore(message.json as JsonObject)) if (admit(more, context).ok) ignored.push(`${name} ${where}`);
    }
    expect(ignored).toEqual([]);
  });
});

function reads(read: () => void): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}
