/** What an exception, or a scope under observe, grants: shown before it is signed, by the command and the page alike. */
import type { GrantedEntry } from '../facts/granted.ts';
import { plain, spaced, table } from './output.ts';

/** All that it says, a line each, and whose signatures are said to be in it. */
export function describeEntry({ signatures = [], ...entry }: GrantedEntry): string[] {
  return [
    ...table(Object.entries(entry).map(([member, said]) => [member, spaced(Array.isArray(said) ? said.join(', ') : String(said))])),
    ...(signatures.length === 0 ? [] : [`said to be signed by ${signatures.map(({ approver, log }) => `${plain(approver)}${log === undefined ? '' : ` for log ${plain(log)} alone`}`).join(', ')}`]),
  ];
}
