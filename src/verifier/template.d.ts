/** Put in by `build.mjs`. */
declare module 'countersign:template' {
  /** The page, all but its script and the hash of that. */
  export const TEMPLATE: string;
}
