/**
 * `own` with these parts in place of what it had. It must be a copy that the caller has just made for itself.
 *
 * `become({ ...whole }, parts)` is `{ ...whole, ...parts }`, and stands where that is done record after record: a member that an object literal has from
 * what it spreads and then sets anew is set by the engine's slowest path, each time, and a member that it adds there gives each object a shape of its own.
 */
export function become<T extends object>(own: T, parts: Partial<T>): T {
  return Object.assign(own, parts);
}
