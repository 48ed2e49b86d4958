//! Addresses of stores: `sqlite://path`.

use std::path::PathBuf;

use saga_store::{ErrorKind, StoreError};

/// The file that an address names: `sqlite://orders.db`, `sqlite:///var/lib/orders.db`,
/// `sqlite:orders.db`. Percent escapes stand for bytes, as in any URL.
pub(crate) fn path_of(url: &str) -> Result<PathBuf, StoreError> {
    let invalid = |why: &str| {
        let message = format!("\"{url}\" is no address of an SQLite store: {why}; write sqlite://path/to/file.db");
        Err(StoreError::new(ErrorKind::Invalid, message))
    };
    let Some((scheme, rest)) = url.split_once(':') else {
        return invalid("it has no scheme");
    };
    if !scheme.eq_ignore_ascii_case("sqlite") {
        return invalid(&format!("its scheme is \"{scheme}\""));
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() {
        return invalid("it names no file");
    }
    if path.contains(['?', '#']) {
        return invalid("it has a query or a fragment, and there are no options (a \"?\" in a path is written %3F)");
    }
    match unescape(path) {
        Some(path) => Ok(PathBuf::from(path)),
        None => invalid("a \"%\" is not followed by two hexadecimal digits, or the path is not UTF-8"),
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|&c| char::from(c).to_digit(16));
        let value = digit(0)? * 16 + digit(1)?;
        bytes.push(u8::try_from(value).ok().filter(|&byte| byte != 0)?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_address_names_a_relative_or_an_absolute_file() {
        assert_eq!(path_of("sqlite://order-saga.db").unwrap(), Path::new("order-saga.db"));
        assert_eq!(path_of("sqlite:///var/a%20b.db").unwrap(), Path::new("/var/a b.db"));
        assert_eq!(path_of("SQLite:x/y.db").unwrap(), Path::new("x/y.db"));
    }

    #[test]
    fn a_bad_address_is_told_what_is_wrong_with_it() {
        for (url, why) in [
            ("mysql://host/db", "its scheme is \"mysql\""),
            ("orders.db", "no scheme"),
            ("sqlite://", "names no file"),
            ("sqlite://a.db?mode=ro", "no options"),
            ("sqlite://a%2", "hexadecimal"),
            ("sqlite://a%00", "hexadecimal"),
        ] {
            let error = path_of(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.to_string().contains("sqlite://path/to/file.db"), "{error}");
        }
    }
}
