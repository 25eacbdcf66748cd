/** Trust folders: what is believed, and what is doubtful and therefore is not. */
import { ALG_COSIGNATURE_V1, generateSignerKey } from '../../../ledger/index.ts';
import { keys, ORIGIN, trustFiles } from '../story.ts';
import type { TrustTexts } from './steps.ts';
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
    refused('not-json', 'no JSON', 'requirements.json', 'floors: []'),
  ];
}
