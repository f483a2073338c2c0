#!/bin/sh
# Installs what the js-libp2p peer needs, from its lock file, into a folder that git ignores. Runs no package's scripts.
set -eu
cd "$(dirname "$0")"

NODE_MAJOR_MIN=20

need() {
    echo "make interop needs $1." >&2
    echo "Install Node $NODE_MAJOR_MIN or later, which brings npm along (Debian: nodejs and npm; macOS: brew install node)," >&2
    echo "and run it again. Nothing else of this project needs Node." >&2
    exit 1
}

command -v node >/dev/null || need "Node, and there is no 'node' on the PATH"
command -v npm >/dev/null || need "npm, and there is no 'npm' on the PATH"
major=$(node --print 'process.versions.node.split(".")[0]')
[ "$major" -ge "$NODE_MAJOR_MIN" ] || need "Node $NODE_MAJOR_MIN or later, and this one is $(node --version)"

# npm writes this file last; as long as the lock file is not newer, everything in it is there.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
    npm ci --ignore-scripts
fi
