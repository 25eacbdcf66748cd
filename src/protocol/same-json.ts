/** Whether two values made of JSON's types are the same, and so have the same RFC 8785 text: without writing either. A fraction or `undefined` is the same as nothing. */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || a === null) return a === b && (typeof a === 'number' ? Number.isSafeInteger(a) && Object.is(a, b) : a !== undefined);
  if (a === b) return true;
  if (typeof b !== 'object' || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!isSameJson(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  const [members, others] = [a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>];
  let left = 0;
  for (const key in members) {
    if (!Object.hasOwn(others, key) || !isSameJson(members[key], others[key])) return false;
    left++;
  }
  for (const key in others) if (Object.hasOwn(others, key)) left--;
  return left === 0;
}
