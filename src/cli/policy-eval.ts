/** `countersign policy eval`: one question put to the compiled policy, and with `--explain` why it answers so. */
import { resolve } from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import { EngineFault, type Pdp } from '../pdp/engine.ts';
import { acceptInputSchema, changeInputSchema, reconcileInputSchema, verificationInputSchema, type AcceptInput, type ChangeInput, type ReconcileInput, type VerificationInput } from '../pdp/policy-input.ts';
import { explain, lookAt, type Explanation, type InputSeen } from '../workbench/explain.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readText } from './files.ts';
import { inertJson, plain, type Output } from './output.ts';
import { metadataFor, openBundle, policyPlace, withPolicy, type SourcesState } from './policy-place.ts';
import type { Session } from './world.ts';

export interface EvalFlags {
  readonly policy?: string;
  readonly input: string;
  readonly entrypoint: string;
  readonly explain?: boolean;
}

type Answer = Awaited<ReturnType<Pdp['decide' | 'schedule' | 'verify' | 'reconcile' | 'redecide' | 'accept']>>;

interface Door {
  readonly schema: z.ZodType;
  ask(pdp: Pdp, input: unknown): Promise<Answer>;
}

const DOORS: Readonly<Record<string, Door>> = {
  'access/decide': { schema: changeInputSchema, ask: (pdp, input) => pdp.decide(input as ChangeInput) },
  'access/schedule': { schema: changeInputSchema, ask: (pdp, input) => pdp.schedule(input as ChangeInput) },
  'access/verify': { schema: verificationInputSchema, ask: (pdp, input) => pdp.verify(input as VerificationInput) },
  'access/reconcile': { schema: reconcileInputSchema, ask: (pdp, input) => pdp.reconcile(input as ReconcileInput) },
  'access/redecide': { schema: changeInputSchema, ask: (pdp, input) => pdp.redecide(input as ChangeInput) },
  'workflow/accept': { schema: acceptInputSchema, ask: (pdp, input) => pdp.accept(input as AcceptInput) },
};
/** Its answer is one of the windows in the question: there is nothing to hold it to without them. */
const WHOLE_ONLY = 'access/schedule';

export async function evaluate(session: Session, flags: EvalFlags): Promise<ExitCode> {
  const { out } = session;
  const door = Object.hasOwn(DOORS, flags.entrypoint) ? DOORS[flags.entrypoint]! : null;
  if (door === null) throw new CliError(EXIT.usage, 'usage', { cause: `${plain(flags.entrypoint)} is not an entrypoint`, next: 'access/decide, access/schedule, access/verify, access/reconcile, access/redecide or workflow/accept' });
  const place = policyPlace(session, flags.policy);
  const input = await inputFrom(session, flags.input);
  const seen = lookAt(input, door.schema);
  // To see what a rule makes of it, also what no sidecar asks may be asked: it never gives more than a whole question does, and it is said.
  if (flags.explain !== true || flags.entrypoint === WHOLE_ONLY) demandWhole(seen);
  const bundle = await openBundle(place);
  const { state, rules } = flags.explain === true ? await metadataFor(place, bundle) : { state: 'none' as const, rules: [] };
  const answer = await withPolicy(place, (pdp) => answered(door, pdp, input));
  const explanation = flags.explain === true ? explain(answer, rules, seen) : null;
  out.document({ bundle: bundle.digest, answer, ...(explanation === null ? {} : { explanation: { ...explanation, sources: state } }) });
  if (!out.json) session.stdout.write(`${inertJson(JSON.stringify(answer, null, 2))}\n`);
  if (explanation !== null) for (const line of linesOf(explanation, state, out)) out.line(line);
  // A schedule says when, and never no.
  return !('effect' in answer) || answer.effect !== 'deny' ? EXIT.ok : EXIT.failed;
}

async function inputFrom(session: Session, file: string): Promise<unknown> {
  const text = file === '-' ? Buffer.from(await session.readStdin()).toString('utf8') : readText(resolve(session.cwd, file), 'the input');
  try {
    return parse(text, { uniqueKeys: true, strict: true }) as unknown;
  } catch (cause) {
    throw new CliError(EXIT.usage, 'invalid-input', { cause: `${file === '-' ? 'standard input' : plain(file)} is neither YAML nor JSON: ${plain((cause as Error).message)}`, effect: 'Nothing was asked.' }, { cause });
  }
}

const ISSUES_SHOWN = 20;

function demandWhole({ missing, malformed }: InputSeen): void {
  const issues = [...missing.map((pointer) => `${pointer} is missing`), ...malformed.map(({ pointer, message }) => `${pointer === '' ? '/' : pointer}: ${message}`)];
  if (issues.length === 0) return;
  const more = issues.length > ISSUES_SHOWN ? `; and ${issues.length - ISSUES_SHOWN} more` : '';
  throw new CliError(EXIT.usage, 'invalid-input', { cause: `the input is not what this entrypoint takes: ${issues.slice(0, ISSUES_SHOWN).map(plain).join('; ')}${more}`, effect: 'Nothing was asked.' });
}

async function answered(door: Door, pdp: Pdp, input: unknown): Promise<Answer> {
  try {
    return await door.ask(pdp, input ?? null);
  } catch (cause) {
    if (!(cause instanceof EngineFault)) throw cause;
    throw new CliError(EXIT.notEstablished, cause.code, { cause: `policy gave no answer: ${cause.message}`, effect: 'Where this happens to a change, nothing is given.' }, { cause });
  }
}

const WORDS = { denies: 'denies', needsApproval: 'permits, with approval', permits: 'permits', beside: 'is said beside' } as const;

function linesOf({ strictest, reasons, input }: Explanation, sources: SourcesState, out: Output): string[] {
  const paint = { denies: out.bad, needsApproval: out.bold, permits: out.good, beside: out.dim };
  return [
    '', ...(strictest === null ? [] : [`strictest  ${paint[strictest](WORDS[strictest])}: it holds`]), '',
    ...reasons.flatMap(({ code, does, message, metadata, rule }) => [
      `${paint[does](plain(code))}  ${WORDS[does]}  (${plain(rule)}${metadata === null ? '' : `, policy/${metadata.file}`})`,
      `    ${plain(message)}`,
      ...(metadata === null ? [] : [
        ...(metadata.description === '' ? [] : [`    means     ${metadata.description.replaceAll('\n', ' ')}`]),
        ...(metadata.solution === undefined ? [] : [`    to do     ${metadata.solution}`]),
        `    controls  ${metadata.controls.map(({ framework, id }) => `${framework} ${id}`).join(', ')}`,
      ]),
    ]),
    '',
    ...pointers('missing', input.missing), ...pointers('malformed', input.malformed.map(({ pointer, message }) => `${pointer === '' ? '/' : pointer} (${message})`)), ...pointers('null', input.absent),
    ...(input.missing.length + input.malformed.length === 0 ? [] : ['No sidecar asks this: what a question lacks gives no more than a whole one.']),
    ...(sources === 'current' ? [] : [sources === 'none' ? 'The Rego of this bundle is not at hand, so there is no more to say of its rules.' : 'The Rego beside this bundle is not what it was compiled from: what is said of rules may not be theirs.']),
  ];
}

function pointers(word: string, list: readonly string[]): string[] {
  return list.length === 0 ? [] : [`${word.padEnd(9)}  ${list.map(plain).join(', ')}`];
}
