"""A report as a folder: a page with all tables and figures, a script for each volume, and the 3D viewer.

report/index.html        style, scripts, tables and figures; it can be opened by itself
report/cases/0001.js     the volume of a case, loaded when the case is opened
report/viewer/niivue.js  the 3D viewer, loaded when it is opened
report/tables, logs      the tables that it was made from, and the containers' logs
"""

import base64
import hashlib
import html
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.report.page_data import Json
from eval.report.viewer import viewer_script

WEB = Path(__file__).with_name("web")
SCRIPTS = (
    "base.js",
    "figures.js",
    "curves.js",
    "ranking.js",
    "table.js",
    "contour.js",
    "slices.js",
    "case.js",
    "volume.js",
    "main.js",
)
MARK = '<meta name="generator" content="LeanSeg report">'
"""The line by which a report is recognised."""


def page_of(data: Json) -> str:
    """The page with its data."""
    # Inside a script element, browsers react only to "</script" and "<!--"; without "<" there is neither.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "@MARK@": MARK,
        "@POLICY@": _policy(script),
        "@TITLE@": html.escape(str(data["title"])),
        "@STYLE@": (WEB / "style.css").read_text(encoding="utf-8"),
        "@SCRIPT@": script,
        "@DATA@": text,
    }
    page = (WEB / "page.html").read_text(encoding="utf-8")
    # All at once: what one part says, a title for example, is no mark of another.
    return re.sub("|".join(parts), lambda mark: parts[mark[0]], page)


def _policy(script: str) -> str:
    """A content-security policy: this script runs, what it loads itself does too, and nothing is fetched."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{digest}' 'strict-dynamic' 'wasm-unsafe-eval'",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "connect-src data: blob:",
            "worker-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def write_page(folder: Path, data: Json) -> None:
    """Write the page into the folder of a report, and the viewer if it was fetched (`data["viewer"]`)."""
    script = viewer_script()
    data["viewer"] = script is not None
    if script is not None:
        (folder / "viewer").mkdir()
        (folder / "viewer" / "niivue.js").write_bytes(script)
    (folder / "index.html").write_text(page_of(data), encoding="utf-8", errors="backslashreplace")


def check_folder(path: Path, force: bool) -> None:
    """Refuse a folder that cannot be written, or is something else than a report, before any work is done.

    Raises:
        JudgingError: the folder exists and `force` is not set, it is no report, or its parent does not exist.
    """
    if not path.resolve().parent.is_dir():
        raise JudgingError(f"{path.parent}: no such folder; create it first")
    if path.exists() and not path.is_dir():
        raise JudgingError(f"{path}: is a file; give the name of a folder")
    if path.is_dir() and any(path.iterdir()):
        if not force:
            raise JudgingError(f"{path}: exists already; choose another name or add --force to replace it")
        if not _is_report(path):
            raise JudgingError(
                f"{path}: is no report of this program, so --force does not replace it; choose another name"
            )


def _is_report(path: Path) -> bool:
    index = path / "index.html"
    if not index.is_file():
        return False
    with index.open(encoding="utf-8", errors="replace") as stream:
        return MARK in stream.read(4096)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` to write to.

    When the block ends without an exception, the folder replaces `path`; otherwise it is removed.
    """
    path = path.resolve()
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    former = temporary / "former"
    new = temporary / "new"
    new.mkdir()
    try:
        yield new
        if path.exists():
            path.rename(former)
        new.rename(path)
    except BaseException:
        if former.exists() and not path.exists():
            former.rename(path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
