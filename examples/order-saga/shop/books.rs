//! What is in the shop's tables.

use super::MailKind;

/// What is in the shop's tables.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// A line an article.
    pub(crate) stock: Vec<StockLine>,
    /// Reservations, released ones included.
    pub(crate) holdings: Vec<Holding>,
    /// Charges, refunded ones included.
    pub(crate) charges: Vec<Charge>,
    /// What was sent.
    pub(crate) mails: Vec<Mail>,
}

/// An article's stock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StockLine {
    /// The article.
    pub(crate) sku: String,
    /// How many there were.
    pub(crate) initial: i64,
    /// How many there are.
    pub(crate) available: i64,
}

/// A reservation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The order that it was made for.
    pub(crate) order: String,
    /// The article.
    pub(crate) sku: String,
    /// How many.
    pub(crate) quantity: i64,
    /// Whether it was given back.
    pub(crate) released: bool,
}

/// A charge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The order that was charged for.
    pub(crate) order: String,
    /// How much.
    pub(crate) cents: i64,
    /// Whether it was paid back.
    pub(crate) refunded: bool,
}

/// A mail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The order that it is about.
    pub(crate) order: String,
    /// What it says of it.
    pub(crate) kind: MailKind,
}
