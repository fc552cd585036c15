"""Runs `leanseg WORDS`, struck by a signal while it loads a package that keeps this for itself.

    python -m tests.leanseg.struck_import SIGNAL PACKAGE KIND WORDS...

KIND is what the loader makes of the interruption: the class of an error, or `nothing`, after which the
program has work for ever.
"""

import builtins
import signal
import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder

from leanseg.__main__ import main


class Struck(MetaPathFinder):
    def __init__(self, number, package, kind):
        self.number, self.package, self.kind = number, package, kind

    def find_spec(self, name, path, target=None):
        if name != self.package:
            return None
        sys.meta_path.remove(self)
        with suppress(BaseException):  # As C code does that looks at no error, or sets one of its own.
            signal.raise_signal(self.number)
        if self.kind != "nothing":
            raise getattr(builtins, self.kind)(f"{name} cannot be loaded", name=name)
        while True:
            signal.pause()


number, package, kind, *words = sys.argv[1:]
sys.meta_path.insert(0, Struck(signal.Signals[number], package, kind))
sys.exit(main(words))
