import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { WebSocket } from 'ws';

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--hide-scrollbars',
  '--remote-debugging-port=0',
];

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** A page in a Chromium of its own, spoken to by the DevTools protocol. */
export class ChromiumPage {
  readonly #browser: ChildProcess;
  readonly #socket: WebSocket;
  readonly #answers: Map<number, (message: Message) => void> = new Map();
  readonly #waiting: Map<string, () => void> = new Map();
  #lastId = 0;
  #session: string | undefined;
  /** What the console and the browser had to complain of. */
  readonly complaints: string[] = [];
  /** URLs of everything that was asked for. */
  readonly requests: string[] = [];

  private constructor(browser: ChildProcess, socket: WebSocket) {
    this.#browser = browser;
    this.#socket = socket;
    socket.on('message', (data) => this.#onMessage(JSON.parse((data as Buffer).toString()) as Message));
  }

  /** Starts a browser with an empty page. @param profile folder of its own. */
  static async open(chromium: string, profile: string): Promise<ChromiumPage> {
    const args = [...flags, `--user-data-dir=${profile}`, 'about:blank'];
    const browser = spawn(chromium, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    const socket = new WebSocket(await debuggerUrl(browser));
    await once(socket, 'open');
    const page = new ChromiumPage(browser, socket);
    const { targetInfos } = (await page.send('Target.getTargets')) as {
      targetInfos: { type: string; targetId: string }[];
    };
    const targetId = targetInfos.find(({ type }) => type === 'page')?.targetId;
    const { sessionId } = (await page.send('Target.attachToTarget', { targetId, flatten: true })) as {
      sessionId: string;
    };
    page.#session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
    return page;
  }

  /** Sends a command of the protocol and waits for its answer. */
  async send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = ++this.#lastId;
    const answer = new Promise<Message>((resolve) => this.#answers.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session && { sessionId: this.#session }) }));
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  /** Opens a page and waits until it is loaded. */
  async load(url: string): Promise<void> {
    this.complaints.length = 0;
    this.requests.length = 0;
    const loaded = new Promise<void>((resolve) => this.#waiting.set('Page.loadEventFired', resolve));
    await this.send('Page.navigate', { url });
    await loaded;
  }

  /** The value of an expression in the page. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as { result: { value: Value }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async close(): Promise<void> {
    this.#socket.terminate();
    if (this.#browser.exitCode !== null || this.#browser.signalCode !== null) return;
    const exited = once(this.#browser, 'exit');
    process.kill(-(this.#browser.pid as number), 'SIGKILL');
    await exited;
  }

  #onMessage({ id, method, params, ...answer }: Message): void {
    if (id !== undefined) {
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
      return;
    }
    const told = JSON.stringify(params);
    if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded' || method === 'Runtime.consoleAPICalled') {
      this.complaints.push(told);
    }
    if (method === 'Network.requestWillBeSent')
      this.requests.push((params as { request: { url: string } }).request.url);
    if (method === 'Page.javascriptDialogOpening') this.complaints.push(told);
    this.#waiting.get(method ?? '')?.();
  }
}

/** Chromium says on standard error where it listens. */
function debuggerUrl(browser: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let told = '';
    browser.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      told = (told + chunk).slice(-10_000);
      const url = /DevTools listening on (ws:\/\/\S+)/.exec(told)?.[1];
      if (url !== undefined) resolve(url);
    });
    browser.once('exit', () => reject(new Error(`The browser has ended: ${told}`)));
  });
}
