// The driver: one Node process that runs browsers of one Playwright version for a worker.
//
//   node host.mjs <playwright-core folder>
//
// JSON lines on stdin and stdout, nothing else on stdout; Playwright's own talk goes to stderr.
// Protocol 1. Every request carries an `id` that its answer repeats: `{id, ok: true, …}` or
// `{id, error: "text"}`. Answers come in any order.
//
//   launch  {browser, kind, socket, path, options, exposeNetwork?, warm?, timeout}
//           Starts a browser and a Playwright server for it on the unix socket, under the path.
//           `options` are those of `launch()`. `warm` opens and closes a page before the answer,
//           so that the first session finds the browser as the second would.
//           → {pid, browserVersion, warm?: {ms} | {error}}
//   close   {browser}           Ends it; kills it after 3 s. Answered when its process has exited.
//   release {browser, session}  Cuts the session's connection if it is open, refuses it if it
//           comes later. Answered when its contexts are disposed, at once if it is unknown, and
//           with an error after 10 s.
//   ping    {}
//
// A client connects to the socket as `GET <path>?session=<id>`: one connection for each session.
// Events, unasked:
//   ready {protocol, playwright, node}                first line of all
//   session_open {browser, session}
//   session_disposed {browser, session, ms}           its contexts are gone; ms since its end
//   browser_exited {browser, code, signal, expected}  once for each launch that was answered ok;
//           its connections have been cut without a closing frame: the worker says why
//   log {level, message}
//
// When stdin ends, everything is killed and the process exits. What is used of Playwright is
// internal to it; every such place is in `loadPlaywright` and `Browser`, and holds for 1.55 to 1.65.

import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const CLOSE_LIMIT_MS = 3_000;
const RELEASE_LIMIT_MS = 10_000;
const WARM_LIMIT_MS = 10_000;
const LAUNCH_TIMEOUT_MS = 30_000;
const WARM_PAGE = 'data:text/html,<title>warm</title><script>document.title = 6 * 7</script>';

// Stdout belongs to the protocol: whatever else prints there would break a line.
const writeLine = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const send = message => writeLine(JSON.stringify(message) + '\n');
const log = (level, message) => send({ event: 'log', level, message });

// A browser that serves many sessions has many listeners; that is no leak.
EventEmitter.defaultMaxListeners = 0;
// One session's trouble is not the others'.
process.on('uncaughtException', e => log('error', `uncaught: ${e?.stack ?? e}`));
process.on('unhandledRejection', e => log('warn', `unhandled rejection: ${e?.stack ?? e}`));
// Signals to the whole group are for the worker: it drains, and ends this process by its stdin.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {});
// The browsers' wrapper scripts tie the browsers' lives to this process by it.
process.env.FLOTILLA_DRIVER_PID = String(process.pid);

const playwright = loadPlaywright(process.argv[2]);
const browsers = new Map();

function loadPlaywright(dir) {
  const require = createRequire(`${dir}/package.json`);
  const { version } = require('./package.json');
  if (fs.existsSync(`${dir}/lib/coreBundle.js`)) {
    const { remote, server } = require('./lib/coreBundle.js');
    const progress = server.nullProgress;
    return {
      version,
      Server: remote.PlaywrightServer,
      withProgress: task => task(progress),
      close: (target, reason) => target.close(progress, { reason }),
      evaluate: (frame, expression) => frame.evaluateExpression(progress, expression),
    };
  }
  const { ProgressController } = require('./lib/server/progress.js');
  return {
    version,
    Server: require('./lib/remote/playwrightServer.js').PlaywrightServer,
    withProgress: task => new ProgressController().run(task),
    close: (target, reason) => target.close({ reason }),
    evaluate: (frame, expression) => frame.evaluateExpression(expression),
  };
}

class Browser {
  constructor(id) {
    this.id = id;
    this.sessions = new Map();
    this.released = new Set();
    this.closing = false;
    this.announced = false;
  }

  // The launch, and the promise of its end for whoever closes the browser meanwhile.
  launch(request) {
    this.launched = this.start(request);
    return this.launched;
  }

  async start({ kind, socket, path, options, exposeNetwork, warm, timeout }) {
    const limit = timeout || LAUNCH_TIMEOUT_MS;
    // Serving a browser closes the others of the same Playwright object: each gets its own.
    const launcher = new playwright.Server({ mode: 'default', unsafe: true, path, maxConnections: Infinity });
    const complaints = listenTo(launcher._playwright[kind]);
    const launching = launcher._initLaunchBrowserMode(kind, exposeNetwork || undefined, this.options(options, limit), this.id);
    const { preLaunchedBrowser, socksProxy } =
      await within(limit + 2_000, launching, `the browser did not start within ${limit} ms`)
        .catch(e => { throw new Error([shorten(e), ...complaints].join('\n')); });
    this.browser = preLaunchedBrowser;
    this.socks = socksProxy;
    this.watch(preLaunchedBrowser.options.browserProcess.process);
    if (this.closing)
      throw new Error('closed while it was launching');
    const warmed = warm ? await this.warm() : undefined;
    await this.listen(socket, path);
    if (this.exit)
      throw new Error(`the browser ${describe(this.exit)} while it was starting`);
    return { pid: this.process.pid, browserVersion: this.browser.version(), warm: warmed };
  }

  options(options, timeout) {
    // The mark by which a process is recognised when its launch hangs.
    const env = { ...process.env, ...options.env, FLOTILLA_BROWSER: this.id };
    return {
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
      ...options,
      env: Object.entries(env).map(([name, value]) => ({ name, value: String(value) })),
      timeout,
    };
  }

  watch(child) {
    this.process = child;
    this.exited = new Promise(resolve => {
      const done = (code, signal) => resolve(this.exit = { code, signal });
      if (child.exitCode !== null || child.signalCode !== null)
        done(child.exitCode, child.signalCode);
      else
        child.once('exit', done);
    });
    this.exited.then(() => this.gone());
    this.browser.on('disconnected', () => {
      // Why it is gone is the worker's to say: without this, clients would read "Browser closed".
      this.sessions.forEach(({ ws }) => ws.terminate());
      // A browser that lets go of its pipe and lives on serves nobody.
      this.killAfter(CLOSE_LIMIT_MS);
    });
  }

  async warm() {
    const began = performance.now();
    try {
      const title = await within(WARM_LIMIT_MS, this.visit(), 'no page within 10 s');
      if (title !== '42')
        throw new Error(`the page's script gave ${JSON.stringify(title)} for 42`);
      return { ms: performance.now() - began };
    } catch (e) {
      return { error: shorten(e) };
    }
  }

  async visit() {
    const context = await playwright.withProgress(progress => this.browser.newContext(progress, {}));
    try {
      const page = await playwright.withProgress(progress => context.newPage(progress));
      await playwright.withProgress(progress => page.mainFrame().goto(progress, WARM_PAGE));
      return await playwright.evaluate(page.mainFrame(), 'document.title');
    } finally {
      await playwright.close(context, 'warm');
    }
  }

  async listen(socket, path) {
    this.server = new playwright.Server({
      mode: 'launchServer',
      path,
      maxConnections: Infinity,
      preLaunchedBrowser: this.browser,
      preLaunchedSocksProxy: this.socks,
    });
    const ws = this.server._wsServer;
    const upgrade = ws._delegate.onUpgrade;
    ws._delegate.onUpgrade = (request, stream) => this.refusal(sessionOf(request)) ?? upgrade(request, stream);
    await this.server.listen(socket);
    ws._wsServer.on('connection', (connection, request) => this.serve(connection, sessionOf(request)));
  }

  refusal(session) {
    const no = (status, why) => ({
      error: `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${why.length}\r\nConnection: close\r\n\r\n${why}`,
    });
    if (!session)
      return no('400 Bad Request', 'which session?');
    if (this.released.has(session))
      return no('410 Gone', 'this session has been ended');
    if (this.sessions.has(session))
      return no('409 Conflict', 'this session is connected already');
  }

  serve(ws, session) {
    const connection = Object.getOwnPropertySymbols(ws).map(key => ws[key]).find(value => value?._onDisconnect);
    if (!connection)
      return ws.terminate();
    // Up to 1.58 each call cleans up anew; two listeners and this class want one and the same end.
    const disconnect = connection._onDisconnect.bind(connection);
    let end;
    connection._onDisconnect = error => end ??= disconnect(error);
    const disposed = new Promise(resolve => ws.once('close', () => resolve(this.dispose(connection, session))));
    this.sessions.set(session, { ws, disposed });
    send({ event: 'session_open', browser: this.id, session });
  }

  async dispose(connection, session) {
    const began = performance.now();
    try {
      await connection._onDisconnect();
    } catch (e) {
      log('warn', `disposing ${session} on ${this.id}: ${shorten(e)}`);
    }
    this.sessions.delete(session);
    this.released.add(session);
    send({ event: 'session_disposed', browser: this.id, session, ms: performance.now() - began });
  }

  async release(id) {
    this.released.add(id);
    const session = this.sessions.get(id);
    if (!session)
      return;
    session.ws.terminate();
    await within(RELEASE_LIMIT_MS, session.disposed, 'its contexts are not disposed after 10 s');
  }

  async close() {
    this.closing = true;
    if (!this.process) {
      killStrays(this.id);
      await this.launched.catch(() => {});
    }
    if (!this.process)
      return;
    this.killAfter(CLOSE_LIMIT_MS);
    playwright.close(this.browser, 'closed by the worker').catch(() => {});
    await this.exited;
  }

  killAfter(ms) {
    const timer = setTimeout(() => this.kill(), ms);
    this.exited.then(() => clearTimeout(timer));
  }

  kill() {
    if (this.process && !this.exit)
      killGroup(this.process.pid);
    else
      killStrays(this.id);
  }

  gone() {
    browsers.delete(this.id);
    if (this.announced)
      send({ event: 'browser_exited', browser: this.id, ...this.exit, expected: this.closing });
    this.socks?.close?.();
    this.server?._wsServer.server?.close();
  }
}

// What a browser that is being launched prints on its stderr, the last lines of it. Playwright's
// error alone says no more than that it is gone.
function listenTo(type) {
  const complaints = [];
  const launch = type.launch;
  type.launch = (progress, options) => {
    const log = progress.log;
    progress.log = line => {
      const complaint = /^\s*\[pid=\d+\]\[err\] (.*)/.exec(line);
      if (complaint && complaints.push(complaint[1]) > 8)
        complaints.shift();
      return log(line);
    };
    return launch.call(type, progress, options);
  };
  return complaints;
}

function sessionOf(request) {
  return new URL(`http://localhost${request.url}`).searchParams.get('session');
}

function within(ms, promise, what) {
  let timer;
  const limit = new Promise((_, reject) => timer = setTimeout(() => reject(new Error(what)), ms));
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

function describe({ code, signal }) {
  return signal ? `was killed by ${signal}` : `exited with code ${code}`;
}

// Playwright's launch errors carry the whole command line and log: the beginning says what is wrong.
function shorten(error) {
  const text = String(error?.message ?? error).replace(/\x1b\[[0-9;]*m/g, '');
  return text.split('\n').slice(0, 20).map(line => line.slice(0, 400)).join('\n').slice(0, 4_000);
}

function killGroup(pid) {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
}

function children() {
  return fs.readdirSync('/proc/self/task').flatMap(task => {
    try {
      return fs.readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

function killStrays(id) {
  for (const pid of children()) {
    try {
      if (fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`FLOTILLA_BROWSER=${id}`))
        killGroup(pid);
    } catch {
      // Gone meanwhile.
    }
  }
}

const requests = {
  async launch(request, answer) {
    if (browsers.has(request.browser))
      throw new Error(`a browser is called ${request.browser} already`);
    const browser = new Browser(request.browser);
    browsers.set(browser.id, browser);
    try {
      const launched = await browser.launch(request);
      browser.announced = true;
      answer(launched);
    } catch (e) {
      browser.kill();
      await browser.exited;
      browsers.delete(browser.id);
      throw e;
    }
  },
  async close({ browser }, answer) {
    await browsers.get(browser)?.close();
    answer({});
  },
  async release({ browser, session }, answer) {
    await browsers.get(browser)?.release(session);
    answer({});
  },
  async ping(_, answer) {
    answer({});
  },
};

async function receive(line) {
  let id;
  try {
    const request = JSON.parse(line);
    id = request.id;
    if (!Object.hasOwn(requests, request.do))
      throw new Error(`no such request: ${request.do}`);
    await requests[request.do](request, answer => send({ id, ok: true, ...answer }));
  } catch (e) {
    send({ id, error: shorten(e) });
  }
}

// Without the exit handlers that Playwright has installed: they would clean up folders that the
// worker removes as a whole.
function stop() {
  children().forEach(killGroup);
  process.reallyExit(0);
}

const input = createInterface({ input: process.stdin });
input.on('line', receive);
input.on('close', stop);
send({ event: 'ready', protocol: 1, playwright: playwright.version, node: process.versions.node });
