#!/bin/sh
# Makes the certificates of the tests. They are worth nothing outside of them: the keys are public.
set -eu
cd "$(dirname "$0")"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
for ca in ca other-ca; do
    openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 36500 -subj "/CN=$ca"
done
# `openssl ca` is the one command of OpenSSL 3.0 that takes times of its own.
cat > ca.conf <<'END'
[a]
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
unique_subject=no
policy=p
[p]
organizationName=optional
commonName=supplied
END
: > index.txt
echo 01 > serial
issue() { # name of the request, authority, name of the certificate, first and last year
    openssl ca -batch -config ca.conf -name a -cert "$2.pem" -keyfile "$2.key" -in "$1.csr" -extfile "$1.ext" \
        -startdate "${4}0101000000Z" -enddate "${5}0101000000Z" -notext -out "$3.pem"
}
sign() { # name, authority, usage, last year
    openssl req $key -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%s\n' "$3" > "$1.ext"
    issue "$1" "$2" "$1" 2020 "$4"
}
sign node ca serverAuth 2125
sign moved other-ca serverAuth 2126
sign reader ca clientAuth 2125
sign stranger other-ca clientAuth 2125
issue node ca expired 2020 2021
# A subject with more than a common name, and alternative names of every kind.
openssl req $key -keyout named.key -out named.csr -subj "/O=example/CN=billing"
names='DNS:Billing.example,URI:spiffe://example/billing,email:ops@example,IP:192.0.2.7,IP:2001:db8::7'
printf 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\nsubjectAltName=critical,%s\n' "$names" > named.ext
issue named ca named 2020 2125
for client in reader stranger named; do
    cat $client.key >> $client.pem
done
rm -f ./*.csr ./*.ext ./*.srl index.txt* serial* ca.conf ca.key other-ca.key 0?.pem reader.key stranger.key named.key
