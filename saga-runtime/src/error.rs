//! `saga_runtime::Error`: for activities and workflows where a typed error is not worth it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::classify::{Class, Classify};

/// An error that any `std::error::Error` becomes by `?`, and that survives in the journal as its
/// text and the texts of its sources.
///
/// It takes any std error and is therefore none itself; it belongs in the bodies of activities
/// and workflows only. It is transient unless made permanent with [`Error::permanent`].
///
/// ```
/// use saga_runtime::Error;
/// fn parse(text: &str) -> saga_runtime::Result<u32> {
///     Ok(text.parse::<u32>().map_err(|error| Error::from(error).permanent())?)
/// }
/// assert!(parse("x").unwrap_err().is_permanent());
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    permanent: bool,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this text. Transient.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), sources: Vec::new(), permanent: false }
    }

    /// The same error, never retried.
    #[must_use]
    pub fn permanent(self) -> Self {
        Self { permanent: true, ..self }
    }

    /// Whether it is never retried.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// The texts of the errors that caused it, outermost first.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let sources = std::iter::successors(error.source(), |e| e.source()).map(ToString::to_string).collect();
        Self { message: error.to_string(), sources, permanent: false }
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        if self.permanent { Class::Permanent } else { Class::TRANSIENT }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if f.alternate() {
            for source in &self.sources {
                write!(f, ": {source}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}
