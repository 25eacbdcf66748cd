/**
 * Whether a request is Slack's: an HMAC over its time and its body, byte for byte as they came.
 *
 * @see https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** A request that is older, or as much ahead, may be one that somebody kept. */
export const SLACK_SKEW_SECONDS = 300;

export interface SlackRequest {
  /** `x-slack-request-timestamp`, in seconds. */
  readonly timestamp: string | undefined;
  /** `x-slack-signature`: `v0=` and 64 hexadecimal digits. */
  readonly signature: string | undefined;
  readonly body: Uint8Array;
}

/** @param secrets of the app; with two, either: Slack lets one be changed for the next. The comparison takes as long whatever differs. */
export function isFromSlack({ timestamp, signature, body }: SlackRequest, secrets: readonly string[], nowMs: number): boolean {
  if (timestamp === undefined || !/^[1-9][0-9]{8,10}$/.test(timestamp) || signature === undefined || !/^v0=[0-9a-f]{64}$/.test(signature)) return false;
  if (Math.abs(nowMs / 1000 - Number(timestamp)) > SLACK_SKEW_SECONDS) return false;
  const said = Buffer.from(signature.slice('v0='.length), 'hex');
  const matches = secrets.map((secret) => timingSafeEqual(createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest(), said));
  return matches.includes(true);
}
