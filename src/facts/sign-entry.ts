/** A person's signature goes into the file that its entry is in, which otherwise stays as it was written. */
import type { ExceptionsFile } from './exceptions.ts';
import type { GrantSignature } from './grant-statement.ts';
import type { GrantedEntry, GrantKind } from './granted.ts';
import { parseExceptions, type FactText } from './load.ts';

export const LIST_OF = { exception: 'exceptions', observe: 'observe' } as const;

/** The entry with this id, or null. */
export function entryIn(file: ExceptionsFile, kind: GrantKind, id: string): GrantedEntry | null {
  return (file[LIST_OF[kind]] as readonly GrantedEntry[] | undefined)?.find((one) => one.id === id) ?? null;
}

/**
 * The text with the signature of these days in that entry, in the place of what the same person had signed of it before.
 *
 * @throws FactsError `malformed`
 */
export function withSignature(file: FactText, kind: GrantKind, id: string, { approver, ...proof }: Omit<GrantSignature, 'from' | 'until'>): string {
  const { value, document } = parseExceptions(file);
  const entry = entryIn(value, kind, id)!;
  const index = (value[LIST_OF[kind]] as readonly GrantedEntry[]).indexOf(entry);
  const own = { approver, from: entry.from, until: entry.until, ...proof };
  const signatures = [...(entry.signatures ?? []).filter((one) => one.approver !== approver), own];
  if (file.text.trimStart().startsWith('{')) {
    const signed = { ...value, [LIST_OF[kind]]: value[LIST_OF[kind]]!.map((one, i) => (i === index ? { ...one, signatures } : one)) };
    return `${JSON.stringify(signed, null, 2)}\n`;
  }
  document.setIn([LIST_OF[kind], index, 'signatures'], document.createNode(signatures));
  return document.toString({ lineWidth: 0, flowCollectionPadding: /[[{] \S/.test(file.text) });
}
