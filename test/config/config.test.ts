import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG_KEYS } from '../../src/config/keys.ts';
import { ConfigError, loadConfig, type LoadedConfig, type LoadOptions } from '../../src/config/load.ts';
import { formatConfig } from '../../src/config/print.ts';
import { PATH_KEYS } from '../../src/config/schema.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-config-'));
});
afterAll(() => rm(directory, { recursive: true }));

const YAML = `
origin: example.org/countersign
data: data
listen: {socket: run/countersign.sock}
tokens: tokens.json
keys: {log: keys/log.key, ticket: /etc/countersign/ticket.key}
trust: trust
facts: {inventory: facts/inventory.yaml, catalogue: facts/catalogue.yaml, directory: facts/directory.yaml}
executors:
  - {id: executor:pg-1, socket: run/pg-1.sock, connectors: [pg-main]}
`;
let files = 0;
async function load(yaml: string, more: Omit<LoadOptions, 'path'> = {}): Promise<LoadedConfig> {
  const path = join(directory, `countersign-${(files += 1)}.yaml`);
  await writeFile(path, yaml);
  return loadConfig({ path, ...more });
}
const issuesOf = async (loading: Promise<LoadedConfig>): Promise<ConfigError['issues']> => {
  const error: unknown = await loading.then(() => null, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).issues;
};

describe('a configuration', () => {
  it('has defaults, and paths from the directory of its file', async () => {
    const { config, warnings } = await load(YAML);
    expect(config.limits).toMatchObject({ ticketSeconds: 300, approvalSeconds: 86_400 });
    expect(config.listen).toEqual({ socket: join(directory, 'run/countersign.sock'), host: '127.0.0.1' });
    expect(config.keys).toEqual({ log: join(directory, 'keys/log.key'), ticket: '/etc/countersign/ticket.key' });
    expect(config.executors[0]!.socket).toBe(join(directory, 'run/pg-1.sock'));
    expect(config.logLevel).toBe('info');
    expect(warnings).toEqual([]);
  });

  it('may name a calendar, whose path is taken from its directory as well', async () => {
    const { config } = await load(YAML.replace('directory: facts/directory.yaml', 'directory: facts/directory.yaml, calendar: facts/calendar.yaml'));
    expect(config.facts.calendar).toBe(join(directory, 'facts/calendar.yaml'));
    expect((await load(YAML)).config.facts.calendar).toBeUndefined();
  });

  it('is overridden by the environment, and that by flags', async () => {
    const env = { COUNTERSIGN_LISTEN_PORT: '8099', COUNTERSIGN_LIMITS_TICKET_SECONDS: '60', COUNTERSIGN_HOSTS: 'a.example, b.example', COUNTERSIGN_LOG_LEVEL: 'warn' };
    const { config, sources } = await load(YAML, { env, flags: { 'listen.port': '8100', 'limits.approvalSeconds': undefined } });
    expect(config.listen.port).toBe(8100);
    expect(config.limits.ticketSeconds).toBe(60);
    expect(config.hosts).toEqual(['a.example', 'b.example']);
    expect(config.logLevel).toBe('warn');
    expect([sources.get('listen.port'), sources.get('limits.ticketSeconds'), sources.get('data'), sources.get('limits.drainSeconds')]).toEqual(['flag', 'environment', 'file', undefined]);
  });

  it('printed and loaded again is the same, and says where each value came from', async () => {
    const first = await load(YAML, { env: { COUNTERSIGN_LISTEN_PORT: '8099' } });
    const text = formatConfig(first);
    expect(text).toMatch(/port: 8099 # COUNTERSIGN_LISTEN_PORT/);
    expect(text).toMatch(/ticketSeconds: 300 # default/);
    expect(text).toMatch(/origin: example.org\/countersign\n/);
    expect((await load(text)).config).toEqual(first.config);
  });

  it('names a variable that sets nothing, which is probably a misspelt one', async () => {
    const { warnings } = await load(YAML, { env: { COUNTERSIGN_LIMITS_TICKETSECONDS: '1', COUNTERSIGN_TOKEN: 'x', PATH: '/bin' } });
    expect(warnings).toEqual([expect.stringContaining('COUNTERSIGN_LIMITS_TICKETSECONDS')]);
  });

  it.each([
    ['a misspelt key', `${YAML}limit: {}\n`, '/limit'],
    ['a misspelt limit', `${YAML}limits: {ticketsSeconds: 60}\n`, '/limits/ticketsSeconds'],
    ['a limit in words', `${YAML}limits: {ticketSeconds: five minutes}\n`, '/limits/ticketSeconds'],
    ['a limit of nothing', `${YAML}limits: {ticketSeconds: 0}\n`, '/limits/ticketSeconds'],
    ['an address that others can reach', YAML.replace('{socket: run/countersign.sock}', '{host: 0.0.0.0, port: 80}'), '/listen/host'],
    ['nowhere to listen', YAML.replace('{socket: run/countersign.sock}', '{}'), '/listen'],
    ['an executor twice', `${YAML}  - {id: executor:pg-1, socket: b, connectors: [pg-2]}\n`, '/executors'],
    ['a connector with two executors', `${YAML}  - {id: executor:pg-2, socket: b, connectors: [pg-main]}\n`, '/executors'],
    ['no tokens', YAML.replace('tokens: tokens.json\n', ''), '/tokens'],
    ['an origin with a space', YAML.replace('example.org/countersign', 'example org'), '/origin'],
    ['a host with a port', `${YAML}hosts: ['a.example:80']\n`, '/hosts/0'],
    ['a webhook at the metadata service', `${YAML}webhooks: [{name: ops, url: 'https://169.254.169.254/x', secret: s, allowPrivate: true}]\n`, '/webhooks/0/url'],
    ['a webhook at a private address that nobody allowed', `${YAML}webhooks: [{name: ops, url: 'https://[::1]/x', secret: s}]\n`, '/webhooks/0/url'],
    ['a webhook at an address in disguise', `${YAML}webhooks: [{name: ops, url: 'https://2130706433/x', secret: s}]\n`, '/webhooks/0/url'],
    ['Slack over http', `${YAML}slack: {channel: C0CHANNEL, team: T0TEAM, token: t, signingSecret: s, people: [{account: U0WEI, person: 'person:wei'}], url: 'http://slack.example/api/'}\n`, '/slack/url'],
    ['a Slack account that is a machine', `${YAML}slack: {channel: C0CHANNEL, team: T0TEAM, token: t, signingSecret: s, people: [{account: U0WEI, person: 'nhi:prod/x'}]}\n`, '/slack/people/0/person'],
    ['a person with two Slack accounts', `${YAML}slack: {channel: C0CHANNEL, team: T0TEAM, token: t, signingSecret: s, people: [{account: U0WEI, person: 'person:wei'}, {account: U0EVE, person: 'person:wei'}]}\n`, '/slack/people'],
    ['a webhook without TLS', `${YAML}webhooks: [{name: ops, url: 'http://ops.example/x', secret: s}]\n`, '/webhooks/0/url'],
    ['an executor’s door without TLS', `${YAML}  - {id: executor:pg-2, url: 'http://executor.example:8443', socket: b, connectors: [pg-2]}\n`, '/executors/1/url'],
    ['an executor’s door with a path', `${YAML}  - {id: executor:pg-2, url: 'https://executor.example/x', socket: b, connectors: [pg-2]}\n`, '/executors/1/url'],
    ['a list where keys are due', '- 1\n', ''],
    ['a key twice', `${YAML}data: other\n`, ''],
    ['an alias', YAML.replace('trust: trust', 'trust: &t trust').replace('tokens: tokens.json', 'policy: *t\ntokens: tokens.json'), ''],
    ['nothing', '', ''],
  ])('is refused with %s', async (_name, yaml, pointer) => {
    const issues = await issuesOf(load(yaml));
    expect(issues.map((issue) => issue.pointer)).toContain(pointer);
  });

  it('has the door of an executor, and its certificate from the file’s directory', async () => {
    const { config } = await load(`${YAML}  - {id: executor:pg-2, url: 'https://executor.example:8443', caFile: tls/ca.pem, socket: b, connectors: [pg-2]}\n`);
    expect(config.executors[1]).toMatchObject({ url: 'https://executor.example:8443', caFile: join(directory, 'tls/ca.pem') });
  });

  it('is refused when the bus and a webhook would have one name in records, or a log would relay to itself', async () => {
    const nats = (more: string): string => `${YAML}nats: {servers: ['nats://localhost:4222'], seed: nats.seed, ${more}}\n`;
    const webhook = 'webhooks: [{name: nats, url: "https://ops.example.org/hook", secret: ops.whsec}]\n';
    expect(await issuesOf(load(`${nats('events: [approval.requested]')}${webhook}`))).toMatchObject([{ pointer: '/webhooks' }]);
    expect(await issuesOf(load(nats('relays: [example.org/countersign]')))).toMatchObject([{ pointer: '/nats/relays' }]);
    expect(await issuesOf(load(nats('events: [approval.expired]')))).toHaveLength(1);
    expect((await load(nats('relays: [example.org/other]'))).config.nats).toMatchObject({ relays: ['example.org/other'] });
  });

  it('is refused when a variable or flag is wrong, and names it', async () => {
    expect(await issuesOf(load(YAML, { env: { COUNTERSIGN_LISTEN_PORT: '80x' } }))).toEqual([{ pointer: '/listen/port', message: 'must be a whole number', source: 'COUNTERSIGN_LISTEN_PORT' }]);
    expect(await issuesOf(load(YAML, { env: { COUNTERSIGN_LOG_LEVEL: 'loud' } }))).toMatchObject([{ pointer: '/logLevel', source: 'COUNTERSIGN_LOG_LEVEL' }]);
    expect(await issuesOf(load(YAML, { flags: { 'listen.prot': '1' } }))).toMatchObject([{ pointer: '/listen/prot', message: 'no such key' }]);
    expect(await issuesOf(load(YAML, { flags: { __proto__: '1', 'constructor.prototype': '1' } }))).toMatchObject([{ message: 'no such key' }]);
  });

  it('is refused when it is not there', async () => {
    await expect(loadConfig({ path: join(directory, 'absent.yaml') })).rejects.toMatchObject({ code: 'unreadable' });
  });
});

describe('the keys', () => {
  it('have a variable each, no two the same', () => {
    const variables = CONFIG_KEYS.map((key) => key.variable).filter((name) => name !== null);
    expect(new Set(variables).size).toBe(variables.length);
    expect(CONFIG_KEYS.find((key) => key.path === 'limits.openChangesPerRequester')?.variable).toBe('COUNTERSIGN_LIMITS_OPEN_CHANGES_PER_REQUESTER');
    expect(CONFIG_KEYS.find((key) => key.path === 'executors')).toMatchObject({ variable: null, kind: 'objects' });
  });

  it('that are paths are keys', () => {
    expect(PATH_KEYS.filter((path) => !CONFIG_KEYS.some((key) => key.path === path))).toEqual([]);
  });
});
