/**
 * Schemas made into one function each, for what is read record after record. The schema stays what says what is accepted: its function comes from it, is asked
 * first, and may only say yes; whatever it does not accept, the schema itself refuses, or accepts after all, and says why.
 */
import { z } from 'zod';

type Schema = z.core.$ZodType;
const made = new WeakMap<Schema, z.ZodType | null>();

/**
 * What `schema.safeParse(value)` gives, but for that what is accepted is `value` itself and no copy, where the schema changes nothing.
 *
 * @param value as it came out of a parser of JSON, and nobody's to change from here on
 */
export function parseBy<T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> {
  return compiledOf(schema)?.validate(value) === true ? { success: true, data: value as T } : schema.safeParse(value);
}

function compiledOf(schema: z.ZodType): z.ZodType | null {
  let compiled = made.get(schema);
  if (compiled === undefined) made.set(schema, (compiled = compile(schema)));
  return compiled;
}

/** null where code may not be made at run time, as in a page, and for a schema that changes what it accepts. */
function compile(schema: z.ZodType): z.ZodType | null {
  return z.config().jitless === true || !isKeeping(schema, new Set()) ? null : z.compile(withoutCycles(schema) as z.ZodType);
}

/** Whether what the schema gives is what it was given, to the last member: it adds, drops, replaces and converts nothing. */
export function isKeeping(schema: Schema, seen: Set<Schema>): boolean {
  if (seen.has(schema)) return true;
  seen.add(schema);
  const { def } = schema._zod as { readonly def: z.core.$ZodTypes['_zod']['def'] };
  const keeps = (child: Schema): boolean => isKeeping(child, seen);
  if ('coerce' in def && def.coerce) return false;
  if (def.checks?.some((check) => check._zod.def.check === 'overwrite') === true) return false;
  switch (def.type) {
    case 'string':
      return !('format' in def) || def.format === 'base64';
    case 'number':
    case 'boolean':
    case 'null':
    case 'literal':
    case 'enum':
      return true;
    case 'object':
      return def.catchall?._zod.def.type === 'never' && Object.values(def.shape as Record<string, Schema>).every(keeps);
    case 'union':
      return def.options.every(keeps);
    case 'array':
      return keeps(def.element);
    case 'record':
      return keeps(def.keyType) && keeps(def.valueType);
    case 'nullable':
    case 'optional':
      return keeps(def.innerType);
    case 'lazy':
      return keeps(def.getter());
    default:
      return false;
  }
}

/**
 * The schema, with everything in it that contains itself made into a function of its own, which is called where it stands: a schema that contains itself
 * cannot be made into one function. What it accepts is taken over as it was given, which is the same: nothing here changes what it accepts.
 */
function withoutCycles(schema: Schema): Schema {
  const { def } = schema._zod as { readonly def: z.core.$ZodTypes['_zod']['def'] };
  switch (def.type) {
    case 'lazy': {
      // Not what the getter gives, which may be another with each call.
      const { innerType } = schema._zod as z.core.$ZodLazyInternals;
      return z.custom((value) => compiledOf(innerType as z.ZodType)?.validate(value) === true);
    }
    case 'object': {
      const members = Object.entries(def.shape as Record<string, Schema>).map(([key, member]) => [key, withoutCycles(member)] as const);
      return members.every(([key, member]) => member === def.shape[key]) ? schema : cloned(schema, { ...def, shape: Object.fromEntries(members) });
    }
    case 'union': {
      const options = def.options.map(withoutCycles);
      return options.every((option, i) => option === def.options[i]) ? schema : cloned(schema, { ...def, options });
    }
    case 'array':
      return withoutCycles(def.element) === def.element ? schema : cloned(schema, { ...def, element: withoutCycles(def.element) });
    case 'record':
      return withoutCycles(def.valueType) === def.valueType ? schema : cloned(schema, { ...def, valueType: withoutCycles(def.valueType) });
    case 'nullable':
    case 'optional':
      return withoutCycles(def.innerType) === def.innerType ? schema : cloned(schema, { ...def, innerType: withoutCycles(def.innerType) });
    default:
      return schema;
  }
}

/** The schema with another definition, its checks with it. */
function cloned(schema: Schema, def: object): Schema {
  return z.core.clone(schema, def as never);
}
