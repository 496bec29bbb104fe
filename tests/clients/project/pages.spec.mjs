import { expect, test } from '@playwright/test';

const FORM = `data:text/html,<title>Sign in</title>
  <label>Name <input></label><button onclick="greet()">Go</button><p role="status"></p>
  <script>const greet = () => document.querySelector('p').textContent =
    'Welcome, ' + document.querySelector('input').value</script>`;

test('a page has its title', async ({ page }) => {
  await page.goto(FORM);
  await expect(page).toHaveTitle('Sign in');
});

test('a form answers', async ({ page }) => {
  await page.goto(FORM);
  await page.getByLabel('Name').fill('Grace');
  await page.getByRole('button', { name: 'Go' }).click();
  await expect(page.getByRole('status')).toHaveText('Welcome, Grace');
});

test('a screenshot is a picture', async ({ page }, info) => {
  await page.goto(FORM);
  const shot = await page.screenshot({ path: info.outputPath('form.png') });
  expect(shot.toString('latin1', 1, 4)).toBe('PNG');
});
