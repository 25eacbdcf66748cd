import { expect, test } from 'vitest';
import { parseAddress, pathOf } from '../../../src/connectors/openbao/address.ts';
import { openbaoConnector } from '../../../src/connectors/openbao/connector.ts';

test.each(['https://bao.example', 'https://bao.example:8200', 'https://127.0.0.1:8200/', 'https://[::1]:8200'])('%s is an address', (address) => {
  expect(parseAddress({ address }).protocol).toBe('https:');
});

test.each(['http://127.0.0.1:8200', 'http://127.8.9.1:1', 'http://localhost:8200', 'http://[::1]:8200'])('%s is one only where http is allowed', (address) => {
  expect(parseAddress({ address, allowHttp: true }).protocol).toBe('http:');
  expect(() => parseAddress({ address })).toThrow(RangeError);
});

test.each([
  '', 'bao', 'bao.example:8200', 'ftp://bao.example', 'http://bao.example', 'http://10.0.0.1', 'http://127.0.0.1.example', 'http://localhost.example', 'https://user:secret@bao.example',
  'https://bao.example/v1', 'https://bao.example?x=1', 'https://bao.example#x',
])('%j is none, whatever is allowed', (address) => {
  expect(() => parseAddress({ address, allowHttp: true })).toThrow(RangeError);
});

test('what is wrong with an address does not repeat the secret in it', () => {
  expect(() => parseAddress({ address: 'https://user:canary@bao.example' })).toThrow(expect.not.stringContaining('canary') as string);
});

test('a mount is escaped part by part, and leads nowhere else', () => {
  expect(pathOf('team/app role')).toBe('team/app%20role');
  for (const path of ['', '/', 'a/', '/a', 'a//b', '..', 'a/../b', '.']) expect(() => pathOf(path)).toThrow(RangeError);
  const connection = { address: 'https://bao.example', token: () => 'token' };
  expect(() => openbaoConnector({ id: 'bao-main', connection, mount: '../sys' })).toThrow(RangeError);
});
