#!/bin/sh
# Finds PostgreSQL's server programs for the tests, or installs them where that is allowed.
set -eu

oldest=13

if [ -n "${SAGA_TEST_POSTGRES_URL:-}" ]; then
    echo "the tests use the server that SAGA_TEST_POSTGRES_URL names; those that stop their server, or change its"
    echo "settings, start one of their own, and fail if they do not find the programs"
    exit 0
fi

# The folder of the newest programs that are new enough, as the tests choose it.
find_programs() {
    best=0
    for folder in "${SAGA_TEST_POSTGRES_BIN:-/nowhere}" $(echo "$PATH" | tr ':' ' ') /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /usr/local/pgsql*/bin /usr/local/opt/postgresql*/bin /opt/homebrew/opt/postgresql*/bin; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && [ -x "$folder/postgres" ]; then
            version=$("$folder/postgres" --version | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
            if [ "${version:-0}" -gt "$best" ]; then
                best=$version
                programs=$folder
            fi
        fi
    done
    if [ "$best" -ge "$oldest" ]; then
        echo "PostgreSQL $best in $programs"
        return 0
    fi
    return 1
}

if find_programs; then
    exit 0
fi

if command -v apt-get > /dev/null 2>&1; then
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        as_root="sudo -n"
    fi
    echo "installing the package postgresql"
    $as_root apt-get update -q || true
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql || true
    if find_programs; then
        exit 0
    fi
fi

echo "The tests start PostgreSQL servers, version $oldest or later, and need the programs (initdb, pg_ctl, postgres)." >&2
echo "Found none, or only older ones. Install them (on Debian and Ubuntu: apt-get install postgresql), or name their" >&2
echo "folder in SAGA_TEST_POSTGRES_BIN. A running server in SAGA_TEST_POSTGRES_URL serves those tests that neither" >&2
echo "stop their server nor change its settings." >&2
exit 1
