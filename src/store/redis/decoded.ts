import { errorText } from '../../lib/error-text.ts';
import { StoreError } from '../store.ts';

/**
 * Decodes what Redis has of something: unlike an error of the connection, damage does not pass.
 * @throws StoreError for what cannot be decoded.
 */
export function decoded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError(`A ${what} in Redis is damaged: ${errorText(error)}`, { cause: error });
  }
}
