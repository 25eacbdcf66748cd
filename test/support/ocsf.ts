/** The schema that OCSF publishes, as JSON Schema: version 1.8.0, the newest that a package brings. */
import { execFileSync } from 'node:child_process';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { PYTHON } from './python.ts';

export const PUBLISHED_VERSION = '1.8.0';

const DUMP = `
import json, sys
from ocsf_json_schema import get_ocsf_schema, OcsfJsonSchemaEmbedded
schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version='${PUBLISHED_VERSION}'))
json.dump({uid: schema.get_class_schema(schema.lookup_class_name_from_uid(int(uid)), ['security_control']) for uid in sys.argv[1:]}, sys.stdout)
`;

interface ClassSchema {
  readonly properties: Record<string, { readonly const?: number; readonly enum?: readonly number[] }>;
  readonly required: readonly string[];
  readonly [keyword: string]: unknown;
}

export function hasPublishedSchema(): boolean {
  try {
    execFileSync(PYTHON, ['-c', 'import ocsf_json_schema'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] === 'true';
  }
}

/** Of each of these classes. */
export function publishedSchemas(classes: readonly number[]): ReadonlyMap<number, ClassSchema> {
  const text = execFileSync(PYTHON, ['-c', DUMP, ...classes.map(String)], { encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 });
  return new Map(Object.entries(JSON.parse(text) as Record<string, ClassSchema>).map(([uid, schema]) => [Number(uid), schema]));
}

/** User Management is since 1.9.0 what User Access Management was, with more activities: the same attributes under other numbers, and privileges only where it is about them. */
export function asUserManagement(userAccess: ClassSchema, activities: readonly number[]): ClassSchema {
  const { properties } = userAccess;
  return {
    ...userAccess, $id: 'user_management', required: userAccess.required.filter((name) => name !== 'privileges'),
    properties: { ...properties, class_uid: { ...properties['class_uid'], const: 3007 }, activity_id: { ...properties['activity_id'], enum: activities }, type_uid: { ...properties['type_uid'], enum: activities.map((activity) => 300_700 + activity) } },
  };
}

export function validatorOf(schema: ClassSchema): ValidateFunction {
  return new Ajv2020({ strict: false, allErrors: true }).compile(schema);
}
