//! How a run ended, typed.

use std::fmt;

use saga_store::wire::Conclusion;
use serde::de::DeserializeOwned;

use super::ClientError;
use crate::codec::{self, CodecError};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// It returned this.
    Completed(T),
    /// It returned this error; every undo has run.
    Failed(E),
    /// It was cancelled; every undo has run.
    Cancelled,
    /// An operator ended it, without undo.
    Terminated,
    /// It needs an operator: this is why.
    Dead(String),
}

impl<T: DeserializeOwned, E: DeserializeOwned> Outcome<T, E> {
    pub(crate) fn from_conclusion(conclusion: &Conclusion) -> Result<Self, CodecError> {
        Ok(match conclusion {
            Conclusion::Completed(output) => Self::Completed(codec::decode(output)?),
            Conclusion::Failed { error, .. } => Self::Failed(codec::decode(error)?),
            Conclusion::Cancelled(_) => Self::Cancelled,
            Conclusion::Terminated(_) => Self::Terminated,
            Conclusion::Dead { reason } => Self::Dead(reason.clone()),
            other => return Err(CodecError::new(format!("this build does not know the ending {other:?}"))),
        })
    }
}

/// Why a run has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError<E> {
    /// The workflow returned this error; every undo has run.
    Failed(E),
    /// It was cancelled; every undo has run.
    Cancelled,
    /// An operator ended it, without undo.
    Terminated,
    /// It needs an operator: this is why.
    Dead(String),
    /// It is not known how it ended: asking failed.
    Client(ClientError),
}

impl<E> RunError<E> {
    /// The workflow's own error, if it returned one.
    pub fn as_failed(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> From<ClientError> for RunError<E> {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl<E: fmt::Display> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::Terminated => f.write_str("the run was terminated by an operator, without undo"),
            Self::Dead(reason) => write!(f, "the run is dead and needs an operator: {reason}"),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for RunError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(error) => Some(error),
            _ => None,
        }
    }
}
