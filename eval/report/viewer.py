"""The 3D viewer NiiVue, which `make viewer` fetches: it is checked and gets its licence.

The source of NiiVue is not part of this project. Without it a report shows slices and no 3D view.
"""

import hashlib
from pathlib import Path

VERSION = "0.69.0"
SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"
"""Hash of `dist/niivue.umd.js` in the released package."""
FETCHED = Path(__file__).resolve().parents[2] / "build" / "viewer" / "niivue.umd.js"
"""The file that `make viewer` fetches."""

LICENCE = """/*!
NiiVue @VERSION@, https://github.com/niivue/niivue
BSD 2-Clause License. Copyright (c) 2021, Niivue. All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that
the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the
   following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the
   following disclaimer in the documentation and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED
WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A
PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY
DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO,
PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR
OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH
DAMAGE.
*/
""".replace("@VERSION@", VERSION)


def viewer_script(path: Path = FETCHED) -> bytes | None:
    """The viewer with its licence on top; None if it was not fetched, or is not the released file."""
    try:
        source = path.read_bytes()
    except OSError:
        return None
    return LICENCE.encode() + source if hashlib.sha256(source).hexdigest() == SHA256 else None
