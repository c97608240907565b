#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the container images remora-sidecar and remora-control with podman and checks what they promise:
# one program from scratch, not root, small, running on a read-only root without capabilities.
# Nothing is pulled unless --base names an image that must be: the base of the build stage is made by
# debootstrap from the Debian archive that this machine's apt uses, and kept in <repository>/.deps/cache.
# Of this machine's apt, the Debian sources and the connection settings reach the build stage as a mount.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suite=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=$PWD/.deps/cache
user=65532:65532
size_limit_bytes=$((10 << 20)) # a node pulls it for every workload; two static programs stay below

usage() {
    cat <<USAGE
Usage: deploy/build-images.sh [--base IMAGE] [--fresh]

  --base IMAGE   a Debian 12 image for the build stage, instead of one made by debootstrap
  --fresh        make that base anew, and so everything on it, with today's packages

The build takes wolfSSL's source from .deps/cache when deploy/install-deps.sh has left it there.
USAGE
}
step() { printf '==> %s\n' "$*"; }
die() { printf 'build-images: %s\n' "$*" >&2; exit 1; }
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    else
        command -v sudo >/dev/null || die "root is needed for '$1': run as root or install sudo"
        sudo "$@"
    fi
}

# ---- podman on this machine --------------------------------------------------------------------

find_program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" || true; }

need() { # program, what for
    [[ -n $(find_program "$1") ]] ||
        die "$1 is not installed ($2): deploy/install-deps.sh --containers installs it"
}

# The hard limit that ulimit's option $1 names, at most $2.
hard_limit() {
    local hard
    hard=$(ulimit -H "$1")
    if [[ $hard = unlimited ]] || ((hard > $2)); then hard=$2; fi
    echo "$hard"
}

# Sets `podman` to podman with the settings that this machine lacks: Debian's podman asks for crun and
# systemd wherever it runs, and for more files and processes than a machine without CAP_SYS_RESOURCE may give.
podman=()
limits=()
find_podman() {
    need podman "it builds and runs the images"
    podman=(podman)
    if [[ -z $(find_program crun) ]]; then
        need runc "podman starts containers with it"
        podman+=(--runtime "$(find_program runc)")
    fi
    [[ -d /run/systemd/system ]] || podman+=(--cgroup-manager cgroupfs)
    # podman bounds its own processes to the highest process id, and can give no more than it has
    limits=(--ulimit "nofile=$(hard_limit -n 65536)"
        --ulimit "nproc=$(hard_limit -u "$(cat /proc/sys/kernel/pid_max)")")
}

# ---- the base of the build stage ---------------------------------------------------------------

# What apt on this machine knows of the Debian archive, as lines of a sources.list.
debian_sources() {
    # shellcheck disable=SC2016  # apt-get itself expands these
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
        'Created-By: Packages' |
        awk -F '|' -v suite="$suite" -v key="[signed-by=$keyring]" '
            $1 == "Debian" && $2 !~ /^cdrom/ && index($3, suite) == 1 { print "deb", key, $2, $3, $4 }'
}

# Writes into $1 the /etc/apt of the build stage.
write_apt_folder() {
    local folder=$1 sources
    sources=$(debian_sources)
    [[ -n $sources ]] ||
        die "no source of Debian $suite is among this machine's apt sources, or its lists are empty" \
            "(apt-get update); name an image that has everything with --base"
    mkdir -p "$folder"/{apt.conf.d,auth.conf.d,preferences.d,sources.list.d,trusted.gpg.d}
    printf '%s\n' "$sources" >"$folder/sources.list"
    apt-config dump | grep -E '^Acquire::(https?|ftp|Check-|Retries|ForceIPv)' |
        grep -v '::CAInfo ' >"$folder/apt.conf.d/10machine.conf" || true
    if [[ -r /etc/ssl/certs/ca-certificates.crt ]]; then
        cp /etc/ssl/certs/ca-certificates.crt "$folder/ca.crt"
        echo 'Acquire::https::CAInfo "/etc/apt/ca.crt";' >>"$folder/apt.conf.d/10machine.conf"
    fi
    cp -p /etc/apt/auth.conf.d/*.conf "$folder/auth.conf.d/" 2>/dev/null || true
}

# Makes $1, the archive of a minimal Debian.
make_base() {
    local archive=$1 mirror root=$work/root
    need debootstrap "it makes the base of the build stage"
    [[ -r $keyring ]] || die "$keyring is missing: install debian-archive-keyring"
    mirror=$(debian_sources | awk -v suite="$suite" '$4 == suite && !found++ { print $3 }')
    step "base: debootstrap $suite"
    if ! as_root debootstrap --variant=minbase "--keyring=$keyring" "$suite" "$root" "$mirror" \
        >"$work/debootstrap.log" 2>&1; then
        tail -n 15 "$work/debootstrap.log" >&2
        die "debootstrap failed (see above)"
    fi
    mkdir -p "$cache"
    as_root tar -C "$root" -cf - --exclude='./var/cache/apt/archives/*.deb' \
        --exclude='./var/lib/apt/lists/*' --exclude=./dev . >"$archive.new"
    as_root rm -rf --one-file-system -- "$root"
    mv -f "$archive.new" "$archive"
}

# Sets `base` to the image of the build stage.
provide_base() {
    local architecture archive
    architecture=$(dpkg --print-architecture)
    archive=$cache/base-$suite-$architecture.tar
    base=localhost/remora-build-base:$suite-$architecture
    if [[ ! -s $archive || $fresh = yes ]]; then
        make_base "$archive"
    elif "${podman[@]}" image exists "$base"; then
        step "base: $base is there"
        return
    fi
    "${podman[@]}" import --quiet "$archive" "$base" >/dev/null
    step "base: $base"
}

# ---- the images --------------------------------------------------------------------------------

# Sets `wolfssl` to the arguments that hand an archive of the source to the build, if there is one.
wolfssl=()
find_wolfssl() {
    local hash archive=${REMORA_WOLFSSL_TARBALL:-}
    if [[ -z $archive ]]; then
        hash=$(sed -n 's/^wolfssl_sha256=//p' deploy/install-deps.sh)
        archive=$cache/wolfssl-${hash:0:16}.tar
        [[ -r $archive ]] || return 0
    fi
    [[ -r $archive ]] || die "REMORA_WOLFSSL_TARBALL: cannot read $archive"
    wolfssl=(--volume "$(realpath -- "$archive"):/run/wolfssl.tar:ro"
        --build-arg WOLFSSL_TARBALL=/run/wolfssl.tar)
}

build_image() { # target
    local options=(--target "$1" --tag "remora-$1" --build-arg "BASE=$base" --network host
        --volume "$work/apt:/etc/apt")
    [[ $base != localhost/* ]] || options+=(--pull=never)
    step "remora-$1: building"
    "${podman[@]}" build -f deploy/Containerfile "${options[@]}" "${wolfssl[@]}" "${limits[@]}" . ||
        die "remora-$1 was not built (see above)"
}

check_image() { # image
    local image=$1 owner bytes version
    owner=$("${podman[@]}" image inspect --format '{{.User}}' "$image")
    bytes=$("${podman[@]}" image inspect --format '{{.Size}}' "$image")
    [[ $owner = "$user" ]] || die "$image runs as '$owner', not as $user"
    ((bytes < size_limit_bytes)) || die "$image has $bytes bytes: $size_limit_bytes is the limit"
    version=$("${podman[@]}" run --rm --read-only --read-only-tmpfs=false --cap-drop all \
        --security-opt no-new-privileges --network none "${limits[@]}" "$image" --version) ||
        die "$image does not run"
    printf '  %-16s %6.2f MiB  user %s  %s\n' "$image" "$(awk "BEGIN { print $bytes / 1048576 }")" \
        "$owner" "${version%%$'\n'*}"
}

base=
fresh=no
while [[ $# -gt 0 ]]; do
    case $1 in
    --base)
        [[ $# -ge 2 ]] || die "--base needs an image"
        base=$2
        shift
        ;;
    --fresh) fresh=yes ;;
    -h | --help) usage; exit ;;
    *) usage >&2; die "unknown option: $1" ;;
    esac
    shift
done
[[ -z $base || $fresh = no ]] || die "--fresh is for the base that is made here, not for $base"
work=$(mktemp -d "${TMPDIR:-/tmp}/remora-images-XXXXXX")
trap 'as_root rm -rf --one-file-system -- "$work"' EXIT
trap 'exit 130' INT TERM

find_podman
write_apt_folder "$work/apt"
[[ -n $base ]] || provide_base
find_wolfssl
build_image sidecar
build_image control
step "images, each run read-only, without capabilities and without a network:"
check_image remora-sidecar
check_image remora-control
