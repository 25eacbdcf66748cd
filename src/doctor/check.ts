/** One thing that was looked at, what was found, and what to do about it. */
export interface Checked {
  readonly name: string;
  /** `unknown`: it could not be established. */
  readonly status: 'ok' | 'failed' | 'unknown';
  readonly message: string;
  /** What to do; null where nothing is to be done. */
  readonly remedy: string | null;
}

export const ok = (name: string, message: string): Checked => ({ name, status: 'ok', message, remedy: null });
export const failed = (name: string, message: string, remedy: string): Checked => ({ name, status: 'failed', message, remedy });
export const unknown = (name: string, message: string, remedy: string): Checked => ({ name, status: 'unknown', message, remedy });

/** The check, or, where it threw, that it failed and why. */
export async function checking(name: string, remedy: string, check: () => Promise<Checked>): Promise<Checked> {
  try {
    return await check();
  } catch (error) {
    return failed(name, error instanceof Error ? error.message : String(error), remedy);
  }
}
