/** Seals a secret so that only its recipient can open it: age, X25519. @see https://age-encryption.org/v1 */
import { Encrypter } from 'age-encryption';

/** An age file that holds the secret. The library draws its own randomness: two seals of one secret are different bytes. @throws Error for what is no recipient */
export async function sealSecret(secret: string, recipient: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return encrypter.encrypt(secret);
}
