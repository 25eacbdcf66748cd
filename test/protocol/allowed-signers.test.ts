/** `allowed_signers`: what a line says, and which lines nobody should believe. */
import { expect, it } from 'vitest';
import { parseAllowedSigners, signsUnder } from '../../src/protocol/allowed-signers.ts';
import { testSshKey } from '../support/ssh.ts';

const [ANA, WEI] = [testSshKey(), testSshKey('sk-ecdsa-sha2-nistp256@openssh.com')];

it('a line is a key of a person, with when it is good and what for', () => {
  const [ana, wei] = [...parseAllowedSigners(`# who approves\n\nperson:ana ${ANA.publicLine} ana's laptop\n  person:wei valid-after="20260101Z",namespaces="git,approval@*",valid-before="202612312359Z" ${WEI.publicLine}\r\n`).values()];
  expect(ana).toMatchObject({ person: 'person:ana', validFromMs: -Infinity, validUntilMs: Infinity, namespaces: null });
  expect(wei).toMatchObject({ person: 'person:wei', validFromMs: Date.UTC(2026, 0, 1), validUntilMs: Date.UTC(2026, 11, 31, 23, 59), namespaces: ['git', 'approval@*'] });
  expect([...parseAllowedSigners('').values()]).toEqual([]);
});

it.each<[string, string, boolean]>([
  ['none', '', true], ['its own', 'namespaces="approval@countersign"', true], ['a pattern', 'namespaces="approval@*"', true], ['any one letter', 'namespaces="approval?countersign"', true],
  ['git', 'namespaces="git"', false], ['all but it', 'namespaces="*,!approval@*"', false], ['what only looks like it', 'namespaces="approval.countersign"', false],
])('a key for %s signs approvals or not', (_what, option, may) => {
  const [signer] = [...parseAllowedSigners(`person:ana ${option} ${ANA.publicLine}`).values()];
  expect(signsUnder(signer!, 'approval@countersign')).toBe(may);
});

it.each<[string, string, RegExp]>([
  ['a pattern of people', `* ${ANA.publicLine}`, /line 1: "\*" is not the id of one person/],
  ['two people with one key', `person:ana,person:wei ${ANA.publicLine}`, /not the id of one person/],
  ['a machine', `nhi:prod/ci ${ANA.publicLine}`, /not the id of one person/],
  ['a key that is listed twice', `person:ana ${ANA.publicLine}\nperson:wei ${ANA.publicLine}`, /line 2: a key that is listed already/],
  ['a certificate authority', `person:ana cert-authority ${ANA.publicLine}`, /certificates are not taken/],
  ['an option that nobody knows', `person:ana touch="no" ${ANA.publicLine}`, /cannot make anything of the option touch/],
  ['an option without its value', `person:ana valid-after ${ANA.publicLine}`, /cannot make anything of the option valid-after/],
  ['an option twice', `person:ana namespaces="a",namespaces="b" ${ANA.publicLine}`, /namespaces is there twice/],
  ['a time of nobody knows where', `person:ana valid-before="20270101" ${ANA.publicLine}`, /in UTC/],
  ['a day that there is not', `person:ana valid-before="20270230Z" ${ANA.publicLine}`, /in UTC/],
  ['a key that is good at no time', `person:ana valid-after="20270101Z",valid-before="20270101Z" ${ANA.publicLine}`, /valid at no time/],
  ['another type than the key has', `person:ana ssh-ed25519 ${WEI.blob.toString('base64')}`, /of type sk-ecdsa/],
  ['RSA', `person:ana ssh-rsa ${Buffer.from('\0\0\0\x07ssh-rsa').toString('base64')}`, /keys of type ssh-rsa are not taken/],
  ['a key that is not base64', 'person:ana ssh-ed25519 !!!!', /not base64/],
  ['no key', 'person:ana', /a person, a key type and a key/],
])('is refused whole: %s', (_what, text, message) => {
  expect(() => parseAllowedSigners(text)).toThrow(message);
});
