/** The METADATA of the rules: every code that policy can say, with its meaning, its remedy and the controls it is evidence for. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { controlSchema } from '../protocol/decision.ts';
import { filesBelow, policyRoots } from './policy-build.ts';

const customSchema = z.strictObject({
  code: z.string().regex(/^[a-z][a-z0-9-]{1,63}$/),
  /** An exception may be made from it. */
  exceptable: z.literal(true).optional(),
  message: z.string().max(300),
  solution: z.string().max(300).optional(),
  controls: z.array(controlSchema.omit({ rule: true })).min(1),
});

export interface PolicyCode extends z.infer<typeof customSchema> {
  readonly title: string;
  readonly description: string;
  /** Package and rule, as in a reason: `access.lease.deny`. */
  readonly rule: string;
  /** Below `policy/`. */
  readonly file: string;
}

const metadataSchema = z.object({ title: z.string(), description: z.string().optional(), custom: z.unknown().optional() });

/** Every rule that has a code, by code. @throws ZodError for METADATA that lacks what a reason needs, naming nothing but its place */
export async function readPolicyCodes(root: string): Promise<PolicyCode[]> {
  const policy = join(root, 'policy');
  const codes: PolicyCode[] = [];
  for (const base of policyRoots(policy)) {
    for (const file of await filesBelow(policy, base)) {
      if (!file.endsWith('.rego') || file.endsWith('_test.rego')) continue;
      const text = await readFile(join(policy, file), 'utf8');
      const name = /^package (\S+)$/m.exec(text)?.[1] ?? '';
      for (const [, comment = '', rule = ''] of text.matchAll(/^# METADATA\n((?:#.*\n)+)(\w+)/gm)) {
        const metadata = metadataSchema.parse(parse(comment.replaceAll(/^# ?/gm, '')));
        if (metadata.custom === undefined) continue;
        codes.push({ ...customSchema.parse(metadata.custom), title: metadata.title, description: (metadata.description ?? '').trim(), rule: `${name}.${rule}`, file });
      }
    }
  }
  return codes.sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** What the outcome of a rule is, by the last word of its name. */
const MEANING: Record<string, string> = { deny: 'denies', permit: 'permits', pending: 'permits, with approval', note: 'is said beside', unexplained: 'denies', revoke: 'proposes to take it', disable: 'proposes to shut it out', leave: 'proposes nothing', keep: 'keeps a lease', unclear: 'is for a person' };

/** The table of codes for the documentation, in Markdown. */
export function renderPolicyCodes(codes: readonly PolicyCode[]): string {
  const rows = codes.map((code) => {
    const controls = code.controls.map((control) => `${control.framework} ${control.id}`).join(', ');
    return `| \`${code.code}\` | ${MEANING[code.rule.split('.').at(-1) ?? ''] ?? ''} | ${code.description.replaceAll('\n', ' ')} | ${code.solution ?? ''} | \`${code.rule}\` | ${controls} |`;
  });
  return ['| code | it | in words | what to do | rule | evidence for |', '|---|---|---|---|---|---|', ...rows].join('\n');
}
