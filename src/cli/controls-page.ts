/** `docs/controls.md`: of each framework's controls, the rules and the records that are evidence for them, and those that nothing here is. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { readPolicyCodes, type PolicyCode } from './policy-codes.ts';

/** Framework → control id → title. */
const frameworksSchema = z.record(z.string(), z.record(z.string(), z.string()));
export type Frameworks = z.infer<typeof frameworksSchema>;

/** Record type, or `every`, → what such a record is evidence for whatever policy says in it. */
const evidenceSchema = z.record(z.string(), z.array(z.strictObject({ framework: z.string(), ids: z.array(z.string()).min(1) })).min(1));
export type Evidence = z.infer<typeof evidenceSchema>;
export const EVERY_RECORD = 'every';

/** Where what a rule says is recorded, by the first words of its name; the first that fits. */
const RECORDED: readonly (readonly [rules: string, records: readonly string[]])[] = [
  ['access.verification.', ['entitlement.verified']],
  ['access.findings.', ['reconcile.proposed']],
  ['access.redecision.', ['lease.redecided']],
  ['workflow.acceptance.', ['approval.judged']],
  ['access.caller.note', ['policy.decided', 'entitlement.verified']],
  // What `access/schedule` says is not recorded; the window that it chose is in the plan, which the decision names.
  ['workflow.schedule.', ['policy.decided', 'window.opened']],
  ['', ['policy.decided']],
];

/** @throws ZodError or YAMLParseError on a file of another form */
export async function readFrameworks(root: string): Promise<Frameworks> {
  return frameworksSchema.parse(parse(await readFile(join(root, 'policy', 'controls', 'frameworks.yaml'), 'utf8'), { uniqueKeys: true }));
}

/** @throws ZodError or YAMLParseError on a file of another form */
export async function readEvidence(root: string): Promise<Evidence> {
  return evidenceSchema.parse(parse(await readFile(join(root, 'policy', 'controls', 'evidence.yaml'), 'utf8'), { uniqueKeys: true }));
}

/** The page for the sources below this folder. */
export async function controlsPage(root: string): Promise<string> {
  const [frameworks, evidence, codes] = [await readFrameworks(root), await readEvidence(root), await readPolicyCodes(root)];
  const lines = [
    '# Controls', '',
    '<!-- Made by `npm run docs:build` from the METADATA of the rules, policy/controls/frameworks.yaml and policy/controls/evidence.yaml; edit those. -->', '',
    'Which rules of the shipped policy and which records of the ledger are evidence for which control. A decision names the controls of every rule that spoke in it (`controls`), so the records here can be',
    'found by control. Evidence for a control is not the control: what else it asks for, who reviews it and whether it is enough is for whoever answers for it. What nothing here covers is',
    'said at the end of each framework.', '',
    'A rule that denies is evidence where it denied, and where it stood by and did not. Titles are the frameworks’ own, or the sense of them.', '',
    ...Object.entries(frameworks).flatMap(([framework, controls]) => section(framework, controls, evidence, codes)),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

function section(framework: string, controls: Readonly<Record<string, string>>, evidence: Evidence, codes: readonly PolicyCode[]): string[] {
  const covered: string[] = [];
  const uncovered: string[] = [];
  for (const [id, title] of Object.entries(controls)) {
    const rules = codes.filter((code) => code.controls.some((control) => control.framework === framework && control.id === id));
    const records = recordsFor(framework, id, evidence, rules);
    if (records.length === 0) uncovered.push(`- \`${id}\` ${title}`);
    else covered.push(`### \`${id}\` ${title}`, '', `Records: ${records.map(named).join(', ')}.`, '', ...rules.map((rule) => `- \`${rule.code}\` (\`${rule.rule}\`): ${rule.description.replaceAll('\n', ' ')}`), ...(rules.length === 0 ? [] : ['']));
  }
  return [`## ${framework}`, '', ...covered, ...(uncovered.length === 0 ? ['Something here is evidence for each of them.', ''] : [`### Not covered by anything here (${framework})`, '', ...uncovered, ''])];
}

/** Those of the record types themselves, and those that record what the rules say; each once. */
function recordsFor(framework: string, id: string, evidence: Evidence, rules: readonly PolicyCode[]): string[] {
  const ownRecords = Object.entries(evidence).filter(([, of]) => of.some((entry) => entry.framework === framework && entry.ids.includes(id))).map(([type]) => type);
  return [...new Set([...ownRecords, ...rules.flatMap(({ rule }) => RECORDED.find(([start]) => rule.startsWith(start))?.[1] ?? [])])];
}

function named(type: string): string {
  return type === EVERY_RECORD ? 'every record of the ledger' : `\`${type}\``;
}
