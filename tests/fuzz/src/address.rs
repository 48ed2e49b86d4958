//! Addresses of stores: refused or understood, and no refusal tells a password.

use saga_examples::StoreUrl;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "address",
    take,
    words: &[
        "sqlite:",
        "sqlite://",
        "postgres://",
        "postgresql://",
        "@",
        ":",
        "/",
        "?",
        "&",
        "=",
        ",",
        "#",
        "%",
        "%2F",
        "%00",
        "%zz",
        "[::1]",
        "host=",
        "hostaddr=",
        "port=",
        "user=",
        "password=",
        "dbname=",
        "options=-c a=b",
        "application_name=",
        "sslmode=",
        "verify-full",
        "require",
        "disable",
        "sslnegotiation=direct",
        "sslrootcert=system",
        "connect_timeout=",
        "keepalives=",
        "target_session_attrs=",
        "read-write",
        "load_balance_hosts=random",
        "channel_binding=require",
        "'",
        "\\",
        " ",
        "65536",
        "-1",
        "localhost",
        "/var/run/postgresql",
    ],
};

/// In place of any password, so that it can be told from the rest.
const PASSWORD: &str = "pw7Zq0xw";

fn take(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let sqlite = saga_sqlite::path_of(text);
    let postgres = saga_postgres::place_of(text, |_| None);
    // Of a server's address it would read the system's certificates, each time.
    if !text.starts_with("postgres")
        && let Ok(url) = text.parse::<StoreUrl>()
    {
        let _ = (url.to_string(), url.beside("other.db"));
    }
    keeps_its_password(text);
    sqlite.is_ok() || postgres.is_ok()
}

/// The same address with a password where passwords stand.
fn keeps_its_password(text: &str) {
    let is_pair = |word: &str| word.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
    let with = match text.split_once("://") {
        Some((scheme @ ("postgres" | "postgresql"), rest)) => {
            let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
            format!("{scheme}://app:{PASSWORD}@{rest}")
        }
        None if !text.contains(['\'', '\\']) && text.split_whitespace().all(is_pair) => {
            format!("{text} password={PASSWORD}")
        }
        _ => return,
    };
    let said = match saga_postgres::place_of(&with, |_| None) {
        Ok(place) => place,
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!said.contains(PASSWORD), "{with:?} is told as {said:?}");
}
