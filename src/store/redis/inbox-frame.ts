import type { Message } from '../../protocol/message.ts';
import { RecordReader } from '../record-reader.ts';
import { RecordWriter } from '../record-writer.ts';
import type { ForwardedMessage, WantedClient } from '../shared-store.ts';

/** What nodes put into each other's inboxes beside what they post. */
export type InboxFrame =
  | { kind: 'forward'; messages: readonly ForwardedMessage[] }
  /** Retained messages in their order; without a message, that of the topic is gone. */
  | { kind: 'retained'; changes: readonly { topicName: string; message: Message | undefined }[] }
  /** A node asks for a client id. */
  | { kind: 'wanted'; wanted: WantedClient }
  | { kind: 'handed-over'; clientId: string }
  | { kind: 'refused'; clientId: string };

/** First byte of a frame. */
const Code = { forward: 1, retained: 2, wanted: 3, 'handed-over': 4, refused: 5 } as const;

/**
 * Encodes frames; messages come as `RecordWriter.message` writes them. Numbers are little-endian, a string is its length in
 * bytes (u32) and its UTF-8.
 *
 *     forward      1 | count u32 | each: share keys u32, strings | length u32, message
 *     retained     2 | count u32 | each: topic name | length u32 (0 for none), message
 *     wanted       3 | client id | node id | user name | tenure f64, by the script that asks
 *     handed over  4 | client id
 *     refused      5 | client id
 */
export class FrameWriter {
  readonly #writer = new RecordWriter();

  forward(messages: readonly { message: Buffer; shareKeys: readonly string[] }[]): Buffer {
    const writer = this.#begin(Code.forward);
    writer.u32(messages.length);
    for (const { message, shareKeys } of messages) {
      writer.u32(shareKeys.length);
      for (const shareKey of shareKeys) writer.string(shareKey);
      writer.block(message);
    }
    return this.#end();
  }

  retained(changes: readonly { topicName: string; message: Buffer | undefined }[]): Buffer {
    const writer = this.#begin(Code.retained);
    writer.u32(changes.length);
    for (const { topicName, message } of changes) {
      writer.string(topicName);
      if (message === undefined) writer.u32(0);
      else writer.block(message);
    }
    return this.#end();
  }

  /** Without the tenure of the owner, which only Redis knows. */
  wanted(clientId: string, nodeId: string, username: string): Buffer {
    const writer = this.#begin(Code.wanted);
    writer.string(clientId);
    writer.string(nodeId);
    writer.string(username);
    return this.#end();
  }

  handedOver(clientId: string): Buffer {
    this.#begin(Code['handed-over']).string(clientId);
    return this.#end();
  }

  refused(clientId: string): Buffer {
    this.#begin(Code.refused).string(clientId);
    return this.#end();
  }

  #begin(code: number): RecordWriter {
    this.#writer.position = 0;
    this.#writer.u8(code);
    return this.#writer;
  }

  #end(): Buffer {
    return this.#writer.copy();
  }
}

/** Decodes what a `FrameWriter` wrote. @throws Error for bytes that are damaged. */
export function readFrame(bytes: Buffer, reader: RecordReader): InboxFrame {
  const cursor = new FrameCursor(bytes, reader);
  const code = cursor.u8();
  switch (code) {
    case Code.forward: {
      const messages: ForwardedMessage[] = [];
      for (let count = cursor.u32(); count > 0; count--) {
        const shareKeys: string[] = [];
        for (let keys = cursor.u32(); keys > 0; keys--) shareKeys.push(cursor.string());
        messages.push({ shareKeys, message: cursor.message() as Message });
      }
      return { kind: 'forward', messages };
    }
    case Code.retained: {
      const changes: { topicName: string; message: Message | undefined }[] = [];
      for (let count = cursor.u32(); count > 0; count--)
        changes.push({ topicName: cursor.string(), message: cursor.message() });
      return { kind: 'retained', changes };
    }
    case Code.wanted:
      return {
        kind: 'wanted',
        wanted: {
          clientId: cursor.string(),
          nodeId: cursor.string(),
          username: cursor.string(),
          tenure: cursor.f64(),
        },
      };
    case Code['handed-over']:
      return { kind: 'handed-over', clientId: cursor.string() };
    case Code.refused:
      return { kind: 'refused', clientId: cursor.string() };
    default:
      throw new Error(`a frame of kind ${code} is not known`);
  }
}

/** Reads a frame piece by piece. */
class FrameCursor {
  readonly #bytes: Buffer;
  readonly #reader: RecordReader;
  #position = 0;

  constructor(bytes: Buffer, reader: RecordReader) {
    this.#bytes = bytes;
    this.#reader = reader;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  string(): string {
    const length = this.u32();
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  /** Undefined where its length is 0. */
  message(): Message | undefined {
    const length = this.u32();
    if (length === 0) return undefined;
    const start = this.#take(length);
    this.#reader.reset(this.#bytes.subarray(start, start + length), length);
    return this.#reader.message();
  }

  #take(length: number): number {
    const start = this.#position;
    if (length > this.#bytes.length - start) throw new Error('a frame is cut off');
    this.#position += length;
    return start;
  }
}
