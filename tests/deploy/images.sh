#!/bin/sh
# The images of docker-compose.yml for an engine that reaches no registry: Debian by debootstrap instead of the official
# base images, and what the build stages of our Dockerfiles would have built, by the same scripts, on this machine.
#
#   tests/deploy/images.sh STATIC WHEELS CACHE
#
# STATIC: what deploy/build_static.sh has built. WHEELS: a folder with the wheel of metrifold. CACHE: a folder of our own.
# DOCKER_HOST says which engine.
set -eu
cd "$(dirname "$0")/../.."
static=${1:?} wheels=${2:?} cache=${3:?}
base=metrifold-offline/base:1
mkdir -p "$cache"

image() { # NAME, and a Dockerfile without context on standard input
    docker build --quiet --tag "metrifold-offline/$1" - >/dev/null
}

if ! docker image inspect "$base" >/dev/null 2>&1; then
    root=$cache/root
    rm -rf "$root"
    debootstrap --variant=minbase \
        --include=redis-server,prometheus,python3,python3-pip,python3-venv,wget,ca-certificates bookworm "$root"
    rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/var/lib/apt/lists/*
    mkdir -p "$root/data" "$root/prometheus"
    chroot "$root" chown redis:redis /data
    chroot "$root" chown nobody:nogroup /prometheus
    tar -C "$root" -c . | docker import - "$base" >/dev/null
    rm -rf "$root"
fi

# As the official images are: who runs, and what.
image redis <<DOCKERFILE
FROM $base
VOLUME /data
DOCKERFILE
image prometheus <<DOCKERFILE
FROM $base
VOLUME /prometheus
USER nobody
ENTRYPOINT ["/usr/bin/prometheus"]
DOCKERFILE
image python <<DOCKERFILE
FROM $base
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_DISABLE_PIP_VERSION_CHECK=1
DOCKERFILE

# Those of the last run, which would otherwise stay without a name.
for name in app worker metrifold built; do
    docker rmi --force "metrifold-offline/$name" >/dev/null 2>&1 || true
done

# What the stages called `build` leave in /out.
built=$cache/built
rm -rf "$built"
mkdir -p "$built/out/empty" "$built/out/wheels"
cp "$static/metrifold" "$static/worker" /etc/ssl/certs/ca-certificates.crt "$built/out/"
cp "$wheels"/metrifold-*.whl "$built/out/wheels/"
if [ ! -e "$cache/wheels/.complete" ]; then
    python3 -m pip download --quiet --only-binary :all: --python-version 3.11 --dest "$cache/wheels" \
        flask gunicorn prometheus_client
    touch "$cache/wheels/.complete"
fi
cp "$cache"/wheels/*.whl "$built/out/wheels/"
tar -C "$built" -c . | docker import - metrifold-offline/built >/dev/null

# The Dockerfiles themselves, from the end of the stage `build` on.
stages() { # DOCKERFILE
    echo "FROM metrifold-offline/built AS build"
    awk '/^FROM/ { stage++ } stage > 1' "$1" | sed 's|^FROM python:.*|FROM metrifold-offline/python|'
}

context=$cache/context
rm -rf "$context"
mkdir -p "$context/deploy"
cp -r deploy/app "$context/deploy/"
stages deploy/metrifold.Dockerfile >"$context/Dockerfile"
for target in metrifold worker; do
    docker build --quiet --target "$target" --tag "metrifold-offline/$target" "$context" >/dev/null
done
stages deploy/app/Dockerfile >"$context/Dockerfile"
docker build --quiet --build-arg PIP_OPTIONS="--no-index --find-links /wheels" \
    --tag metrifold-offline/app "$context" >/dev/null
