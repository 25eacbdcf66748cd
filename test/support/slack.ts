/**
 * A stand-in for Slack: the part of its Web API that is used, with its limits, and people who press buttons in the messages that it was sent. It is no
 * Slack; what it takes and sends is as Slack's reference says.
 *
 * @see https://docs.slack.dev/reference/methods
 */
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export const SLACK = { team: 'T0TEAM', channel: 'C0CHANNEL', token: 'xoxb-0123456789-abcdefghij', secret: '8f742231b10e8888abcd99baac85a5b1' } as const;

type Block = { readonly type: string; readonly [field: string]: unknown };
export interface Posted {
  readonly ts: string;
  text: string;
  blocks: readonly Block[];
  readonly metadata: unknown;
  readonly threadTs: string | null;
}

export interface SlackServer {
  readonly url: string;
  readonly messages: readonly Posted[];
  readonly whispers: readonly { readonly user: string; readonly text: string }[];
  readonly views: readonly { readonly trigger: string; readonly view: { readonly private_metadata: string; readonly [field: string]: unknown } }[];
  readonly calls: readonly string[];
  /** Answers so from now on, or as it should. */
  refuses: { readonly error: string; /** Left out: whatever it is asked. */ readonly method?: string } | { readonly status: number } | null;
  /** A message that was taken is answered once this resolves. */
  holds: Promise<void> | null;
  close(): Promise<void>;
}

/** The button of that action in a message. */
export function buttonOf(message: Posted, action: string): Block {
  const buttons = message.blocks.filter(({ type }) => type === 'actions').flatMap(({ elements }) => elements as Block[]);
  const found = buttons.find(({ action_id }) => action_id === action);
  if (found === undefined) throw new Error(`the message has no button ${action}`);
  return found;
}

/** Body and headers of an interaction, as Slack would send them at `nowMs`. */
export function signed(payload: object, nowMs: number, secret: string = SLACK.secret): { body: string; headers: Record<string, string> } {
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  const timestamp = String(Math.floor(nowMs / 1000));
  const signature = `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`;
  return { body, headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-slack-request-timestamp': timestamp, 'x-slack-signature': signature } };
}

export function press(message: Posted, action: string, user: string): object {
  return {
    type: 'block_actions', token: 'legacy', api_app_id: 'A0APP', team: { id: SLACK.team, domain: 'example' }, user: { id: user, username: 'somebody', name: 'somebody', team_id: SLACK.team }, trigger_id: `13.${user}.ff`,
    container: { type: 'message', message_ts: message.ts, channel_id: SLACK.channel, is_ephemeral: false }, channel: { id: SLACK.channel, name: 'access' }, message: { type: 'message', ts: message.ts, text: message.text, blocks: message.blocks },
    response_url: 'https://hooks.slack.com/actions/T0TEAM/1/x', actions: [{ type: 'button', block_id: 'b1', action_ts: '1548426417.840180', action_id: action, value: buttonOf(message, action)['value'] }],
  };
}

export function submit(view: { readonly private_metadata: string }, user: string, text: string | null): object {
  return {
    type: 'view_submission', token: 'legacy', team: { id: SLACK.team }, user: { id: user },
    view: { id: 'V1', type: 'modal', callback_id: 'countersign.reject', private_metadata: view.private_metadata, state: { values: { 'countersign.reason': { 'countersign.reason': { type: 'plain_text_input', value: text } } } } },
  };
}

export async function slackServer(): Promise<SlackServer> {
  const messages: Posted[] = [];
  const whispers: { user: string; text: string }[] = [];
  const views: { trigger: string; view: { private_metadata: string } }[] = [];
  const calls: string[] = [];
  let posted = 0;
  const answer = (method: string, body: Record<string, unknown>): object => {
    if (method !== 'views.open' && body['channel'] !== SLACK.channel) return { ok: false, error: 'channel_not_found' };
    const wrong = troubleWith(body);
    if (wrong !== null) return { ok: false, error: 'invalid_blocks', response_metadata: { messages: [wrong] } };
    switch (method) {
      case 'chat.postMessage': {
        const ts = `1700000000.${String((posted += 1)).padStart(6, '0')}`;
        messages.push({ ts, text: body['text'] as string, blocks: body['blocks'] as Block[], metadata: body['metadata'] ?? null, threadTs: (body['thread_ts'] as string | undefined) ?? null });
        return { ok: true, channel: SLACK.channel, ts };
      }
      case 'chat.update': {
        const message = messages.find(({ ts }) => ts === body['ts']);
        if (message === undefined) return { ok: false, error: 'message_not_found' };
        message.text = body['text'] as string;
        message.blocks = body['blocks'] as Block[];
        return { ok: true, ts: message.ts };
      }
      case 'chat.postEphemeral':
        whispers.push({ user: body['user'] as string, text: body['text'] as string });
        return { ok: true };
      case 'views.open':
        views.push({ trigger: body['trigger_id'] as string, view: body['view'] as { private_metadata: string } });
        return { ok: true };
      case 'conversations.history': {
        // The newest first, a page at a time; a cursor is opaque to whoever is given it.
        const [from, limit] = [Number(body['cursor'] ?? 0), Number(body['limit'] ?? 100)];
        const page = [...messages].reverse().slice(from, from + limit);
        return { ok: true, response_metadata: { next_cursor: from + limit < messages.length ? String(from + limit) : '' }, messages: page.map(({ ts, text, metadata }) => ({ type: 'message', ts, text, ...(body['include_all_metadata'] === true && metadata !== null ? { metadata } : {}) })) };
      }
      default:
        return { ok: false, error: 'unknown_method' };
    }
  };
  const server = createServer((request, response) => {
    void read(request).then(async (text) => {
      const method = (request.url ?? '').slice('/api/'.length);
      calls.push(method);
      const { refuses } = slack;
      if (refuses !== null && 'status' in refuses) return void response.writeHead(refuses.status, { 'retry-after': '1' }).end();
      const isOurs = request.headers.authorization === `Bearer ${SLACK.token}`;
      const isRefused = refuses !== null && (refuses.method ?? method) === method;
      const said = isRefused ? { ok: false, error: refuses.error } : isOurs ? answer(method, JSON.parse(text) as Record<string, unknown>) : { ok: false, error: 'invalid_auth' };
      if (method === 'chat.postMessage') await slack.holds;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const slack: SlackServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/`, messages, whispers, views, calls, refuses: null, holds: null,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
  return slack;
}

/** Slack's own limits, as far as they are met here. @see https://docs.slack.dev/reference/block-kit/blocks */
function troubleWith(body: Record<string, unknown>): string | null {
  const view = body['view'] as { title?: { text: string }; blocks?: Block[] } | undefined;
  const blocks = (body['blocks'] ?? view?.blocks ?? []) as Block[];
  const lengthOf = (text: unknown): number => ((text as { text?: string } | undefined)?.text ?? '').length;
  if (blocks.length > 50) return 'more than 50 blocks';
  if (view !== undefined && (lengthOf(view.title) > 24 || lengthOf(view.title) === 0)) return 'title';
  for (const block of blocks) {
    if (block.type === 'header' && (lengthOf(block['text']) > 150 || lengthOf(block['text']) === 0)) return 'header';
    if (block.type === 'section' && (lengthOf(block['text']) > 3_000 || lengthOf(block['text']) === 0)) return 'section';
    for (const element of block.type === 'actions' ? (block['elements'] as Block[]) : []) {
      if (lengthOf(element['text']) > 75 || String(element['value']).length > 2_000 || String(element['action_id']).length > 255) return 'button';
      const confirm = element['confirm'] as Record<string, unknown> | undefined;
      if (confirm !== undefined && (lengthOf(confirm['title']) > 100 || lengthOf(confirm['text']) > 300 || lengthOf(confirm['confirm']) > 30 || lengthOf(confirm['deny']) > 30)) return 'confirm';
    }
  }
  return null;
}

async function read(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
