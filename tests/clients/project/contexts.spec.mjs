import { expect, test } from '@playwright/test';

test('the device of the project is in force', async ({ page }) => {
  expect(page.viewportSize()).toEqual({ width: 1280, height: 720 });
});

test('contexts do not see each other', async ({ browser }) => {
  const [one, two] = [await browser.newContext(), await browser.newContext()];
  await one.addCookies([{ name: 'who', value: 'one', url: 'http://example.test' }]);
  expect(await one.cookies('http://example.test')).toHaveLength(1);
  expect(await two.cookies('http://example.test')).toHaveLength(0);
  await Promise.all([one.close(), two.close()]);
});

test('requests can be answered by the test', async ({ page }) => {
  await page.route('http://example.test/**', route =>
    route.fulfill({ contentType: 'text/html', body: '<h1>from the test</h1>' }));
  await page.goto('http://example.test/');
  await expect(page.getByRole('heading')).toHaveText('from the test');
});
