/** A file cannot be used; the message is one sentence for people that names it, and the line where there is one. */
export class FileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FileError';
  }
}
