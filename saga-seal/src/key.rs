//! Keys and their numbers.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// The number of a key. It is written beside what the key sealed, so never give it to another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret of 32 bytes. It is wiped from memory when it is dropped, and `Debug` does not show it.
///
/// Make one with `openssl rand -hex 32`, keep it where your other secrets are, and read it with
/// `text.parse::<Key>()?`.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A key from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A text that is no key. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError {
    length: usize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == 64 {
            f.write_str("a key is 64 hexadecimal digits, and this text has other characters")
        } else {
            write!(
                f,
                "a key is 64 hexadecimal digits (`openssl rand -hex 32`), and this text has {} bytes",
                self.length
            )
        }
    }
}

impl std::error::Error for KeyError {}

/// 64 hexadecimal digits; blanks around them do not count.
impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        let wrong = KeyError { length: digits.len() };
        if digits.len() != 64 {
            return Err(wrong);
        }
        let digit = |byte: u8| (byte as char).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(wrong);
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// The current key, which seals, and old ones, which open what they sealed.
#[derive(Debug, Clone)]
pub struct Keys {
    current: (KeyId, Key),
    old: Vec<(KeyId, Key)>,
}

impl Keys {
    /// A current key, and no old ones.
    #[must_use]
    pub fn new(id: KeyId, key: Key) -> Self {
        Self { current: (id, key), old: Vec::new() }
    }

    /// Also opens what this key sealed. The current key's number stays the current key's.
    #[must_use]
    pub fn with_old(mut self, id: KeyId, key: Key) -> Self {
        self.old.push((id, key));
        self
    }

    pub(crate) fn current(&self) -> (KeyId, &Key) {
        (self.current.0, &self.current.1)
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Key> {
        std::iter::once(&self.current).chain(&self.old).find(|(known, _)| *known == id).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_hexadecimal_digits() {
        let key: Key = format!(" {}\n", "0fF0".repeat(16)).parse().unwrap();
        assert_eq!(key.bytes()[..4], [0x0f, 0xf0, 0x0f, 0xf0]);
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_without_being_repeated() {
        let short = "secret".parse::<Key>().unwrap_err().to_string();
        assert!(short.contains("has 6 bytes") && !short.contains("secret"), "{short}");
        let letters = "xy".repeat(32).parse::<Key>().unwrap_err().to_string();
        assert!(letters.contains("other characters") && !letters.contains("xy"), "{letters}");
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = Keys::new(KeyId(7), Key::from_bytes([0x5a; 32]));
        let shown = format!("{keys:?}");
        assert!(shown.contains("KeyId(7)") && !shown.contains("90") && !shown.contains("5a"), "{shown}");
    }
}
