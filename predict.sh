#!/bin/sh
# What organisers call in /workspace: `sh predict.sh`. Images in inputs/, label maps to outputs/; options are passed on.
here=$(dirname -- "$0")
# Their scripts often make outputs/ as root. Where this cannot help, predict.py says which folder is not writable.
# See docs/decisions/container-user.md.
if [ -d outputs ] && [ ! -w outputs ] && command -v share-outputs >/dev/null; then
    share-outputs 2>/dev/null
fi
# From here on nothing that runs can gain a right that it lacks, whatever an image may do to it.
exec setpriv --no-new-privs python3 "$here/predict.py" "$@"
