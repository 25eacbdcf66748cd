/** The address that browsers know a sidecar by. */
import { expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';

const accepts = (publicUrl: string): boolean => configSchema.shape.publicUrl.safeParse(publicUrl).success;

it.each(['https://countersign.example.org', 'https://countersign.example.org:8443', 'http://localhost', 'http://localhost:8080'])('may be %s, which browsers hold to be safe', (address) => {
  expect(accepts(address)).toBe(true);
});

it.each([
  'http://countersign.example.org', 'http://127.0.0.1:8080', 'http://localhost.example.org', 'http://localhost@example.org', 'http://localhost:8080/', 'https://countersign.example.org/approve', 'https://a@countersign.example.org',
  'https://Countersign.example.org', 'localhost:8080', 'file:///approve', '',
])('may not be %j', (address) => {
  expect(accepts(address)).toBe(false);
});
