/** Trust folders: what is believed, and what is doubtful and therefore is not. */
import { ALG_COSIGNATURE_V1, generateSignerKey } from '../../../ledger/index.ts';
import { keys, ORIGIN, trustFiles } from '../story.ts';
import type { TrustTexts } from './steps.ts';
import { testPasskey } from '../passkey.ts';
import { testSshKey } from '../ssh.ts';
import { signerOf, type Vector } from './vector.ts';

type File = keyof TrustTexts;
export type TrustExpected = { readonly loads: true } | { readonly refused: File };

const good = trustFiles();
const floor = { connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'session', approvers: null, maxLeaseSeconds: null };
const witness = generateSignerKey('witness.example/north', new Uint8Array(32).fill(60), ALG_COSIGNATURE_V1).vkey;
const edwards = (key: string): string => key.replace(/[^+]+$/, Buffer.concat([Buffer.from([1]), Buffer.alloc(32)]).toString('base64'));

function vector(path: string, title: string, edit: Partial<TrustTexts>, expect: TrustExpected): Vector {
  return { path: `trust/${path}`, content: { title, trust: { ...good, ...edit }, expect } };
}
const loads = (path: string, title: string, edit: Partial<TrustTexts> = {}): Vector => vector(`loads-${path}`, title, edit, { loads: true });
const refused = (path: string, title: string, file: File, text: string): Vector => vector(`refused-${path}`, title, { [file]: text }, { refused: file });
const requirements = (edit: object): string => JSON.stringify({ v: 1, floors: [floor], revokers: [], clockSkewMs: 0, ...edit });

/** Whose keys approve, and what is said of them that nobody can believe. */
function people(): Vector[] {
  const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
  const [annas, ecdsa] = [testSshKey('ssh-ed25519', seed(70)), testSshKey('ecdsa-sha2-nistp256', seed(73))];
  const passkey = testPasskey('ES256', { seed: seed(80) });
  const other = testPasskey('EdDSA', { seed: seed(81) });
  const entry = passkey.entry('person:anna');
  const line = (options: string): string => `person:anna ${options} ${annas.publicLine}`;
  const blob = (type: string, ...parts: readonly Buffer[]): string => `person:anna ${type} ${Buffer.concat([Buffer.from(type), ...parts].flatMap((part) => [Buffer.of(0, 0, 0, part.length), part])).toString('base64')}`;
  const key = (path: string, title: string, text: string): Vector => refused(`signers-${path}`, title, 'allowed_signers', text);
  const pass = (path: string, title: string, ...entries: readonly object[]): Vector => refused(`passkeys-${path}`, title, 'passkeys.json', JSON.stringify(entries));
  return [
    loads('people', 'people’s keys and passkeys', { 'allowed_signers': `${line('namespaces="approval@countersign",valid-before="20270101Z"')} a laptop\nperson:bert ${ecdsa.publicLine}\n`, 'passkeys.json': JSON.stringify([entry, other.entry('person:bert', { origins: ['https://sign.countersign.example.org:8443'] })]) }),
    key('twice', 'a key of two people', `person:anna ${annas.publicLine}\nperson:bert ${annas.publicLine}\n`),
    key('pattern', 'a pattern of people', `* ${annas.publicLine}`),
    key('authority', 'an authority for certificates', line('cert-authority')),
    key('unknown-option', 'an option that is not known', line('no-touch-required="yes"')),
    key('option-twice', 'an option twice', line('namespaces="a",namespaces="b"')),
    key('local-time', 'a time that is not in UTC', line('valid-before="20270101"')),
    key('no-such-day', 'a day that is none', line('valid-before="20270230Z"')),
    key('never', 'a key that is valid at no time', line('valid-after="20270101Z",valid-before="20270101Z"')),
    key('other-type', 'a key that is said to be of another type', `person:anna ecdsa-sha2-nistp256 ${annas.publicLine.split(' ')[1]!}`),
    key('rsa', 'a key of a type that is not taken', blob('ssh-rsa', Buffer.of(1, 0, 1), Buffer.alloc(64, 7))),
    key('small-order', 'a key of small order', blob('ssh-ed25519', Buffer.alloc(32))),
    key('no-point', 'a point that is not on the curve', blob('ecdsa-sha2-nistp256', Buffer.from('nistp256'), Buffer.concat([Buffer.of(4), Buffer.alloc(64, 7)]))),
    pass('credential-twice', 'a credential of two people', entry, other.entry('person:bert', { credentialId: passkey.credentialId })),
    pass('key-twice', 'a key of two people', entry, other.entry('person:bert', { publicKey: passkey.spki.toString('base64') })),
    pass('elsewhere', 'an origin that is not at its relying party', passkey.entry('person:anna', { origins: ['https://countersign.example.com'] })),
    pass('beside', 'an origin that only ends like its relying party', passkey.entry('person:anna', { origins: ['https://evilcountersign.example.org'] })),
    pass('http', 'an origin without TLS', passkey.entry('person:anna', { origins: ['http://countersign.example.org'] })),
    pass('path', 'an origin with a path', passkey.entry('person:anna', { origins: ['https://countersign.example.org/'] })),
    pass('port', 'an origin with the port that it has anyhow', passkey.entry('person:anna', { origins: ['https://countersign.example.org:443'] })),
    pass('compressed', 'a key in another spelling', passkey.entry('person:anna', { publicKey: passkey.spki.subarray(0, 58).toString('base64') })),
    pass('never', 'a passkey that is valid at no time', passkey.entry('person:anna', { validAfter: '2026-11-23T19:00:00.000Z', validBefore: '2026-11-23T19:00:00.000Z' })),
    pass('field-too-many', 'a field that no passkey has', passkey.entry('person:anna', { counter: 1 })),
    refused('glass-person-twice', 'somebody twice among those who may break the glass', 'requirements.json', requirements({ breakGlass: [{ connector: '*', target: '*', privilege: '*', people: ['person:sam', 'person:sam'], maxLeaseSeconds: 60, reviewWithinSeconds: 60 }] })),
  ];
}

export function trustVectors(): Vector[] {
  const other = signerOf(`${ORIGIN}/ticket-2`, 44);
  const sidecar = { origin: ORIGIN, key: keys.ticket.vkey };
  return [
    loads('plain', 'one log, one sidecar, two executors, one floor, one revoker'),
    loads('comments', 'comments, empty lines and tabs in a policy', { 'trust.policy': `# whom to believe\n\n\tlog  ${keys.log.vkey}\thttps://ledger.example/\nquorum none` }),
    loads('witnesses', 'a quorum of one of one', { 'trust.policy': `log ${keys.log.vkey}\nwitness north ${witness}\ngroup some any north\nquorum some\n` }),
    loads('two-keys', 'two ticket keys of one log, for a change of keys', { 'sidecars.json': JSON.stringify([sidecar, { origin: ORIGIN, key: other.vkey }]) }),
    loads('nothing', 'nobody at all', { 'sidecars.json': '[]', 'executors.json': '[]', 'requirements.json': requirements({ floors: [] }) }),
    refused('no-quorum', 'a policy that does not say what it demands', 'trust.policy', `log ${keys.log.vkey}\n`),
    refused('two-quorums', 'a policy that says it twice', 'trust.policy', `log ${keys.log.vkey}\nquorum none\nquorum none\n`),
    refused('unknown-keyword', 'a word that no policy has', 'trust.policy', `log ${keys.log.vkey}\nmirror a\nquorum none\n`),
    refused('unknown-member', 'a group of somebody who is not there', 'trust.policy', `log ${keys.log.vkey}\ngroup all all north\nquorum all\n`),
    refused('threshold-0', 'a threshold of none', 'trust.policy', `log ${keys.log.vkey}\nwitness north ${witness}\ngroup g 0 north\nquorum g\n`),
    refused('threshold-too-high', 'a threshold of more than there are', 'trust.policy', `log ${keys.log.vkey}\nwitness north ${witness}\ngroup g 2 north\nquorum g\n`),
    refused('key-twice', 'a log key twice', 'trust.policy', `log ${keys.log.vkey}\nlog ${keys.log.vkey}\nquorum none\n`),
    refused('witness-key-as-log', 'a witness’s key as a log’s', 'trust.policy', `log ${witness}\nquorum none\n`),
    refused('key-id', 'a key with the id of another', 'trust.policy', `log ${keys.log.vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')}\nquorum none\n`),
    refused('small-order', 'a key of small order', 'sidecars.json', JSON.stringify([{ ...sidecar, key: edwards(keys.ticket.vkey) }])),
    refused('log-key-for-tickets', 'the key of the log as a ticket key', 'sidecars.json', JSON.stringify([{ origin: ORIGIN, key: keys.log.vkey }])),
    refused('log-key-renamed', 'the key of the log as a ticket key, under another name', 'sidecars.json', JSON.stringify([{ origin: ORIGIN, key: signerOf(`${ORIGIN}/ticket`, 1).vkey }])),
    refused('unknown-origin', 'a sidecar of a log that the policy does not list', 'sidecars.json', JSON.stringify([{ ...sidecar, origin: 'other.example/log' }])),
    refused('ticket-key-twice', 'a ticket key twice', 'sidecars.json', JSON.stringify([sidecar, sidecar])),
    refused('duplicate-key', 'a field twice', 'sidecars.json', `[{"origin":"${ORIGIN}","origin":"${ORIGIN}","key":"${keys.ticket.vkey}"}]`),
    refused('executor-twice', 'an executor twice', 'executors.json', JSON.stringify([1, 2].map(() => ({ id: 'executor:main', key: keys.executor.vkey, connectors: ['pg-main'] })))),
    refused('no-connector', 'an executor that may speak for nothing', 'executors.json', JSON.stringify([{ id: 'executor:main', key: keys.executor.vkey, connectors: [] }])),
    refused('field-too-many', 'a field that no floor has', 'requirements.json', requirements({ floors: [{ ...floor, also: 1 }] })),
    refused('negative-quorum', 'a quorum below none', 'requirements.json', requirements({ floors: [{ ...floor, quorum: -1 }] })),
    refused('skew-too-large', 'more than a minute of difference between clocks', 'requirements.json', requirements({ clockSkewMs: 60_001 })),
    refused('revoker-twice', 'a revoker’s key twice', 'requirements.json', requirements({ revokers: ['person:sam', 'person:wei'].map((principal) => ({ principal, key: keys.revoker.vkey })) })),
    ...people(),
    refused('not-json', 'no JSON', 'requirements.json', 'floors: []'),
  ];
}
