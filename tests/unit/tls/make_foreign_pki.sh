#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# make_foreign_pki.sh FOLDER: a CA of another maker (openssl) for td.test with chains of many kinds.
# Leaves FOLDER/root.pem and, per kind, FOLDER/<kind>.pem (chain) and FOLDER/<kind>.key.
set -eu
cd "$1"
export OPENSSL_CONF=/dev/null

key() { # name, kind
    case $2 in
    p256) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" ;;
    p384) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$1.key" ;;
    rsa) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key" ;;
    esac 2>/dev/null
}

sign() { # name, subject, issuer, extensions
    printf '%b\n' "$4" >"$1.ext"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA "$3.crt" -CAkey "$3.key" -days 7 -extfile "$1.ext" \
        -set_serial "0x$(openssl rand -hex 8)" -out "$1.crt" 2>/dev/null
}

root() { # name, subject, kind
    key "$1" "$3"
    openssl req -new -x509 -key "$1.key" -subj "$2" -days 30 -out "$1.crt" \
        -addext 'basicConstraints=critical,CA:TRUE' \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
}

authority() { # name, subject, issuer, path length
    key "$1" "${5:-p256}"
    sign "$1" "$2" "$3" "basicConstraints=critical,CA:TRUE$4\nkeyUsage=critical,keyCertSign,cRLSign"
}

usage='basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature'
both='extendedKeyUsage=serverAuth,clientAuth'
uri='subjectAltName=critical,URI:spiffe://td.test/foreign'

leaf() { # name, issuer, kind, extensions
    key "$1" "$3"
    sign "$1" "/O=foreign" "$2" "$4"
}

bundle() { # name, certificates...
    out=$1.pem
    shift
    : >"$out"
    for certificate in "$@"; do cat "$certificate.crt" >>"$out"; done
}

root root /CN=foreign-root p384
cp root.crt root.pem
authority middle /CN=middle root ,pathlen:1 p384
authority lower /CN=lower middle ,pathlen:0
authority lowest /CN=lowest lower ''
for kind in p256 p384 rsa; do
    leaf "$kind" middle "$kind" "$usage\n$both\n$uri"
    bundle "$kind" "$kind" middle
done
leaf deep lower p256 "$usage\n$both\n$uri"
bundle deep deep lower middle
cp deep.key swapped.key
bundle swapped deep middle lower
leaf toolong lowest p256 "$usage\n$both\n$uri"
bundle toolong toolong lowest lower middle
leaf nouri middle p256 "$usage\n$both\nsubjectAltName=DNS:spiffe.td.test"
bundle nouri nouri middle
leaf dnsuri middle p256 "$usage\n$both\nsubjectAltName=DNS:spiffe://td.test/foreign"
bundle dnsuri dnsuri middle
leaf twouris middle p256 "$usage\n$both\n$uri,URI:spiffe://td.test/second"
bundle twouris twouris middle
leaf serveronly middle p256 "$usage\nextendedKeyUsage=serverAuth\n$uri"
bundle serveronly serveronly middle
leaf clientonly middle p256 "$usage\nextendedKeyUsage=clientAuth\n$uri"
bundle clientonly clientonly middle
leaf nosign middle p256 "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyAgreement\n$both\n$uri"
bundle nosign nosign middle
leaf caleaf middle p256 "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,keyCertSign\n$both\n$uri"
bundle caleaf caleaf middle
key selfsigned p256
openssl req -new -x509 -key selfsigned.key -subj /CN=selfsigned -days 7 -out selfsigned.crt \
    -addext "$uri" -addext 'keyUsage=critical,digitalSignature' 2>/dev/null
bundle selfsigned selfsigned
