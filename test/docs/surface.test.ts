import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { canonicalBytes, decodeRecord, digestOf, leafHash } from '../../ledger/index.ts';
import { DISCREPANCY_CODES } from '../../src/change/compare.ts';
import { changeEventBodies, FINDING_CODES, NOTIFICATION_EVENTS } from '../../src/change/events.ts';
import { REJECTIONS } from '../../src/change/outcome.ts';
import { STATES } from '../../src/change/state.ts';
import { PUBLISHED_SCHEMAS } from '../../src/cli/generate-docs.ts';
import { runCli } from '../../src/cli/program.ts';
import { CONFIG_KEYS } from '../../src/config/keys.ts';
import { RECORD_VERSIONS, systemRecordBodies } from '../../src/evidence/record.ts';
import { absenceSchema, delegationSchema } from '../../src/facts/delegations.ts';
import { exceptionsFileSchema } from '../../src/facts/exceptions.ts';
import { observeScopeSchema } from '../../src/facts/observe.ts';
import { calendarSchema, catalogueSchema, directorySchema, fallbackOwnerSchema, inventoryFileSchema, usageFileSchema } from '../../src/facts/schemas.ts';
import { ROLES } from '../../src/identity/tokens.ts';
import { payloadDigest } from '../../src/protocol/dsse.ts';
import { planDigest, planSchema, STEP_ACTIONS } from '../../src/protocol/plan.ts';
import { changeRequestSchema } from '../../src/protocol/request.ts';
import {
  ACT_OUTCOMES, actTicketSchema, approvalStatementSchema, dsseSchema, REFUSALS, reportSchema, REVOKE_OUTCOMES, revokeOrderSchema,
} from '../../src/protocol/signed.ts';
import { requirementsFileSchema, sidecarsFileSchema, executorsFileSchema } from '../../src/protocol/trust.ts';
import { ERRORS } from '../../src/sidecar/errors.ts';
import { openApiDocument } from '../../src/sidecar/openapi.ts';
import { DECISION_CODES } from '../../src/sidecar/authzen/answer.ts';
import { AUTHZEN_ROUTES } from '../../src/sidecar/authzen/routes.ts';
import { ROUTES as OWN_ROUTES, type Route } from '../../src/sidecar/routes.ts';
import { approvalBodySchema, changeViewSchema, recordSchema, STEP_STATES } from '../../src/sidecar/schemas.ts';
import { makeExample } from './example.ts';

const ROUTES = { ...OWN_ROUTES, ...AUTHZEN_ROUTES };
const PAGE = join(import.meta.dirname, '../../docs/surface.md');
const RECORDS = join(import.meta.dirname, '../../docs/example/records.jsonl');
const MARKERS = /(<!-- example: [^\n]*-->\n)[^]*(<!-- end of example -->)/;
let page = '';
beforeAll(async () => {
  page = await readFile(PAGE, 'utf8');
  if (process.env['UPDATE_EXAMPLE'] !== '1') return;
  const { text, records } = await makeExample();
  page = page.replace(MARKERS, (_all, start: string, end: string) => `${start}\n${text}\n\n${end}`);
  await writeFile(PAGE, page);
  await mkdir(join(RECORDS, '..'), { recursive: true });
  await writeFile(RECORDS, records);
});

/** Rows of the first table under a heading, cell by cell, without the backticks that name things. */
function rows(heading: string): string[][] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`no section ${heading}`);
  const lines = section.split('\n');
  const start = lines.findIndex((line) => /^\|(---\|)+$/.test(line));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'));
  return lines.slice(start + 1, end).map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|')));
}
const named = (cell: string): string => /^`([^`]+)`/.exec(cell)?.[1] ?? cell;
const column = (heading: string, index = 0): string[] => rows(heading).map((cells) => named(cells[index]!));
const sorted = (values: Iterable<string>): string[] => [...values].sort();

describe('the page says what the code says', () => {
  it.each([
    ['Kinds of change', () => changeRequestSchema.options.map((option) => option.shape.kind.value)],
    ['Steps', () => [...STEP_ACTIONS]],
    ['States', () => [...STATES]],
    ['Records', () => [...Object.keys(changeEventBodies), ...Object.keys(systemRecordBodies)]],
    ['Findings', () => [...FINDING_CODES]],
    ['Discrepancies', () => [...DISCREPANCY_CODES]],
    ['Notifications', () => [...NOTIFICATION_EVENTS]],
    ['Roles', () => [...ROLES]],
    ['Errors', () => Object.keys(ERRORS)],
    ['Refusals', () => [...REFUSALS]],
    ['Evaluations', () => [...DECISION_CODES]],
    ['Outcomes', () => [...new Set<string>([...ACT_OUTCOMES, ...REVOKE_OUTCOMES])]],
    ['Configuration', () => CONFIG_KEYS.map((key) => key.path)],
    ['Routes', () => Object.values<Route>(ROUTES).map((route) => `${route.method} ${route.path}`)],
  ])('%s', (heading, inCode) => {
    expect(sorted(column(heading))).toEqual(sorted(inCode()));
  });

  it('with the version of each record, the status of each error and the variable of each key', () => {
    for (const [type, version] of rows('Records')) expect(version, type).toBe(`v ${RECORD_VERSIONS[named(type!) as keyof typeof RECORD_VERSIONS]}`);
    for (const [code, status] of rows('Errors')) expect(Number(status), code).toBe(ERRORS[named(code!) as keyof typeof ERRORS].status);
    for (const [path, variable] of rows('Configuration')) expect(variable === '' ? null : named(variable!), path).toBe(CONFIG_KEYS.find((key) => key.path === named(path!))?.variable);
  });

  it('with the roles of each route, and the routes of the OpenAPI document', () => {
    for (const [name, roles] of rows('Routes')) {
      const route = Object.values<Route>(ROUTES).find((candidate) => `${candidate.method} ${candidate.path}` === named(name!))!;
      expect(roles, name).toBe(typeof route.roles === 'string' ? route.roles : route.roles.map((role) => `\`${role}\``).join(', '));
    }
    const { paths } = openApiDocument() as { paths: Record<string, object> };
    const described = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    expect(sorted(described)).toEqual(sorted(column('Routes').map((route) => route.replace('...}', '}'))));
  });

  it('with how far a step can be', () => {
    const section = page.split(/^## /m).find((part) => part.startsWith('Steps\n'))!;
    const [, told] = /^A step is ([^]*?)\. The `window`/m.exec(section)!;
    expect(sorted([...told!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!))).toEqual(sorted(STEP_STATES));
  });

  it('with every outcome where it belongs', () => {
    const of = (which: string): string[] => rows('Outcomes').filter((cells) => cells[1]!.split(', ').includes(which)).map((cells) => named(cells[0]!));
    expect(sorted(of('act'))).toEqual(sorted(ACT_OUTCOMES));
    expect(sorted(of('revoke'))).toEqual(sorted(REVOKE_OUTCOMES));
  });

  it('with the fields of the facts files', () => {
    const shapes = {
      inventory: [Object.keys(inventoryFileSchema.shape), [...Object.keys(inventoryFileSchema.shape.nhis.element.shape), ...Object.keys(fallbackOwnerSchema.shape)]],
      catalogue: [Object.keys(catalogueSchema.shape), [...Object.keys(catalogueSchema.shape.entitlements.element.shape), ...Object.keys(catalogueSchema.shape.purposes.element.shape)]],
      directory: [Object.keys(directorySchema.shape), [...Object.keys(directorySchema.shape.people.element.shape), ...Object.keys(directorySchema.shape.teams.element.shape), ...Object.keys(delegationSchema.shape), ...Object.keys(absenceSchema.shape)]],
      usage: [Object.keys(usageFileSchema.shape), Object.keys(usageFileSchema.shape.usage.element.shape)],
      calendar: [Object.keys(calendarSchema.shape), [...Object.keys(calendarSchema.shape.windows.element.shape), ...Object.keys(calendarSchema.shape.freezes.element.shape)]],
      exceptions: [Object.keys(exceptionsFileSchema.shape), [...Object.keys(exceptionsFileSchema.shape.exceptions.element.shape), ...Object.keys(observeScopeSchema.shape)]],
    };
    const fields = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
    expect(Object.fromEntries(rows('Facts files').map(([file, top, entry]) => [named(file!), [sorted(fields(top!)), sorted(fields(entry!))]])))
      .toEqual(Object.fromEntries(Object.entries(shapes).map(([file, [top, entry]]) => [file, [sorted(top!), sorted(entry!)]])));
  });

  it('with the fields of the trust folder', () => {
    const fields = (name: string): string[] => [...rows('Trust folder').find(([file]) => named(file!) === name)![1]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
    expect(fields('sidecars.json')).toEqual(Object.keys(sidecarsFileSchema.element.shape));
    expect(fields('executors.json')).toEqual(Object.keys(executorsFileSchema.element.shape));
    expect(fields('requirements.json')).toEqual(Object.keys(requirementsFileSchema.shape));
  });

  it('with the commands of the CLI', async () => {
    let help = '';
    const stream = { write: (text: string) => (help += text) };
    await runCli(['--help'], {
      stdout: stream, stderr: stream, env: {}, cwd: '/', nowMs: () => 0, randomBytes: (length) => new Uint8Array(length), signal: new AbortController().signal,
      interactive: false, ask: () => Promise.resolve(''), readStdin: () => Promise.resolve(new Uint8Array()), onSignal: () => () => undefined, onReload: () => () => undefined,
    });
    const commands = [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z-]+)(?: |$)/gm)].map((match) => match[1]!).filter((name) => name !== 'help');
    expect(sorted(column('Commands'))).toEqual(sorted(commands));
  });

  it('and reserves nothing that is there already', () => {
    const taken = new Set([
      ...column('Kinds of change'), ...column('Records'), ...column('Commands'), ...column('Routes').map((route) => route.split(' ')[1]!),
    ]);
    expect(column('Reserved').filter((name) => taken.has(name))).toEqual([]);
  });

  it('and has an error for every way in which a command can be turned down', () => {
    expect(REJECTIONS.filter((code) => !Object.hasOwn(ERRORS, code))).toEqual([]);
  });
});

describe('the worked example', () => {
  const documents = (name: string): unknown[] => [...page.matchAll(/^```json schema=([a-z-]+)\n([^]*?)\n```$/gm)].filter((match) => match[1] === name).map((match) => JSON.parse(match[2]!) as unknown);
  const only = <T>(name: string, schema: z.ZodType<T>, index = 0): T => {
    const found = documents(name)[index];
    if (found === undefined) throw new Error(`the example has no ${name} ${index}`);
    return schema.parse(found);
  };

  it('has documents that their schemas accept', () => {
    const all = [...page.matchAll(/^```json schema=([a-z-]+)$/gm)].map((match) => match[1]!);
    expect(new Set(all)).toEqual(new Set(['change-request', 'change', 'decision', 'approval-body', 'approval-statement', 'dsse', 'ticket', 'revoke-order', 'report', 'record']));
    for (const name of new Set(all)) for (const document of documents(name)) expect(() => PUBLISHED_SCHEMAS[name]!.parse(document), name).not.toThrow();
    expect([...page.matchAll(/^```json/gm)]).toHaveLength(all.length);
  });

  it('has one plan, by its digest, from the change to the ticket', () => {
    const change = only('change', changeViewSchema);
    expect(planDigest(planSchema.parse(change.plan))).toBe(change.planDigest);
    expect(only('approval-body', approvalBodySchema).planDigest).toBe(change.planDigest);
    expect(only('approval-statement', approvalStatementSchema)).toMatchObject({ planDigest: change.planDigest, changeId: change.id, verdict: 'approve' });
    const ticket = only('ticket', actTicketSchema);
    expect(ticket).toMatchObject({ planDigest: change.planDigest, step: change.plan!.steps[0] });
    expect(payloadDigest(only('dsse', dsseSchema))).toBe(digestOf(canonicalBytes(ticket)));
    expect(only('revoke-order', revokeOrderSchema)).toMatchObject({ changeId: change.id, leaseId: change.plan!.lease!.leaseId, clientToken: ticket.step.clientToken });
    expect(only('report', reportSchema)).toMatchObject({ kind: 'acted', stepId: ticket.stepId, outcome: 'done' });
    expect(only('report', reportSchema, 1)).toMatchObject({ kind: 'revoked', leaseId: change.plan!.lease!.leaseId, outcome: 'done' });
    expect(only('change-request', changeRequestSchema)).toMatchObject({ kind: change.kind, subject: change.subject });
  });

  it('has records that are chained, and tells of each of them', async () => {
    const lines = (await readFile(RECORDS, 'utf8')).trimEnd().split('\n').map((line) => Buffer.from(line));
    const records = lines.map((line) => decodeRecord(line));
    records.forEach((record, index) => {
      expect(record.changeSeq).toBe(index);
      expect(record.changePrev).toBe(index === 0 ? null : `sha256:${Buffer.from(leafHash(lines[index - 1]!)).toString('hex')}`);
    });
    const told = [...page.matchAll(/^\| (\d+) \| `([^`]+)` \| `([^`]+)` \|$/gm)].map(([, seq, type, actor]) => ({ seq: Number(seq), type, actor }));
    expect(told).toEqual(records.map(({ seq, type, actor }) => ({ seq, type, actor })));
    expect(only('record', recordSchema)).toEqual(JSON.parse(lines.at(-1)!.toString()));
    expect(records[0]!.change).toBe(only('change', changeViewSchema).id);
  });

  it('goes the same way when it is done again', async () => {
    const { text } = await makeExample();
    const types = (told: string): string[] => [...told.matchAll(/^\| \d+ \| `([^`]+)` \|/gm)].map((match) => match[1]!);
    expect(new Set(types(text))).toEqual(new Set(types(page.slice(page.indexOf('<!-- example')))));
  });
});
