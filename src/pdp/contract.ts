/** What policy owes and is owed: of each entrypoint the form of its question and of its answer, from which every written copy of them is made. */
import { z } from 'zod';
import { acceptanceSchema, decisionSchema, redecisionSchema, verificationSchema } from '../protocol/decision.ts';
import type { Entrypoint } from './bundle.ts';
import { acceptInputSchema, changeInputSchema, proposalSchema, reconcileInputSchema, scheduleSchema, verificationInputSchema } from './policy-input.ts';

/** The questions, by the name that METADATA calls them by (`schemas: [{input: schema.decide}]`). */
export const INPUTS = { decide: changeInputSchema, accept: acceptInputSchema, verify: verificationInputSchema, reconcile: reconcileInputSchema } as const satisfies Record<string, z.ZodType>;
export type InputName = keyof typeof INPUTS;

export interface Contract {
  readonly input: InputName;
  readonly result: z.ZodType;
  /** The result's name among the published schemas. */
  readonly resultName: string;
}

export const CONTRACTS: Readonly<Record<Entrypoint, Contract>> = {
  'access/decide': { input: 'decide', result: decisionSchema, resultName: 'decision' },
  'access/verify': { input: 'verify', result: verificationSchema, resultName: 'verification' },
  'access/schedule': { input: 'decide', result: scheduleSchema, resultName: 'schedule' },
  'access/redecide': { input: 'decide', result: redecisionSchema, resultName: 'redecision' },
  'access/reconcile': { input: 'reconcile', result: proposalSchema, resultName: 'proposal' },
  'workflow/accept': { input: 'accept', result: acceptanceSchema, resultName: 'acceptance' },
};

/** `policy/schemas/<name>.json`, as `opa check --schema` reads it: whole, so that each stands alone. */
export function inputSchema(name: InputName): object {
  return z.toJSONSchema(INPUTS[name], { target: 'draft-7', unrepresentable: 'any', io: 'input' });
}

/** One member of a document: where it is, and what may be there. */
export interface Member {
  /** `change.system.connector`; `[]` is each of a list, `*` each of a map. */
  readonly path: string;
  readonly form: string;
}

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}

/** Every member of a document of this form, outermost first. What refers to itself is named once. */
export function membersOf(schema: z.ZodType): Member[] {
  const document = z.toJSONSchema(schema, { target: 'draft-7', unrepresentable: 'any', io: 'input' }) as Schema & { readonly definitions?: Readonly<Record<string, Schema>> };
  const resolve = (at: Schema): Schema => (at.$ref === undefined ? at : (document.definitions?.[at.$ref.replace('#/definitions/', '')] ?? at));
  const members: Member[] = [];
  const visit = (given: Schema, path: string, optional: boolean): void => {
    const at = resolve(given);
    const options = (at.anyOf ?? [at]).map(resolve).flatMap((one) => (typeof one.type === 'object' ? one.type.map((type) => ({ ...one, type })) : [one]));
    const orNull = options.some((one) => one.type === 'null');
    const shapes = options.filter((one) => one.type !== 'null');
    // Texts of several patterns are text.
    const only = (shapes.length === 1 && shapes[0]!.anyOf === undefined) || shapes.every((one) => one.type === 'string') ? shapes[0]! : null;
    const form = given.$ref !== undefined || only === null ? 'any of several forms' : formOf(only);
    if (path !== '') members.push({ path, form: `${form}${orNull ? ', or null' : ''}${optional ? '; may be left out' : ''}` });
    if (only === null || given.$ref !== undefined) return;
    const below = (name: string): string => (path === '' ? name : `${path}.${name}`);
    for (const [name, member] of Object.entries(only.properties ?? {})) visit(member, below(name), !(only.required ?? []).includes(name));
    if (typeof only.additionalProperties === 'object' && only.properties === undefined) visit(only.additionalProperties, below('*'), false);
    if (only.items !== undefined && isStructure(resolve(only.items))) visit(only.items, `${path}[]`, false);
  };
  visit(document, '', false);
  return members;
}

const isStructure = (schema: Schema): boolean => schema.properties !== undefined || schema.anyOf !== undefined;

function formOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((one) => `\`${String(one)}\``).join(', ');
  if (schema.type === 'array') return schema.items !== undefined && !isStructure(schema.items) && schema.items.$ref === undefined ? `list of ${formOf(schema.items)}` : 'list';
  if (schema.type === 'integer') return 'whole number';
  return typeof schema.type === 'string' ? schema.type : 'anything';
}
