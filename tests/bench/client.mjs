// A Playwright client that is told what to measure: every line of stdin is {do, …}, and the
// answer is one line of stdout, {value} or {error}. One process is one series, so that every
// figure but the first comes from warm code.
//   node client.mjs --playwright FOLDER --endpoint WS [--executable BROWSER]
import http from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    playwright: { type: 'string' },
    endpoint: { type: 'string' },
    executable: { type: 'string' },
  },
});
const { chromium } = createRequire(import.meta.url)(options.playwright);
const PAGE = 'data:text/html,<title>page</title><p>hello';
const agent = new http.Agent({ keepAlive: true });
let held;

const connect = (query = '') => chromium.connect(options.endpoint + query);

async function firstPage(browser) {
  const page = await browser.newPage();
  await page.goto(PAGE);
  return page;
}

async function timed(times, measured, after = () => {}) {
  const took = [];
  for (let i = 0; i < times; i++) {
    const began = performance.now();
    const result = await measured();
    took.push(performance.now() - began);
    await after(result);
  }
  return took;
}

async function wholeSession() {
  const browser = await connect();
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(PAGE);
  if (await page.evaluate('6 * 7') !== 42)
    throw new Error('the page did not calculate');
  await browser.close();
}

const usedSlots = () => new Promise((resolve, reject) => {
  const url = options.endpoint.replace(/^ws/, 'http') + '/status.json';
  http.get(url, { agent }, response => {
    let text = '';
    response.on('data', part => text += part);
    response.on('end', () => resolve(JSON.parse(text).slots.used));
  }).on('error', reject);
});

// From the client's close to the moment when the grid shows the slot as free.
async function freed({ query }) {
  const browser = await connect(query);
  await firstPage(browser);
  const before = await usedSlots();
  const began = performance.now();
  const closed = browser.close();
  while (await usedSlots() >= before);
  const took = performance.now() - began;
  await closed;
  return [took];
}

// Lanes of sessions beside each other; each connect with the moment it began at.
async function load({ lanes, seconds }) {
  const end = performance.now() + seconds * 1000;
  const connects = [], failures = [];
  const lane = async () => {
    while (performance.now() < end) {
      try {
        const at = Date.now(), began = performance.now();
        const browser = await connect();
        connects.push({ at, ms: performance.now() - began });
        const page = await firstPage(browser);
        await page.evaluate('6 * 7');
        await browser.close();
      } catch (error) {
        failures.push(String(error?.message ?? error));
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { connects, failures };
}

const tasks = {
  connect: ({ times, query }) => timed(times, () => connect(query), browser => browser.close()),
  evaluate: async ({ times }) => {
    held ??= await firstPage(await connect());
    return timed(times, () => held.evaluate('6 * 7'));
  },
  release: async () => {
    await held?.context().browser().close();
    held = undefined;
  },
  firstPage: ({ query }) => timed(1, async () => {
    const browser = await connect(query);
    await firstPage(browser);
    return browser;
  }, browser => browser.close()),
  launch: () => timed(1, async () => {
    const browser = await chromium.launch({ executablePath: options.executable });
    await firstPage(browser);
    return browser;
  }, browser => browser.close()),
  sessions: ({ times }) => timed(times, wholeSession),
  freed,
  load,
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const reply = await tasks[order.do](order).then(
    value => ({ value: value ?? null }),
    error => ({ error: String(error?.stack ?? error) }),
  );
  process.stdout.write(JSON.stringify(reply) + '\n');
}
process.exit();
