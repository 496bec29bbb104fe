// The first script of a user, in Node: the grid's address is all that is special.
import { chromium } from 'playwright';

const browser = await chromium.connect(process.env.GRID ?? 'ws://localhost:8080');
const page = await browser.newPage();
await page.goto('data:text/html,<title>Hello from the grid</title>');
console.log(await page.title());
await browser.close();
