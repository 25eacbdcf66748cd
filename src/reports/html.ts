/**
 * A report as one page: no script, nothing that is asked for from elsewhere, and everything that came from the evidence as text. Written from front
 * to back, a row at a time.
 */
import { STATUS_WORDS } from '../evidence/verification-document.ts';
import { plain } from '../protocol/plain.ts';
import type { Head } from './head.ts';
import type { Bar, Cell, Column, Figure, Group, Report, Row } from './model.ts';
import { styleOf } from './page-style.ts';

/** Inert text: nothing in it is markup, and what would turn the direction of writing is seen. */
export function inert(text: string): string {
  return plain(text).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function* htmlOf(report: Report, head: Head): Generator<string> {
  const { title, intro, groups, caption, columns, notCovered } = report;
  yield `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>${inert(`${title}: ${head.origin}, ${head.size} records`)}</title>
<style>${styleOf(title, head.size, head.root)}</style></head>
<body><header><p class="brand">Countersign</p><h1>${inert(title)}</h1>${intro.map((sentence) => `<p>${inert(sentence)}</p>`).join('')}</header>
<main>
${banner(head)}
<section aria-labelledby="made-of"><h2 id="made-of">What it is made of</h2><div class="pair">${evidence(head, report.rowCount)}${verdicts(head)}</div></section>
<section aria-labelledby="not-covered"><h2 id="not-covered">What is not proven, and not covered</h2>
<ul>${[...head.notProven.map((item) => `Not proven: ${item}.`), ...notCovered.map((item) => `Not covered by this report: ${item}.`)].map((item) => `<li>${inert(item)}</li>`).join('')}</ul></section>
${tracing(head)}
<section aria-labelledby="numbers"><h2 id="numbers">Numbers</h2>
${groups.filter(({ isCompared }) => isCompared !== true).map(tiles).join('')}<div class="charts">${groups.filter(({ isCompared }) => isCompared === true).map(chart).join('')}</div></section>
<section class="rows" aria-labelledby="rows"><h2 id="rows">Rows</h2>
`;
  if (report.rowCount === 0) yield '<p>There are none.</p>\n';
  else yield* table(caption, columns, report.rows());
  yield `</section></main>
<footer><p>Ledger of ${head.size} records, root <span class="hex">${head.root}</span>, made ${inert(head.generatedAt)} by ${inert(head.tool)}. Nothing on this page is evidence by itself: the ledger is, and the commands above show it.</p></footer>
</body></html>
`;
}

function banner({ exit, conclusion }: Head): string {
  const [look, more] = { 0: ['good', 'What is required of the evidence holds. What that does not prove is said below.'], 1: ['bad', 'This report is of evidence that does not hold. The rows that are concerned say so, and none of them is to be relied on before that is explained.'], 3: ['open', 'Something that is required of the evidence could not be established: the verdicts say what.'] }[exit] as [string, string];
  return `<div class="banner ${look}" role="note"><strong>${inert(conclusion)}</strong><p>${more}</p></div>`;
}

function evidence(head: Head, rows: number): string {
  const { origin, size, root, key, objects, firstAt, lastAt, trust, pack, filter, asOf, generatedAt, tool } = head;
  const hex = (text: string): string => `<span class="hex">${inert(text)}</span>`;
  const said: [string, string][] = [
    ['Log', inert(origin)], ...(pack === null ? [] : [['Evidence pack', inert(`${pack.records} records, of ${pack.of}`)] as [string, string]]), ['Size', `<span id="size">${size}</span> records, <span id="objects">${objects.count}</span> objects${objects.erased === 0 ? '' : ` (${objects.erased} erased)`}`], ['Root', `<span id="root" class="hex">${root}</span>`],
    ['Signed by', inert(key ?? 'no key that is trusted')], ['Records', `${inert(firstAt ?? '?')} to ${inert(lastAt ?? '?')}`], ['Trust', hex(trust)], ['Asked for', inert(filter)], ['Rows', `<span id="row-count">${rows}</span>`], ['As of', inert(asOf)],
    ['Made', inert(generatedAt)], ['By', inert(tool)],
  ];
  return `<dl>${said.map(([term, what]) => `<dt>${term}</dt><dd>${what}</dd>`).join('')}</dl>`;
}

const LOOKS = { holds: 'good', fails: 'bad', notEstablished: 'open' } as const;

function verdicts({ verdicts: all }: Head): string {
  const rows = all.map(({ name, status, message }) => `<tr><th scope="row">${inert(name)}</th><td><span class="status ${LOOKS[status]}">${STATUS_WORDS[status]}</span></td><td>${inert(message)}</td></tr>`);
  return `<table class="verdicts"><caption>Verdicts</caption><thead><tr><th scope="col">Verdict</th><th scope="col">Status</th><th scope="col">What was found</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function tracing({ command, verifyCommand }: Head): string {
  return `<section aria-labelledby="tracing"><h2 id="tracing">How each number is traced</h2>
<p>Beside each number stands its key. This prints what it counts, and the records that say so; a key that begins with / goes after the key of its row, and a number alone is a record:</p>
<pre id="trace"><code>${inert(`${command} --explain KEY`)}</code></pre>
<p>Size, root, objects and verdicts are what this prints, on a machine without a network:</p><pre><code>${inert(verifyCommand)}</code></pre></section>`;
}

/** A number that is traced by its key. @param shown the key as it stands beside it */
function numberOf({ key, value }: Figure, shown = key): string {
  return `<span class="n" data-key="${inert(key)}">${inert(String(value))}</span> <span class="key">${inert(shown)}</span>`;
}

function tiles({ figures }: Group): string {
  return `<ul class="tiles">${figures.map((figure) => `<li><span class="n" data-key="${inert(figure.key)}">${inert(String(figure.value))}</span> <span>${inert(figure.label)}</span> <span class="key">${inert(figure.key)}</span></li>`).join('')}</ul>`;
}

function chart({ title, figures }: Group): string {
  const most = Math.max(1, ...figures.map(({ value }) => (typeof value === 'number' ? value : 0)));
  const rows = figures.map(({ key, label, value }) => `<tr><th scope="row">${inert(label)}</th><td class="track">${bar(Number(value), most)}</td><td class="n" data-key="${inert(key)}">${inert(String(value))}</td><td class="key">${inert(key)}</td></tr>`);
  if (rows.length === 0) return '';
  return `<section><table class="chart"><caption>${inert(title)}</caption><thead><tr><th scope="col">What</th><th scope="col">Share</th><th scope="col">Number</th><th scope="col">Key</th></tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

/** The number beside it says the same. */
function bar(value: number, most: number, look = ''): string {
  const width = most === 0 ? 0 : Math.round((value / most) * 1000) / 10;
  return `<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="back" width="100" height="8"/><rect class="fill ${look}" width="${width}" height="8"/></svg>`;
}

function* table(caption: string, columns: readonly Column[], rows: Iterable<Row>): Generator<string> {
  const shown = shownColumns(columns);
  yield `<div class="scroll" tabindex="0" role="region" aria-label="${inert(caption)}"><table><caption>${inert(caption)}</caption><thead><tr>${shown.map(({ title }) => `<th scope="col">${inert(title)}</th>`).join('')}</tr></thead><tbody>\n`;
  for (const row of rows) yield rowOf(row, columns, shown);
  yield '</tbody></table></div>\n';
}

interface ShownColumn {
  readonly title: string;
  /** Which of the report's columns stand in it. */
  readonly places: readonly number[];
}

function shownColumns(columns: readonly Column[]): ShownColumn[] {
  const titles = [...new Set(columns.map(({ title, under }) => under ?? title))];
  return titles.map((title) => ({ title, places: columns.flatMap((column, n) => ((column.under ?? column.title) === title ? [n] : [])) }));
}

function rowOf({ key, cells, records, faults }: Row, columns: readonly Column[], shown: readonly ShownColumn[]): string {
  const [first, ...rest] = shown.map(({ places, title }) => places.map((n) => cellOf(cells[n]!, columns[n]!.title === title ? '' : columns[n]!.title, key)).join(''));
  const known = key === cells[0]!.text ? '' : `<span class="cell key">${inert(key)}</span>`;
  const wrong = faults.map((fault) => `<p class="fault bad">${inert(fault)}</p>`).join('');
  return `<tr${faults.length === 0 ? '' : ' class="at-fault"'} data-row="${inert(key)}"><th scope="row">${first}${known}<span class="cell r">${records.length === 0 ? 'no record' : `${records.length === 1 ? 'record' : 'records'} ${rangesOf(records)}`}</span>${wrong}</th>${rest.map((cell) => `<td>${cell}</td>`).join('')}</tr>\n`;
}

function cellOf({ text, records = [], figure, bars }: Cell, label: string, row: string): string {
  if (text === '' && figure === undefined) return '';
  const what = figure === undefined ? wordsOf(text) : numberOf(figure, figure.key.startsWith(`${row}/`) ? figure.key.slice(row.length) : figure.key);
  return `<span class="${isTime(text) ? 'cell t' : 'cell'}">${label === '' ? '' : `<span class="l">${inert(label)}</span> `}${what}${records.length === 0 ? '' : ` <span class="r">#${records.join(' #')}</span>`}</span>${bars === undefined ? '' : barsOf(bars)}`;
}

/** A time to the second, in one piece; all else as it is. */
function wordsOf(text: string): string {
  return isTime(text) ? `<time datetime="${text}">${text.replace('T', ' ').replace(/\.\d{3}Z$/, 'Z')}</time>` : inert(text);
}

const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text);

function barsOf(bars: readonly Bar[]): string {
  const most = Math.max(1, ...bars.map(({ figure }) => Number(figure.value)));
  const look = (label: string): string => (label === 'excess' || label === 'used' ? label : '');
  return `<span class="bars">${bars.map(({ label, figure }) => `<span class="l">${inert(label)}</span>${bar(Number(figure.value), most, look(label))}<span class="n" data-key="${inert(figure.key)}">${inert(String(figure.value))}</span>`).join('')}</span>`;
}

/** `3–9 12`: records in their order, those that follow each other as one. */
export function rangesOf(records: readonly number[]): string {
  const ordered = [...new Set(records)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const seq of ordered) {
    const last = ranges.at(-1);
    if (last?.[1] === seq - 1) last[1] = seq;
    else ranges.push([seq, seq]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : to === from + 1 ? `${from} ${to}` : `${from}–${to}`)).join(' ');
}
