import { type FileRule, readBoundedFile } from '../lib/bounded-file.ts';
import { type FileStamp, replacePrivateFile, stampOf } from '../lib/private-file.ts';
import {
  parsePasswordFile,
  parseUserLine,
  PASSWORD_FILE_BYTES_MAX,
  type PasswordTable,
  type SecretKind,
  secretKinds,
} from './password-table.ts';

const rule: FileRule = { bytesMax: PASSWORD_FILE_BYTES_MAX, secret: true };

/** A password file in use: what was read last and found to be right. Shared by all that authenticate with it. */
export class PasswordFile {
  readonly path: string;
  #table: PasswordTable;
  #reads = 0;

  private constructor(path: string, table: PasswordTable) {
    this.path = path;
    this.#table = table;
  }

  /** @throws Error where it cannot be used, with the line where there is one. */
  static async open(path: string): Promise<PasswordFile> {
    return new PasswordFile(path, await readTable(path));
  }

  /** Its users; another object after each `reload`. */
  get table(): PasswordTable {
    return this.#table;
  }

  /** Reads the file anew. @throws Error where it cannot be used; what was read before stays in force. */
  async reload(): Promise<void> {
    this.#reads += 1;
    const read = this.#reads;
    const table = await readTable(this.path);
    // A read that began later has seen the newer file.
    if (read === this.#reads) this.#table = table;
  }
}

async function readTable(path: string): Promise<PasswordTable> {
  return parsePasswordFile(path, await readBoundedFile(path, rule));
}

/** A password file that is being changed; comments, order and other users stay as they are. */
export class PasswordFileDraft {
  readonly path: string;
  /** As the file was read. */
  readonly table: PasswordTable;
  readonly #stamp: FileStamp | undefined;
  #lines: string[];

  private constructor(path: string, table: PasswordTable, text: string, stamp: FileStamp | undefined) {
    this.path = path;
    this.table = table;
    this.#stamp = stamp;
    this.#lines = text === '' ? [] : text.split('\n');
    if (this.#lines.at(-1) === '') this.#lines.pop();
  }

  /** @throws Error where the file cannot be used as it is. */
  static async open(path: string): Promise<PasswordFileDraft> {
    const stamp = await stampOf(path);
    const content = await readBoundedFile(path, rule);
    const table = await parsePasswordFile(path, content);
    return new PasswordFileDraft(path, table, content.toString('utf8'), stamp);
  }

  /** Begins a file where there is none. */
  static async make(path: string): Promise<PasswordFileDraft> {
    return new PasswordFileDraft(path, await parsePasswordFile(path, Buffer.alloc(0)), '', undefined);
  }

  /**
   * Gives a user these secrets and no others: in place of those it had, else at the end.
   * @param secrets What stands after the colon, by kind; empty removes the user.
   */
  rewrite(user: string, secrets: ReadonlyMap<SecretKind, string>): void {
    const own = secretKinds.flatMap((kind) => (secrets.has(kind) ? [`${user}:${secrets.get(kind)}`] : []));
    const lines: string[] = [];
    let isPlaced = false;
    for (const [index, line] of this.#lines.entries()) {
      const parsed = parseUserLine(index === 0 ? line.replace(/^\ufeff/, '') : line);
      if (typeof parsed !== 'object' || parsed.user !== user) lines.push(line);
      else if (!isPlaced) {
        lines.push(...own);
        isPlaced = true;
      }
    }
    if (!isPlaced) lines.push(...own);
    this.#lines = lines;
  }

  /** Puts it in the place of the file, whole or not at all. @throws Error where that fails, or the file was changed meanwhile. */
  async save(): Promise<void> {
    const text = this.#lines.map((line) => `${line}\n`).join('');
    await replacePrivateFile(this.path, text, this.#stamp);
  }
}
