#!/bin/sh
# Writes the published keys of development.yaml: operator.key, agent.key, ada.key, ben.key, cleo.key.
#
#   deploy/settings/development-keys.sh DIR
#
# Everyone can make them. A node takes them on a loopback address of the cluster `development` alone.
set -eu

directory=${1:?usage: development-keys.sh DIR}
umask 077
mkdir -p "$directory"
for name in operator agent ada ben cleo; do
    secret=$(printf 'swoosh development key %s\n' "$name" | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d '=')
    printf 'hmmm:secret:%s\n' "$secret" > "$directory/$name.key"
done
