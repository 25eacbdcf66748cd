/** `countersign exceptions sign`: a person grants an exception, or a scope under observe, by her own signature in its entry. Reads and writes that file alone. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { canonicalBytes } from '../../ledger/index.ts';
import { EXCEPTION_NAMESPACE, grantStatementOf, type GrantedEntry, type GrantKind } from '../facts/granted.ts';
import { FactsError, parseExceptions, type FactText } from '../facts/load.ts';
import { entryIn, LIST_OF, withSignature } from '../facts/sign-entry.ts';
import { readArmour } from '../protocol/ssh-signature.ts';
import { logIdSchema, personIdSchema } from '../protocol/values.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readBytes } from './files.ts';
import { plain } from './output.ts';
import { replace } from './replace-file.ts';
import type { Runner } from './runner.ts';
import { describeEntry } from './shown-entry.ts';
import { signWithSsh } from './ssh-sign.ts';
import type { Session } from './world.ts';

interface SignFlags {
  readonly sshKey: string;
  readonly approver: string;
  readonly observe?: true;
  readonly log?: string;
  readonly yes?: true;
}

const EFFECT = 'Nothing was signed or written.';

export function addExceptions(program: Command, run: Runner): void {
  program
    .command('exceptions')
    .description('what policy lets through for a time, and who granted it')
    .command('sign')
    .description('grant an exception, as it is shown: your signature goes into its entry')
    .argument('<file>', 'the facts file, such as facts/exceptions.yaml')
    .argument('<id>', 'of the entry')
    .requiredOption('--ssh-key <file>', 'the SSH key that signs: one of yours that the trust folders name')
    .requiredOption('--approver <person>', 'who you are there, such as person:ana')
    .option('--observe', 'the entry is a scope under observe')
    .option('--log <id>', 'grant it in this log alone; left out, it is granted in each')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nA shorter entry needs no other signature, one of which anything else is changed needs all of them again.')
    .action(run(sign));
}

async function sign(session: Session, name: string, id: string, flags: SignFlags): Promise<ExitCode> {
  const { out, cwd } = session;
  const approver = personIdSchema.safeParse(flags.approver);
  if (!approver.success) throw new CliError(EXIT.usage, 'usage', { cause: `--approver takes a person such as person:ana, and not ${plain(flags.approver)}` });
  const kind: GrantKind = flags.observe === true ? 'observe' : 'exception';
  const log = flags.log === undefined ? undefined : logOf(flags.log);
  const path = resolve(cwd, name);
  const held = readBytes(path, 'the facts file');
  const file = { name, text: Buffer.from(held).toString('utf8') };
  const entry = entryOf(file, kind, id);
  if (entry.owner === approver.data) throw new CliError(EXIT.failed, 'own-exception', { cause: `${approver.data} is the owner of ${id}: her own signature would not count`, effect: EFFECT, next: 'have somebody else sign it' });
  await confirmEntry(session, entry, kind, flags);
  const armour = await signWithSsh(session, flags.sshKey, EXCEPTION_NAMESPACE, canonicalBytes(grantStatementOf(kind, entry, approver.data, log)));
  const text = withSignature(file, kind, id, { approver: approver.data, ...(log === undefined ? {} : { log }), signature: Buffer.from(readArmour(armour)).toString('base64') });
  const by = (entryOf({ name, text }, kind, id).signatures ?? []).map((one) => one.approver);
  replace(path, held, text, Buffer.from(session.randomBytes(12)).toString('hex'), { code: 'exceptions-changed', next: 'sign it again' });
  out.document({ file: name, kind, id, from: entry.from, until: entry.until, signedBy: by });
  out.line(`${id} is signed by ${by.map(plain).join(', ')}`);
  out.say('it is in force once the facts are read with as many signatures as are asked:  countersign inventory lint --config FILE');
  return EXIT.ok;
}

/** @throws CliError `usage` */
function logOf(named: string): string {
  const log = logIdSchema.safeParse(named);
  if (!log.success) throw new CliError(EXIT.usage, 'usage', { cause: `--log takes the id of a log, 16 hexadecimal digits, and not ${plain(named)}` });
  return log.data;
}

/** @throws CliError `bad-facts` or `no-such-entry` */
function entryOf(file: FactText, kind: GrantKind, id: string): GrantedEntry {
  try {
    const { value } = parseExceptions(file);
    const entry = entryIn(value, kind, id);
    if (entry !== null) return entry;
    const elsewhere = entryIn(value, kind === 'observe' ? 'exception' : 'observe', id) !== null;
    throw new CliError(EXIT.failed, 'no-such-entry', {
      cause: `${file.name} has no ${plain(id)} in its list ${LIST_OF[kind]}`, effect: EFFECT, ...(elsewhere ? { next: kind === 'observe' ? 'leave --observe out' : 'give --observe: it is a scope' } : {}),
    });
  } catch (cause) {
    if (!(cause instanceof FactsError)) throw cause;
    throw new CliError(EXIT.io, 'bad-facts', { cause: cause.message, effect: EFFECT, next: 'correct the file' }, { cause });
  }
}

/** @throws CliError `usage` or `not-confirmed` */
async function confirmEntry(session: Session, entry: GrantedEntry, kind: GrantKind, flags: SignFlags): Promise<void> {
  const { out } = session;
  if (flags.yes !== true && !session.interactive) throw new CliError(EXIT.usage, 'usage', { cause: 'nobody is there to look at the entry', effect: EFFECT, next: 'give --yes for whatever it says' });
  for (const line of describeEntry(entry)) out.say(line);
  if (flags.yes === true) return;
  const answer = await session.ask(`grant this ${kind === 'observe' ? 'scope, in which nothing is enforced' : 'exception'}? [y/N] `);
  if (!/^y(es)?$/i.test(answer)) throw new CliError(EXIT.failed, 'not-confirmed', { cause: 'not confirmed', effect: EFFECT });
}
