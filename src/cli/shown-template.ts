/** A standing approval in plain words: what is signed, how often it has been used, and what that means. */
import type { StandingStatement } from '../protocol/standing-approval.ts';
import type { StandingApprovalView } from '../client/index.ts';
import { formatLength } from '../protocol/plain.ts';
import { plain, spaced } from './output.ts';

const listed = (values: readonly string[], none: string): string => (values.length === 0 ? none : values.map((one) => plain(one)).join(', '));

/** The template, line by line: each thing that a plan may not go beyond. */
export function templateLines({ approver, subject, kinds, connector, target, accounts, privileges, recipients, maxLeaseSeconds, uses, notBefore, expiresAt, log }: StandingStatement): { readonly name: string; readonly text: string }[] {
  const lines = [
    { name: 'approved', text: `in the name of ${plain(approver)}, without being asked` },
    { name: 'for', text: plain(subject) },
    { name: 'what', text: kinds.join(', ') },
    { name: 'where', text: `${plain(connector)}/${plain(target)}, ${kinds.every((kind) => kind === 'provision') ? 'a new account' : `account ${listed(accounts, 'none')}${kinds.includes('provision') ? ', or a new one' : ''}`}` },
    { name: 'with', text: `${listed(privileges, 'no privilege')}, and nothing else` },
    ...(kinds.includes('provision') || kinds.includes('rotate') ? [{ name: 'secrets', text: `for ${listed(recipients, 'nobody')}` }] : []),
    { name: 'lease', text: maxLeaseSeconds === null ? 'none: what stands already gets a new secret' : `at most ${formatLength(maxLeaseSeconds)} each time` },
    { name: 'uses', text: `${uses} at most` },
    { name: 'good', text: `from ${notBefore} to ${expiresAt}` },
    { name: 'log', text: log },
  ];
  return lines.map(({ name, text }) => ({ name, text: spaced(text) }));
}

/** Why it approves nothing more; null while it does. */
export function standingEnd({ statement: { expiresAt, uses }, used, revoked }: StandingApprovalView, nowMs: number): string | null {
  if (revoked !== null) return `revoked by ${plain(revoked.by)}`;
  return nowMs >= Date.parse(expiresAt) ? 'over' : used >= uses ? 'used up' : null;
}
