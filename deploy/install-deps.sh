#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs everything that building, testing and demonstrating Remora needs:
#   1. Debian packages,
#   2. wolfSSL, built from source into <repository>/.deps/wolfssl,
#   3. a Python virtualenv for the tests in <repository>/.deps/venv.
# Safe to run again: what is in place is left alone.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
deps=$repo/.deps

# ---- what is installed -------------------------------------------------------------------------

base_packages=(
    # build
    build-essential cmake ninja-build pkg-config ccache clang autoconf automake libtool dpkg-dev
    protobuf-compiler libprotobuf-dev protobuf-c-compiler libprotobuf-c-dev
    libuv1-dev libnghttp2-dev libc-ares-dev libsqlite3-dev libjansson-dev libyaml-dev
    # checks and unit tests
    clang-format clang-tidy cppcheck shellcheck valgrind libcmocka-dev
    # behaviour tests and the demo
    python3 python3-venv nginx-light redis-server redis-tools openssl curl ca-certificates gnutls-bin
    iproute2 nftables procps util-linux faketime libfaketime xxd jq tcpdump
)
bench_packages=(libnginx-mod-stream haproxy hitch stunnel4 wrk iperf3)
container_packages=(podman buildah runc debootstrap uidmap)

# Units that Debian would start at boot only because a package of ours arrived.
service_units=(nginx redis-server haproxy hitch stunnel4)

wolfssl_version=5.9.2
wolfssl_sha256=2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114
wolfssl_oldest=5.9

# TLS 1.3 only, and as little else as a mesh proxy and its CA can live with: what is compiled in costs
# memory on every connection. P-256 has its assembly and speed table, RSA 2048 its assembly; larger
# RSA keys and P-384, met only in foreign chains, use the generic code.
wolfssl_options=(
    --enable-static --disable-shared --with-pic --disable-optflags
    --disable-examples --disable-crypttests --disable-benchmark --disable-filesystem
    --disable-oldtls --disable-tlsv12 --enable-tls13
    --disable-dh --disable-aescbc --disable-pkcs12 --disable-asn-print --disable-sha224
    --enable-session-ticket --enable-alpn --enable-sni --enable-cert-setup-cb
    --enable-altcertchains --enable-ip-alt-name
    --enable-certgen --enable-certreq --enable-certext --enable-certsigncb --enable-keygen
    --enable-curve25519 "--enable-mlkem=768,make,enc,dec" --with-eccminsz=256
    --enable-chacha --enable-poly1305 --enable-hkdf --enable-sha384 --enable-sha512
    --enable-base64encode
)
wolfssl_options_x86_64=(--enable-intelasm "--enable-sp=ec256,rsa2048,asm" --enable-aesgcm=small)
wolfssl_options_other=("--enable-sp=ec256,rsa2048")

wolfssl_cflags=(
    -O2 -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -fstack-protector-strong
    -DWOLFSSL_NO_TLS12                      # --disable-tlsv12 alone leaves TLS 1.2 compiled in
    -DECC_USER_CURVES -DHAVE_ECC384         # P-256 and P-384, no other curve
    -DALT_ECC_SIZE                          # halves what a handshake with P-384 takes at its peak
    -DWOLFSSL_SP_NO_3072                    # its assembly would be linked in without being used
    -DWOLFSSL_MIN_RSA_BITS=2048 -DWOLFSSL_MIN_ECC_BITS=256
    -DWOLFSSL_ALWAYS_VERIFY_CB              # our verdict sees good chains too
    -DWOLFSSL_ALT_NAMES -DWOLFSSL_CUSTOM_OID -DHAVE_OID_ENCODING -DWOLFSSL_ALLOW_ENCODING_CA_FALSE
    -DWOLFSSL_TICKET_EXTRA_PADDING_SZ=256   # room for the identity that a ticket carries
    -DWOLFSSL_NO_DEF_TICKET_ENC_CB          # no tickets but under our own keys
    -DMICRO_SESSION_CACHE -DNO_SESSION_CACHE_REF -DNO_CLIENT_CACHE
)

# ---- small helpers -----------------------------------------------------------------------------

usage() {
    cat <<USAGE
Usage: deploy/install-deps.sh [--bench] [--containers]

  --bench        also install what the comparisons with other proxies need
  --containers   also install what building container images needs

Environment:
  REMORA_WOLFSSL_TARBALL=FILE  build wolfSSL from this source archive instead of fetching it
  REMORA_WOLFSSL_SHA256=HASH   expect this hash of the source archive
  REMORA_WOLFSSL_PREFIX=DIR    use the wolfSSL installed under DIR (include/, lib/) and build none
USAGE
}

step() { printf '==> %s\n' "$*"; }
die() { printf 'install-deps: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    else
        command -v sudo >/dev/null || die "root is needed for '$1': run as root or install sudo"
        sudo "$@"
    fi
}

cleanup_dirs=()
policy_guard=
on_exit() {
    [[ -z $policy_guard ]] || as_root rm -f "$policy_guard"
    [[ ${#cleanup_dirs[@]} -eq 0 ]] || rm -rf -- "${cleanup_dirs[@]}"
}
trap on_exit EXIT
trap 'exit 130' INT TERM

# Runs a command quietly; its log is shown only when it fails.
logged() {
    local log=$1
    shift
    "$@" >>"$log" 2>&1 && return
    tail -n 30 "$log" >&2
    die "'$1' failed; the lines above are the end of its output"
}

hash_of() { printf '%s\n' "$@" | sha256sum | cut -d' ' -f1; }

# ---- Debian packages ---------------------------------------------------------------------------

missing_packages() {
    local installed
    installed=$(dpkg-query -W -f '${Status}\t${Package}\n' "$@" 2>/dev/null |
        awk -F '\t' '$1 == "install ok installed" { print $2 }' || true)
    printf '%s\n' "$@" | grep -vxF -f <(printf '%s\n' "$installed") || true
}

# Keeps daemons from starting while their packages are unpacked. A policy that is already there
# belongs to the machine's owner and stays as it is.
guard_services() {
    local policy=/usr/sbin/policy-rc.d
    [[ ! -e $policy ]] || return 0
    policy_guard=$policy
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

install_packages() {
    local missing unit
    command -v apt-get >/dev/null || die "this is not a Debian system: apt-get was not found"
    mapfile -t missing < <(missing_packages "$@")
    if [[ ${#missing[@]} -eq 0 ]]; then
        step "packages: all $# in place"
        return
    fi
    step "packages: installing ${missing[*]}"
    as_root apt-get update -qq || step "packages: 'apt-get update' had errors, trying anyway"
    guard_services
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}"
    for unit in "${service_units[@]}"; do
        if printf '%s\n' "${missing[@]}" | grep -qE "^$unit(-light)?\$"; then
            as_root systemctl disable --quiet "$unit" 2>/dev/null || true
        fi
    done
}

# ---- wolfSSL -----------------------------------------------------------------------------------

version_of() {
    sed -n 's/^#define LIBWOLFSSL_VERSION_STRING "\([^"]*\)".*/\1/p' "$1" 2>/dev/null
}

require_version() {
    local version=$1 where=$2
    [[ -n $version ]] || die "$where does not look like wolfSSL: wolfssl/version.h was not found"
    dpkg --compare-versions "$version" ge "$wolfssl_oldest" ||
        die "$where is wolfSSL $version; Remora needs $wolfssl_oldest or newer"
}

# The Debian archive this machine already uses, in whatever file and format it is written down.
debian_archive_uri() {
    # shellcheck disable=SC2016  # apt-get itself expands these
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "Debian" && $3 !~ /^cdrom/ { print $3; exit }'
}

# Downloads the source archive of Debian's development suite into $1 and prints its path. Lists
# and cache are private, so the machine's own package selection never sees that suite.
fetch_from_debian() {
    local dir=$1 uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=''
    uri=$(debian_archive_uri)
    if [[ -z $uri ]]; then
        as_root apt-get update -qq >&2 || true
        uri=$(debian_archive_uri)
    fi
    [[ -n $uri ]] || die "no Debian archive among this machine's apt sources;" \
        "give the wolfSSL $wolfssl_version source with REMORA_WOLFSSL_TARBALL=FILE"
    [[ ! -r $keyring ]] || signed="[signed-by=$keyring]"
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    printf 'deb-src %s %s sid main\n' "$signed" "$uri" >"$dir/sid.list"
    local options=(
        -o "Dir::Etc::sourcelist=$dir/sid.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache"
        -o "APT::Sandbox::User=$(id -un)"
    )
    logged "$dir/apt.log" apt-get "${options[@]}" update
    (cd "$dir" && logged "$dir/apt.log" apt-get "${options[@]}" source --tar-only wolfssl)
    find "$dir" -maxdepth 1 -name 'wolfssl_*.orig.tar.*' -print -quit
}

# Sets `tarball` to a source archive whose hash is the expected one.
find_tarball() {
    local work=$1 kept=$deps/cache/wolfssl-$wolfssl_version.tar.gz found
    local expected=${REMORA_WOLFSSL_SHA256:-$wolfssl_sha256}
    tarball=${REMORA_WOLFSSL_TARBALL:-$kept}
    if [[ -n ${REMORA_WOLFSSL_TARBALL:-} ]]; then
        [[ -r $tarball ]] || die "REMORA_WOLFSSL_TARBALL: cannot read $tarball"
    elif ! printf '%s  %s\n' "$expected" "$kept" | sha256sum -c --status 2>/dev/null; then
        step "wolfssl: fetching the source from the Debian archive"
        found=$(fetch_from_debian "$work/apt")
        [[ -n $found ]] || die "the Debian archive gave no wolfSSL source;" \
            "give it with REMORA_WOLFSSL_TARBALL=FILE"
        mkdir -p "$deps/cache"
        mv -f "$found" "$kept"
        step "wolfssl: got $(basename "$found")"
    fi
    printf '%s  %s\n' "$expected" "$tarball" | sha256sum -c --status ||
        die "$tarball has SHA-256 $(sha256sum "$tarball" | cut -d' ' -f1), expected $expected" \
            "(wolfSSL $wolfssl_version). Check the source; REMORA_WOLFSSL_SHA256 accepts another."
}

build_wolfssl() {
    local prefix=$1 work tarball source log jobs
    mkdir -p "$deps"
    work=$(mktemp -d "$deps/build.XXXXXX")
    cleanup_dirs+=("$work")
    log=$work/build.log
    find_tarball "$work"
    mkdir "$work/src"
    tar -xf "$tarball" -C "$work/src" --strip-components=1 --no-same-owner
    source=$work/src
    require_version "$(version_of "$source/wolfssl/version.h")" "$tarball"
    jobs=$(nproc)
    step "wolfssl: configuring"
    cd "$source"
    [[ -x configure ]] || logged "$log" autoreconf -fi
    logged "$log" ./configure --quiet "--prefix=$prefix" "${wolfssl_options[@]}" \
        "CFLAGS=${wolfssl_cflags[*]}"
    step "wolfssl: building"
    logged "$log" make -j "$jobs"
    logged "$log" make install "DESTDIR=$work/stage"
    cd "$repo"
    install_wolfssl "$work/stage$prefix" "$prefix"
}

# Moves the finished tree in place, so that nobody ever sees half of one.
install_wolfssl() {
    local staged=$1 prefix=$2
    rm -rf -- "${staged:?}"/{bin,share,lib/cmake} "$staged"/lib/*.la
    printf '%s\n' "$wolfssl_recipe" >"$staged/.recipe"
    if [[ -e $prefix || -L $prefix ]]; then
        mv -T "$prefix" "$deps/wolfssl.old.$$"
        cleanup_dirs+=("$deps/wolfssl.old.$$")
    fi
    mv -T "$staged" "$prefix"
    step "wolfssl: $(version_of "$prefix/include/wolfssl/version.h") installed in $prefix"
}

provide_wolfssl() {
    local prefix=$deps/wolfssl
    if [[ $(uname -m) == x86_64 ]]; then
        wolfssl_options+=("${wolfssl_options_x86_64[@]}")
    else
        wolfssl_options+=("${wolfssl_options_other[@]}")
    fi
    wolfssl_recipe=$(hash_of "$wolfssl_version" "${REMORA_WOLFSSL_SHA256:-$wolfssl_sha256}" \
        "${wolfssl_options[@]}" "${wolfssl_cflags[@]}" "$(declare -f build_wolfssl install_wolfssl)")
    if [[ -s $prefix/lib/libwolfssl.a && $(cat "$prefix/.recipe" 2>/dev/null) == "$wolfssl_recipe" ]]; then
        step "wolfssl: up to date in $prefix"
        return
    fi
    build_wolfssl "$prefix"
}

# ---- Python ------------------------------------------------------------------------------------

provide_venv() {
    local venv=$deps/venv requirements=$repo/tests/requirements.txt python=/usr/bin/python3 recipe
    [[ -x $python ]] || python=python3
    recipe=$(hash_of "$("$python" --version)" "$(cat "$requirements")")
    if [[ -x $venv/bin/pytest && $(cat "$venv/.recipe" 2>/dev/null) == "$recipe" ]]; then
        step "python: up to date in $venv"
        return
    fi
    step "python: making $venv"
    "$python" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    printf '%s\n' "$recipe" >"$venv/.recipe"
}

# ---- main --------------------------------------------------------------------------------------

main() {
    local packages=("${base_packages[@]}")
    while [[ $# -gt 0 ]]; do
        case $1 in
        --bench) packages+=("${bench_packages[@]}") ;;
        --containers) packages+=("${container_packages[@]}") ;;
        -h | --help) usage; return ;;
        *) usage >&2; die "unknown option: $1" ;;
        esac
        shift
    done
    install_packages "${packages[@]}"
    provide_wolfssl
    provide_venv
    step "done"
}

main "$@"
