import { describe, expect, it } from 'vitest';
import { isLoopback, mayConnect } from '../../src/webhook/address.ts';

describe('an address that a webhook may go to', () => {
  it.each(['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '223.255.255.255', '2606:4700::1111', '2a00::1'])('is %s, always', (address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([true, true]);
  });

  it.each([
    '127.0.0.1', '127.255.255.254', '10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255', '100.64.0.1', '100.127.255.255', '::1', 'fc00::1', 'fdff::1',
  ])('is %s, only where private ones are allowed', (address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([false, true]);
  });

  it.each([
    ['unspecified', '0.0.0.0'], ['this network', '0.1.2.3'], ['link-local: metadata', '169.254.169.254'], ['multicast', '224.0.0.1'], ['multicast', '239.255.255.255'], ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'], ['protocol assignments', '192.0.0.170'], ['documentation', '192.0.2.1'], ['benchmarking', '198.18.0.1'], ['6to4 relay', '192.88.99.1'], ['unspecified', '::'],
    ['mapped loopback', '::ffff:127.0.0.1'], ['mapped private', '::ffff:10.0.0.1'], ['mapped public', '::ffff:1.1.1.1'], ['mapped in hex', '::ffff:7f00:1'], ['compatible', '::127.0.0.1'],
    ['NAT64', '64:ff9b::7f00:1'], ['local NAT64', '64:ff9b:1::a00:1'], ['link-local', 'fe80::1'], ['link-local with a zone', 'fe80::1%lo'], ['global with a zone', '2606:4700::1111%lo'],
    ['site-local', 'fec0::1'], ['multicast', 'ff02::1'], ['6to4 of loopback', '2002:7f00:1::'], ['Teredo', '2001::1'], ['documentation', '2001:db8::1'], ['documentation', '3fff::1'],
    ['a name', 'localhost'], ['a short form', '127.1'], ['a number', '2130706433'], ['octal', '0177.0.0.1'], ['nothing', ''],
  ])('is never %s (%s)', (_what, address) => {
    expect([mayConnect(address, false), mayConnect(address, true)]).toEqual([false, false]);
  });
});

describe('this machine itself', () => {
  it.each([['127.0.0.1', true], ['127.255.255.254', true], ['::1', true], ['10.0.0.1', false], ['1.1.1.1', false], ['0.0.0.0', false], ['::', false], ['::ffff:127.0.0.1', true], ['localhost', false], ['::1%lo', false]])('is %s: %s', (address, is) => {
    expect(isLoopback(address)).toBe(is);
  });
});
