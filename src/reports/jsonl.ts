/** A report as JSON Lines: its head first, then its figures, then its rows, each a document of its own. */
import { z } from 'zod';
import { inertJson } from '../protocol/plain.ts';
import type { Head } from './head.ts';
import { REPORT_KINDS, type Report } from './model.ts';

const seq = z.int().min(0);
const status = z.enum(['holds', 'fails', 'notEstablished']);

/** One line of a report in JSON Lines. */
export const reportLineSchema = z.discriminatedUnion('line', [
  z.strictObject({
    line: z.literal('head'), v: z.literal(1), report: z.enum(REPORT_KINDS), title: z.string(), /** 0: all that is required holds; 1: some of it fails; 3: none fails, and some is not established. */ exit: z.union([z.literal(0), z.literal(1), z.literal(3)]), conclusion: z.string(),
    verdicts: z.array(z.strictObject({ name: z.string(), status, message: z.string(), seq: seq.optional() })), notProven: z.array(z.string()), notCovered: z.array(z.string()),
    log: z.string(), size: seq, /** Hex. */ root: z.string(), key: z.string().nullable(), objects: z.strictObject({ count: seq, erased: seq }), firstAt: z.string().nullable(), lastAt: z.string().nullable(), trust: z.string(),
    /** Of an evidence pack: how many records it shows, and of what. */
    pack: z.strictObject({ records: seq, of: z.string() }).nullable(), filter: z.string(), asOf: z.string(), generatedAt: z.string(), tool: z.string(), /** Makes the report again. */ command: z.string(), rows: seq,
  }),
  z.strictObject({ line: z.literal('figure'), /** For `--explain`. */ key: z.string(), label: z.string(), value: z.union([z.int(), z.string()]) }),
  z.strictObject({
    line: z.literal('row'), key: z.string(), /** By the names of the columns in CSV. */ cells: z.record(z.string(), z.string()), /** By column: the records that say so. */ said: z.record(z.string(), z.array(seq)), records: z.array(seq), /** What WORKFLOW found wrong. */ faults: z.array(z.string()),
  }),
]);
export type ReportLine = z.infer<typeof reportLineSchema>;

export function* jsonLinesOf(report: Report, head: Head): Generator<string> {
  const { conclusion, exit, verdicts, notProven, origin, size, root, key, objects, firstAt, lastAt, trust, pack, filter, asOf, generatedAt, tool, command } = head;
  const { kind, title, notCovered, rowCount, groups, columns } = report;
  yield lineOf({
    line: 'head', v: 1, report: kind, title, exit, conclusion, verdicts: verdicts.map((verdict) => ({ ...verdict })), notProven: [...notProven], notCovered: [...notCovered], log: origin, size, root, key, objects: { ...objects },
    firstAt, lastAt, trust, pack: pack === null ? null : { ...pack }, filter, asOf, generatedAt, tool, command, rows: rowCount,
  });
  for (const { figures } of groups) for (const { key: figure, label, value } of figures) yield lineOf({ line: 'figure', key: figure, label, value });
  for (const { key: row, cells, records, faults } of report.rows()) {
    yield lineOf({
      line: 'row', key: row, cells: Object.fromEntries(columns.map(({ name }, n) => [name, cells[n]!.text])),
      said: Object.fromEntries(columns.flatMap(({ name }, n) => (cells[n]!.records === undefined || cells[n]!.records.length === 0 ? [] : [[name, [...cells[n]!.records]]]))), records: [...records], faults: [...faults],
    });
  }
}

const lineOf = (line: ReportLine): string => `${inertJson(JSON.stringify(line))}\n`;
