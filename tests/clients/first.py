"""The first script of a user, in Python: the grid's address is all that is special."""

import os

from playwright.sync_api import sync_playwright

with sync_playwright() as p:
    browser = p.chromium.connect(os.environ.get("GRID", "ws://localhost:8080"))
    page = browser.new_page()
    page.goto("data:text/html,<title>Hello from the grid</title>")
    print(page.title())
    browser.close()
