/** An exception, or a scope under observe, that is granted in the text of a facts file. Nothing is sent: what comes out is the text, with the answer in its entry. */
import { canonicalBytes } from '../../ledger/index.ts';
import { describeEntry } from '../cli/shown-entry.ts';
import { grantStatementOf, type GrantedEntry, type GrantKind } from '../facts/granted.ts';
import { parseExceptions } from '../facts/load.ts';
import { entryIn, LIST_OF, withSignature } from '../facts/sign-entry.ts';
import { logIdSchema, personIdSchema } from '../protocol/values.ts';
import { answerAsRegistered } from './passkey.ts';

export interface Granting {
  readonly text: string;
  readonly kind: GrantKind;
  readonly id: string;
  readonly approver: string;
  /** In which log alone; '' in each. */
  readonly log: string;
}

/** What it would grant, a line each. @throws Error, with what is amiss: a sentence for a person */
export function describeGrant(granting: Granting): string[] {
  return describeEntry(entryOf(granting));
}

/** The text with her answer in that entry. Whether it counts, whoever reads the facts asks of their own trust folder. @throws NoPasskey */
export async function grantByPasskey(granting: Granting): Promise<string> {
  const { kind, id, approver, log } = granting;
  const only = log === '' ? undefined : log;
  const passkey = await answerAsRegistered(approver, canonicalBytes(grantStatementOf(kind, entryOf(granting), approver, only)));
  return withSignature(fileOf(granting), kind, id, { approver, ...(only === undefined ? {} : { log: only }), passkey });
}

const fileOf = ({ text }: Granting): { readonly name: string; readonly text: string } => ({ name: 'the facts file', text });

function entryOf(granting: Granting): GrantedEntry {
  const { kind, id, approver, log } = granting;
  if (!personIdSchema.safeParse(approver).success) throw new Error('that is not the id of a person, such as person:ana');
  if (log !== '' && !logIdSchema.safeParse(log).success) throw new Error('that is not the id of a log: 16 hexadecimal digits');
  const entry = entryIn(parseExceptions(fileOf(granting)).value, kind, id);
  if (entry === null) throw new Error(`the list ${LIST_OF[kind]} has no ${id === '' ? 'entry without an id' : id}`);
  if (entry.owner === approver) throw new Error(`${approver} is the owner of ${id}: her own word would not count`);
  return entry;
}
