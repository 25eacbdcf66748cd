/** A file that holds no key that can be used here. The message never quotes what it holds. */
export class SigningKeyError extends Error {
  readonly path: string;
  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path} ${message}`, options);
    this.name = 'SigningKeyError';
    this.path = path;
  }
}
