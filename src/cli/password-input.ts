import { readBoundedFile } from '../lib/bounded-file.ts';
import { errorText } from '../lib/error-text.ts';
import { CommandError, UsageError } from './errors.ts';

const PASSWORD_BYTES_MAX = 65_535;

/**
 * Reads a password, the one line of a file that nobody else may read, or of stdin where the file is `-`.
 * @throws UsageError where the file cannot be used, CommandError where it holds something else than one password.
 */
export async function readPasswordFrom(file: string): Promise<Buffer> {
  if (file !== '-') {
    const rule = { bytesMax: PASSWORD_BYTES_MAX + 2, secret: true };
    const content = await readBoundedFile(file, rule).catch((error: unknown) => {
      throw new UsageError(errorText(error));
    });
    return onlyLine(content, file);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > PASSWORD_BYTES_MAX + 2) break;
  }
  return onlyLine(Buffer.concat(chunks), 'stdin');
}

/** The end of the line is not part of the password. */
function onlyLine(content: Buffer, source: string): Buffer {
  const newline = content.indexOf(0x0a);
  const end = newline === -1 ? content.length : newline;
  if (newline !== -1 && newline < content.length - 1)
    throw new CommandError(`There is more than one line in ${source}, where only the password should be.`);
  const password = content.subarray(0, end > 0 && content[end - 1] === 0x0d ? end - 1 : end);
  if (password.length === 0) throw new CommandError(`There is no password in ${source}.`);
  if (password.length > PASSWORD_BYTES_MAX)
    throw new CommandError(`The password in ${source} has more than 65,535 bytes, which no MQTT client can send.`);
  return password;
}
