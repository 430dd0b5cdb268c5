#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, once: an existing file is left as it is.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

keep() {
    if [ -e "secrets/$1" ]; then
        echo "secrets/$1 is there already"
        return
    fi
    # Readable for the containers' users; the folder keeps this machine's other users out.
    (umask 022 && cat > "secrets/$1")
    echo "secrets/$1 made"
}

if [ ! -e secrets/valkey.conf ] && [ -e secrets/headrace.toml ]; then
    echo "secrets/headrace.toml is there without secrets/valkey.conf: remove it first" >&2
    exit 1
fi
if [ ! -e secrets/valkey.conf ]; then
    password=$(random)
    printf 'requirepass %s\n' "$password" | keep valkey.conf
    printf '[store]\nurl = "redis://:%s@valkey:6379/0"\n' "$password" | keep headrace.toml
fi
random | keep grafana_password
