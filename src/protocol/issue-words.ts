/** What a schema says of a value, for whoever wrote the file: of what is not there it would say that it is of another type. */
export const issueWords = (message: string): string => message.replace(/^Invalid input: expected .*, received undefined$/, 'is missing');

/** One line: what is wrong in each place, and a place that is named again not named twice. */
export function issueLine(issues: readonly { readonly place: string; readonly message: string }[]): string {
  return issues.map(({ place, message }, index) => (index > 0 && issues[index - 1]!.place === place ? message : `${place}: ${message}`)).join('; ');
}
