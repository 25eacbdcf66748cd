/** A real Chromium for tests, with nothing of the person's who runs them. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Browser } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'] as const;
const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** The browser's path; null where this machine has none. */
export function findBrowser(): string | null {
  const places = (process.env['PATH'] ?? '').split(delimiter).flatMap((place) => NAMES.map((name) => join(place, name)));
  return places.find((path) => existsSync(path)) ?? null;
}

export function hasBrowser(): boolean {
  return findBrowser() !== null || process.env['CI'] === 'true';
}

/** @throws Error where there is no browser, and CI requires one */
export async function openBrowser(): Promise<Browser> {
  const executablePath = findBrowser();
  if (executablePath === null) throw new Error('no chromium on this machine, and CI requires one');
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath, args: QUIET });
}
