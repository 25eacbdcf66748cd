import { expect, test } from 'vitest';
import { describeFailure } from '../../../src/connectors/postgres/errors.ts';

const refusal = Object.assign(new Error('permission denied'), { code: '42501', severity: 'ERROR' });
const shutdown = Object.assign(new Error('terminating connection'), { code: '57P01', severity: 'FATAL' });
const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
const starting = Object.assign(new Error('the database system is starting up'), { code: '57P03', severity: 'FATAL' });
const full = Object.assign(new Error('sorry, too many clients already'), { code: '53300', severity: 'FATAL' });
const noDatabase = Object.assign(new Error('database "app" does not exist'), { code: '3D000', severity: 'FATAL' });

test.each([
  ['connecting', refusal, 'rejected'],
  ['connecting', reset, 'unreachable'],
  ['connecting', shutdown, 'unreachable'],
  ['connecting', starting, 'unreachable'],
  ['connecting', full, 'unreachable'],
  ['connecting', noDatabase, 'rejected'],
  ['open', refusal, 'rejected'],
  ['open', shutdown, 'unreachable'],
  ['open', reset, 'unreachable'],
  ['committing', refusal, 'rejected'],
  ['committing', shutdown, 'ambiguous'],
  ['committing', reset, 'ambiguous'],
] as const)('while %s, "%s" means %s', (phase, error, kind) => {
  expect(describeFailure(error, phase, [])).toMatchObject({ kind });
});

test('no secret is repeated, no cause is kept, and nothing moves the cursor of a terminal', () => {
  const error = Object.assign(new Error('syntax error at or near "hunter2"\n\u001b[2J hunter2'), { code: '42601', severity: 'ERROR', internalQuery: 'hunter2' });
  const failure = describeFailure(error, 'open', ['hunter2']);
  expect(failure.message).toBe('42601: syntax error at or near "[redacted]" [2J [redacted]');
  expect(failure.cause).toBeUndefined();
  expect(JSON.stringify(Object.entries(failure))).not.toContain('hunter2');
});
