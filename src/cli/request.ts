/** `countersign request`: asks for a change, and waits for what becomes of it where that is wanted. */
import type { Command } from 'commander';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import type { ChangeView, Client } from '../client/index.ts';
import { ClientError } from '../client/errors.ts';
import { approversNamed } from '../protocol/decision.ts';
import { changeRequestSchema, type ChangeRequest } from '../protocol/request.ts';
import { durationSchema, durationSeconds } from '../protocol/values.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { describeChange } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readText } from './files.ts';
import { plain } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export interface RequestFields {
  readonly kind?: string;
  readonly subject?: string;
  readonly purpose?: string;
  readonly entitlement?: string[];
  readonly connector?: string;
  readonly target?: string;
  readonly reason?: string;
  readonly duration?: string;
  readonly endsBy?: string;
  readonly recipient?: string;
  readonly urgency?: string;
}

interface RequestFlags extends ConnectFlags, RequestFields {
  readonly file?: string;
  readonly idempotencyKey?: string;
  readonly wait?: true | string;
}

/** How long `--wait` without a duration waits. */
export const WAIT_DEFAULT = 'PT10M';
/** A request without `--wait` still sees whether policy refuses it at once. */
const FIRST_ANSWER_MS = 5_000;

const HELP = `
A change is made when its access is there (grant, provision), when the old credential is gone (rotate), or when everything is taken back (revoke,
disable, offboard). Whatever a change still waits for by then, be it approvals, its window, consumers or the fetching of a secret, is 5.`;

export function addRequest(program: Command, run: Runner): void {
  withRequestFields(withConnection(program.command('request')).description('ask for a change of access').option('-f, --file <file>', 'the request in YAML or JSON; - for standard input'))
    .option('--idempotency-key <key>', 'the same key and request give the same change')
    .option('--wait [duration]', `until the change is made or refused, at most this long (default ${WAIT_DEFAULT}); exits 0 made, 1 refused, 5 still pending`)
    .addHelpText('after', HELP)
    .action(run(request));
}

/** The options that say what to ask for, where no file does. */
export function withRequestFields(command: Command): Command {
  return command
    .option('--kind <kind>', 'provision, grant, revoke, rotate, disable or offboard; to extend, see countersign extend')
    .option('--subject <id>', 'whose access: nhi:<environment>/<name>; to offboard also person:<id> or thirdParty:<name>')
    .option('--purpose <id>', 'a purpose of the entitlement catalogue')
    .option('--entitlement <connector/target/privilege>', 'what is asked for; may be given several times', (one: string, all: string[] | undefined) => [...(all ?? []), one])
    .option('--connector <id>', 'where to rotate or disable')
    .option('--target <target>', 'what there to rotate or disable')
    .option('--reason <text>', 'prose for the approver')
    .option('--duration <duration>', 'how long, such as PT15M')
    .option('--ends-by <time>', 'the access is over by then, such as 2026-12-01T00:00:00.000Z')
    .option('--recipient <age1…|kv:…>', 'who a new secret is sealed to, or where it is kept: kv:<sink>/<path>')
    .option('--urgency <urgency>', 'emergency: it waits for no window and no freeze, and more people approve it');
}

async function request(session: Session, flags: RequestFlags): Promise<ExitCode> {
  const asked = await readRequest(session, flags);
  const limitMs = limitOf(flags);
  const client = connectTo(flags, session);
  const recorded = await client.request(asked, flags.idempotencyKey === undefined ? {} : { idempotencyKey: flags.idempotencyKey });
  return follow(session, client, recorded, { limitMs, as: flags.as });
}

/** Waits for what becomes of a change that was just recorded, and says it. @param limitMs null waits only to see whether policy refuses it at once */
export async function follow(session: Session, client: Client, recorded: Pick<ChangeView, 'id'>, { limitMs, as }: { readonly limitMs: number | null; readonly as: string | undefined }): Promise<ExitCode> {
  const { out } = session;
  out.say(`${recorded.id} recorded`);
  const change = limitMs === null
    ? await client.wait(recorded.id, { until: (seen) => seen.state !== 'requested', timeoutMs: FIRST_ANSWER_MS, signal: session.signal })
    : await client.wait(recorded.id, { until: isOver, timeoutMs: limitMs, signal: session.signal, seen: announce(session, as) }).catch((cause: unknown) => {
        if (!gaveUp(session, cause)) throw cause;
        throw new CliError(EXIT.pending, 'aborted', { cause: 'nobody waits for it here any more', effect: `${recorded.id} is recorded, and goes on.`, next: `countersign changes watch ${recorded.id}` }, { cause });
      });
  out.progress('');
  out.document(change);
  for (const line of describeChange(change, out, { nowMs: session.nowMs() })) out.line(line);
  if (change.state === 'pending') out.say(`waits for approval:  ${approveCommand(change, as)}`);
  return exitOf(change, limitMs !== null);
}

/**
 * Says each state that a change comes to, and what it waits for.
 *
 * @param as whoever asks, where the tokens of everybody are at hand: then the next command can say whose is needed
 */
export function announce({ out, nowMs }: Session, as?: string): (change: ChangeView) => void {
  let last = '';
  let waited: string | null = null;
  const startedMs = nowMs();
  return (change) => {
    if (change.state !== last) {
      out.say(`${change.id} ${change.state}${change.state === 'pending' ? `:  ${approveCommand(change, as)}` : ''}`);
      if (change.links.approve !== undefined) out.say(`or at ${plain(change.links.approve)}`);
    }
    last = change.state;
    if (change.waitingFor !== null && change.waitingFor !== waited) out.say(`${change.id} waits: ${plain(change.waitingFor)}`);
    waited = change.waitingFor;
    out.progress(`waiting, ${Math.round((nowMs() - startedMs) / 1000)} s …`);
  };
}

/** What one of its approvers would type. */
export function approveCommand({ id, requirement }: ChangeView, as?: string): string {
  const [approver] = approversNamed(requirement.approvers);
  return `countersign approve ${id}${as === undefined || approver === undefined ? '' : ` --as ${approver}`}`;
}

/** Whether this is what became of a wait that somebody ended, by Ctrl-C say. */
export function gaveUp({ signal }: Session, error: unknown): boolean {
  return signal.aborted && error instanceof ClientError && error.code === 'aborted';
}

/** Whether there is nothing more to wait for: the access is there, was refused, or is over. */
export function isOver(change: Pick<ChangeView, 'state'>): boolean {
  return ['active', 'done', 'revoked', 'denied', 'rejected', 'expired', 'withdrawn', 'failed'].includes(change.state);
}

/** 0: there (or recorded, where nobody waits); 1: refused; 5: not there yet. */
export function exitOf(change: Pick<ChangeView, 'state'>, waited: boolean): ExitCode {
  if (['denied', 'rejected', 'expired', 'withdrawn', 'failed'].includes(change.state)) return EXIT.failed;
  if (!waited || ['active', 'done', 'revoked'].includes(change.state)) return EXIT.ok;
  return EXIT.pending;
}

/** How long `--wait` waits; null where it was not given. @throws CliError `usage` */
export function limitOf({ wait }: Pick<RequestFlags, 'wait'>): number | null {
  return wait === undefined ? null : waitMs('--wait', wait === true ? WAIT_DEFAULT : wait);
}

/** @throws CliError `usage` for anything that is not a duration, by the name of the flag */
export function waitMs(flag: string, text: string): number {
  const parsed = durationSchema.safeParse(text);
  if (!parsed.success) throw new CliError(EXIT.usage, 'usage', { cause: `${flag} takes a duration such as PT10M, and ${plain(text)} is not a duration`, effect: 'Nothing was sent.' });
  return durationSeconds(parsed.data) * 1000;
}

/** The flags that say what to ask for. */
const FIELDS = ['kind', 'subject', 'purpose', 'entitlement', 'connector', 'target', 'reason', 'duration', 'endsBy', 'recipient', 'urgency'] as const;

/** What the file or the flags ask for. @param named the option that names the file @throws CliError */
export async function readRequest(session: Session, flags: RequestFields & { readonly file?: string }, named = '-f'): Promise<ChangeRequest> {
  if (flags.file === undefined) return checkedRequest(fromFlags(flags, named), { what: 'the request', field: flagOf });
  const beside = FIELDS.filter((field) => flags[field] !== undefined).map(flagOf);
  if (beside.length > 0) throw new CliError(EXIT.usage, 'usage', { cause: `give ${named} or ${beside.join(', ')}, not both`, effect: 'Nothing was sent.', next: `say all of it in ${flags.file}, or all of it by flags` });
  return checkedRequest(await fromFile(session, flags.file), { what: nameOf(flags.file) });
}

function flagOf(field: string): string {
  return `--${field === 'entitlements' ? 'entitlement' : field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** What a file is called in an error. */
export function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file;
}

export interface Asker {
  /** Where the request is from. */
  readonly what: string;
  /** What its fields are called there. Default: a pointer. */
  readonly field?: (name: string) => string;
}

/** @throws CliError `invalid-request`: nothing was sent */
export function checkedRequest(given: unknown, { what, field }: Asker): ChangeRequest {
  const parsed = changeRequestSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path: [first, ...rest], message }) => {
    const place = field === undefined || first === undefined ? `/${[first ?? '', ...rest].join('/')}` : field(String(first));
    return `${place}: ${message}`;
  });
  throw new CliError(EXIT.usage, 'invalid-request', { cause: `${plain(what)} asks for nothing that can be asked for: ${plain(issues.join('; '))}`, effect: 'Nothing was sent.' });
}

/** What is in a YAML or JSON file, or on standard input for `-`. @throws CliError */
export async function fromFile(session: Session, file: string): Promise<unknown> {
  const text = file === '-' ? Buffer.from(await session.readStdin()).toString('utf8') : readText(resolve(session.cwd, file), 'the request');
  try {
    return parse(text, { uniqueKeys: true, strict: true }) as unknown;
  } catch (cause) {
    // The parser goes down into what is nested until its stack is full.
    const tooDeep = cause instanceof RangeError || (cause as { code?: unknown }).code === 'RESOURCE_EXHAUSTION';
    const why = tooDeep ? 'is nested too deep' : `is not YAML: ${(cause as Error).message}`;
    throw new CliError(EXIT.usage, 'invalid-request', { cause: `${plain(nameOf(file))} ${plain(why)}`, effect: 'Nothing was sent.' }, { cause });
  }
}

function fromFlags(flags: RequestFields, named: string): unknown {
  const { kind, subject, purpose, reason, duration, endsBy, recipient, urgency } = flags;
  if (kind === undefined) throw new CliError(EXIT.usage, 'usage', { cause: 'nothing says what to ask for', next: `give ${named} FILE, or --kind, --subject, --reason and what that kind needs: --purpose, --entitlement, or --connector and --target` });
  const entitlements = flags.entitlement?.map((text) => {
    const [connector, target, ...privilege] = text.split('/');
    return { connector, target, privilege: privilege.join('/') };
  });
  const { connector, target } = flags;
  const given = { kind, subject, purpose, connector, target, reason, duration, endsBy, recipient, entitlements, urgency };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
