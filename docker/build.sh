#!/usr/bin/env bash
# Build images with podman, and put each one's bill of materials beside it in docker/built.
# usage: docker/build.sh [stage] [airflow] [stage-gpu]          (default: stage airflow)
#   BASE           base image; with BASE=localhost/heartwood-base:bookworm, docker/base.sh makes it where it is missing
#   TORCH_INDEX    where torch comes from (default: PyTorch's own index, but the wheel on this disk where pip is told of one)
# What pip is told on this machine (index, wheels on the disk, CA bundle) is lent to the build and is in no image.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=("${@:-stage}")
if [ $# -eq 0 ]; then targets=(stage airflow); fi

# A second build at the same time would do everything twice.
exec 9>"${TMPDIR:-/tmp}/heartwood-build.lock"
flock 9

PODMAN=(podman)
if command -v runc >/dev/null; then PODMAN+=(--runtime runc); fi

lent=$(mktemp -d)
trap 'rm -rf "$lent"' EXIT
pip_says() { python3.11 -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'$/\1/p" | head -n 1; }
certificates=$(pip_says cert)
wheels=$(pip_says find-links)
index=$(pip_says index-url)
flags=(--network host --isolation chroot --ulimit nofile=1024:1024 --layers --format oci)
if [ -n "$certificates" ]; then flags+=(--secret "id=ca,src=$certificates"); fi
if [ -d "$wheels" ]; then flags+=(--volume "$wheels:$wheels:ro"); fi
if [ -n "$index$wheels" ]; then
  { echo "[global]"; [ -z "$index" ] || echo "index-url = $index"; } >"$lent/pip"
  { [ -z "$index" ] || echo "index-url = \"$index\""; [ -z "$wheels" ] || echo "find-links = [\"$wheels\"]"; } >"$lent/uv"
  flags+=(--secret "id=pip,src=$lent/pip" --secret "id=uv,src=$lent/uv")
fi

if [ "${BASE-}" = localhost/heartwood-base:bookworm ]; then bash docker/base.sh "$BASE"; fi
if [ -n "${BASE-}" ]; then flags+=(--build-arg "BASE=$BASE"); fi
if compgen -G "$wheels/torch-*.whl" >/dev/null; then TORCH_INDEX=${TORCH_INDEX-}; fi
if [ -n "${TORCH_INDEX+set}" ]; then flags+=(--build-arg "TORCH_INDEX=$TORCH_INDEX"); fi

revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
if [ -n "$(git status --porcelain 2>/dev/null)" ]; then revision="$revision-changed"; fi

mkdir -p docker/built
for target in "${targets[@]}"; do
  name="localhost/heartwood-$target"
  "${PODMAN[@]}" build "${flags[@]}" --build-arg "REVISION=$revision" --file docker/Dockerfile --target "$target" \
    --tag "$name:$revision" --tag "$name:latest" . >"$lent/log" 2>&1 || { tail -n 40 "$lent/log" >&2; exit 1; }
  container=$("${PODMAN[@]}" create --network host "$name:$revision")
  "${PODMAN[@]}" cp "$container:/opt/heartwood/sbom.cdx.json" "docker/built/$target.cdx.json"
  "${PODMAN[@]}" rm "$container" >/dev/null
  echo "$name:$revision"
done
