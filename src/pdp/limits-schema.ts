/** The limits that policy decides by, as a JSON Schema: made from the numbers themselves, so that a rule cannot read one that is not there. */

/** What `opa check --schema` holds `data.limits` to: exactly these members, each of its own type. A list without entries may hold words. */
export function limitsSchema(limits: unknown): object {
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...schemaOf(limits) };
}

function schemaOf(value: unknown): object {
  if (Array.isArray(value)) return { type: 'array', items: value.length === 0 ? { type: 'string' } : schemaOf(value[0]) };
  if (typeof value !== 'object' || value === null) return { type: typeof value };
  return { type: 'object', properties: Object.fromEntries(Object.entries(value).map(([name, member]) => [name, schemaOf(member)])), additionalProperties: false };
}
