import { defineConfig, devices } from '@playwright/test';

// Nothing here knows of a grid: that is the point.
export default defineConfig({
  testDir: '.',
  workers: 2,
  fullyParallel: true,
  reporter: 'json',
  projects: [{ name: 'chromium', use: { ...devices['Desktop Chrome'] } }],
});
