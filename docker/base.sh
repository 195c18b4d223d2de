#!/usr/bin/env bash
# Make a base image where no image registry can be reached: Debian and its Python, from a Debian mirror.
# usage: docker/base.sh [NAME]      needs root, debootstrap and podman; an image that is there is kept
set -euo pipefail
name=${1:-localhost/heartwood-base:bookworm}
mirror=${DEBIAN_MIRROR:-}  # empty: the one that debootstrap knows itself

# Two tests may ask for it at once.
exec 9>"${TMPDIR:-/tmp}/heartwood-base.lock"
flock 9
if podman image exists "$name"; then exit 0; fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# debootstrap does not see that python3-distutils is what python3.11-venv asks for under another name.
debootstrap --variant=minbase --include=ca-certificates,python3.11,python3-distutils,python3.11-venv bookworm "$folder/root" ${mirror:+"$mirror"} >"$folder/log" || {
  tail -n 20 "$folder/log" >&2
  exit 1
}
sources=$folder/root/etc/apt/sources.list
used=$(awk '$1 == "deb" { print $2; exit }' "$sources")
printf 'deb %s bookworm main\n' "$used" >"$sources"
printf 'deb %s bookworm-updates main\n' "$used" >>"$sources"
printf 'deb %s bookworm-security main\n' "${used%/}-security" >>"$sources"
# What debootstrap copied from this machine, and what the installation left behind.
rm -rf "$folder"/root/etc/{hostname,resolv.conf} "$folder"/root/var/cache/apt/*.bin "$folder"/root/var/cache/apt/archives/*.deb \
  "$folder"/root/var/lib/apt/lists/* "$folder"/root/var/log/*
tar --create --directory "$folder/root" --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* . |
  podman import --quiet --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'CMD ["bash"]' - "$name" >/dev/null
