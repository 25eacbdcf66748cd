import { expect, it } from 'vitest';
import { changeRequestSchema, recordedRequestSchema } from '../../src/protocol/request.ts';

const PROVISION = {
  kind: 'provision', subject: 'nhi:prod/billing-export', purpose: 'nightly-billing', reason: 'the nightly export', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'table:public.orders:SELECT' }],
  recipient: 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
};
const withEnd = { ...PROVISION, endsBy: '2030-01-01T00:00:00.000Z' };

it('a new credential with an end has a duration: an end without one would be kept by nobody', () => {
  expect(changeRequestSchema.safeParse({ ...withEnd, duration: 'PT15M' }).error).toBeUndefined();
  expect(changeRequestSchema.safeParse(PROVISION).error).toBeUndefined();
  expect(changeRequestSchema.safeParse(withEnd).error?.issues).toMatchObject([{ path: ['duration'] }]);
});

it('one that was recorded before that was asked can still be read', () => {
  expect(recordedRequestSchema.safeParse(withEnd).error).toBeUndefined();
});
