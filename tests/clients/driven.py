"""A Playwright program that is written while it runs: every line of stdin is {id, code, args},
every line of stdout {id, value} or {id, error}. Pieces of code run one after the other.
    python driven.py ENDPOINT
"""

import json
import sys
import textwrap
from types import SimpleNamespace

from playwright.sync_api import sync_playwright


def run(code, names):
    body = textwrap.indent(textwrap.dedent(code).strip("\n"), "    ")
    exec(f"def piece():\n{body}", names)
    return names["piece"]()


def reply(request, names):
    try:
        return {"id": request["id"], "value": run(request["code"], names | {"args": request["args"]})}
    except Exception as error:
        return {"id": request["id"], "error": str(error)}


with sync_playwright() as p:
    names = {"p": p, "endpoint": sys.argv[1], "s": SimpleNamespace()}
    for line in sys.stdin:
        print(json.dumps(reply(json.loads(line), names)), flush=True)
