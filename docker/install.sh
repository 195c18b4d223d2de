#!/bin/sh
# Install what a file of pinned requirements names into the image that is being built; leaves no cache, and compiles nothing.
# usage: install.sh REQUIREMENTS [TORCH_INDEX]
set -eu
environment=/opt/environment

# A machine behind its own package mirror lends these for the time of the build; none becomes part of the image.
lent() { [ ! -e "/run/secrets/$2" ] || export "$1=/run/secrets/$2"; }
lent PIP_CONFIG_FILE pip
lent PIP_CERT ca
lent UV_CONFIG_FILE uv
lent SSL_CERT_FILE ca

# The installer lives as long as this step, so that no layer has it.
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3.11 -m venv "$tool"
"$tool/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check uv==0.13.9

export UV_COMPILE_BYTECODE=1
install() { "$tool/bin/uv" pip install --quiet --no-cache --no-build --python "$environment/bin/python" "$@"; }

if [ ! -e "$environment" ]; then python3.11 -m venv --without-pip "$environment"; fi
# PyPI has torch for CUDA only; the one for CPUs is a tenth of its size.
if [ -n "${2-}" ]; then install --constraint "$1" --index "$2" "$(grep '^torch==' "$1")"; fi
install --requirement "$1"
# Everybody might write to it.
rm -f "$environment/.lock"
