"""Drive a headless Chromium over its debugging pipe: JSON messages on file descriptors 3 and 4."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Without a GPU, 2D canvases are drawn many times faster by the processor itself than by a software GPU; only
# WebGL needs one.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-background-networking",
    "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 120
"""For one answer: on a busy machine without a GPU the first 3D picture takes its time."""
KEYS = {"Escape": 27, "ArrowDown": 40, "n": 78, "p": 80}


def program() -> str:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )
    if found is None:
        pytest.skip("no browser (apt-get install chromium)")
    return found


class Browser:
    """One page of a browser.

    What it writes to its console as an error and the addresses that it asks for are kept.
    """

    def __init__(self, profile: Path, width: int = 1440, height: int = 900):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out, self._rest, self._id = ours_in, ours_out, b"", 0
        self.errors: list[str] = []
        self.asked: list[str] = []
        # The browser reads from descriptor 3 and writes to 4.
        command = 'exec 3<&"$0" 4>&"$1"; shift 1; exec "$@"'
        arguments = [
            program(),
            *FLAGS,
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", command, str(theirs_in), str(theirs_out), *arguments],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def call(self, method: str, timeout_s: float = PATIENCE_S, **parameters):
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self._id, timeout_s)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _until(self, is_it: Callable[[dict], bool], timeout_s: float):
        end = time.monotonic() + timeout_s
        while True:
            message = self._next(end)
            self._note(message)
            if is_it(message):
                return message

    def _next(self, end: float):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._in, 2**20)
            assert part, "the browser has stopped"
            self._rest += part
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)

    def _note(self, message) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))
        if method == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.errors.append(" ".join(str(argument.get("value")) for argument in parameters["args"]))
        if method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        if method == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
            if not self.asked[-1].startswith(("file:", "data:", "blob:", "about:")):
                self.errors.append(f"asked the network for {self.asked[-1]}")

    def do(self, script: str, timeout_s: float = PATIENCE_S):
        answer = self.call(
            "Runtime.evaluate", timeout_s, expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a condition holds in the page, which checks it again and again by itself."""
        again = "Date.now() < end ? setTimeout(look, 20) : done(false)"
        look = f"const look = () => (({condition}) ? done(true) : {again}); look();"
        held = self.do(
            f"new Promise((done) => {{ const end = Date.now() + {timeout_s * 1000}; {look} }})", 2 * timeout_s
        )
        assert held, f"still not so: {condition}; {self.errors}"

    def size(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, page: Path, fragment: str = "") -> None:
        # From nowhere, so that another fragment of the same page is loaded anew.
        self.call("Page.navigate", url="about:blank")
        self._until(lambda message: message.get("method") == "Page.loadEventFired", PATIENCE_S)
        self.call("Page.navigate", url=page.as_uri() + fragment)
        self._until(lambda message: message.get("method") == "Page.loadEventFired", PATIENCE_S)
        assert self.do("document.documentElement.dataset.ready") == "yes", self.errors

    def picture(self, path: Path, full: bool = False) -> Path:
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def key(self, name: str) -> None:
        # Without its code the browser tells the page of a key, but does nothing itself: Escape would close no
        # dialog.
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=KEYS[name]
            )

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
