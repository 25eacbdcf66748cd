/** What goes to the terminal. Data on stdout, talk on stderr; nothing that came from elsewhere can move the cursor or colour a line. */
import { inertJson, plain, spaced } from '../protocol/plain.ts';

export { formatSpan, inertJson, plain, spaced } from '../protocol/plain.ts';

/** What {@link openOutput} styles by; nothing hides, moves or erases. */
const STYLE = /(\u001b\[(?:0|1|2|31|32)m)/;

/** One line, in which nothing is obeyed but these styles: what a sidecar answers is believed of no command to have been looked at. */
export function inertLine(line: string): string {
  return besideStyles(line, plain);
}

/** What stands in a column of a line, in which nothing is obeyed but these styles, and which is no column itself. */
export function inertCell(text: string): string {
  return besideStyles(text, spaced);
}

const besideStyles = (text: string, shown: (part: string) => string): string => text.split(STYLE).map((part, index) => (index % 2 === 1 ? part : shown(part))).join('');

const inert = (text: string): string => text.split(/([\n\t])/).map((part, index) => (index % 2 === 1 ? part : inertLine(part))).join('');

export interface Stream {
  readonly isTTY?: boolean;
  /** How wide a terminal is. */
  readonly columns?: number;
  write(text: string): unknown;
}

export interface Output {
  /** Whether stdout is to carry one JSON document instead of lines. */
  readonly json: boolean;
  /** A line of data. Silent with `--json`. */
  line(text?: string): void;
  /** The JSON document of the command. Silent without `--json`. */
  document(value: unknown): void;
  /** A line of talk. */
  say(text: string): void;
  /** Replaces the line of progress on a terminal; nothing elsewhere. An empty text takes it away. */
  progress(text: string): void;
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

export interface OutputOptions {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly json: boolean;
}

/** @see https://no-color.org: any non-empty NO_COLOR, and anything that is not a terminal, is without colour */
export function openOutput({ stdout, stderr, env, json }: OutputOptions): Output {
  const coloured = stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  const style = (code: number) => (text: string): string => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
  let progressShown = false;
  const clear = (): void => {
    if (progressShown) stderr.write('\r\u001b[K');
    progressShown = false;
  };
  return {
    json,
    line(text = '') {
      if (json) return;
      clear();
      stdout.write(`${inert(text)}\n`);
    },
    document(value) {
      if (!json) return;
      clear();
      stdout.write(`${inertJson(JSON.stringify(value, null, 2))}\n`);
    },
    say(text) {
      clear();
      stderr.write(`${inert(text)}\n`);
    },
    progress(text) {
      if (stderr.isTTY !== true) return;
      clear();
      if (text === '') return;
      // One that went on to a second line could not be taken away again.
      stderr.write(text.slice(0, Math.max(0, (stderr.columns ?? 80) - 1)));
      progressShown = true;
    },
    bold: style(1),
    dim: style(2),
    good: style(32),
    bad: style(31),
  };
}

/** Rows in columns as wide as their widest cell, two spaces apart; the last column is as long as it is. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  ').trimEnd());
}
