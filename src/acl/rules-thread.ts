import { parentPort, workerData } from 'node:worker_threads';
import { parseRulesText } from './read-rules.ts';
import type { RulesReply, RulesText } from './read-rules.ts';
import { RulesError } from './rule-set.ts';

// The thread of `parseRulesAside`.

const port = parentPort;
if (port === null) throw new Error('rules-thread.ts is a thread of the broker and no program');
port.postMessage(replyTo(workerData as RulesText));

function replyTo(source: RulesText): RulesReply {
  try {
    return { rules: parseRulesText(source) };
  } catch (error) {
    if (error instanceof RulesError) return { problems: error.problems };
    throw error;
  }
}
