"""A headless Chromium, spoken to over two pipes: no driver and no port."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-extensions", "--hide-scrollbars")  # fmt: skip
KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), " ": (32, " "), "ArrowRight": (39, "")}


class Browser:
    """One page of it. ``events``: everything that it said unasked."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back, self.rest, self.number = to, back, b"", 0
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            found = os.read(self.back, 1 << 16)
            assert found, "the browser has gone"
            self.rest += found
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def open(self, path: Path, link: str = "", width: int = 1280, height: int = 900) -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url="about:blank")  # so that a new fragment loads the page anew
        self.events.clear()
        self.ask("Page.navigate", url=path.as_uri() + link)
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def eval(self, expression: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not self.eval(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never so: {expression}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        code, text = KEYS[key]
        both = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **both, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **both)

    def click(self, selector: str) -> None:
        """In the middle of the first such element, as a mouse does."""
        box = f"document.querySelector({json.dumps(selector)})"
        self.eval(f"{box}.scrollIntoView({{block: 'center', inline: 'center'}})")
        x, y = self.eval(f"(() => {{ const r = {box}.getBoundingClientRect(); "
                         "return [r.x + r.width / 2, r.y + r.height / 2] })()")  # fmt: skip
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, text: str) -> None:
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and what a page's policy kept from running."""
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in bad]

    @property
    def asked_for(self) -> list[str]:
        """Addresses of everything that was loaded."""
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    (theirs, to), (back, their_end) = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (theirs, their_end)]

    def inherit() -> None:  # Chromium reads from 3 and writes to 4
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    command = [str(BROWSER), *QUIET, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, close_fds=False, preexec_fn=inherit)
    for end in (theirs, their_end, *ends):
        os.close(end)
    try:
        yield Browser(to, back)
    finally:
        os.close(to)
        os.close(back)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
