// A Playwright program that is written while it runs: every line of stdin is {id, code, args},
// every line of stdout {id, value} or {id, error}. Pieces of code run concurrently.
//   node driven.mjs PLAYWRIGHT_CORE_FOLDER ENDPOINT
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [folder, endpoint] = process.argv.slice(2);
const { chromium, firefox, webkit } = createRequire(import.meta.url)(folder);
const AsyncFunction = (async () => {}).constructor;
const s = {};

async function run(code, args) {
  const names = { chromium, firefox, webkit, endpoint, args, s };
  return new AsyncFunction(...Object.keys(names), code)(...Object.values(names));
}

createInterface({ input: process.stdin })
  .on('line', async line => {
    const { id, code, args } = JSON.parse(line);
    const reply = await run(code, args).then(
      value => ({ id, value: value ?? null }),
      error => ({ id, error: String(error?.message ?? error) }),
    );
    process.stdout.write(JSON.stringify(reply) + '\n');
  })
  .on('close', () => process.exit());
