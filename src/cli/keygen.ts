/** `countersign keygen`: makes a key, for its owner alone, and prints what others need to know of it. */
import type { Command } from 'commander';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { basename, resolve } from 'node:path';
import { ALG_COSIGNATURE_V1, generateSignerKey } from '../../ledger/index.ts';
import { describeTransitKey } from '../identity/transit-key.ts';
import { hashToken, newToken } from '../identity/tokens.ts';
import { executorIdSchema, personIdSchema } from '../protocol/values.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readSecret, writeSecret } from './files.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

const KINDS = ['log', 'ticket', 'executor', 'revoker', 'witness', 'policy', 'fingerprint', 'age', 'token', 'nats'] as const;
type Kind = (typeof KINDS)[number];

interface KeygenFlags {
  readonly name?: string;
  readonly out?: string;
  readonly passphrase?: string;
  readonly recipient?: string;
  readonly transit?: string;
  readonly transitKey?: string;
  readonly transitMount?: string;
  readonly token?: string;
  readonly ca?: string;
}

export function addKeygen(program: Command, run: Runner): void {
  program
    .command('keygen')
    .argument('<kind>', KINDS.join(', '))
    .description('make a key in a new file that only you can read, and print its public half')
    .option('--name <name>', "log: the origin; ticket: a name for the sidecar's key; executor: executor:<id>; revoker: person:<id>; witness: its name, such as witness.example/north; policy: a name for who signs policy")
    .option('--out <file>', 'where to write it (default: ./<kind>.key)')
    .option('--passphrase <file>', 'log, ticket: encrypt it with the passphrase in that file (age); keys.unlock names the file to the sidecar')
    .option('--recipient <age1…>', 'log, ticket: encrypt it to that age recipient; keys.unlock names the identity')
    .option('--transit <url>', 'log: no new key, but where OpenBao holds one that is there already, and its public half')
    .option('--transit-key <name>', 'its name there: an ed25519 key of the transit engine')
    .option('--transit-mount <path>', 'where that engine is mounted (default: transit)')
    .option('--token <file>', 'file of the token that may sign with it')
    .option('--ca <file>', 'PEM of the authorities to trust there instead of the system\'s')
    .action(run(keygen));
}

async function keygen(session: Session, given: string, flags: KeygenFlags): Promise<ExitCode> {
  const kind = KINDS.find((one) => one === given);
  if (kind === undefined) throw new CliError(EXIT.usage, 'usage', { cause: `${given} is not a kind of key`, next: `one of: ${KINDS.join(', ')}` });
  const path = resolve(session.cwd, flags.out ?? `${kind}.key`);
  // An encrypted key that nothing opens would be no key.
  const isEncrypted = flags.passphrase !== undefined || flags.recipient !== undefined;
  if (isEncrypted && kind !== 'log' && kind !== 'ticket') throw new CliError(EXIT.usage, 'usage', { cause: `--passphrase and --recipient are for log and ticket keys: nothing opens an encrypted ${kind} key`, effect: 'Nothing was written.' });
  const { secret, shown } = flags.transit === undefined ? await makeKey(kind, flags.name, session.randomBytes) : await transitKey(kind, flags, path);
  writeSecret(path, `${await wrapped(secret, flags, session.cwd)}\n`);
  const answer = { kind, file: path, ...shown };
  session.out.document(answer);
  session.out.say(`${basename(path)} written, readable by you alone`);
  for (const [name, value] of Object.entries(shown)) session.out.line(`${name} ${value}`);
  return EXIT.ok;
}

/** Where a key is held that is there already. */
async function transitKey(kind: Kind, { name, transit, transitKey: key, transitMount, token, ca }: KeygenFlags, path: string): Promise<{ secret: string; shown: Record<string, string> }> {
  if (kind !== 'log' || key === undefined || token === undefined) throw new CliError(EXIT.usage, 'usage', { cause: '--transit is for a log\'s key, with --transit-key and --token', effect: 'Nothing was written.' });
  const where = { kind: 'transit', url: transit, mount: transitMount, key, token, ...(ca === undefined ? {} : { caFile: ca }) };
  try {
    const held = await describeTransitKey(where, keyName('log', name), path);
    return { secret: JSON.stringify(held, null, 2), shown: { vkey: held.vkey } };
  } catch (cause) {
    if (cause instanceof CliError || !(cause instanceof Error)) throw cause;
    throw new CliError(EXIT.io, 'no-key', { cause: cause.message, effect: 'Nothing was written.' }, { cause });
  }
}

async function wrapped(secret: string, { passphrase, recipient }: KeygenFlags, cwd: string): Promise<string> {
  if (passphrase === undefined && recipient === undefined) return secret;
  if (passphrase !== undefined && recipient !== undefined) throw new CliError(EXIT.usage, 'usage', { cause: '--passphrase or --recipient, not both', effect: 'Nothing was written.' });
  const { armor, Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  if (passphrase === undefined) encrypter.addRecipient(recipient!);
  else encrypter.setPassphrase(readSecret(resolve(cwd, passphrase), 'the passphrase'));
  return armor.encode(await encrypter.encrypt(`${secret}\n`)).trim();
}

async function makeKey(kind: Kind, name: string | undefined, randomBytes: World32): Promise<{ secret: string; shown: Record<string, string> }> {
  switch (kind) {
    case 'log':
    case 'ticket':
    case 'executor':
    case 'revoker':
    case 'policy': {
      const { skey, vkey } = generateSignerKey(keyName(kind, name), randomBytes(32));
      return { secret: skey, shown: { vkey } };
    }
    case 'witness': {
      const witness = keyName(kind, name);
      const { skey, vkey } = generateSignerKey(witness, randomBytes(32), ALG_COSIGNATURE_V1);
      return { secret: skey, shown: { vkey, policy: `witness ${witness} ${vkey}` } };
    }
    case 'fingerprint':
      return { secret: newFingerprintKey(randomBytes), shown: {} };
    case 'age':
      return newAgeIdentity();
    case 'nats': {
      const { newBusUser } = await import('../transport/nats/bus-user.ts');
      const { seed, publicKey } = newBusUser();
      return { secret: seed, shown: { publicKey } };
    }
    case 'token': {
      const token = newToken(randomBytes);
      return { secret: token, shown: { tokenSha256: hashToken(token) } };
    }
  }
}

type World32 = (length: number) => Uint8Array;

/** 32 bytes, base64: what executors make fingerprints of secrets with. */
export function newFingerprintKey(randomBytes: World32): string {
  return Buffer.from(randomBytes(32)).toString('base64');
}

/** An age identity and its recipient. The library draws its own randomness: an identity is never made twice. */
export async function newAgeIdentity(): Promise<{ secret: string; shown: { recipient: string } }> {
  const identity = await generateX25519Identity();
  return { secret: identity, shown: { recipient: await identityToRecipient(identity) } };
}

function keyName(kind: 'log' | 'ticket' | 'executor' | 'revoker' | 'witness' | 'policy', name: string | undefined): string {
  const usage = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was written.' });
  if (name === undefined) throw usage(`a ${kind} key needs --name`);
  const wrong = (kind === 'executor' && !executorIdSchema.safeParse(name).success) || (kind === 'revoker' && !personIdSchema.safeParse(name).success) || /[\s+]/u.test(name) || name.length > 255;
  if (wrong) throw usage(`${JSON.stringify(name)} cannot name a ${kind} key${kind === 'executor' ? '; executor:<id> can' : kind === 'revoker' ? '; person:<id> can' : ''}`);
  return name;
}
