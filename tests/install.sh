#!/bin/sh
# Installs the real parts that the tests run against, where they are missing: Debian by apt-get, macOS by Homebrew.
#
#   install.sh           what `make test` needs
#   install.sh engine    a container engine and debootstrap, for `make stack`; Debian only
set -eu
cd "$(dirname "$0")/.."

missing() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || return 0
    done
    return 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

if [ "${1-}" = engine ]; then
    if missing docker debootstrap || ! { docker version || command -v dockerd; } >/dev/null 2>&1; then
        as_root apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends \
            docker.io debootstrap iptables
    fi
    exit
fi

case "$(uname -s)" in
Linux)
    # uWSGI is built against the interpreter's headers.
    headers=$("${PYTHON:-python3}" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || true)
    if [ ! -e "$headers" ] || missing redis-server prometheus promtool strace docker-compose faketime cc curl openssl; then
        as_root apt-get update -q
        # Only the programs are wanted, not services that start by themselves and take their ports.
        as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends \
            redis-server prometheus strace docker-compose faketime curl openssl ca-certificates gcc libc6-dev python3-dev python3-venv
    fi
    if missing chromium node npm; then
        as_root apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends chromium
        # A node from elsewhere brings its own npm, and Debian's would replace both.
        if missing node npm; then
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends nodejs npm
        fi
    fi
    ;;
Darwin)
    missing redis-server && brew install redis
    missing prometheus promtool && brew install prometheus
    missing docker-compose && brew install docker-compose
    missing node npm && brew install node
    ;;
esac

if missing cargo-nextest; then
    cargo install --locked cargo-nextest
fi

# What the tests of the status page drive a browser with; in target/, so that nothing of it lies among the sources.
if ! cmp -s tests/browser/package-lock.json target/browser/package-lock.json; then
    rm -rf target/browser
    mkdir -p target/browser
    cp tests/browser/package.json tests/browser/package-lock.json target/browser/
    npm ci --silent --no-audit --no-fund --prefix target/browser || { rm -rf target/browser; exit 1; }
fi
