#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs everything that building, testing and demonstrating Remora needs:
#   1. Debian packages,
#   2. wolfSSL, built from source into <repository>/.deps/wolfssl,
#   3. a Python virtualenv for the tests in <repository>/.deps/venv.
# With --build-only: only what compiling needs, and no virtualenv.
# Runs as root, or as a user who may use sudo. Safe to run again: what is in place is left alone.
set -euo pipefail
shopt -s inherit_errexit

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
deps=$repo/.deps

# ---- what is installed -------------------------------------------------------------------------

build_packages=(
    build-essential cmake ninja-build pkg-config autoconf automake libtool dpkg-dev
    protobuf-compiler libprotobuf-dev protobuf-c-compiler libprotobuf-c-dev
    libuv1-dev libnghttp2-dev libc-ares-dev libsqlite3-dev libjansson-dev libyaml-dev
)
test_packages=(
    # checks and unit tests
    ccache clang clang-format clang-tidy cppcheck shellcheck valgrind libcmocka-dev
    # behaviour tests and the demo
    python3 python3-venv nginx-light redis-server redis-tools postgresql openssl curl gnutls-bin
    ca-certificates iproute2 nftables procps util-linux faketime libfaketime zsh xxd jq tcpdump
)
# The tests run sidecars as containers. Docker's own packages bring a runc of theirs, which apt would
# remove, with Docker, in favour of Debian's: any runc will do.
[[ -n $(PATH=$PATH:/usr/sbin:/sbin command -v runc) ]] || test_packages+=(runc)
bench_packages=(libnginx-mod-stream haproxy hitch stunnel4 wrk iperf3)
container_packages=(podman buildah debootstrap uidmap netavark aardvark-dns slirp4netns fuse-overlayfs)

# Units that Debian would start at boot only because a package of ours arrived.
service_units=(nginx redis-server postgresql haproxy hitch stunnel4)

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
    --enable-base64encode --disable-hashdrbg
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
    -DWOLFSSL_SEND_HRR_COOKIE               # gives back the cookie of a HelloRetryRequest; sends none
    -DMICRO_SESSION_CACHE -DNO_SESSION_CACHE_REF -DNO_CLIENT_CACHE
    -DCUSTOM_RAND_GENERATE_BLOCK=wolfssl_random_block # see write_random_header
)

# For P-256's own file alone. The third signature that one key made (an issuer's, a peer's) is verified
# with a table of that key's multiples, in a third of the time; the tables take 33 KB per thread. The
# generic code must not have this: what it would do with P-384's secrets takes a time that tells of them.
wolfssl_p256_object=wolfcrypt/src/src_libwolfssl_la-sp_x86_64.lo
wolfssl_p256_cppflags='-DFP_ECC -DFP_ENTRIES=8'

# What Remora relies on and what another build of wolfSSL must therefore have.
wolfssl_needed=(
    WOLFSSL_TLS13 WOLFSSL_NO_TLS12 HAVE_SESSION_TICKET HAVE_SNI HAVE_ALPN WOLFSSL_CERT_SETUP_CB
    WOLFSSL_ALWAYS_VERIFY_CB WOLFSSL_ALT_NAMES WOLFSSL_IP_ALT_NAME WOLFSSL_CERT_GEN
    WOLFSSL_CERT_REQ WOLFSSL_CERT_EXT WOLFSSL_CERT_SIGN_CB WOLFSSL_CUSTOM_OID HAVE_OID_ENCODING
    WOLFSSL_ALLOW_ENCODING_CA_FALSE WOLFSSL_KEY_GEN WOLFSSL_HAVE_MLKEM HAVE_CURVE25519 HAVE_HKDF
    HAVE_AESGCM HAVE_CHACHA WOLFSSL_SHA384 WOLFSSL_BASE64_ENCODE
)

own_tarball_hint="give the wolfSSL $wolfssl_version source with REMORA_WOLFSSL_TARBALL=FILE"

# ---- small helpers -----------------------------------------------------------------------------

usage() {
    cat <<USAGE
Usage: deploy/install-deps.sh [--build-only] [--bench] [--containers]

  --build-only   install only what compiling Remora needs: nothing for tests, demo and checks
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

# Runs a command with its output going to the file $1; the end of that is shown when it fails.
logged() {
    local log=$1
    shift
    "$@" >>"$log" 2>&1 && return
    tail -n 30 "$log" >&2
    die "failed: $*"
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
    local missing unit log=$deps/packages.log
    command -v apt-get >/dev/null || die "this is not a Debian system: apt-get was not found"
    mapfile -t missing < <(missing_packages "$@")
    if [[ ${#missing[@]} -eq 0 ]]; then
        step "packages: all $# in place"
        return
    fi
    step "packages: installing ${missing[*]}"
    as_root apt-get update -qq || step "packages: 'apt-get update' had errors, trying anyway"
    guard_services
    : >"$log"
    logged "$log" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
    for unit in "${service_units[@]}"; do
        if printf '%s\n' "${missing[@]}" | grep -qE "^$unit(-light)?\$"; then
            as_root systemctl disable --quiet "$unit" 2>/dev/null || true
        fi
    done
}

# ---- wolfSSL -----------------------------------------------------------------------------------

# Prints the version that a wolfssl/version.h on standard input names.
read_version() { sed -n 's/^#define LIBWOLFSSL_VERSION_STRING "\([^"]*\)".*/\1/p'; }

require_version() {
    local version=$1 where=$2
    [[ -n $version ]] || die "$where is not wolfSSL: it has no wolfssl/version.h"
    dpkg --compare-versions "$version" ge "$wolfssl_oldest" ||
        die "$where is wolfSSL $version; Remora needs $wolfssl_oldest or newer"
}

has_hash() { printf '%s  %s\n' "$2" "$1" | sha256sum --check --status 2>/dev/null; }

# The Debian archive this machine already uses, in whatever file and format it is written down.
debian_archive_uri() {
    # shellcheck disable=SC2016  # apt-get itself expands these
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "Debian" && $3 !~ /^cdrom/ && !found++ { print $3 }'
}

# Downloads the source archive of Debian's development suite into $1 and prints its path. Lists
# and cache are private, so the machine's own package selection never sees that suite.
fetch_from_debian() {
    local dir=$1 uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed='' found
    uri=$(debian_archive_uri)
    if [[ -z $uri ]]; then
        as_root apt-get update -qq >&2 || true
        uri=$(debian_archive_uri)
    fi
    [[ -n $uri ]] || die "no Debian archive among this machine's apt sources; $own_tarball_hint"
    [[ ! -r $keyring ]] || signed="[signed-by=$keyring]"
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    printf 'deb-src %s %s sid main\n' "$signed" "$uri" >"$dir/sid.list"
    local apt=(
        apt-get -o "Dir::Etc::sourcelist=$dir/sid.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache"
        -o "APT::Sandbox::User=$(id -un)"
        # a mirror that lags behind is fine: what is taken from it is checked against our own hash
        -o Acquire::Check-Valid-Until=false
    )
    if ! (cd "$dir" && "${apt[@]}" update && "${apt[@]}" source --tar-only wolfssl) \
        >"$dir/apt.log" 2>&1; then
        tail -n 15 "$dir/apt.log" >&2
        die "the Debian archive of this machine gave no wolfSSL source (see above);" \
            "$own_tarball_hint"
    fi
    find "$dir" -maxdepth 1 -name 'wolfssl_*.orig.tar.*' -print -quit
}

# Sets `tarball` to the verified source archive that Debian publishes, kept from an earlier run if
# there was one.
tarball_from_debian() {
    local work=$1 expected=$2 found
    tarball=$deps/cache/wolfssl-${expected:0:16}.tar
    ! has_hash "$tarball" "$expected" || return 0
    step "wolfssl: fetching the source from the Debian archive"
    found=$(fetch_from_debian "$work/apt")
    [[ -n $found ]] || die "apt-get fetched no wolfSSL source archive; $own_tarball_hint"
    has_hash "$found" "$expected" ||
        die "Debian's ${found##*/} has SHA-256 $(sha256sum <"$found" | cut -d' ' -f1)," \
            "not $expected (wolfSSL $wolfssl_version). If Debian has moved to a version that you" \
            "have reviewed, name its hash with REMORA_WOLFSSL_SHA256; otherwise $own_tarball_hint"
    mkdir -p "$deps/cache"
    mv -f "$found" "$tarball"
}

# Sets `tarball` to the source archive the user named, once version and hash are right.
tarball_from_user() {
    local expected=$1
    tarball=$(realpath -m -- "$REMORA_WOLFSSL_TARBALL")
    [[ -r $tarball ]] || die "REMORA_WOLFSSL_TARBALL: cannot read $tarball"
    require_version "$(tar -xOf "$tarball" --wildcards '*/wolfssl/version.h' 2>/dev/null |
        read_version)" "$tarball"
    has_hash "$tarball" "$expected" ||
        die "$tarball has SHA-256 $(sha256sum <"$tarball" | cut -d' ' -f1), not $expected" \
            "(wolfSSL $wolfssl_version). If that is meant, name it with REMORA_WOLFSSL_SHA256."
}

# wolfSSL would seed, self-test and run a generator of its own in each session: 20 us and more beside the
# 120 of a resumed handshake. It takes all of its randomness from the kernel instead, as we do.
write_random_header() {
    cat >"$1" <<'HEADER'
#ifndef __ASSEMBLER__
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* as wolfSSL's own config.h, which comes later, would */
#endif
#include <errno.h>
#include <sys/random.h>
/* 0, or -1 when the kernel gives none. Up to 256 bytes come whole. */
static inline int wolfssl_random_block(unsigned char *out, unsigned int length)
{
    while (length > 0) {
        ssize_t got = getrandom(out, length < 256 ? length : 256, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return -1;
        }
        out += got;
        length -= (unsigned int)got;
    }
    return 0;
}
#endif
HEADER
}

# X25519 with AVX2 copies all of ymm9 after an instruction that sets only its lower half (the plain movd;
# vmovq clears the rest). What other AVX2 code left in the upper half, such as P-256's, then makes half of
# all public keys wrong.
repair_x25519() {
    local file=wolfcrypt/src/fe_x25519_asm.S
    sed -i 's/^\(\s*\)movd\(\s*%rbx, %xmm9\)$/\1vmovq\2/' "$file"
    [[ $(grep -cE '^\s*vmovq\s+%rbx, %xmm9$' "$file") = 1 ]] ||
        die "$file is not as it was in wolfSSL $wolfssl_version: look at repair_x25519"
}

build_wolfssl() {
    local prefix=$1 expected=$2 work tarball log
    work=$(mktemp -d "$deps/build.XXXXXX")
    cleanup_dirs+=("$work")
    log=$work/build.log
    if [[ -n ${REMORA_WOLFSSL_TARBALL:-} ]]; then
        tarball_from_user "$expected"
    else
        tarball_from_debian "$work" "$expected"
    fi
    mkdir "$work/src"
    tar -xf "$tarball" -C "$work/src" --strip-components=1 --no-same-owner
    require_version "$(read_version <"$work/src/wolfssl/version.h")" "$tarball"
    cd "$work/src"
    repair_x25519
    step "wolfssl: configuring"
    [[ -x configure ]] || logged "$log" autoreconf -fi
    write_random_header "$work/random.h"
    logged "$log" ./configure --quiet "--prefix=$prefix" "${wolfssl_options[@]}" \
        "CFLAGS=${wolfssl_cflags[*]} -include $work/random.h"
    step "wolfssl: building"
    [[ $(uname -m) != x86_64 ]] ||
        logged "$log" make "CPPFLAGS=$wolfssl_p256_cppflags" "$wolfssl_p256_object"
    logged "$log" make -j "$(nproc)"
    logged "$log" make install "DESTDIR=$work/stage"
    cd "$repo"
    rm -rf -- "${work:?}/stage$prefix"/{bin,share,lib/cmake} "$work/stage$prefix"/lib/*.la
    replace_wolfssl "$work/stage$prefix" "$prefix"
}

# Moves a finished tree (or link) in place, so that nobody ever sees half of one.
replace_wolfssl() {
    local staged=$1 prefix=$2 old
    old=$(mktemp -d "$deps/build.XXXXXX")
    cleanup_dirs+=("$old")
    [[ ! -e $prefix && ! -L $prefix ]] || mv -T -- "$prefix" "$old/wolfssl"
    mv -T -- "$staged" "$prefix"
    step "wolfssl: $(read_version <"$prefix/include/wolfssl/version.h") is in $prefix"
}

# Accepts a wolfSSL that the user built, if it does what Remora relies on.
use_foreign_wolfssl() {
    local prefix=$1 foreign options macro link
    foreign=$(realpath -m -- "$REMORA_WOLFSSL_PREFIX")
    options=$foreign/include/wolfssl/options.h
    require_version "$(read_version 2>/dev/null <"$foreign/include/wolfssl/version.h")" "$foreign"
    [[ -e $foreign/lib/libwolfssl.a ]] || die "$foreign has no lib/libwolfssl.a"
    for macro in "${wolfssl_needed[@]}"; do
        grep -qE "^#define $macro( |\$)" "$options" || die "$foreign was built without $macro"
    done
    if [[ $(realpath -- "$prefix" 2>/dev/null) == "$foreign" ]]; then
        step "wolfssl: $prefix already stands for $foreign"
        return
    fi
    link=$(mktemp -d "$deps/build.XXXXXX")
    cleanup_dirs+=("$link")
    ln -s -- "$foreign" "$link/wolfssl"
    replace_wolfssl "$link/wolfssl" "$prefix"
}

provide_wolfssl() {
    local prefix=$deps/wolfssl expected=${REMORA_WOLFSSL_SHA256:-$wolfssl_sha256} recipe
    if [[ -n ${REMORA_WOLFSSL_PREFIX:-} ]]; then
        use_foreign_wolfssl "$prefix"
        return
    fi
    if [[ $(uname -m) == x86_64 ]]; then
        wolfssl_options+=("${wolfssl_options_x86_64[@]}")
    else
        wolfssl_options+=("${wolfssl_options_other[@]}")
    fi
    recipe=$(hash_of "$prefix" "$expected" "${wolfssl_options[@]}" "${wolfssl_cflags[@]}" \
        "$wolfssl_p256_cppflags" "$(declare -f write_random_header repair_x25519 build_wolfssl)")
    if [[ -s $prefix/lib/libwolfssl.a && $(cat "$prefix/.recipe" 2>/dev/null) == "$recipe" ]]; then
        step "wolfssl: up to date in $prefix"
        return
    fi
    build_wolfssl "$prefix" "$expected"
    printf '%s\n' "$recipe" >"$prefix/.recipe"
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
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" ||
        die "pip could not install what $requirements names"
    printf '%s\n' "$recipe" >"$venv/.recipe"
}

# ---- main --------------------------------------------------------------------------------------

main() {
    local packages=("${build_packages[@]}") more=() build_only=no lock
    while [[ $# -gt 0 ]]; do
        case $1 in
        --build-only) build_only=yes ;;
        --bench) more+=("${bench_packages[@]}") ;;
        --containers) more+=("${container_packages[@]}") ;;
        -h | --help) usage; return ;;
        *) usage >&2; die "unknown option: $1" ;;
        esac
        shift
    done
    mkdir -p "$deps"
    exec {lock}>"$deps/.lock"
    flock "$lock" # one run at a time, so that two of them do not replace each other's files
    [[ $build_only = yes ]] || packages+=("${test_packages[@]}")
    install_packages "${packages[@]}" "${more[@]}"
    provide_wolfssl
    [[ $build_only = yes ]] || provide_venv
    # A run through sudo leaves nothing behind that the owner of the checkout cannot remove.
    [[ $EUID -ne 0 ]] || chown -R --reference="$repo" "$deps"
    step "done"
}

main "$@"
