/** docs/asyncapi.json against the rules of AsyncAPI 3.0 that it has to keep, and against the bus as it is laid out. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planBus } from '../../src/transport/nats/bus-setup.ts';
import { formatAccounts } from '../../src/transport/nats/server-config.ts';
import { asyncApiDocument } from '../../src/transport/nats/asyncapi.ts';
import { VERSION } from '../../src/version.ts';

interface Ref { readonly $ref: string }
interface Channel { readonly address: string; readonly messages: Record<string, Ref>; readonly parameters: Record<string, Ref>; readonly 'x-stream'?: string; readonly 'x-consumer'?: string }
interface Operation { readonly action: string; readonly channel: Ref; readonly messages: readonly Ref[]; readonly tags: readonly { readonly name: string }[] }
interface Document {
  readonly asyncapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly servers: Record<string, { readonly host: string; readonly protocol: string; readonly security: readonly Ref[] }>;
  readonly channels: Record<string, Channel>;
  readonly operations: Record<string, Operation>;
  readonly components: { readonly messages: Record<string, { readonly payload: object; readonly headers?: object }>; readonly schemas: Record<string, object> };
}

const document = asyncApiDocument(VERSION) as unknown as Document;
const pages = await Promise.all(['worker-protocol.md', 'nats.md'].map((name) => readFile(join(import.meta.dirname, '../../docs', name), 'utf8')));

function at(ref: string): unknown {
  const [start, ...path] = ref.split('/');
  expect(start, ref).toBe('#');
  return path.reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name.replaceAll('~1', '/').replaceAll('~0', '~')], document);
}

/** Objects of the document and where they are, depth first. */
function objects(value: unknown, path = '#'): (readonly [string, Record<string, unknown>])[] {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.entries(value).flatMap(([key, member]) => objects(member, `${path}/${key}`));
  return Array.isArray(value) ? inside : [[path, value as Record<string, unknown>], ...inside];
}

describe('the AsyncAPI document', () => {
  it('has what AsyncAPI 3.0 requires at the top, and nothing that it does not know', () => {
    expect(document.asyncapi).toBe('3.0.0');
    expect(document.info).toMatchObject({ title: expect.any(String) as string, version: VERSION });
    expect(Object.keys(document).filter((key) => !['asyncapi', 'id', 'info', 'servers', 'defaultContentType', 'channels', 'operations', 'components'].includes(key))).toEqual([]);
    for (const name of [document.channels, document.operations, document.components.messages, document.components.schemas].flatMap((map) => Object.keys(map))) expect(name).toMatch(/^[A-Za-z0-9._-]+$/);
    for (const { host, protocol } of Object.values(document.servers)) expect([host.includes('://'), protocol]).toEqual([false, 'nats']);
  });

  it('refers to nothing that it does not hold, and a reference stands alone', () => {
    const references = objects(document).filter(([, value]) => typeof value['$ref'] === 'string');
    expect(references.length).toBeGreaterThan(50);
    for (const [path, { $ref, ...beside }] of references) {
      expect(at($ref as string), `${path}: ${String($ref)}`).toBeDefined();
      if (!path.startsWith('#/components/schemas/')) expect(beside, path).toEqual({});
    }
  });

  it('has channels whose parameters are those of their addresses', () => {
    for (const [name, { address, parameters, messages }] of Object.entries(document.channels)) {
      expect(Object.keys(parameters), name).toEqual([...address.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
      expect(address, name).toMatch(/^cs(\.[a-z]+|\.\{\w+\})+$/);
      expect(Object.keys(messages).length, name).toBeGreaterThan(0);
    }
  });

  it('has operations that send or receive a message of their own channel', () => {
    for (const [name, { action, channel, messages, tags }] of Object.entries(document.operations)) {
      expect(['send', 'receive'], name).toContain(action);
      expect(channel.$ref, name).toMatch(/^#\/channels\/[A-Za-z]+$/);
      for (const { $ref } of messages) expect($ref, name).toMatch(new RegExp(`^${channel.$ref}/messages/[A-Za-z]+$`));
      expect(tags, name).toHaveLength(1);
    }
    const used = new Set(Object.values(document.operations).map(({ channel }) => channel.$ref.split('/').at(-1)));
    expect([...used].sort()).toEqual(Object.keys(document.channels).sort());
  });

  it('has headers that are objects and payloads that are schemas', () => {
    for (const [name, { payload, headers }] of Object.entries(document.components.messages)) {
      expect(payload, name).toBeTypeOf('object');
      if (headers !== undefined) expect(headers, name).toMatchObject({ type: 'object', properties: expect.any(Object) as object });
    }
  });

  it('has the streams and consumers of the bus, each subject in its stream', () => {
    const plan = planBus(['executor:main'], 1);
    const filled = (text: string): string => text.replaceAll('{lane}', 'main').replaceAll(/\{\w+\}/g, 'x');
    const streams = new Map(plan.streams.map(({ name, subjects }) => [name, subjects ?? []]));
    for (const [name, channel] of Object.entries(document.channels)) {
      if (channel['x-stream'] === undefined) continue;
      const subjects = streams.get(channel['x-stream']);
      expect(subjects?.some((subject) => filled(channel.address).startsWith(subject.slice(0, -1))), name).toBe(true);
      if (channel['x-consumer'] === undefined) continue;
      const consumer = plan.consumers.find(({ config }) => config.durable_name === filled(channel['x-consumer']!));
      expect(filled(channel.address).startsWith(consumer!.config.filter_subject!.slice(0, -1)), name).toBe(true);
    }
    expect([...streams.keys()].sort()).toEqual([...new Set(Object.values(document.channels).flatMap((channel) => channel['x-stream'] ?? []))].sort());
  });

  it('lets a worker send where its account lets it publish, and receive what it may', () => {
    const accounts = formatAccounts({ sidecars: ['UA'], executors: new Map([['executor:main', ['UB']]]) });
    const [, allowed] = /publish: \{allow: \[([^\]]*)\]\}/.exec(accounts)!;
    for (const [name, { action, channel, tags: [tag] }] of Object.entries(document.operations)) {
      const { address } = at(channel.$ref) as Channel;
      const subject = `${address.split('.').slice(0, 2).join('.')}.main.>`;
      if (tag!.name === 'worker' && action === 'send') expect(allowed, name).toContain(`"${subject}"`);
      if (tag!.name === 'sidecar') expect(allowed, name).not.toContain(`"${subject}"`);
    }
  });

  it('is spoken of in the pages about the protocol and the bus, channel by channel', () => {
    for (const { address } of Object.values(document.channels)) expect(pages.join('\n')).toContain(address.replaceAll('{', '<').replaceAll('}', '>'));
  });
});
