// Where Playwright keeps its own browsers: `node -e <this text> <playwright-core folder> NAME…`
// prints a JSON object, by name, of the executable's path, its folder and the addresses of its
// download. It starts nothing and fetches nothing.
const [dir, ...names] = process.argv.slice(1);
const bundle = `${dir}/lib/coreBundle.js`;
const { registry } = require('node:fs').existsSync(bundle)
  ? require(bundle).registry
  : require(`${dir}/lib/server/registry/index.js`);
const answer = {};
for (const name of names) {
  const found = registry.findExecutable(name);
  const path = found?.executablePath('javascript');
  if (path)
    answer[name] = { path, folder: found.directory, urls: found.downloadURLs ?? [] };
}
process.stdout.write(JSON.stringify(answer));
