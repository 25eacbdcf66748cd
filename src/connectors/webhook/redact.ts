/** A receiver's own words, which may repeat what it was sent. */

/** The spellings in which a secret may turn up. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('base64').replaceAll('=', ''), bytes.toString('base64url'), bytes.toString('hex'), encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
}

/** The text; none of it where one of the secrets is in it. */
export function redact(text: string, secrets: readonly string[]): string {
  const folded = text.toLowerCase();
  const isTold = secrets.some((secret) => spellings(secret).some((spelling) => spelling !== '' && folded.includes(spelling.toLowerCase())));
  return isTold ? '[redacted: it repeated a secret]' : text;
}
