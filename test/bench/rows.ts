/** What a bench found, a line each. */
export interface Row {
  readonly what: string;
  /** Ours by theirs, a ratio a round; where there is a `unit`, what was measured itself. */
  readonly figures: readonly number[];
  readonly unit?: 's' | 'ms';
  readonly goal: string;
  readonly told: string;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

const line = (what: string, figure: string, goal: string, told: string): string => `${what.padEnd(66)} ${figure.padEnd(24)} ${goal.padEnd(12)} ${told}`;

export const HEAD = line('what', 'min / median / max', 'goal', 'seen');

export function lineOf({ what, figures, unit, goal, told }: Row): string {
  const spelled = [Math.min(...figures), median(figures), Math.max(...figures)].map((value) => value.toFixed(2)).join(' / ');
  return line(what, figures.length === 0 ? '-' : `${spelled}${unit === undefined ? '' : ` ${unit}`}`, goal, told);
}
