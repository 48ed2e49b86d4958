//! Errors of every shape are classed.
#![deny(warnings, missing_docs, clippy::pedantic)]

use std::time::Duration;

use saga_runtime::Class;
use saga_runtime::prelude::*;

/// All kinds of errors.
#[derive(Classify)]
pub enum Failure<T> {
    /// For ever.
    #[permanent]
    Never(T),
    /// Perhaps.
    #[transient(no_effect, retry_after = wait)]
    Later {
        /// How long.
        wait: Option<Duration>,
        /// What else.
        r#type: u8,
    },
    /// Unmarked.
    Else,
}

/// One kind.
#[derive(Classify)]
#[permanent]
pub struct Gone;

/// Another.
#[derive(Classify)]
#[transient(retry_after = 0)]
pub struct Busy(Duration);

/// None.
#[derive(Classify)]
pub enum Impossible {}

pub fn main() {
    let wait = Some(Duration::from_secs(1));
    assert_eq!(Failure::Never(1).class(), Class::Permanent);
    assert_eq!(
        Failure::<u8>::Later { wait, r#type: 1 }.class(),
        Class::Transient { no_effect: true, retry_after: wait }
    );
    assert_eq!(Failure::<u8>::Else.class(), Class::TRANSIENT);
    assert_eq!(Gone.class(), Class::Permanent);
    assert_eq!(Busy(Duration::ZERO).class(), Class::Transient { no_effect: false, retry_after: Some(Duration::ZERO) });
    const { assert!(<Failure<u8> as Classify>::CAN_BE_PERMANENT) };
    const { assert!(!<Busy as Classify>::CAN_BE_PERMANENT && !<Impossible as Classify>::CAN_BE_PERMANENT) };
}
