// What the grid is measured against: a bare `launchServer` of the same Playwright and browser. The
// first line of stdout is its endpoint; it ends with its stdin.
//   node server.mjs --playwright FOLDER --executable BROWSER
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: { playwright: { type: 'string' }, executable: { type: 'string' } },
});
const { chromium } = createRequire(import.meta.url)(options.playwright);
const server = await chromium.launchServer({
  executablePath: options.executable,
  host: '127.0.0.1',
});
process.stdout.write(server.wsEndpoint() + '\n');
process.stdin.resume();
process.stdin.on('end', async () => {
  await server.close();
  process.exit();
});
