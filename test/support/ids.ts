/** The id with another last character: of the same form, and never the one it was made from. */
export const otherId = (id: string): string => `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`;
