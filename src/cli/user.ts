import { PasswordFileDraft } from '../auth/password-file.ts';
import { hashPassword } from '../auth/password-hash.ts';
import { PasswordTable, type SecretKind, userNameProblem } from '../auth/password-table.ts';
import { saslPrep } from '../auth/sasl-prep.ts';
import { hashForScram, scramMechanisms } from '../auth/scram-secret.ts';
import { errorText } from '../lib/error-text.ts';
import { CommandError, ExitCode, UsageError } from './errors.ts';
import { type Flag, type GivenFlag, helpText, parseFlags } from './flags.ts';
import { readPasswordFrom } from './password-input.ts';
import { askForPassword } from './password-prompt.ts';

const before = `
Usage: trellis user add|passwd|remove|list --file FILE [NAME] [flags]

Keeps the file with the users that may log in by password:
  add NAME      Adds a user; makes the file where there is none.
  passwd NAME   Gives a user another password.
  remove NAME   Removes a user.
  list          Prints the users, and what each can log in with.

The password is asked for twice on a terminal, else it is the one line on stdin; it is never an argument, which others
could see. Comments, order and other users of the file stay as they are.`.trimStart();

const after = `
Examples:
  trellis user add --file users.txt alice
  trellis user add --file users.txt --scram sensor-7 < password.txt
  trellis user list --file users.txt

Files of mosquitto_passwd are understood. A file that group or others can read is refused: chmod 600 FILE.
Exit codes: 0 done, 1 something failed, 2 wrong flags or a file that cannot be used.`;

const userFlags: readonly Flag[] = [
  { names: ['--file'], values: ['FILE'], group: 'Flags', help: 'The password file.' },
  {
    names: ['--scram'],
    values: [],
    group: 'Flags',
    help: 'With add and passwd: the user can log in by SCRAM-SHA-256 and SCRAM-SHA-512 (MQTT 5) as well. passwd keeps that where it is so already.',
  },
  {
    names: ['--password-file'],
    values: ['FILE'],
    group: 'Flags',
    help: 'With add and passwd: file whose one line is the password; - for stdin.',
  },
  { names: ['--help'], values: [], group: 'Flags', help: 'Prints this.' },
];

const actions = ['add', 'passwd', 'remove', 'list'] as const;
type Action = (typeof actions)[number];

/** What was asked for. */
interface Request {
  readonly action: Action;
  readonly file: string;
  /** Empty with `list`. */
  readonly name: string;
  readonly wantsScram: boolean;
  /** Undefined for none given. */
  readonly passwordFile: string | undefined;
}

/** Runs `trellis user`; resolves to the exit code. @throws UsageError, CommandError. */
export async function user(args: readonly string[]): Promise<number> {
  const words: string[] = [];
  const given = parseFlags('user', userFlags, args, words);
  if (given.some(({ name }) => name === '--help')) {
    process.stdout.write(helpText(before, userFlags, after));
    return ExitCode.ok;
  }
  process.stdout.write(await perform(readRequest(words, given)));
  return ExitCode.ok;
}

function readRequest([word, name, ...more]: readonly string[], given: readonly GivenFlag[]): Request {
  const valueOf = (flag: string): string | undefined => given.findLast((one) => one.name === flag)?.values[0];
  const action = actions.find((known) => known === word);
  if (action === undefined)
    throw new UsageError(`trellis user needs what to do: ${actions.join(', ')}; see trellis user --help.`);
  const file = valueOf('--file');
  if (file === undefined || file === '') throw new UsageError(`trellis user ${action} needs a file: --file FILE.`);
  const wantsScram = given.some((flag) => flag.name === '--scram');
  const passwordFile = valueOf('--password-file');
  if ((action === 'remove' || action === 'list') && (wantsScram || passwordFile !== undefined))
    throw new UsageError(`trellis user ${action} needs no password: leave --scram and --password-file out.`);
  const isNamed = action !== 'list';
  if (isNamed !== (name !== undefined) || more.length > 0)
    throw new UsageError(
      isNamed ? `trellis user ${action} needs one user name.` : 'trellis user list takes no user name.',
    );
  const problem = isNamed ? userNameProblem(name!) : undefined;
  if (problem !== undefined) throw new UsageError(`The user name ${problem}.`);
  return { action, file, name: name ?? '', wantsScram, passwordFile };
}

/** @returns what to print. */
async function perform(request: Request): Promise<string> {
  const { action, file, name } = request;
  const draft = await openDraft(file, action);
  const { table } = draft;
  const shown = JSON.stringify(name);
  switch (action) {
    case 'list':
      return listText(table);
    case 'remove':
      if (!table.has(name)) throw new CommandError(`There is no user ${shown} in ${file}.`);
      draft.rewrite(name, new Map());
      await draft.save();
      return `Removed ${shown} from ${file}.\n`;
    case 'add':
      if (table.has(name))
        throw new CommandError(
          `There is a user ${shown} in ${file} already; trellis user passwd sets another password.`,
        );
      break;
    case 'passwd':
      if (!table.has(name)) throw new CommandError(`There is no user ${shown} in ${file}; trellis user add adds one.`);
  }
  draft.rewrite(name, await makeSecrets(request, table));
  await draft.save();
  return action === 'add' ? `Added ${shown} to ${file}.\n` : `Set the password of ${shown} in ${file}.\n`;
}

async function openDraft(file: string, action: Action): Promise<PasswordFileDraft> {
  try {
    return await PasswordFileDraft.open(file);
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (action === 'add' && code === 'ENOENT') return PasswordFileDraft.make(file);
    throw new UsageError(errorText(error));
  }
}

function listText(table: PasswordTable): string {
  return [...table.names()].map((name) => `${name}  (${table.kindsOf(name).join(', ')})\n`).join('');
}

/** A new password replaces the old one in every line of the user. */
async function makeSecrets(request: Request, table: PasswordTable): Promise<Map<SecretKind, string>> {
  const { name, wantsScram } = request;
  const has = table.kindsOf(name);
  const mechanisms = scramMechanisms.filter((mechanism) => wantsScram || has.includes(mechanism));
  if (mechanisms.length > 0 && saslPrep(name) !== name)
    throw new UsageError(
      'The user name cannot be used with SCRAM, whose clients would spell it differently (SASLprep).',
    );
  const password = await readPassword(request);
  const secrets = new Map<SecretKind, string>();
  const isScramOnly = has.length > 0 && !has.includes('password');
  if (!isScramOnly) secrets.set('password', await hashPassword(password));
  if (mechanisms.length === 0) return secrets;
  const prepared = saslPrep(new TextDecoder('utf-8', { ignoreBOM: true }).decode(password));
  if (prepared === undefined)
    throw new CommandError('The password holds characters that SCRAM does not allow (SASLprep); nothing was changed.');
  for (const mechanism of mechanisms) secrets.set(mechanism, await hashForScram(mechanism, prepared));
  return secrets;
}

async function readPassword({ passwordFile, name }: Request): Promise<Buffer> {
  if (passwordFile !== undefined || !process.stdin.isTTY) return readPasswordFrom(passwordFile ?? '-');
  return Buffer.from(await askForPassword({ input: process.stdin, output: process.stderr }, JSON.stringify(name)));
}
