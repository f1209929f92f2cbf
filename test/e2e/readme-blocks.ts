/** A fenced block of a Markdown page with what the comment in front of it says. */
export interface Block {
  /** Line of the opening fence, from 1. */
  readonly line: number;
  /** What follows the fence: sh, text, ts, yaml. */
  readonly language: string;
  readonly text: string;
  /** Of `<!-- key: value -->` in front of it: `stays`, `prints`, `needs`, `exit` or `file`; empty for none. */
  readonly key: string;
  readonly value: string;
  /** The heading it stands under. */
  readonly section: string;
}

/** Finds the fenced blocks of a page, in order. @throws Error where a fence is not closed. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  const lines = page.split('\n');
  let section = '';
  let comment: RegExpExecArray | null = null;
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] ?? '';
    const fence = /^```(\w+)$/.exec(line);
    if (fence !== null) {
      const end = lines.indexOf('```', i + 1);
      if (end < 0) throw new Error(`the block in line ${i + 1} is not closed`);
      const text = lines.slice(i + 1, end).join('\n');
      const [, key = '', value = ''] = comment ?? [];
      blocks.push({ line: i + 1, language: fence[1] ?? '', text, key, value, section });
      i = end;
      comment = null;
    } else if (/^#+ /.test(line)) section = line;
    else if (line !== '') comment = /^<!-- (\w+)(?:: (.*))? -->$/.exec(line);
  }
  return blocks;
}
