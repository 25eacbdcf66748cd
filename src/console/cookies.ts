/** The two cookies: whose session it is, a name for what this process holds; and the sign-in that is under way, sealed by it. */
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { CookieOptions } from 'hono/utils/cookie';

export type CookieName = 'session' | 'signin';

/** Lax: a link in a message opens what it names. It comes with no form of another site, and no link does anything. */
function optionsFor(publicUrl: URL): CookieOptions {
  return { httpOnly: true, sameSite: 'Lax', path: '/', secure: publicUrl.protocol === 'https:' };
}

/** `__Host-`: no other name of the same site, and no plain connection, can have set it. */
function fullName(name: CookieName, publicUrl: URL): string {
  return `${publicUrl.protocol === 'https:' ? '__Host-' : ''}countersign-${name}`;
}

export function readCookie(c: Context, name: CookieName, publicUrl: URL): string | undefined {
  return getCookie(c, fullName(name, publicUrl));
}

export function giveCookie(c: Context, name: CookieName, publicUrl: URL, value: string): void {
  setCookie(c, fullName(name, publicUrl), value, optionsFor(publicUrl));
}

export function takeCookie(c: Context, name: CookieName, publicUrl: URL): void {
  deleteCookie(c, fullName(name, publicUrl), optionsFor(publicUrl));
}
