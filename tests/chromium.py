"""A real browser, driven over its own protocol through a pipe: no driver, no network, one profile a run.

Source: Chrome DevTools Protocol; `--remote-debugging-pipe` reads fd 3 and writes fd 4, messages end with a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for found in map(shutil.which, NAMES) if found), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"no browser here (looked for {', '.join(NAMES)})")
FLAGS = """
    --headless=new --disable-gpu --disable-dev-shm-usage --no-first-run --no-default-browser-check --hide-scrollbars
    --disable-background-networking --disable-component-update --disable-sync --disable-extensions --mute-audio
    --remote-debugging-pipe --force-color-profile=srgb
""".split()
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PATIENCE = 60  # seconds until a browser that says nothing is given up
# Puts the ends of the pipes where the browser looks for them.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 103), os.dup2(int(sys.argv[2]), 104)
os.dup2(103, 3), os.dup2(104, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, " ": 32}
CONTROL = 2


class Browser:
    """One browser process; use it as a context."""

    def __init__(self, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # the browser refuses to be root with one
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), str(BROWSER), *FLAGS, ONLY_HERE]
        self.process = subprocess.Popen(
            [*command, *sandbox, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Ask the browser for something and return its answer; keep the events that come meanwhile."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            found = self._read(until, method)
            if found.get("id") != number:
                self.events.append(found)
                continue
            assert "error" not in found, f"{method}: {found['error']}"
            return found["result"]

    def _read(self, until: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, until - time.monotonic()))
            assert ready, f"{method}: the browser says nothing"
            read = os.read(self._in, 1 << 20)
            assert read, "the browser is gone"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def breathe(self) -> None:
        """Leave the processor to the browser until it has something to say, for a moment at most."""
        select.select([self._in], [], [], 0.02)

    def page(self, **size: Any) -> Page:
        return Page(self, **size)


class Page:
    """One tab.  Elements are named by CSS selectors."""

    def __init__(self, browser: Browser, width: int = 1100, height: int = 900, dark: bool = False) -> None:
        self.browser = browser
        # no cookies, storage or cache of others
        self.context = context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)  # drawn, and in front, whatever else is open
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        origin = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "browserContextId": context}
        browser.call("Browser.grantPermissions", **origin)
        self.look(width, height, dark)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def close(self) -> None:
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def look(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Take a size in CSS pixels, and what the system prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def goto(self, url: str, until: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait(until)

    def js(self, expression: str) -> Any:
        """Return what an expression gives; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = PATIENCE) -> None:
        """Wait until an expression holds.

        It is asked again and again: a page that waits for itself says nothing while nobody draws it.
        """
        until = time.monotonic() + seconds
        found = False
        while not found and time.monotonic() < until:
            got = self.call("Runtime.evaluate", expression=f"Boolean({condition})", returnByValue=True)
            found = got["result"].get("value") is True  # a page that is just being left throws
            if not found:
                self.browser.breathe()
        assert found, f"never: {condition}\n{self.text('body')}"

    def text(self, selector: str) -> str | None:
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText")

    def texts(self, selector: str) -> list[str]:
        return self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)")

    def point(self, selector: str, number: int = 0) -> tuple[float, float]:
        """Move the mouse over an element."""
        box = self.js(
            f"""(() => {{
                const element = document.querySelectorAll({json.dumps(selector)})[{number}];
                element.scrollIntoView({{block: "center", behavior: "instant"}});
                const box = element.getClientRects()[0];
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
        return box

    def click(self, selector: str, number: int = 0) -> None:
        x, y = self.point(selector, number)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, key: str, control: bool = False) -> None:
        typed = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {}) if not control else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code="Space" if key == " " else key,
                windowsVirtualKeyCode=KEYS[key],
                modifiers=CONTROL if control else 0,
                **(typed if kind == "keyDown" else {}),
            )

    def write(self, selector: str, text: str, number: int = 0) -> None:
        """Type over what a field holds."""
        field = f"document.querySelectorAll({json.dumps(selector)})[{number}]"
        self.js(f"{field}.focus(), {field}.select()")
        self.call("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list, as its own keyboard handling would."""
        self.js(
            f"""(() => {{
                const list = document.querySelector({json.dumps(selector)});
                list.value = {json.dumps(value)};
                list.dispatchEvent(new Event("change", {{bubbles: true}}));
            }})()"""
        )

    def picture(self, path: Path | None = None) -> bytes:
        """Return a PNG of the whole page, and write it where a path is given."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        data = base64.b64decode(found)
        if path is not None:
            path.write_bytes(data)
        return data

    def complaints(self) -> list[str]:
        """Return all that the browser held against the page: errors, broken policies, failed requests."""
        self.js("1")  # whatever is under way has been told by then
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            params = event["params"]
            if event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            elif event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                found.append(json.dumps(params["args"]))
        return found

    def asked(self) -> list[str]:
        """Return the addresses of all requests."""
        sent = [e for e in self.browser.events if e.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent if event.get("sessionId") == self.session]
