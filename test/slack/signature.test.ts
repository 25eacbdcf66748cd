import { describe, expect, it } from 'vitest';
import { isFromSlack, SLACK_SKEW_SECONDS } from '../../src/slack/signature.ts';
import { APPROVE, formatValue, readInteraction } from '../../src/slack/interaction.ts';
import { signed, SLACK } from '../support/slack.ts';

/** The example of Slack's own documentation. */
const EXAMPLE = {
  secret: '8f742231b10e8888abcd99yyyzzz85a5', nowMs: 1_531_420_618_000,
  request: {
    timestamp: '1531420618', signature: 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    body: Buffer.from('token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c'),
  },
};

describe('a request', () => {
  it('is Slack’s where Slack’s own example is', () => {
    expect(isFromSlack(EXAMPLE.request, [EXAMPLE.secret], EXAMPLE.nowMs)).toBe(true);
    expect(isFromSlack(EXAMPLE.request, ['0'.repeat(32), EXAMPLE.secret], EXAMPLE.nowMs)).toBe(true);
  });

  it('is not once it is older than five minutes, or as much ahead', () => {
    for (const seconds of [SLACK_SKEW_SECONDS, -SLACK_SKEW_SECONDS]) {
      expect(isFromSlack(EXAMPLE.request, [EXAMPLE.secret], EXAMPLE.nowMs + seconds * 1000)).toBe(true);
      expect(isFromSlack(EXAMPLE.request, [EXAMPLE.secret], EXAMPLE.nowMs + seconds * 1000 + Math.sign(seconds))).toBe(false);
    }
  });

  const { body, headers } = signed({ type: 'block_actions' }, EXAMPLE.nowMs);
  const good = { timestamp: headers['x-slack-request-timestamp'], signature: headers['x-slack-signature'], body: Buffer.from(body) };
  it.each([
    ['without a time', { timestamp: undefined }],
    ['with another time', { timestamp: String(Number(good.timestamp) + 1) }],
    ['whose time is written in another way', { timestamp: `0${good.timestamp}` }],
    ['whose time is none', { timestamp: `${good.timestamp}.0` }],
    ['without a signature', { signature: undefined }],
    ['with an empty signature', { signature: '' }],
    ['with a signature of another version', { signature: good.signature!.replace('v0', 'v1') }],
    ['with a part of a signature', { signature: good.signature!.slice(0, -2) }],
    ['with a signature in capitals', { signature: good.signature!.toUpperCase().replace('V0', 'v0') }],
    ['with two signatures', { signature: `${good.signature}, ${good.signature}` }],
    ['whose body was encoded again', { body: Buffer.from(body.replaceAll('%22', '"')) }],
    ['with a byte more', { body: Buffer.from(`${body}\n`) }],
    ['without a body', { body: Buffer.alloc(0) }],
  ])('is not Slack’s %s', (_what, change) => {
    expect(isFromSlack(good, [SLACK.secret], EXAMPLE.nowMs)).toBe(true);
    expect(isFromSlack({ ...good, ...change }, [SLACK.secret], EXAMPLE.nowMs)).toBe(false);
  });

  it('is nobody’s where there is no secret, or another', () => {
    expect(isFromSlack(good, [], EXAMPLE.nowMs)).toBe(false);
    expect(isFromSlack(good, ['1'.repeat(32)], EXAMPLE.nowMs)).toBe(false);
  });
});

describe('what it says', () => {
  const [changeId, planDigest] = ['chg_3dfc5f0e30f90517_01M8571XRWJ2028CSGVGJ3QSF9', `sha256:${'1'.repeat(64)}`];
  const pressed = {
    type: 'block_actions', team: { id: SLACK.team }, user: { id: 'U0WEI' }, trigger_id: '13.U0WEI.ff', container: { type: 'message', message_ts: '1700000000.000001', channel_id: SLACK.channel },
    actions: [{ action_id: APPROVE, value: formatValue({ changeId, planDigest }) }],
  };
  const of = (text: string): string => new URLSearchParams({ payload: text }).toString();
  const read = (body: string): ReturnType<typeof readInteraction> => readInteraction(Buffer.from(body, 'utf8'));
  const good = JSON.stringify(pressed);

  it('is a press on the plan that was shown', () => {
    expect(read(of(good))).toEqual({ team: SLACK.team, user: 'U0WEI', did: 'approve', about: { changeId, planDigest, channel: SLACK.channel, ts: '1700000000.000001' } });
  });

  it.each<[string, string]>([
    ['the payload stands twice', `${of(good)}&${of(good)}`], ['another payload stands before it', `${of(good.replace('U0WEI', 'U0EVE'))}&${of(good)}`], ['another field stands beside it', `${of(good)}&token=x`],
    ['it is under another name', of(good).replace('payload=', 'Payload=')], ['a member stands twice', of(good.replace('"type":"block_actions"', '"type":"block_actions","user":{"id":"U0EVE"}'))],
    ['it is cut', of(good.slice(0, -1))], ['its encoding is none', of(good).replace('%22', '%2')], ['it is no form', good], ['it is empty', ''],
    ['it names a plan and more', of(good.replace(planDigest, `${planDigest} ${planDigest}`))], ['it names a person for an id', of(good.replace('U0WEI', 'person:wei'))],
  ])('is nothing where %s', (_what, body) => {
    expect(read(body)).toBeNull();
  });
});
