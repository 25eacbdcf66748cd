import { expect, test } from 'vitest';
import { createRates, type Rates } from '../../src/transport/https/rates.ts';
import { fakeClock } from '../support/fake-clock.ts';

const clock = fakeClock(0);
/** How many requests from there are looked at, one after the other. */
function allowed(rates: Rates, from: string, mistakes = false): number {
  for (let count = 0; ; count += 1) {
    if (!rates.mayAsk(from)) return count;
    if (mistakes) rates.mistook(from);
  }
}

test('somebody who takes back many leases is heard, and somebody who rattles is soon not', async () => {
  const rates = createRates(clock.port());
  expect(allowed(rates, '192.0.2.1')).toBe(60);
  expect(allowed(rates, '192.0.2.2', true)).toBe(5);
  await clock.advance(1_000);
  expect(allowed(rates, '192.0.2.1')).toBe(10);
  await clock.advance(60_000);
  expect(allowed(rates, '192.0.2.2')).toBe(60);
});

test('one host is one, however it writes its address', () => {
  const rates = createRates(clock.port());
  expect(allowed(rates, '2001:db8:1:2::1', true)).toBe(5);
  for (const same of ['2001:db8:1:2::ffff', '2001:db8:1:2:a:b:c:d', '2001:db8:1:2:0:0:0:9']) expect(rates.mayAsk(same), same).toBe(false);
  for (const other of ['2001:db8:1:3::1', '2001:db8::2', '::1', '::ffff:192.0.2.9']) expect(rates.mayAsk(other), other).toBe(true);
  expect(allowed(rates, '::ffff:192.0.2.1', true)).toBe(5);
  expect(rates.mayAsk('192.0.2.1')).toBe(false);
});

test('a clock that is set back holds nobody up for long', async () => {
  const rates = createRates(clock.port());
  expect(allowed(rates, '192.0.2.1')).toBe(60);
  clock.jump(-3_600_000);
  expect(rates.mayAsk('192.0.2.1')).toBe(false);
  await clock.advance(1_000);
  expect(rates.mayAsk('192.0.2.1')).toBe(true);
});
