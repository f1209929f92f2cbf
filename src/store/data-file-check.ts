import { readSync } from 'node:fs';

/** Head of a page: its number, its transaction, flags, and the bounds of its free room. Numbers are little-endian. */
const PAGE_HEAD = 24;
const PAGE_FLAGS_AT = 18;
const PAGE_LOWER_AT = 20;
const PAGE_UPPER_AT = 22;
const BRANCH = 1;
const LEAF = 2;
const OVERFLOW = 4;
const KIND_MASK = 0x0f;

/** The meta record behind the head of each of the first two pages. */
const META_LENGTH = 160;
const META_MAGIC_AT = 24;
const META_VERSION_AT = 28;
const META_PAGE_SIZE_AT = 48;
const META_TREES_AT = [48, 96] as const;
const META_TRANSACTION_AT = 152;
const META_MAGIC = 0xbeefc0de;
const META_VERSION = 2;
const TREE_DEPTH_AT = 6;
const TREE_ROOT_AT = 40;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** Head of a node: size or page number in three parts, flags, length of the key. */
const NODE_HEAD = 8;
const NODE_KEY_SIZE_AT = 6;
const NODE_FLAGS_AT = 4;
const NODE_ON_OVERFLOW = 1;
const OVERFLOW_REFERENCE = 24;
const MAX_DEPTH = 32;

interface Meta {
  pageSize: number;
  transaction: bigint;
  roots: { page: bigint; depth: number }[];
}

/**
 * Tells what is wrong with a file of LMDB, or undefined. LMDB trusts its pages: a file that was cut or overwritten ends
 * the process with a signal. So every page that the newest snapshot refers to is looked at before LMDB is; this reads the
 * whole file once, a second for each gigabyte. Damage within keys and values is not seen here.
 *
 * `length` is that of the file, in bytes.
 */
export function findFileDamage(file: number, length: number): string | undefined {
  const first = readMeta(file, 0);
  const second = first && readMeta(file, first.pageSize);
  if (!first || !second) return 'it does not begin as data of Trellis does';
  const newest = first.transaction > second.transaction ? first : second;
  const check = new TreeCheck(file, newest.pageSize, Math.floor(length / newest.pageSize));
  for (const { page, depth } of newest.roots) {
    if (page === NO_PAGE) continue;
    const damage = check.findDamage(Number(page), depth);
    if (damage !== undefined) return damage;
  }
  return undefined;
}

function readMeta(file: number, position: number): Meta | undefined {
  const bytes = Buffer.alloc(META_LENGTH);
  if (readSync(file, bytes, 0, META_LENGTH, position) < META_LENGTH) return undefined;
  const pageSize = bytes.readUInt32LE(META_PAGE_SIZE_AT);
  if (bytes.readUInt32LE(META_MAGIC_AT) !== META_MAGIC) return undefined;
  if ((bytes.readUInt32LE(META_VERSION_AT) & 0xffff) !== META_VERSION) return undefined;
  if (pageSize < 512 || pageSize > 65_536) return undefined;
  return {
    pageSize,
    transaction: bytes.readBigUInt64LE(META_TRANSACTION_AT),
    roots: META_TREES_AT.map((at) => ({
      page: bytes.readBigUInt64LE(at + TREE_ROOT_AT),
      depth: bytes.readUInt16LE(at + TREE_DEPTH_AT),
    })),
  };
}

class TreeCheck {
  readonly #file: number;
  readonly #pageSize: number;
  readonly #pageCount: number;
  readonly #page: Buffer;
  readonly #pending: { page: number; level: number }[] = [];
  #visited = 0;

  constructor(file: number, pageSize: number, pageCount: number) {
    this.#file = file;
    this.#pageSize = pageSize;
    this.#pageCount = pageCount;
    this.#page = Buffer.alloc(pageSize);
  }

  findDamage(root: number, depth: number): string | undefined {
    if (depth > MAX_DEPTH) return 'a tree is deeper than any can be';
    this.#pending.push({ page: root, level: 1 });
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      // Pages that refer to each other in a circle would be visited for ever.
      if (++this.#visited > this.#pageCount) return 'its pages refer to each other in a circle';
      if (!this.#read(next.page)) return `page ${next.page} is missing or not what it should be`;
      const isLeaf = next.level === depth;
      if (!this.#isWhole(isLeaf ? LEAF : BRANCH)) return `page ${next.page} is not what it should be`;
      if (!this.#checkNodes(isLeaf, next.level)) return `page ${next.page} refers to what is not there`;
    }
    return undefined;
  }

  /** Reads a page and checks that it is that page. */
  #read(page: number): boolean {
    if (page < 2 || page >= this.#pageCount) return false;
    const length = readSync(this.#file, this.#page, 0, this.#pageSize, page * this.#pageSize);
    return length === this.#pageSize && this.#page.readBigUInt64LE(0) === BigInt(page);
  }

  #isWhole(kind: number): boolean {
    const lower = this.#page.readUInt16LE(PAGE_LOWER_AT);
    const upper = this.#page.readUInt16LE(PAGE_UPPER_AT);
    const isKind = (this.#page.readUInt16LE(PAGE_FLAGS_AT) & KIND_MASK) === kind;
    return isKind && lower >= 2 && lower <= upper && upper + PAGE_HEAD <= this.#pageSize;
  }

  /** Checks that each node lies within the page and what it refers to within the file; notes the pages below. */
  #checkNodes(isLeaf: boolean, level: number): boolean {
    const page = this.#page;
    const count = page.readUInt16LE(PAGE_LOWER_AT) >>> 1;
    const overflows: number[] = [];
    for (let i = 0; i < count; i++) {
      const node = PAGE_HEAD + page.readUInt16LE(PAGE_HEAD + 2 * i);
      if (node + NODE_HEAD > this.#pageSize) return false;
      const data = node + NODE_HEAD + page.readUInt16LE(node + NODE_KEY_SIZE_AT);
      if (!isLeaf) {
        this.#pending.push({ page: page.readUIntLE(node, 6), level: level + 1 });
        if (data > this.#pageSize) return false;
      } else if ((page.readUInt16LE(node + NODE_FLAGS_AT) & NODE_ON_OVERFLOW) === 0) {
        if (data + page.readUInt32LE(node) > this.#pageSize) return false;
      } else {
        if (data + OVERFLOW_REFERENCE > this.#pageSize) return false;
        const first = Number(page.readBigUInt64LE(data));
        if (first + Number(page.readBigUInt64LE(data + 16)) > this.#pageCount) return false;
        overflows.push(first);
      }
    }
    return overflows.every((first) => this.#read(first) && (page.readUInt16LE(PAGE_FLAGS_AT) & KIND_MASK) === OVERFLOW);
  }
}
