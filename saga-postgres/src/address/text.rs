//! What `libpq` knows of an address and the parser of `tokio-postgres` does not, taken out of it.

use saga_store::StoreError;

use super::invalid;

/// An address as the parser takes it, and what was taken out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) rest: String,
    pub(super) root_certificates: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) service: Option<String>,
    /// It says how sessions are encrypted.
    pub(super) says_mode: bool,
    /// It says after what time the other side is asked whether it is there.
    pub(super) says_idle: bool,
    /// It says what kind of server is meant.
    pub(super) says_target: bool,
}

/// Takes a URL or the `key=value` form apart.
pub(super) fn take(address: &str) -> Result<Text, StoreError> {
    let mut text = Text::default();
    if address.contains("://") {
        let (address, query) = address.split_once('?').unwrap_or((address, ""));
        let mut rest = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                rest.push(part.to_owned());
                continue;
            };
            match text.one(key, &decoded(value))? {
                // Folders of sockets, which the parser takes one at a time.
                Rest::Keep if key == "host" => {
                    let hosts = value.replace("%2C", ",").replace("%2c", ",");
                    rest.extend(hosts.split(',').map(|host| format!("host={host}")));
                }
                Rest::Keep => rest.push(part.to_owned()),
                Rest::As(value) => rest.push(format!("{key}={value}")),
                Rest::Nothing => {}
            }
        }
        let mark = if rest.is_empty() { "" } else { "?" };
        text.rest = format!("{address}{mark}{}", rest.join("&"));
    } else {
        let mut rest = Vec::new();
        for (key, value) in pairs(address)? {
            let value = match text.one(&key, &value)? {
                Rest::Keep => value,
                Rest::As(value) => value.to_owned(),
                Rest::Nothing => continue,
            };
            rest.push(format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")));
        }
        text.rest = rest.join(" ");
    }
    Ok(text)
}

/// What becomes of one part of an address.
enum Rest {
    Keep,
    As(&'static str),
    Nothing,
}

impl Text {
    fn one(&mut self, key: &str, value: &str) -> Result<Rest, StoreError> {
        let taken = match key {
            "sslrootcert" => &mut self.root_certificates,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            "passfile" => &mut self.password_file,
            "service" => &mut self.service,
            "sslmode" => {
                self.says_mode = true;
                return Ok(match value {
                    "verify-ca" | "verify-full" => Rest::As("require"),
                    "allow" => Rest::As("prefer"),
                    _ => Rest::Keep,
                });
            }
            "target_session_attrs" => {
                self.says_target = true;
                return Ok(Rest::As(target(value)?));
            }
            "keepalives_idle" => {
                self.says_idle = true;
                return Ok(Rest::Keep);
            }
            _ => return Ok(Rest::Keep),
        };
        *taken = Some(value.to_owned()).filter(|value| !value.is_empty());
        Ok(Rest::Nothing)
    }
}

/// The kind of server that is meant, as the parser has it. A store has to write.
pub(super) fn target(value: &str) -> Result<&'static str, StoreError> {
    match value {
        "any" | "read-write" | "primary" => Ok("read-write"),
        _ => Err(invalid("target_session_attrs has to be read-write or primary: a store writes")),
    }
}

/// `%41` is `A`.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The words of the `key=value` form, with its quotes and backslashes. An error repeats none of
/// them: one may be a part of a password.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, StoreError> {
    let mut pairs = Vec::new();
    let mut chars = text.trim().chars().peekable();
    while chars.peek().is_some() {
        let mut key = String::new();
        while let Some(char) = chars.next_if(|char| *char != '=') {
            key.push(char);
        }
        if chars.next().is_none() || key.trim().contains(char::is_whitespace) {
            return Err(invalid("a word has no =; a value with spaces stands in 'quotes'"));
        }
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if quoted => break,
                Some(char) if char.is_whitespace() && !quoted => break,
                Some(char) => value.push(char),
                None if quoted => return Err(invalid("a quote is not closed")),
                None => break,
            }
        }
        pairs.push((key.trim().to_owned(), value));
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_of_encryption() {
        let url =
            take("postgres://me@a/b?sslmode=verify-full&sslrootcert=%2Fx.pem&sslcert=/c&sslkey=/k&port=1").unwrap();
        let words = take(r"host=a sslmode = verify-full sslrootcert='/x.pem' sslcert=/c sslkey=/k password='a \'b\\c'");
        let words = words.unwrap();
        assert_eq!(url.rest, "postgres://me@a/b?sslmode=require&port=1");
        assert_eq!(words.rest, r"host='a' sslmode='require' password='a \'b\\c'");
        for text in [url, words] {
            assert_eq!(text.root_certificates.as_deref(), Some("/x.pem"));
            assert_eq!((text.certificate.as_deref(), text.key.as_deref()), (Some("/c"), Some("/k")));
            assert!(text.says_mode && !text.says_idle && !text.says_target);
        }
    }

    #[test]
    fn no_error_repeats_a_word() {
        for text in ["host=a password=my s3cret", "password='s3cret", "s3cret"] {
            assert!(!take(text).unwrap_err().to_string().contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_store_asks_for_a_server_that_takes_writes() {
        assert_eq!(
            take("postgres://a/b?target_session_attrs=primary").unwrap().rest,
            "postgres://a/b?target_session_attrs=read-write"
        );
        assert!(take("postgres://a/b?target_session_attrs=standby").is_err());
    }
}
