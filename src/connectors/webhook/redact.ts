/** A receiver's own words, which may repeat what it was sent. */

/** The spellings in which a secret may turn up. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('base64').replaceAll('=', ''), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
}

/** Whether one of the secrets is in the text. */
export function repeats(text: string, secrets: readonly string[]): boolean {
  const folded = text.toLowerCase();
  return secrets.some((secret) => spellings(secret).some((spelling) => spelling !== '' && folded.includes(spelling.toLowerCase())));
}

/** The text; none of it where one of the secrets is in it. */
export function redact(text: string, secrets: readonly string[]): string {
  return repeats(text, secrets) ? '[redacted: it repeated a secret]' : text;
}
