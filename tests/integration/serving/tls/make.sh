#!/bin/sh
# Makes the certificates of the tests. They are worth nothing outside of them: the keys are public.
set -eu
cd "$(dirname "$0")"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
for ca in ca other-ca; do
    openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 36500 -subj "/CN=$ca"
done
sign() { # name, authority, usage, more
    openssl req $key -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%s\n' "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -set_serial "$4" -days 36500 -extfile "$1.ext" -out "$1.pem"
}
sign node ca serverAuth 1
sign moved other-ca serverAuth 2
sign reader ca clientAuth 3
sign stranger other-ca clientAuth 4
# `openssl ca` is the one command of OpenSSL 3.0 that takes a time of its own.
: > index.txt
printf '[a]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' > ca.conf
echo 05 > serial
openssl ca -batch -config ca.conf -name a -cert ca.pem -keyfile ca.key -in node.csr -extfile node.ext \
    -startdate 20200101000000Z -enddate 20210101000000Z -notext -out expired.pem
cat reader.key >> reader.pem
cat stranger.key >> stranger.pem
rm -f ./*.csr ./*.ext ./*.srl index.txt* serial* ca.conf ca.key other-ca.key 05.pem reader.key stranger.key
