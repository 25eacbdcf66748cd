/** The door for Slack, on a router of its own: requests are Slack's by their signature, and carry no token. */
import { Hono } from 'hono';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../engine/ports.ts';
import { readSecretLines } from '../identity/private-file.ts';
import { approversNamed } from '../protocol/decision.ts';
import { slackApi } from '../slack/api.ts';
import { openSlackChannel, type SlackChannel } from '../slack/channel.ts';
import { mayConnect } from '../webhook/address.ts';
import { readBytes } from './body.ts';
import { durable, problemOf, unwrap, visibleChange, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import { viewOf } from './view.ts';

/** What Slack is told as the app's Request URL, after `publicUrl`. */
export const SLACK_PATH = '/channels/slack';

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;
const SECRETS_MAX = 2;

export function createSlackRouter(slack: Pick<SlackChannel, 'take'>): Hono {
  const router = new Hono();
  router.post(SLACK_PATH, async (c) => {
    if (!/^application\/x-www-form-urlencoded(?:;|$)/i.test(c.req.header('content-type') ?? '')) throw new Problem('unsupported-media-type', 'Slack sends a form');
    const { status, body } = await slack.take({ timestamp: c.req.header('x-slack-request-timestamp'), signature: c.req.header('x-slack-signature'), body: await readBytes(c.req.raw) });
    if (status === 401) throw new Problem('unauthenticated', 'not signed by Slack for this app and workspace, or not now');
    if (status === 400) throw new Problem('invalid-request', 'nothing that was shown from here');
    return new Response(body === null ? null : JSON.stringify(body), { status, headers: { ...HEADERS, ...(body === null ? {} : { 'content-type': 'application/json' }) } });
  });
  router.all(SLACK_PATH, () => {
    throw new Problem('method-not-allowed', 'allowed here: POST', { headers: { allow: 'POST' } });
  });
  return router;
}

/** @throws PrivateFileError when the token or the secret cannot be had; nothing was sent */
export async function openSlack(config: NonNullable<Config['slack']>, context: SidecarContext, { clock, userAgent }: { readonly clock: Clock; readonly userAgent: string }): Promise<SlackChannel> {
  const { engine, logger } = context;
  const [token] = await secretsOf(config.token, /^xox[a-z]-[A-Za-z0-9-]{8,255}$/, 1);
  // The module of lines for people is loaded where somebody is shown any.
  const [{ describeChange }, { openOutput }] = await Promise.all([import('../cli/describe.ts'), import('../cli/output.ts')]);
  const nowhere = { write: () => true };
  const out = openOutput({ stdout: nowhere, stderr: nowhere, env: {}, json: false });
  const local = new URL(config.url).protocol === 'http:';
  return openSlackChannel({
    channel: config.channel, team: config.team, people: new Map(config.people.map(({ account, person }) => [account, person])), coalesceMs: config.coalesceSeconds * 1000, clock, logger,
    signingSecrets: await secretsOf(config.signingSecret, /^[0-9a-f]{32,64}$/, SECRETS_MAX),
    api: slackApi({ url: config.url, token: token!, userAgent, clock, mayConnect: (address) => mayConnect(address, local) }),
    async view(changeId) {
      const state = await engine.find(changeId);
      if (state === undefined) return null;
      const view = viewOf(await durable(context, state), engine, context.publicUrl);
      // As one of those who are asked would be told: a floor may ask for more than policy does. Where the ledger fails, what is shown does not wait for it.
      const [asked] = approversNamed(view.requirement.approvers);
      const told = asked === undefined ? null : await engine.statement(asked, changeId, 'approve').catch(() => null);
      return told?.ok === true ? { ...view, requirement: { ...view.requirement, proofClass: told.value.proofClass } } : view;
    },
    lines(change) {
      // In a message it is a link.
      const { approve: _link, ...links } = change.links;
      return describeChange({ ...change, links }, out, { nowMs: clock.nowMs() });
    },
    async decide(person, { changeId, planDigest }, verdict, comment) {
      try {
        await visibleChange(context, { principal: person, roles: new Set(['approver'] as const) }, changeId);
        await durable(context, unwrap(await engine.decideApproval(person, changeId, verdict, planDigest, comment, { channel: 'slack' })));
        return { ok: true };
      } catch (error) {
        const { code, message } = problemOf(error);
        if (code === 'internal') throw error;
        return { ok: false, message: `${message} (${code})` };
      }
    },
  });
}

function secretsOf(path: string, form: RegExp, most: number): Promise<string[]> {
  return readSecretLines(path, { most, isSecret: (line) => form.test(line), trouble: 'does not hold what Slack gives out for an app' });
}
