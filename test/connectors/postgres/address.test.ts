import { expect, test } from 'vitest';
import { parseConnectionString, tlsOptions } from '../../../src/connectors/postgres/address.ts';

test('a connection string names host, database, user and password, percent-encoded', () => {
  expect(parseConnectionString('postgresql://cs%40admin:p%2Fw%3A%25@db.example:6432/my%20app?sslmode=verify-full')).toEqual({
    host: 'db.example', port: 6432, database: 'my app', user: 'cs@admin', password: 'p/w:%', sslmode: 'verify-full',
  });
  expect(parseConnectionString('postgres://u:p@[::1]/d')).toEqual({ host: '::1', port: 5432, database: 'd', user: 'u', password: 'p' });
});

test.each([
  'host=db user=u', 'mysql://u:canary@h/d', 'postgresql://u:canary@h', 'postgresql://:canary@h/d', 'postgresql://u:canary@h/d?sslmod=disable',
  'postgresql://u:canary@h/d?sslmode=prefer', 'postgresql://u:canary@h/d?options=-c', 'postgresql://u:canary@h:port/d',
])('%s is refused without repeating the password', (text) => {
  expect(() => parseConnectionString(text)).toThrow(expect.objectContaining({ name: 'RangeError', message: expect.not.stringContaining('canary') as string }));
});

const address = { host: 'db.example', port: 5432, database: 'd', user: 'u', password: 'p' };

test('a server elsewhere must show a certificate for its name unless told otherwise', () => {
  expect(tlsOptions(address)).toEqual({ rejectUnauthorized: true, servername: 'db.example' });
  expect(tlsOptions({ ...address, host: '10.0.0.5' })).toEqual({ rejectUnauthorized: true });
  expect(tlsOptions({ ...address, sslmode: 'verify-full', ca: 'PEM' })).toEqual({ rejectUnauthorized: true, servername: 'db.example', ca: 'PEM' });
});

test('only a server on this machine is spoken to in clear by default', () => {
  for (const host of ['localhost', '127.0.0.1', '127.8.9.10', '::1', '/run/postgresql']) expect(tlsOptions({ ...address, host })).toBe(false);
  for (const host of ['127.evil.example', 'localhost.evil.example', '128.0.0.1']) expect(tlsOptions({ ...address, host })).not.toBe(false);
  expect(tlsOptions({ ...address, sslmode: 'disable' })).toBe(false);
});
