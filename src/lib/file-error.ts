/** A file that the configuration names cannot be used; the message is one sentence for people that names it. */
export class FileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FileError';
  }
}
