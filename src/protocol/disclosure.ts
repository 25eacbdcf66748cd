/**
 * What people write, in a record that is for ever: the record is committed to the text, and the text is an object beside it, which can be erased.
 *
 * The commitment is the digest of JCS{name, salt, value}. Salt and text are in the disclosure alone: once that is erased, nobody can tell from what
 * is left whether it was this text or another.
 */
import { z } from 'zod';
import { canonicalBytes, digestOf, JsonError, parseStrict } from '../../ledger/index.ts';
import { parseBy } from './compiled.ts';
import { digestSchema, plainTextSchema, saltSchema } from './values.ts';

export const PROSE_MAX = 500;
/** What the text is, in the record that commits to it. */
export const PROSE_NAMES = ['reason', 'comment', 'basis'] as const;
export type ProseName = (typeof PROSE_NAMES)[number];

export const commitmentSchema = z.strictObject({ commitment: digestSchema });
export type Commitment = z.infer<typeof commitmentSchema>;

/** The commitment; or the text itself, as records had it before there were commitments. */
export const proseSchema = z.union([commitmentSchema, plainTextSchema(PROSE_MAX)]);
/** The text, where it is known; what is left of it, where it is not. */
export type Prose = z.infer<typeof proseSchema>;

export const disclosureSchema = z.strictObject({ v: z.literal(1), salt: saltSchema, kind: z.literal('disclosure'), name: z.enum(PROSE_NAMES), value: plainTextSchema(PROSE_MAX) });
export type Disclosure = z.infer<typeof disclosureSchema>;

export function commitmentTo({ name, salt, value }: Pick<Disclosure, 'name' | 'salt' | 'value'>): Commitment {
  return { commitment: digestOf(canonicalBytes({ name, salt, value })) };
}

/** What a record says of the text, and the object that says it. @param salt 16 random bytes, of this text alone */
export function disclose(name: ProseName, value: string, salt: string): { readonly commitment: Commitment; readonly object: Uint8Array } {
  const disclosure: Disclosure = { v: 1, salt, kind: 'disclosure', name, value };
  return { commitment: commitmentTo(disclosure), object: canonicalBytes(disclosure) };
}

/** The text of an object, if it is the disclosure of that name which the commitment is to; null where it is anything else. */
export function disclosedBy(object: Uint8Array, name: ProseName, { commitment }: Commitment): string | null {
  const read = disclosureIn(object);
  return read !== null && read.name === name && commitmentTo(read).commitment === commitment ? read.value : null;
}

function disclosureIn(object: Uint8Array): Disclosure | null {
  try {
    const parsed = parseBy(disclosureSchema, parseStrict(object));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}

export function isCommitment(prose: unknown): prose is Commitment {
  // Most records carry no prose: a schema that refuses says why, and that costs.
  return typeof prose === 'object' && prose !== null && parseBy(commitmentSchema, prose).success;
}
