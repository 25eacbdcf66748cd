/** `countersign policy simulate`: what policy would decide, on facts files alone. No sidecar is asked, nothing is recorded, no target is read. */
import type { Command } from 'commander';
import { systemOf } from '../change/derive.ts';
import type { Facts } from '../facts/load.ts';
import type { Decision } from '../protocol/decision.ts';
import { formatLength } from '../protocol/plain.ts';
import type { ChangeRequest } from '../protocol/request.ts';
import { parseTime, principalSchema, timeSchema } from '../protocol/values.ts';
import { simulateInventory, type InventoryReport } from '../workbench/inventory.ts';
import { simulate } from '../workbench/simulate.ts';
import { describeApprovers, observedLines } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { factsIn } from './facts-folder.ts';
import { plain, table, type Output } from './output.ts';
import { ASKED_AT_ONCE, openBundle, policyPlace, withPolicy } from './policy-place.ts';
import { readRequest, withRequestFields, type RequestFields } from './request.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface SimulateFlags extends RequestFields {
  readonly request?: string;
  readonly all?: boolean;
  readonly facts?: string;
  readonly policy?: string;
  readonly requester?: string[];
  readonly held?: string[];
  readonly overlap?: string;
  readonly at?: string;
}

const many = (one: string, all: string[] | undefined): string[] => [...(all ?? []), one];

export function addSimulate(policy: Command, run: Runner, policyHelp: string): void {
  withRequestFields(policy.command('simulate').description('what would be decided about a request, or with --all about the whole inventory, on facts files alone').option('--request <file>', 'the request in YAML or JSON; - for standard input'))
    .option('--all', 'for each identity a grant of what each of its purposes needs, and of what it was seen to use; counts by effect and by reason')
    .option('--facts <folder>', 'inventory, catalogue, directory, and usage and calendar where they are kept (default: ./facts)')
    .option('--policy <folder>', policyHelp)
    .option('--requester <id>', 'who would ask, then whom for; may be given several times (default: the identity itself)', many)
    .option('--held <privilege>', 'what the account would be seen to hold; may be given several times (default: what it was seen to use)', many)
    .option('--overlap <how>', 'how a rotation would go at its target: twin or none', 'none')
    .option('--at <time>', 'as of then, such as 2026-12-24T22:00:00.000Z (default: now)')
    .action(run(start));
}

async function start(session: Session, flags: SimulateFlags): Promise<ExitCode> {
  const nowMs = timeOf(session, flags);
  return flags.all === true ? simulateAll(session, flags, nowMs) : simulateOne(session, flags, nowMs);
}

const usage = (cause: string, next?: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was asked.', ...(next === undefined ? {} : { next }) });

function timeOf({ nowMs }: Session, { at }: SimulateFlags): number {
  if (at === undefined) return nowMs();
  if (!timeSchema.safeParse(at).success) throw usage('--at takes a time such as 2026-12-24T22:00:00.000Z');
  return parseTime(at);
}

/** Where something can be asked for at all: the catalogue and the inventory name them. */
function connectorsIn({ catalogue, inventory }: Facts): string[] {
  return [...new Set([...catalogue.entitlements.map(({ connector }) => connector), ...[...inventory.values()].flatMap(({ accounts }) => Object.keys(accounts))])].sort();
}

async function simulateOne(session: Session, flags: SimulateFlags, nowMs: number): Promise<ExitCode> {
  const { out } = session;
  const { request: file, ...fields } = flags;
  if (flags.overlap !== 'twin' && flags.overlap !== 'none') throw usage('--overlap takes twin or none');
  const request = await readRequest(session, { ...fields, ...(file === undefined ? {} : { file }) }, '--request');
  if (request.kind === 'extend') throw usage('an extension is decided about a lease that runs, and there is none in facts', 'simulate a grant of the same, for as long as the lease would run from now on');
  const facts = await factsIn(session, flags.facts, nowMs);
  const requester = requesterOf(request, flags);
  const held = flags.held ?? usedBy(request, facts);
  const connectors = connectorsIn(facts);
  const place = policyPlace(session, flags.policy);
  const { digest } = await openBundle(place);
  const answer = await withPolicy(place, (pdp) => simulate(pdp, { request, requester, facts, nowMs, connectors, held, ...(request.kind === 'rotate' ? { overlap: flags.overlap as 'twin' | 'none' } : {}) }));
  if (!answer.ok) throw new CliError(EXIT.notEstablished, answer.fault.code, { cause: `policy gave no answer: ${answer.fault.message}`, effect: 'Where this happens to a change, nothing is given.' }, { cause: answer.fault });
  const { decision, window } = answer;
  const assumed = { requester, held, connectors, at: new Date(nowMs).toISOString(), ...(request.kind === 'rotate' ? { overlap: flags.overlap } : {}) };
  out.document({ bundle: digest, facts: facts.digests, request, assumed, decision, window });
  for (const line of linesOfOne(decision, out)) out.line(line);
  if (window !== null) out.line(`window      ${plain(window.calendar)}: ${window.opensAt} to ${window.closesAt}`);
  out.line();
  out.line(`assumed     ${requester.map(plain).join(' for ')} asks; held: ${held.length === 0 ? 'nothing' : held.map(plain).join(', ')}${request.kind === 'rotate' ? `; overlap: ${flags.overlap}` : ''}`);
  out.line('Nothing was read at a target, and nothing was recorded.');
  return decision.effect === 'deny' ? EXIT.failed : EXIT.ok;
}

function requesterOf({ subject }: ChangeRequest, { requester }: SimulateFlags): string[] {
  const asked = requester ?? [subject];
  const unknown = asked.find((id) => !principalSchema.safeParse(id).success);
  if (unknown === undefined) return asked;
  throw usage(requester === undefined ? `${plain(subject)} does not ask for itself` : `${plain(unknown)} is nobody who asks`, 'name who would ask:  --requester person:…');
}

/** What usage saw its account use at the system that is touched: the least that it holds. */
function usedBy(request: ChangeRequest, { inventory, usage: seen }: Facts): string[] {
  const system = systemOf(request);
  const account = system === null ? undefined : inventory.get(request.subject)?.accounts[system.connector];
  if (account === undefined || request.kind === 'provision') return [];
  return [...new Set((seen?.usage ?? []).filter((one) => one.connector === system?.connector && one.account === account).flatMap(({ privileges }) => privileges))].sort();
}

const EFFECTS = { deny: 'denied', needsApproval: 'needs approval', allow: 'allowed' } as const;

function linesOfOne({ effect, entitlements: { counterOffer, excess }, obligations, reasons, exceptions = [], observed }: Decision, out: Output): string[] {
  const paint = { deny: out.bad, needsApproval: out.bold, allow: out.good };
  const field = (name: string, text: string): string => `${name.padEnd(12)}${text}`;
  const { approvers, escalation, maxLeaseSeconds, notBefore, proofClass } = obligations;
  return [
    field('decision', paint[effect](EFFECTS[effect])),
    ...reasons.map(({ code, message, rule }) => field('reason', `${plain(code)}: ${plain(message)} (${plain(rule)})`)),
    ...exceptions.map(({ id, rule, owner, until }) => field('exception', `${plain(id)} of ${owner}, until ${until}: ${rule} does not deny`)),
    ...observedLines(observed).map((line) => field('observed', line)),
    ...(effect === 'needsApproval' ? [field('approvers', `${describeApprovers(approvers)}, proven by ${proofClass}`)] : []),
    ...(escalation === undefined ? [] : [field('told too', `${escalation.to.map(plain).join(', ')} after ${formatLength(escalation.afterSeconds)}`)]),
    ...(maxLeaseSeconds === null ? [] : [field('longest', formatLength(maxLeaseSeconds))]),
    ...(notBefore === undefined ? [] : [field('not before', notBefore)]),
    ...excess.map((one) => field('excess', plain(`${one.connector}/${one.target}/${one.privilege}`))),
    ...(counterOffer === null ? [] : [field('instead', `${counterOffer.entitlements.map((one) => plain(`${one.connector}/${one.target}/${one.privilege}`)).join(', ')}${counterOffer.leaseSeconds === null ? '' : ` for ${formatLength(counterOffer.leaseSeconds)}`}`)]),
  ];
}

async function simulateAll(session: Session, flags: SimulateFlags, nowMs: number): Promise<ExitCode> {
  const { out } = session;
  const besides = (['request', 'kind', 'subject', 'purpose', 'entitlement', 'connector', 'target', 'reason', 'duration', 'endsBy', 'recipient', 'requester', 'held'] as const).filter((name) => flags[name] !== undefined);
  if (besides.length > 0) throw usage(`--all asks for every identity, and goes with no request: leave out ${besides.map((name) => `--${name === 'endsBy' ? 'ends-by' : name}`).join(', ')}`);
  const facts = await factsIn(session, flags.facts, nowMs);
  const place = policyPlace(session, flags.policy);
  const { digest } = await openBundle(place);
  const connectors = connectorsIn(facts);
  const report = await withPolicy(place, (pdp) => simulateInventory(pdp, facts, { nowMs, connectors, asked: ASKED_AT_ONCE, progress: (done) => { if (done % 100 === 0) out.progress(`${done} questions …`); } }));
  out.progress('');
  out.document({ bundle: digest, facts: facts.digests, assumed: { connectors, held: [], at: new Date(nowMs).toISOString() }, ...report });
  for (const line of linesOfAll(report, out)) out.line(line);
  return report.effects.noAnswer > 0 ? EXIT.notEstablished : EXIT.ok;
}

function linesOfAll({ codes, effects, nhis, nhisDenied, nhisNotAsked, nhisNotAskedCount, questions }: InventoryReport, out: Output): string[] {
  return [
    `${nhis} identities, ${questions} questions: what each purpose needs, and what was seen in use`,
    `${effects.allow} allowed, ${effects.needsApproval} need approval, ${effects.deny} denied (of ${nhisDenied} identities)${effects.noAnswer === 0 ? '' : out.bad(`, ${effects.noAnswer} without an answer`)}`,
    ...(nhisNotAskedCount === 0 ? [] : [`${nhisNotAskedCount} have no purpose that needs anything and were not seen to use anything: ${nhisNotAsked.map(plain).join(', ')}${nhisNotAskedCount > nhisNotAsked.length ? ', …' : ''}`]),
    '',
    ...codes.flatMap(({ code, count, does, examples }) => [
      table([[String(count).padStart(6), { denies: out.bad, needsApproval: out.bold, permits: out.good, beside: out.dim }[does](plain(code))]])[0]!,
      ...examples.map(({ asked, message, nhi, purpose, system }) => `          ${plain(nhi)}, ${asked === 'need' ? `${plain(purpose)} at` : 'in use at'} ${plain(system)}: ${plain(message)}`),
    ]),
  ];
}
