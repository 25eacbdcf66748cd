/**
 * Schemas made into one function each, for what is read record after record. The schema stays what says what is accepted: its function comes from it, is asked
 * first, and may only say yes; whatever it does not accept, the schema itself refuses, or accepts after all, and says why.
 */
import { z } from 'zod';

type Schema = z.core.$ZodType;
const made = new WeakMap<Schema, z.ZodType>();

/** What `schema.safeParse(value)` gives. */
export function parseBy<T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> {
  let compiled = made.get(schema) as z.ZodType<T> | undefined;
  if (compiled === undefined) made.set(schema, (compiled = compile(schema)));
  if (compiled === schema) return schema.safeParse(value);
  const parsed = compiled.safeParse(value);
  return parsed.success ? parsed : schema.safeParse(value);
}

/** The schema itself where code may not be made at run time, as in a page. */
function compile<T>(schema: z.ZodType<T>): z.ZodType<T> {
  if (z.config().jitless === true) return schema;
  return z.compile(withoutCycles(schema) as z.ZodType<T>);
}

/**
 * The schema, with everything in it that contains itself asked as it is: such a schema cannot be made into a function. What it accepts is taken over as it
 * was given, which is the same: nothing here changes what it accepts.
 */
function withoutCycles(schema: Schema): Schema {
  const { def } = schema._zod as { readonly def: z.core.$ZodTypes['_zod']['def'] };
  switch (def.type) {
    case 'lazy':
      return z.custom((value) => (schema as z.ZodType).safeParse(value).success);
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
