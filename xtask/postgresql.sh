#!/bin/sh
# Finds PostgreSQL's server programs for the tests, or installs them where that is allowed.
set -eu

if [ -n "${SAGA_TEST_POSTGRES_URL:-}" ]; then
    echo "the tests use the server that SAGA_TEST_POSTGRES_URL names"
    exit 0
fi

find_programs() {
    if command -v initdb > /dev/null 2>&1; then
        command -v initdb
        return 0
    fi
    for program in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb; do
        if [ -x "$program" ]; then
            echo "$program"
            return 0
        fi
    done
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

echo "The tests need PostgreSQL's server programs (initdb, pg_ctl), version 13 or later, and found none." >&2
echo "Install them (on Debian and Ubuntu: apt-get install postgresql), or set SAGA_TEST_POSTGRES_URL" >&2
echo "to the address of a server on which the tests may create schemas." >&2
exit 1
