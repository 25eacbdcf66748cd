/** Printing: lines that a person can follow, colour only where a terminal shows it. */
import { stderr, stdout } from 'node:process';

const coloured = stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '';
const paint = (code: string, text: string): string => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = (text: string): string => paint('1', text);
export const dim = (text: string): string => paint('2', text);
export const green = (text: string): string => paint('32', text);
export const red = (text: string): string => paint('31', text);

/** The steps of a case, in the order in which they are told: six at most. */
export type Told = 'asked' | 'decided' | 'approved by' | 'queued' | 'done' | 'taken back' | 'told' | 'proven';

const WIDTH = Math.max(...(['asked', 'approved by', 'taken back'] satisfies Told[]).map((word) => word.length));

export function say(text = ''): void {
  stdout.write(`${text}\n`);
}

export function title(number: number, text: string): void {
  say();
  say(bold(`${number}  ${text}`));
}

export function tell(what: Told, text: string): void {
  say(`   ${dim(what.padEnd(WIDTH))}  ${text}`);
}

/** Something that was tried and must not work. */
export function refused(attempt: string, answer: string): void {
  say(`   ${green('refused')}  ${attempt}: ${answer}`);
}

/** Shows on stderr what is waited for, with the seconds on a terminal; returns what ends it. */
export function waiting(text: string): (result: string) => void {
  const startMs = performance.now();
  const seconds = (): string => `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
  if (!stderr.isTTY) {
    stderr.write(`· ${text} …\n`);
    return (result) => stderr.write(`· ${text}: ${result} (${seconds()})\n`);
  }
  const draw = (): void => {
    stderr.write(`\r\u001b[2K· ${text} … ${seconds()}`);
  };
  draw();
  const timer = setInterval(draw, 200);
  return (result) => {
    clearInterval(timer);
    stderr.write(`\r\u001b[2K· ${text}: ${result} (${seconds()})\n`);
  };
}

/** The beginning of a digest: enough to compare by eye. */
export function short(digest: string | null | undefined): string {
  return digest?.slice(0, 'sha256:'.length + 12) ?? '(none)';
}

/** `14:03:09.120 UTC`. */
export function clock(time: string | number): string {
  return `${new Date(time).toISOString().slice(11, 23)} UTC`;
}
