/** Changes shown and decided in Slack: a real sidecar and ledger, and a stand-in for Slack that holds to its limits. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalBytes, nodeDisk } from '../../ledger/index.ts';
import { describeChange } from '../../src/cli/describe.ts';
import { openOutput } from '../../src/cli/output.ts';
import { tellStory } from '../../src/evidence/story.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import type { NotificationPayload } from '../../src/notify/payload.ts';
import { recentHistory } from '../../src/notify/history.ts';
import { startNotifier, type Notifier } from '../../src/notify/notifier.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { ERRORS, type Problem } from '../../src/sidecar/errors.ts';
import { openSlack, createSlackRouter, SLACK_PATH } from '../../src/sidecar/slack.ts';
import type { ChangeView, Evidence, StatementAnswer } from '../../src/sidecar/schemas.ts';
import { systemClock, systemRandom } from '../../src/sidecar/system.ts';
import { APPROVE, REJECT } from '../../src/slack/interaction.ts';
import { SLACK_RECEIVER, type SlackChannel } from '../../src/slack/channel.ts';
import { glassMessage } from '../../src/slack/message.ts';
import { movedClock } from '../support/moved-clock.ts';
import { answerOf, GRANT, openTestSidecar, type TestOptions, type TestSidecar } from '../support/sidecar.ts';
import { press, signed, SLACK, slackServer, submit, type Posted, type SlackServer } from '../support/slack.ts';
import { testSshKey } from '../support/ssh.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** By Slack account; Sam, who may see it and is not asked, and Mallory, who may not even see it, have one too. */
const PEOPLE = [{ account: 'U0WEI', person: 'person:wei' }, { account: 'U0ANA', person: 'person:ana' }, { account: 'U0SAM', person: 'person:sam' }, { account: 'U0MAL', person: 'person:mallory' }];

interface Bench {
  readonly sidecar: TestSidecar;
  readonly slack: SlackServer;
  readonly channel: SlackChannel;
  /** Sends what Slack would; the status, and what the answer says. */
  send(payload: object, secret?: string): Promise<{ status: number; body: unknown }>;
  /** The one message about the change, once it is there. */
  shown(change: Pick<ChangeView, 'id'>): Promise<Posted>;
  /** The change as it is by now. */
  now(change: Pick<ChangeView, 'links'>): Promise<ChangeView>;
}

async function until(reached: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await reached());) {
    if (Date.now() > end) throw new Error('has not come about');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function openChannel(sidecar: TestSidecar, slack: Pick<SlackServer, 'url'>, coalesceSeconds = 0): Promise<SlackChannel> {
  const directory = await mkdtemp(join(tmpdir(), 'countersign-slack-'));
  closing.push(() => rm(directory, { recursive: true }));
  const [token, signingSecret] = [join(directory, 'token'), join(directory, 'secret')];
  await writeFile(token, `${SLACK.token}\n`, { mode: 0o600 });
  await writeFile(signingSecret, `${SLACK.secret}\n`, { mode: 0o600 });
  const config = { channel: SLACK.channel, team: SLACK.team, token, signingSecret, people: PEOPLE, coalesceSeconds, url: slack.url };
  const channel = await openSlack(config, sidecar.context, { clock: systemClock, userAgent: 'countersign/test' });
  closing.push(() => channel.close());
  return channel;
}

async function bench(options: TestOptions = {}, coalesceSeconds = 0): Promise<Bench> {
  const slack = await slackServer();
  closing.push(() => slack.close());
  let notifier: Notifier | null = null;
  const sidecar = await openTestSidecar({ onEvents: (state, events) => notifier?.take(state, events), ...options });
  closing.push(() => sidecar.close());
  const channel = await openChannel(sidecar, slack, coalesceSeconds);
  const { engine, log, context } = sidecar;
  notifier = startNotifier({
    logId: log.logId, clock: systemClock, random: systemRandom, logger: context.logger, receivers: [channel.receiver], durable: () => log.sync(), glassReviewers: (state) => engine.glassReviewers(state),
    history: (sinceMs) => recentHistory(log, engine.index.recordsSince(sinceMs)), record: (changeId, end) => engine.recordNotification(changeId, end),
  });
  closing.push(() => notifier.close());
  const router = createSlackRouter(channel);
  router.onError((error) => new Response(null, { status: ERRORS[(error as Problem).code].status }));
  return {
    sidecar, slack, channel,
    async send(payload, secret) {
      const { body, headers } = signed(payload, Date.now(), secret);
      const answer = await router.request(SLACK_PATH, { method: 'POST', headers, body });
      const text = await answer.text();
      return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
    },
    async shown({ id }) {
      const about = (): Posted[] => slack.messages.filter(({ metadata }) => (metadata as { event_payload?: { change?: string } } | null)?.event_payload?.change === id);
      await until(() => about().length > 0);
      expect(about()).toHaveLength(1);
      return about()[0]!;
    },
    now: async ({ links }) => (await sidecar.send('person:wei', 'GET', links.self)).body as ChangeView,
  };
}

const NOWHERE = { write: () => true };
const PLAIN = openOutput({ stdout: NOWHERE, stderr: NOWHERE, env: {}, json: false });
const textOf = ({ blocks }: Posted): string => JSON.stringify(blocks);
const hasButtons = ({ blocks }: Posted): boolean => blocks.some(({ type }) => type === 'actions');

describe('a change that waits for people', () => {
  it('is shown with its plan, approved by a press, and shown as decided', async () => {
    const { sidecar, slack, send, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    for (const part of ['nhi:prod/ci-deployer', 'role:deploy', '15 min', 'release 42', change.planDigest!, '<@U0WEI>, <@U0ANA>']) expect(textOf(message)).toContain(part);
    expect(await send(press(message, APPROVE, 'U0WEI'))).toEqual({ status: 200, body: null });
    const decided = await now(change);
    expect(decided.approvals).toMatchObject([{ approver: 'person:wei', verdict: 'approve', proofClass: 'session', channel: 'slack' }]);
    await until(() => !hasButtons(message));
    expect(slack.whispers).toEqual([]);
  });

  it('is told of to those whose stage opens, once it has: in a message of its own, as Slack tells nobody of what is changed', async () => {
    const { sidecar, slack, send, shown } = await bench({ decide: () => answerOf('needsApproval', { stages: ['person:wei', 'person:ana'] }) });
    const message = await shown(await sidecar.change('nhi:prod/ci-deployer', GRANT));
    expect(textOf(message)).not.toContain('<@U0ANA>');
    await send(press(message, APPROVE, 'U0WEI'));
    await until(() => slack.messages.length > 1);
    expect(slack.messages.slice(1)).toMatchObject([{ threadTs: message.ts, text: 'Asked now: <@U0ANA>' }]);
    expect(textOf(message)).toContain('<@U0ANA>');
  });

  it('has its buttons again where no approval counts any more before it is dispatched, and asks anew', async () => {
    const [clock, key] = [movedClock(), testSshKey()];
    const [asks, notBefore] = [answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] }), formatTime(clock.nowMs() + 60_000)];
    const { sidecar, slack, send, shown } = await bench({
      clock, decide: () => ({ ...asks, obligations: { ...asks.obligations, notBefore } }),
      trusts: (trust) => Object.assign(trust, { signers: parseAllowedSigners(`person:wei ${key.publicLine}`) }),
    });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    const { statement } = (await sidecar.send('person:wei', 'GET', `${change.links.self}/statement?verdict=approve`)).body as StatementAnswer;
    const ssh = { expiresAt: statement.expiresAt, signature: writeArmour(key.sign(canonicalBytes(statement))) };
    expect((await sidecar.send('person:wei', 'POST', change.links.approvals, { verdict: 'approve', planDigest: change.planDigest, ssh })).status).toBe(200);
    await until(() => !hasButtons(message));
    Object.assign(sidecar.trust, { signers: parseAllowedSigners('') });
    clock.move(61_000);
    await until(() => slack.messages.length > 1);
    expect(slack.messages.slice(1)).toMatchObject([{ threadTs: message.ts, text: 'Asked now: <@U0WEI>, <@U0ANA>' }]);
    expect(hasButtons(message)).toBe(true);
    await send(press(message, APPROVE, 'U0ANA'));
    await until(() => !hasButtons(message));
  });

  it('has its buttons again where policy asks for more before it is dispatched, and tells whoever is asked then', async () => {
    const { sidecar, slack, send, shown } = await bench({ decide: ({ phase }) => answerOf('needsApproval', phase === 'dispatch' ? { allOf: ['person:wei', 'person:ana'] } : 'person:wei') });
    const message = await shown(await sidecar.change('nhi:prod/ci-deployer', GRANT));
    await send(press(message, APPROVE, 'U0WEI'));
    await until(() => slack.messages.length > 1);
    expect(slack.messages.slice(1)).toMatchObject([{ threadTs: message.ts, text: 'Asked now: <@U0ANA>' }]);
    expect(hasButtons(message)).toBe(true);
  });

  it('is approved once by one person, however often she presses', async () => {
    const { sidecar, send, shown, now } = await bench({ decide: () => answerOf('needsApproval', { allOf: ['person:wei', 'person:ana'] }) });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    const pressed = press(message, APPROVE, 'U0WEI');
    await Promise.all(Array.from({ length: 50 }, () => send(pressed)));
    expect(await now(change)).toMatchObject({ state: 'pending', approvals: [{ approver: 'person:wei' }] });
  });

  it('is rejected with a reason, which is on record', async () => {
    const { sidecar, slack, send, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    await send(press(message, REJECT, 'U0ANA'));
    expect(slack.views).toHaveLength(1);
    expect((await now(change)).state).toBe('pending');
    expect(await send(submit(slack.views[0]!.view, 'U0ANA', '  not on a Friday '))).toEqual({ status: 200, body: null });
    const rejected = await now(change);
    expect(rejected).toMatchObject({ state: 'rejected', approvals: [{ approver: 'person:ana', verdict: 'reject', channel: 'slack' }] });
    expect(describeChange(rejected, PLAIN, { nowMs: Date.now() })).toContain(`  rejected    by person:ana in Slack, record ${rejected.approvals[0]!.record}`);
    const { records, disclosures } = (await sidecar.send('person:kim', 'GET', change.links.evidence)).body as Evidence;
    expect(records.find(({ type }) => type === 'approval.rejected')).toMatchObject({ v: 3, body: { channel: 'slack' } });
    expect(tellStory(records, disclosures).map(({ text }) => text)).toContainEqual(expect.stringMatching(/^person:ana rejected plan .* in Slack: .*not on a Friday/));
  });

  it.each([null, '', ' \n\u202e '])('is not rejected without one: %j', async (text) => {
    const { sidecar, slack, send, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await send(press(await shown(change), REJECT, 'U0ANA'));
    expect(slack.views[0]!.view['blocks']).toContainEqual(expect.objectContaining({ type: 'input', optional: false }));
    expect(await send(submit(slack.views[0]!.view, 'U0ANA', text))).toEqual({ status: 200, body: { response_action: 'errors', errors: { 'countersign.reason': 'A rejection says why.' } } });
    expect(await now(change)).toMatchObject({ state: 'pending', approvals: [] });
  });

  it('is rejected with a reason of several lines, which the ledger still verifies with', async () => {
    const { sidecar, slack, send, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await send(press(await shown(change), REJECT, 'U0ANA'));
    expect(await send(submit(slack.views[0]!.view, 'U0ANA', 'too long\r\n\r\n\u202eask\tagain '))).toEqual({ status: 200, body: null });
    expect((await now(change)).state).toBe('rejected');
    await sidecar.log.sync();
    expect(JSON.stringify((await sidecar.send('person:kim', 'GET', change.links.evidence)).body)).toContain('too long ask again');
    // The record that somebody was told may be on its way: a ledger that is written to is looked at again.
    await expect.poll(async () => {
      const { verdicts } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
      return verdicts.filter(({ status }) => status === 'fails');
    }, { timeout: 10_000 }).toEqual([]);
  });

  it('is on record as ever where it was decided by a request', async () => {
    const { sidecar, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    await sidecar.send('person:ana', 'POST', change.links.approvals, { verdict: 'reject', planDigest: change.planDigest, comment: 'no' });
    await until(() => !hasButtons(message));
    expect(message.text).toMatch(/^No longer waiting: rejected/);
    expect((await now(change)).approvals).toEqual([expect.objectContaining({ approver: 'person:ana', verdict: 'reject' })]);
    expect((await now(change)).approvals[0]!.channel).toBeUndefined();
    const { records } = (await sidecar.send('person:kim', 'GET', change.links.evidence)).body as Evidence;
    expect(records.find(({ type }) => type === 'approval.rejected')).toMatchObject({ v: 2 });
  });

  it.each([
    ['withdrawn', {}, (sidecar: TestSidecar, { links }: ChangeView) => sidecar.send('nhi:prod/ci-deployer', 'POST', `${links.self}/withdraw`, {})],
    ['expired', { limits: { approvalSeconds: 1 } }, () => Promise.resolve()],
  ])('loses its buttons when it is %s, and says so, with nobody pressing', async (state, options: TestOptions, end: (sidecar: TestSidecar, change: ChangeView) => Promise<unknown>) => {
    const { sidecar, slack, shown } = await bench(options);
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    await end(sidecar, change);
    await until(() => !hasButtons(message));
    expect(message.text).toBe(`No longer waiting: ${state}: grant for nhi:prod/ci-deployer`);
    expect(slack.messages).toHaveLength(1);
    expect(slack.whispers).toEqual([]);
  });

  it('loses its buttons where it is withdrawn while its message is on the way', async () => {
    const { sidecar, slack } = await bench();
    let answer = (): void => undefined;
    slack.holds = new Promise((resolve) => (answer = resolve));
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await until(() => slack.messages.length === 1);
    await sidecar.send('nhi:prod/ci-deployer', 'POST', `${change.links.self}/withdraw`, {});
    // It is told of the withdrawal, and knows of no message yet.
    await until(async () => ((await sidecar.send('person:kim', 'GET', change.links.evidence)).body as Evidence).records.some(({ type, body }) => type === 'notification.delivered' && (body as { event: string }).event === 'change.withdrawn'));
    expect(hasButtons(slack.messages[0]!)).toBe(true);
    answer();
    await until(() => !hasButtons(slack.messages[0]!));
  });

  it.each([
    ['revised', (sidecar: TestSidecar, { links }: ChangeView) => sidecar.send('nhi:prod/ci-deployer', 'POST', `${links.self}/revisions`, { ...GRANT, duration: 'PT30M' })],
    ['reduced', (sidecar: TestSidecar, { links, planDigest }: ChangeView) => sidecar.send('person:wei', 'POST', `${links.self}/reductions`, { planDigest, duration: 'PT5M' })],
  ])('is shown anew when it is %s, and the message about the plan before says so and has no buttons', async (how, revise) => {
    const { sidecar, slack, shown } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    expect((await revise(sidecar, change)).status).toBe(200);
    await until(() => slack.messages.length === 2 && !hasButtons(message));
    expect(message.text).toBe('Replaced by revision 2: grant for nhi:prod/ci-deployer');
    expect(textOf(message).includes('reduced     by person:wei')).toBe(how === 'reduced');
    expect(hasButtons(slack.messages[1]!)).toBe(true);
  });

  it('is not looked for for ever where somebody has deleted the message', async () => {
    const { sidecar, slack, shown } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await shown(change);
    (slack.messages as Posted[]).length = 0;
    await sidecar.send('nhi:prod/ci-deployer', 'POST', `${change.links.self}/withdraw`, {});
    const delivered = async (): Promise<unknown[]> => ((await sidecar.send('person:kim', 'GET', change.links.evidence)).body as Evidence).records.filter(({ type }) => type === 'notification.delivered').map(({ body }) => (body as { event: string }).event);
    await until(async () => (await delivered()).includes('change.withdrawn'));
  });

  it('carries a link to the page, where the sidecar says where it is reached', async () => {
    const { sidecar, shown } = await bench({ publicUrl: 'https://cs.example.org' });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const link = `https://cs.example.org/approve#${change.id}`;
    expect(change.links.approve).toBe(link);
    expect(describeChange(change, PLAIN, { nowMs: Date.now() })).toContain(`  decide at   ${link}`);
    expect(textOf(await shown(change))).toContain(`<${link}|The page for approvers: ${change.id}>`);
    expect(textOf(await shown(change)).split(link)).toHaveLength(2);
  });

  it('is one of many in a message that names the first and has no buttons, where many come at once', async () => {
    const { sidecar, slack } = await bench({ publicUrl: 'https://cs.example.org' }, 2);
    // All of them in one spell: they begin when the next one does.
    await until(() => Date.now() % 2_000 < 200);
    const changes = await Promise.all(Array.from({ length: 5 }, () => sidecar.change('nhi:prod/ci-deployer', GRANT)));
    await until(() => slack.messages.length > 0);
    const [message, ...others] = slack.messages as [Posted, ...Posted[]];
    expect(others).toEqual([]);
    expect(message.text).toBe('5 changes wait for approval');
    expect(hasButtons(message)).toBe(false);
    for (const part of ['and 2 more', 'countersign changes list --waiting-for-me', '<@U0WEI>, <@U0ANA>']) expect(textOf(message)).toContain(part);
    expect(changes.filter(({ id }) => textOf(message).includes(`https://cs.example.org/approve#${id}`))).toHaveLength(3);
    await until(async () => (await Promise.all(changes.map(async ({ links }) => ((await sidecar.send('person:kim', 'GET', links.evidence)).body as Evidence).records.filter(({ type }) => type === 'notification.delivered').length))).every((count) => count === 1));
    await sidecar.log.sync();
    const { verdicts } = await verifyEvidence({ disk: nodeDisk(sidecar.directory), directory: 'ledger', trust: sidecar.trust, wholeFolder: true });
    expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
  });

  it('that is over says so to whoever presses what she still sees', async () => {
    const { sidecar, slack, send, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    const pressed = press(message, APPROVE, 'U0WEI');
    await sidecar.send('nhi:prod/ci-deployer', 'POST', `${change.links.self}/withdraw`, {});
    await send(pressed);
    expect(slack.whispers).toMatchObject([{ user: 'U0WEI', text: expect.stringMatching(/^Not approved: .*withdrawn/) as string }]);
    expect(hasButtons(message)).toBe(false);
    expect((await now(change)).approvals).toEqual([]);
  });

  it('is not approved by the message of another revision', async () => {
    const { sidecar, slack, send, shown, now } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const pressed = press(await shown(change), APPROVE, 'U0WEI');
    await sidecar.send('nhi:prod/ci-deployer', 'POST', `${change.links.self}/revisions`, { ...GRANT, duration: 'PT30M' });
    await until(async () => (await now(change)).planDigest !== change.planDigest && (await now(change)).state === 'pending');
    await send(pressed);
    expect((await now(change)).approvals).toEqual([]);
    expect(slack.whispers).toHaveLength(1);
  });

  it('tells those of a later stage once it is their turn, whom its message only named before', async () => {
    const { sidecar, slack, send, shown, now } = await bench({ decide: () => answerOf('needsApproval', { stages: ['person:wei', 'person:ana'] }) });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    expect(textOf(message)).toContain('Then: person:ana');
    await send(press(message, APPROVE, 'U0WEI'));
    await until(() => slack.messages.length > 1);
    expect(slack.messages[1]).toMatchObject({ text: 'Asked now: <@U0ANA>', threadTs: message.ts });
    expect(hasButtons(message)).toBe(true);
    await send(press(message, APPROVE, 'U0ANA'));
    expect((await now(change)).approvals).toMatchObject([{ approver: 'person:wei' }, { approver: 'person:ana' }]);
    expect(slack.messages).toHaveLength(2);
  });

  it('offers no button where a press is not enough, and counts none', async () => {
    const demands = (proofClass: 'session' | 'ssh'): TestOptions => ({ decide: () => {
      const asked = answerOf('needsApproval', { anyOf: ['person:wei'] });
      return { ...asked, obligations: { ...asked.obligations, proofClass } };
    } });
    const { sidecar, slack, send, shown, now } = await bench(demands('ssh'));
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    expect(hasButtons(message)).toBe(false);
    expect(textOf(message)).toContain(`countersign approve ${change.id} --ssh-key`);
    const forged = { ...message, blocks: [{ type: 'actions', elements: [{ type: 'button', action_id: APPROVE, value: `${change.id} ${change.planDigest}` }] }] };
    await send(press(forged, APPROVE, 'U0WEI'));
    expect((await now(change)).approvals).toEqual([]);
    expect(slack.whispers).toMatchObject([{ text: expect.stringContaining('proof-too-weak') as string }]);
  });

  it('offers no button where it is a floor that asks for more than policy does', async () => {
    const { sidecar, shown } = await bench({
      trusts: (trust) => Object.assign(trust, { requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'passkey', approvers: null, maxLeaseSeconds: null }] } }),
    });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    expect(change).toMatchObject({ requirement: { proofClass: 'passkey' }, floor: { approvers: null, proofClass: 'passkey' } });
    const message = await shown(change);
    expect(hasButtons(message)).toBe(false);
    expect(textOf(message)).toContain(`/approve#${change.id}`);
  });

  it('shows nothing that its requester wrote as markup, and marks what is cut', async () => {
    const { sidecar, shown } = await bench();
    const reason = `<!channel> <https://evil.example|approve> *bold* \u202eevil ${'x'.repeat(400)}`;
    const refused = await sidecar.send('nhi:prod/ci-deployer', 'POST', '/v1/changes', { ...GRANT, reason });
    const change = refused.status === 201 ? (refused.body as ChangeView) : await sidecar.change('nhi:prod/ci-deployer', { ...GRANT, reason: reason.replace('\u202e', '') });
    const message = await shown(change);
    const markup = message.blocks.flatMap((block) => (block['text'] as { type?: string } | undefined)?.type === 'mrkdwn' ? [(block['text'] as { text: string }).text] : []);
    expect(markup).toEqual(['Asked: <@U0WEI>, <@U0ANA>']);
    expect(message.text).not.toMatch(/[<>]/);
    expect(textOf(message)).toContain('<!channel>');
    expect(textOf(message)).not.toContain('\u202e');
  });
});

describe('a press counts for nothing', () => {
  it.each([
    ['signed with another secret', { secret: '0'.repeat(32), status: 401 }, (payload: object) => payload],
    ['in another workspace', { status: 401 }, (payload: object) => ({ ...payload, team: { id: 'T0OTHER' } })],
    ['of an account that is nobody’s', { status: 200 }, (payload: object) => ({ ...payload, user: { id: 'U0EVE' } })],
    ['of somebody who may not approve this', { status: 200 }, (payload: object) => ({ ...payload, user: { id: 'U0SAM' } })],
    ['in a message of another channel', { status: 422 }, (payload: object) => ({ ...payload, container: { type: 'message', message_ts: '1700000000.000001', channel_id: 'C0OTHER' } })],
    ['of something else', { status: 422 }, (payload: object) => ({ ...payload, actions: [{ action_id: 'other', value: 'x' }] })],
    ['with a value that names no plan', { status: 422 }, (payload: object) => ({ ...payload, actions: [{ action_id: APPROVE, value: 'x' }] })],
    ['twice in one', { status: 422 }, (payload: object) => ({ ...payload, actions: [...(payload as { actions: object[] }).actions, ...(payload as { actions: object[] }).actions] })],
    ['that is no press', { status: 422 }, () => ({ type: 'shortcut', team: { id: SLACK.team }, user: { id: 'U0WEI' } })],
  ])('%s', async (_what, { secret, status }: { secret?: string; status: number }, change) => {
    const { sidecar, send, shown, now } = await bench();
    const asked = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const { length } = await now(asked);
    const message = await shown(asked);
    await until(async () => (await now(asked)).length > length);
    const pressed = press(message, APPROVE, 'U0WEI');
    const before = (await now(asked)).length;
    expect((await send(change(pressed), secret)).status).toBe(status);
    expect(await now(asked)).toMatchObject({ state: 'pending', approvals: [], length: before });
    // The very press that was left alone would have counted.
    expect((await send(pressed)).status).toBe(200);
    expect((await now(asked)).approvals).toHaveLength(1);
  });
});

describe('what is told to whoever pressed', () => {
  it('is no more than that there is no such change, where she may not see it', async () => {
    const { sidecar, slack, send, shown } = await bench();
    await send(press(await shown(await sidecar.change('nhi:prod/ci-deployer', GRANT)), APPROVE, 'U0MAL'));
    expect(slack.whispers).toEqual([{ user: 'U0MAL', text: 'Not approved: no change of this id (no-such-change)' }]);
  });
});

describe('the channel', () => {
  const asked = (change: ChangeView): { id: string; body: string } => {
    const payload: NotificationPayload = {
      type: 'approval.requested', timestamp: change.requestedAt,
      data: { changeId: change.id, record: 6, kind: 'grant', subject: change.subject, revision: 1, requester: [...change.requester], planDigest: change.planDigest!, approvers: ['person:wei'], approvalsBy: null, requesterWords: { reason: 'x' } },
    };
    return { id: `msg_${'0'.repeat(32)}`, body: JSON.stringify(payload) };
  };
  const never = new AbortController().signal;

  it('finds in Slack what an earlier process has posted, and posts it no second time', async () => {
    const { sidecar, slack, shown } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await shown(change);
    const after = await openChannel(sidecar, slack);
    expect(await after.receiver.send(asked(change), never)).toEqual({ delivered: true });
    await shown(change);
    expect(slack.messages).toHaveLength(1);
  });

  it('finds it among all that was written there since', async () => {
    const { sidecar, slack, shown } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await shown(change);
    const others = Array.from({ length: 450 }, (_, n): Posted => ({ ts: `1700000001.${String(n).padStart(6, '0')}`, text: 'lunch?', blocks: [], metadata: null, threadTs: null }));
    (slack.messages as Posted[]).push(...others);
    const after = await openChannel(sidecar, slack);
    expect(await after.receiver.send(asked(change), never)).toEqual({ delivered: true });
    expect(slack.messages).toHaveLength(451);
  });

  /** The one that has posted the message has ended, and the next finds nothing: Slack refuses the channel's history. */
  const restarted = async ({ sidecar, slack, channel }: Bench): Promise<{ after: SlackChannel; take(payload: object): Promise<unknown>; decided(change: ChangeView): Promise<unknown> }> => {
    await channel.close();
    slack.refuses = { error: 'missing_scope', method: 'conversations.history' };
    const after = await openChannel(sidecar, slack);
    return {
      after,
      take(payload) {
        const { body, headers } = signed(payload, Date.now());
        return after.take({ timestamp: headers['x-slack-request-timestamp'], signature: headers['x-slack-signature'], body: Buffer.from(body) });
      },
      async decided(change) {
        const payload: NotificationPayload = { type: 'approval.decided', timestamp: change.requestedAt, data: { changeId: change.id, record: 7, kind: 'grant', subject: change.subject, revision: 1, planDigest: change.planDigest!, approver: 'person:wei', verdict: 'approve', pending: false } };
        return after.receiver.send({ id: `msg_${'4'.repeat(32)}`, body: JSON.stringify(payload) }, never);
      },
    };
  };

  it('knows of a message in a history that it may not read by a press in it, and keeps it up with the change', async () => {
    const all = await bench({ decide: () => answerOf('needsApproval', { allOf: ['person:wei', 'person:ana'] }) });
    const change = await all.sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await all.shown(change);
    const { take, decided } = await restarted(all);
    await take(press(message, APPROVE, 'U0WEI'));
    expect(await decided(change)).toEqual({ delivered: true });
    expect(textOf(message)).toContain('approved    by person:wei in Slack');
    expect(hasButtons(message)).toBe(true);
    expect((await all.sidecar.send('person:ana', 'POST', change.links.approvals, { verdict: 'reject', planDigest: change.planDigest, comment: 'no' })).status).toBe(200);
    expect(await decided(change)).toEqual({ delivered: true });
    expect(message.text).toMatch(/^No longer waiting: rejected/);
    expect(hasButtons(message)).toBe(false);
  });

  it('takes the buttons of an older message where somebody decides in it, though a newer one is the one that it knows', async () => {
    const all = await bench();
    const change = await all.sidecar.change('nhi:prod/ci-deployer', GRANT);
    const older = await all.shown(change);
    const { after, take } = await restarted(all);
    expect(await after.receiver.send(asked(change), never)).toEqual({ delivered: true });
    const newer = all.slack.messages.at(-1)!;
    expect([newer.ts === older.ts, hasButtons(newer)]).toEqual([false, true]);
    await take(press(older, APPROVE, 'U0WEI'));
    expect(hasButtons(older)).toBe(false);
    expect((await all.now(change)).approvals).toHaveLength(1);
  });

  it.each([['approve', APPROVE], ['reject', REJECT]])('says that it is over to who presses %s in an old message, which says so as well', async (_verdict, action) => {
    const all = await bench();
    const change = await all.sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await all.shown(change);
    const { take } = await restarted(all);
    await all.sidecar.send('nhi:prod/ci-deployer', 'POST', `${change.links.self}/withdraw`, {});
    expect(hasButtons(message)).toBe(true);
    expect(await take(press(message, action, 'U0WEI'))).toEqual({ status: 200, body: null });
    expect(all.slack.views).toEqual([]);
    expect(all.slack.whispers).toMatchObject([{ user: 'U0WEI', text: expect.stringMatching(action === APPROVE ? /^Not approved: .*withdrawn/ : /^Nobody is asked about this plan any more/) as string }]);
    expect(message.text).toBe('No longer waiting: withdrawn: grant for nhi:prod/ci-deployer');
    expect(hasButtons(message)).toBe(false);
  });

  it('tells those whose review counts, and those who were not waited for, that the glass was broken, in words that are no markup', async () => {
    const { sidecar, slack, channel, shown } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await shown(change);
    const told = slack.messages.length;
    const payload: NotificationPayload = {
      type: 'breakglass.used', timestamp: change.requestedAt,
      data: {
        changeId: change.id, record: 8, kind: 'grant', subject: change.subject, revision: 1, requester: [...change.requester], planDigest: change.planDigest!, usedBy: 'person:sam', skipped: ['person:wei', 'person:olga'], reviewers: ['person:wei', 'person:ana'],
        reviewBy: '2026-12-01T07:00:00.000Z', review: `/v1/changes/${change.id}/break-glass/review`, requesterWords: { reason: 'release 42' }, usersWords: { reason: '<!channel> nobody *answers*\u2028justified\u200b, says person:wei' },
      },
    };
    expect(channel.receiver.events).toContain('breakglass.used');
    expect(await channel.receiver.send({ id: `msg_${'1'.repeat(32)}`, body: JSON.stringify(payload) }, never)).toEqual({ delivered: true });
    const [message, ...others] = slack.messages.slice(told);
    expect(others).toEqual([]);
    for (const part of ['person:sam', '<!channel> nobody *answers*\\\\u{2028}justified\\\\u{200b}, says', '2026-12-01T07:00:00.000Z', `countersign breakglass review ${change.id}`]) expect(textOf(message!)).toContain(part);
    const markup = message!.blocks.flatMap((block) => ((block['text'] as { type?: string }).type === 'mrkdwn' ? [(block['text'] as { text: string }).text] : []));
    expect(markup).toEqual(['Reviewed by one of: <@U0WEI>, <@U0ANA>', 'Not waited for: person:olga']);
    expect(hasButtons(message!)).toBe(false);
  });

  const escalated = (change: ChangeView, n: number): { id: string; body: string } => {
    const { timestamp, data: { requesterWords, ...data } } = JSON.parse(asked(change).body) as Extract<NotificationPayload, { type: 'approval.requested' }>;
    const payload: NotificationPayload = { type: 'approval.escalated', timestamp, data: { ...data, record: 7, approvers: ['person:wei', 'person:ana'], to: ['person:sam', 'person:ana'], dueAt: timestamp, requesterWords } };
    return { id: `msg_${String(n).repeat(32)}`, body: JSON.stringify(payload) };
  };

  it('reminds those who are still asked of what has waited for long, and of nobody’s turn that is over', async () => {
    const { sidecar, slack, channel, send, shown } = await bench({ decide: () => answerOf('needsApproval', { allOf: ['person:wei', 'person:ana'] }) });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const message = await shown(change);
    await until(async () => ((await sidecar.send('person:kim', 'GET', change.links.evidence)).body as Evidence).records.some(({ type }) => type === 'notification.delivered'));
    await channel.receiver.send(escalated(change, 1), never);
    expect(slack.messages.at(-1)).toMatchObject({ threadTs: message.ts, text: `Waiting since ${change.requestedAt}. Still asked: <@U0WEI>, <@U0ANA>. Told as well: <@U0SAM>. Who may approve has not changed.` });
    await send(press(message, APPROVE, 'U0WEI'));
    await channel.receiver.send(escalated(change, 2), never);
    expect(slack.messages.at(-1)!.text).toContain('Still asked: <@U0ANA>. Told as well: <@U0SAM>.');
  });

  it('reminds of many at once in one message', async () => {
    const { sidecar, slack, channel, shown } = await bench();
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    await shown(change);
    const first = [1, 2, 3].map((n) => JSON.parse(escalated(change, n).body) as object);
    const payload = { type: 'notifications.coalesced', timestamp: change.requestedAt, data: { event: 'approval.escalated', to: ['person:sam'], count: 4, first, rest: [{ changeId: change.id, record: 9 }] } };
    expect(await channel.receiver.send({ id: `msg_${'3'.repeat(32)}`, body: JSON.stringify(payload) }, never)).toEqual({ delivered: true });
    expect(textOf(slack.messages.at(-1)!)).toContain('Still asked: <@U0WEI>, <@U0ANA>');
    expect(textOf(slack.messages.at(-1)!)).toContain('Told as well: <@U0SAM>. Who may approve has not changed.');
  });

  it('lets go at once of what Slack does not answer, when whoever sends it ends', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { sidecar } = await bench();
    const channel = await openChannel(sidecar, { url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}/api/` });
    closing.push(async () => {
      silent.closeAllConnections();
      silent.close();
      await once(silent, 'close');
    });
    const ending = new AbortController();
    const sending = channel.receiver.send(asked(await sidecar.change('nhi:prod/ci-deployer', GRANT)), ending.signal);
    await once(silent, 'request');
    ending.abort();
    const beganMs = Date.now();
    expect(await sending).toMatchObject({ delivered: false, gone: false });
    expect(Date.now() - beganMs).toBeLessThan(2_000);
  });

  it('says that something is stuck in words that are no markup', async () => {
    const { slack, channel } = await bench();
    const payload = { type: 'change.stuck', timestamp: '2026-11-23T19:00:00.000Z', data: { changeId: 'chg_3dfc5f0e30f90517_01M8571XRWJ2028CSGVGJ3QSF9', record: 6, kind: 'grant', subject: 'nhi:prod/x', code: 'policy-fault', owner: null, message: '<!here> & <@U0WEI>' } };
    await channel.receiver.send({ id: `msg_${'0'.repeat(32)}`, body: JSON.stringify(payload) }, never);
    expect(slack.messages).toMatchObject([{ text: 'policy-fault: &lt;!here&gt; &amp; &lt;@U0WEI&gt;', blocks: [{ type: 'section', text: { type: 'plain_text' } }] }]);
  });

  it('says by when a broken glass is reviewed, however long the words of who broke it become', () => {
    const { blocks } = glassMessage({ changeId: 'chg_1', reviewBy: '2026-11-24T19:00:00.000Z', reviewers: [], skipped: [], usedBy: 'person:sam', usersWords: { reason: '\u200c'.repeat(500) } } as never, () => undefined);
    expect(JSON.stringify(blocks)).toContain('To be reviewed by 2026-11-24T19:00:00.000Z: countersign breakglass review chg_1');
  });

  it('says so in no more than Slack takes, however much of what a target answered is not seen', async () => {
    const { slack, channel } = await bench();
    const changeId = 'chg_3dfc5f0e30f90517_01M8571XRWJ2028CSGVGJ3QSF9';
    const payload = { type: 'change.stuck', timestamp: '2026-11-23T19:00:00.000Z', data: { changeId, record: 6, kind: 'grant', subject: 'nhi:prod/x', code: 'policy-fault', owner: null, message: '\u200b'.repeat(500) } };
    await channel.receiver.send({ id: `msg_${'0'.repeat(32)}`, body: JSON.stringify(payload) }, never);
    const [{ blocks }] = slack.messages as unknown as [{ blocks: [{ text: { text: string } }] }];
    // @see https://docs.slack.dev/reference/block-kit/blocks/section-block
    expect(blocks[0].text.text.length).toBeLessThanOrEqual(3_000);
    expect(blocks[0].text.text).toContain(changeId);
  });

  it.each([
    ['refuses', { error: 'not_in_channel' }, 'chat.postMessage: not_in_channel'],
    ['asks to wait', { status: 429 }, 'chat.postMessage answered 429'],
    ['fails', { status: 503 }, 'chat.postMessage answered 503'],
    ['says what it should not', { error: '<script>' }, 'chat.postMessage: refused'],
  ])('has told nobody where Slack %s, and is asked again later', async (_what, refuses, reason) => {
    const { sidecar, slack, channel, shown } = await bench();
    slack.refuses = refuses;
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    expect(await channel.receiver.send(asked(change), never)).toEqual({ delivered: false, gone: false, reason });
    slack.refuses = null;
    expect(await channel.receiver.send(asked(change), never)).toEqual({ delivered: true });
    await shown(change);
    expect(channel.receiver.name).toBe(SLACK_RECEIVER);
  });
});
