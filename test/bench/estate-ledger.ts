/** An installation with a ledger of many changes of many identities, some of which run or wait: what the bench of the console looks at. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Directory, InventoryEntry } from '../../src/facts/schemas.ts';
import { hashToken, type TokensFile } from '../../src/identity/tokens.ts';
import { makeInstallation } from '../support/installation.ts';
import { GRANT, toldUntilActive, toldUntilArmed, toldUntilDecided, type Telling } from '../support/story.ts';
import { livesThatAreOver, writeLives, type Life } from './lives.ts';

/** Identities, each a copy of one of the example’s. */
export const IDENTITIES = 1_000;
const OWNERS = 100;
/** Also those who own nothing. */
const PEOPLE = 500;
const ACTIVE = 1_000;
const PENDING = 300;

/** Who may see all, and whom everything that waits waits for; who may see what is hers, a hundredth; who may see nothing. */
export const READERS = { ana: { principal: 'person:ana', token: 'cst_ana' }, owner: { principal: 'person:p7', token: 'cst_owner' }, nobody: { principal: 'person:p321', token: 'cst_nobody' } } as const;

/** The identity that the `n`th change is of. */
const numbered = (n: number) => (text: string): string => text.replaceAll(/nhi:prod\/(?:ci-deployer|billing-export|orders-api)/g, (id) => `${id}-${n % IDENTITIES}`);

/** Of ten changes: five denied, two leases that ran out and two that were taken back early, and a rotation. */
function tenLives(): Life[] {
  const { provision, grant, denied, rotated } = livesThatAreOver();
  return [denied, provision, denied, grant, denied, provision, denied, rotated, denied, grant];
}

/** What runs, for eight hours, and what has waited for a minute. */
function livesThatAreNot(): Telling[] {
  const LONG = { ...GRANT, duration: 'PT8H' } as typeof GRANT;
  const active = Array.from({ length: ACTIVE }, (_, n) => toldUntilActive(toldUntilArmed(toldUntilDecided(LONG, Date.now() - 120_000 + n))));
  const pending = Array.from({ length: PENDING }, (_, n) => toldUntilDecided(LONG, Date.now() - 60_000 + n));
  return [...active, ...pending];
}

async function writeFacts(directory: string): Promise<void> {
  const facts = join(process.cwd(), 'examples/facts');
  const inventory = parse(await readFile(join(facts, 'inventory.yaml'), 'utf8')) as { v: 1; nhis: InventoryEntry[] };
  const people = parse(await readFile(join(facts, 'directory.yaml'), 'utf8')) as Directory;
  const copied = inventory.nhis.filter(({ id }) => /\/(?:ci-deployer|billing-export|orders-api)$/.test(id));
  const nhis = Array.from({ length: IDENTITIES }, (_, n) => copied.map((one): InventoryEntry => ({ ...one, id: `${one.id}-${n}`, owner: `person:p${n % OWNERS}`, backupOwner: `person:p${(n + 1) % OWNERS}` }))).flat();
  await writeFile(join(directory, 'inventory.json'), JSON.stringify({ ...inventory, nhis: [...inventory.nhis, ...nhis] }));
  const added = Array.from({ length: PEOPLE }, (_, n) => ({ id: `person:p${n}`, name: `Person ${n}`, active: true, linked: [] }));
  await writeFile(join(directory, 'directory.json'), JSON.stringify({ ...people, people: [...people.people, ...added] }));
}

/** An installation in `directory` whose ledger has so many changes; what is there already stays as it is. `port`: where its sidecar listens. */
export async function makeEstate(directory: string, changes: number, port: number, say: (text: string) => void): Promise<void> {
  if (!existsSync(join(directory, 'inventory.json'))) {
    const installation = await makeInstallation();
    await mkdir(directory, { recursive: true });
    for (const name of await readdir(installation.directory)) await rename(join(installation.directory, name), join(directory, name));
    await installation.remove();
    await writeLives(directory, { over: tenLives(), open: livesThatAreNot(), done: (_size, born) => born / (changes - ACTIVE - PENDING), rename: numbered, say });
    await writeFacts(directory);
    const tokens: TokensFile = [
      { principal: READERS.ana.principal, roles: ['caller', 'approver', 'operator', 'auditor'], tokenSha256: hashToken(READERS.ana.token) },
      { principal: READERS.owner.principal, roles: ['approver'], tokenSha256: hashToken(READERS.owner.token) },
      { principal: READERS.nobody.principal, roles: ['approver'], tokenSha256: hashToken(READERS.nobody.token) },
    ];
    await writeFile(join(directory, 'tokens.json'), JSON.stringify(tokens));
    await rename(join(directory, 'countersign.yaml'), join(directory, 'made.yaml'));
  }
  const made = await readFile(join(directory, 'made.yaml'), 'utf8');
  const facts = join(process.cwd(), 'examples/facts');
  const config = made.replace(/^facts: .*$/m, `facts: {inventory: inventory.json, catalogue: ${facts}/catalogue.yaml, directory: directory.json, usage: ${facts}/usage.yaml}`).replace('port: 0', `port: ${port}`);
  await writeFile(join(directory, 'countersign.yaml'), `${config}policy: ${join(process.cwd(), 'policy/bundle')}\n`);
}
