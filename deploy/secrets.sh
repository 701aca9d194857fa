#!/bin/sh
# Makes the secrets that compose.yaml and deploy/kubernetes*.yaml read, a file each, in the folder `secrets`:
#
#   sh deploy/secrets.sh         bot and stores speak in the clear, in a network of their own
#   sh deploy/secrets.sh --tls   by TLS, with the certificates of `sandbox-bot certificates`
#
# It asks for the bot's token. Passwords and keys that are there are kept; the addresses are written anew. The folder is
# yours alone, while the files in it can be read by the users that the containers run as.
# SANDBOX_BOT is how sandbox-bot is called here, if not from the image.
set -eu
postgres=postgresql redis=redis nats=nats verified=
if [ "${1:-}" = --tls ]; then
    redis=rediss nats=tls verified='?sslmode=verify-full'
fi
umask 022
mkdir -p -m 700 secrets
mkdir -p secrets/bot secrets/postgres secrets/valkey secrets/nats

write() { cat > "secrets/$1.new" && mv "secrets/$1.new" "secrets/$1"; }
missing() { [ ! -s "secrets/$1" ]; }
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

if missing bot/discord_token; then
    [ ! -t 0 ] || printf 'The token of the bot, from Discord’s developer portal: ' >&2
    read -r token
    echo "$token" | write bot/discord_token
fi
if missing nats/nats.env; then
    key=$(${SANDBOX_BOT:-docker run --rm sandbox-bot} nats-seed)
    echo "$key" | sed -n 's/^NATS_ACCOUNT_SEED=//p' | write bot/nats_account_seed
    {
        echo "$key" | grep '^SANDBOX_ISSUER='
        for login in BOT AUTH SYSTEM; do echo "SANDBOX_${login}_PASSWORD=$(password)"; done
    } | write nats/nats.env
fi
if missing postgres/postgres.env; then
    printf 'POSTGRES_PASSWORD=%s\nSANDBOX_BOT_PASSWORD=%s\n' "$(password)" "$(password)" | write postgres/postgres.env
fi
if missing valkey/valkey.conf; then
    echo "requirepass $(password)" | write valkey/valkey.conf
fi

. ./secrets/postgres/postgres.env
echo "$postgres://sandbox_bot:$SANDBOX_BOT_PASSWORD@postgres:5432/sandboxes$verified" | write bot/database_url
echo "$redis://default:$(sed 's/^requirepass //' secrets/valkey/valkey.conf)@valkey:6379/0" | write bot/redis_url
. ./secrets/nats/nats.env
echo "$nats://sandbox-bot:$SANDBOX_BOT_PASSWORD@nats:4222" | write bot/nats_url
echo "$nats://sandbox-auth:$SANDBOX_AUTH_PASSWORD@nats:4222" | write bot/nats_auth_url
echo "$nats://sandbox-system:$SANDBOX_SYSTEM_PASSWORD@nats:4222" | write bot/nats_system_url
