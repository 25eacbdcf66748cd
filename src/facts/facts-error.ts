/** Why facts cannot be believed, by file and line. */
import { issueLine } from '../protocol/issue-words.ts';

/** One thing that is wrong, and where: `pointer` is an RFC 6901 JSON pointer, `line` counts from 1. */
export interface FactsIssue {
  readonly file: string;
  readonly line: number | null;
  readonly pointer: string;
  readonly message: string;
}

/** The facts cannot be believed; none of them was taken. What was loaded before still stands. */
export class FactsError extends Error {
  readonly code: 'unreadable' | 'malformed';
  readonly issues: readonly FactsIssue[];
  constructor(code: FactsError['code'], issues: readonly FactsIssue[], options?: ErrorOptions) {
    super(issueLine(issues.map(({ file, line, pointer, message }) => ({ place: `${file}${line === null ? '' : `:${line}`}`, message: `${pointer === '' ? '' : `${pointer}: `}${message}` }))), options);
    this.name = 'FactsError';
    this.code = code;
    this.issues = issues;
  }
}

export const FILE_BYTES_MAX = 16 * 1024 * 1024;
export const ISSUES_MAX = 50;
