/**
 * A change as Slack shows it. Everything that somebody wrote stands in `plain_text` or preformatted text, of which Slack reads nothing as markup;
 * what is shortened ends with a mark that says so.
 *
 * @see https://docs.slack.dev/reference/block-kit
 */
import type { NotificationPayload } from '../notify/payload.ts';
import { plain } from '../protocol/plain.ts';
import type { ChangeView } from '../sidecar/schemas.ts';
import { APPROVE, COMMENT_LENGTH_MAX, formatValue, REASON, REJECT, type Shown } from './interaction.ts';

/** As Slack's API takes it. */
export interface SlackMessage {
  /** For notifications, and for whoever cannot see blocks. */
  readonly text: string;
  readonly blocks: readonly object[];
}

/** What a message shows beside the change. */
export interface Rendering {
  /** The plan, as every channel shows it: one line of text each. */
  readonly lines: readonly string[];
  /** Slack's id of a person, of those who have one. */
  readonly slackIdOf: (person: string) => string | undefined;
}

const HEADER_MAX = 150;
/** What a block may hold, less what a mark needs. */
const LINES_MAX = 2_800;

/** Ids, and links of the sidecar’s own, alone: nothing that somebody wrote. */
const markup = (text: string): object => ({ type: 'section', text: { type: 'mrkdwn', text: shorten(text, LINES_MAX, '…') } });

/** Where to look at each and sign, where the sidecar says where it is reached. */
function linked(changes: readonly ChangeView[]): object[] {
  return changes.flatMap(({ id, links: { approve } }) => (approve === undefined ? [] : [markup(`<${approve}|The page for approvers: ${id}>`)]));
}

const plainText = (text: string, most: number): object => ({ type: 'plain_text', text: shorten(text, most, '…'), emoji: false });

/** The change, with buttons where a press in Slack could count. @param planDigest of the plan that the message is about, and its buttons decide on */
export function changeMessage(change: ChangeView, planDigest: string, rendering: Rendering): SlackMessage {
  const waits = change.state === 'pending' && change.planDigest === planDigest;
  const title = `${waits ? 'Approval asked' : standing(change, planDigest)}: ${change.kind} for ${change.subject}`;
  const more = `(shortened: countersign changes show ${change.id})`;
  const shown = shorten(rendering.lines.join('\n'), LINES_MAX, `…\n${more}`);
  return {
    text: escaped(shorten(title, HEADER_MAX, '…')),
    blocks: [
      { type: 'header', text: plainText(title, HEADER_MAX) },
      { type: 'rich_text', elements: [{ type: 'rich_text_preformatted', elements: [{ type: 'text', text: shown }] }] },
      ...(waits ? asking(change, planDigest, rendering) : []),
    ],
  };
}

/** What has become of a plan that nobody is asked about any more. */
function standing({ planDigest: now, state, revision }: ChangeView, planDigest: string): string {
  const isAnother = now === null ? state === 'requested' : now !== planDigest;
  return isAnother ? `Replaced by revision ${revision}` : `No longer waiting: ${state}`;
}

function asking(change: ChangeView, planDigest: string, { slackIdOf }: Rendering): object[] {
  const { now, then } = change.turns ?? { now: [], then: [] };
  const named = (people: readonly string[]): string => people.map((person) => mention(person, slackIdOf)).join(', ');
  // Who is asked later is named and not mentioned: Slack tells whom it mentions.
  const said = [...(now.length === 0 ? [] : [`Asked: ${named(now)}`]), ...(then.length === 0 ? [] : [`Then: ${then.map((person) => mention(person, () => undefined)).join(', ')}`])];
  const asked = [...(said.length === 0 ? [] : [markup(said.join('\n'))]), ...linked([change])];
  if (change.requirement.proofClass !== 'session') {
    const how = change.requirement.proofClass === 'ssh' ? `countersign approve ${change.id} --ssh-key FILE` : `the page /approve#${change.id} of the sidecar`;
    return [...asked, { type: 'section', text: plainText(`A press here is not enough: this takes an approver's own ${change.requirement.proofClass === 'ssh' ? 'key' : 'passkey'}.\n${how}`, LINES_MAX) }];
  }
  const value = formatValue({ changeId: change.id, planDigest });
  return [
    ...asked,
    {
      type: 'actions',
      elements: [
        {
          type: 'button', action_id: APPROVE, style: 'primary', value, text: plainText('Approve', 75),
          confirm: { title: plainText('Approve this plan?', 100), text: plainText(`${change.kind} for ${change.subject}, plan ${planDigest.slice(0, 'sha256:'.length + 12)}. It is done as soon as nobody else is waited for.`, 300), confirm: plainText('Approve', 30), deny: plainText('Not now', 30) },
        },
        { type: 'button', action_id: REJECT, style: 'danger', value, text: plainText('Reject …', 75) },
      ],
    },
  ];
}

/** That somebody has broken the glass: by name to those whose review counts, and to those who were not waited for. Their words come last, where nothing else is cut off for their length. */
export function glassMessage({ changeId, reviewBy, reviewers, skipped, usedBy, usersWords }: Extract<NotificationPayload, { type: 'breakglass.used' }>['data'], slackIdOf: Rendering['slackIdOf']): SlackMessage {
  const title = `The glass is broken: ${usedBy} gives a lease alone`;
  const mentioned = (people: readonly string[]): string => people.map((person) => mention(person, slackIdOf)).join(', ');
  const others = skipped.filter((person) => !reviewers.includes(person));
  return {
    text: escaped(shorten(title, HEADER_MAX, '…')),
    blocks: [
      { type: 'header', text: plainText(title, HEADER_MAX) },
      { type: 'section', text: plainText(`${changeId}\nTo be reviewed by ${reviewBy}: countersign breakglass review ${changeId}\n${usersWords.reason === null ? 'why was erased' : `why, by ${usedBy}: ${plain(usersWords.reason)}`}`, LINES_MAX) },
      markup(reviewers.length === 0 ? 'Nobody whose review would count is there.' : `${reviewers.length === 1 ? 'Reviewed by' : 'Reviewed by one of'}: ${mentioned(reviewers)}`),
      ...(others.length === 0 ? [] : [markup(`Not waited for: ${mentioned(others)}`)]),
    ],
  };
}

const NAMED_MAX = 3;

/** That many changes wait for approval: the first few by name. @param how whether `to` are asked, or are told as well */
export function togetherMessage(changes: readonly ChangeView[], how: 'asked' | 'toldAsWell', to: readonly string[], slackIdOf: Rendering['slackIdOf']): SlackMessage {
  const named = changes.slice(0, NAMED_MAX);
  const title = `${changes.length} ${changes.length === 1 ? 'change waits' : 'changes wait'} for approval`;
  const lines = named.map(({ id, kind, subject, requester }) => `${kind} for ${subject}, asked by ${requester.join(' for ')}\n${id}`);
  const others = changes.length > named.length ? [`and ${changes.length - named.length} more`] : [];
  const asked = how === 'asked' ? '' : stillAsked(changes.flatMap(({ turns }) => turns?.now ?? []), slackIdOf);
  const people = to.map((person) => mention(person, slackIdOf)).join(', ');
  return {
    text: title,
    blocks: [
      { type: 'header', text: plainText(title, HEADER_MAX) },
      { type: 'section', text: plainText([...lines, ...others, 'Each has a plan of its own to look at: countersign changes list --waiting-for-me'].join('\n'), LINES_MAX) },
      ...(people === '' ? [] : [markup(how === 'asked' ? `Asked: ${people}` : `${asked}Told as well: ${people}. Who may approve has not changed.`)]),
      ...linked(named),
    ],
  };
}

/** That something is the matter with a change. Shown, what is hidden is up to nine times as long as it was: that may not keep the rest from being told. */
export function alarm(words: string, changeId: string): SlackMessage {
  const text = plain(words);
  return { text: escaped(shorten(text, 500, '…')), blocks: [{ type: 'section', text: plainText(`${changeId}\n${text}`, LINES_MAX) }] };
}

/** That a change has waited for long: those whose turn it is are reminded, and others told. */
export function reminder({ requestedAt, turns }: ChangeView, to: readonly string[], slackIdOf: Rendering['slackIdOf']): string {
  const now = turns?.now ?? [];
  const others = to.filter((person) => !now.includes(person)).map((person) => mention(person, slackIdOf));
  return `Waiting since ${requestedAt}. ${stillAsked(now, slackIdOf)}${others.length === 0 ? '' : `Told as well: ${others.join(', ')}. `}Who may approve has not changed.`;
}

function stillAsked(people: readonly string[], slackIdOf: Rendering['slackIdOf']): string {
  return people.length === 0 ? '' : `Still asked: ${[...new Set(people)].map((person) => mention(person, slackIdOf)).join(', ')}. `;
}

/** The form that asks why. */
export function rejectionForm({ changeId, planDigest, channel, ts }: Shown): object {
  return {
    type: 'modal', callback_id: REJECT, private_metadata: `${channel} ${ts} ${formatValue({ changeId, planDigest })}`,
    title: plainText('Reject', 24), submit: plainText('Reject', 24), close: plainText('Not now', 24),
    blocks: [
      { type: 'section', text: plainText(`${changeId}\nplan ${planDigest.slice(0, 'sha256:'.length + 12)}`, LINES_MAX) },
      { type: 'input', block_id: REASON, optional: false, label: plainText('Why', 100), element: { type: 'plain_text_input', action_id: REASON, multiline: true, max_length: COMMENT_LENGTH_MAX } },
    ],
  };
}

/** A person by her name in Slack, so that Slack tells her; by her id here where she has none. Ids hold nothing that is markup. */
export function mention(person: string, slackIdOf: Rendering['slackIdOf']): string {
  const id = slackIdOf(person);
  return id === undefined ? person : `<@${id}>`;
}

/** Text that somebody wrote, where Slack reads markup. @see https://docs.slack.dev/messaging/formatting-message-text#escaping */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** At most `most` UTF-16 units, never half a character. */
function shorten(text: string, most: number, mark: string): string {
  if (text.length <= most) return text;
  const kept = text.slice(0, most - mark.length);
  return `${kept.replace(/[\ud800-\udbff]$/, '')}${mark}`;
}
