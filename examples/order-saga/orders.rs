//! The orders: the purchases of a file, one a line.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The orders that come with the program, so that it runs from any folder.
const BUNDLED: &[u8] = include_bytes!("../data/cdnow-7000.txt");
const BUNDLED_NAME: &str = "cdnow-7000.txt (bundled)";
const HEADER: &str = "customer_id date number_of_cds dollar_value";
const LINE: &str = "`customer_id YYYYMMDD number_of_cds dollars.cents`";

/// The name of an order: `ORD-17` is the purchase on the 17th line after the header. Its run
/// bears the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OrderId(pub(crate) String);

impl OrderId {
    /// The order on this line after the header.
    pub(crate) fn of_line(number: usize) -> Self {
        Self(format!("ORD-{number}"))
    }

    /// What a person types: `ORD-17`, `ord-17` or `17`.
    pub(crate) fn from_user(text: &str) -> Self {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_at_checked(4) {
            _ if digits(text) => Self(format!("ORD-{text}")),
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ORD-") && digits(rest) => Self(format!("ORD-{rest}")),
            _ => Self(text.to_owned()),
        }
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is bought: `CD-17`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sku(pub(crate) String);

/// How many articles the shop has.
pub(crate) const SKUS: u32 = 1000;

impl Sku {
    /// The article that a customer buys.
    pub(crate) fn of_customer(customer: u32) -> Self {
        Self(format!("CD-{}", customer % SKUS))
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Its name.
    pub(crate) id: OrderId,
    /// Who buys.
    pub(crate) customer: u32,
    /// When: YYYYMMDD.
    pub(crate) date: u32,
    /// What.
    pub(crate) sku: Sku,
    /// How many.
    pub(crate) quantity: u32,
    /// For how much in all.
    pub(crate) cents: u64,
}

impl Order {
    /// Where the customer is written to.
    pub(crate) fn email(&self) -> String {
        format!("customer-{}@example.com", self.customer)
    }
}

/// A line that is not an order. The others are not affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    file: String,
    line: usize,
    found: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.found)
    }
}

/// The orders of a file, and the lines that are none.
#[derive(Debug, Default)]
pub(crate) struct OrderFile {
    /// In the order of the file.
    pub(crate) orders: Vec<Order>,
    /// In the order of the file.
    pub(crate) malformed: Vec<Malformed>,
}

impl OrderFile {
    /// Says on the error stream which lines are no orders.
    pub(crate) fn report_malformed(&self) {
        for malformed in &self.malformed {
            eprintln!("error: {malformed}");
        }
    }
}

/// Reads a file of orders, or the bundled one; at most so many lines after the header.
pub(crate) fn read(path: Option<&Path>, limit: Option<usize>) -> anyhow::Result<OrderFile> {
    match path {
        None => Ok(parse(BUNDLED_NAME, BUNDLED, limit)),
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|error| Unreadable { path: path.to_owned(), error })?;
            Ok(parse(&path.display().to_string(), &bytes, limit))
        }
    }
}

/// A file of orders that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the orders in {}: {error}; `--orders` takes a file with a header and lines of {LINE}", .path.display())]
struct Unreadable {
    path: PathBuf,
    error: std::io::Error,
}

fn parse(file: &str, bytes: &[u8], limit: Option<usize>) -> OrderFile {
    let mut found = OrderFile::default();
    let text = bytes.trim_ascii_end();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let result = match index {
            0 => check_header(line),
            _ if limit.is_some_and(|limit| index > limit) => break,
            _ => parse_line(index, line).map(|order| found.orders.push(order)),
        };
        if let Err(why) = result {
            found.malformed.push(Malformed { file: file.to_owned(), line: index + 1, found: why });
        }
    }
    found
}

fn check_header(line: &[u8]) -> Result<(), String> {
    if line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .eq(HEADER.as_bytes().split(|byte| *byte == b' '))
    {
        return Ok(());
    }
    Err(format!("expected the header `{HEADER}`, found `{}`", shown(line)))
}

fn parse_line(number: usize, line: &[u8]) -> Result<Order, String> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(format!("expected {LINE}, found bytes that are not UTF-8: `{}`", shown(line)));
    };
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [customer, date, quantity, dollars] = fields[..] else {
        return Err(format!("expected {LINE}, four fields, found {}: `{}`", fields.len(), shown(line)));
    };
    let expected = |what: &str, field: &str| format!("expected {what}, found `{}`", shown(field.as_bytes()));
    let customer = digits(customer).ok_or_else(|| expected("a customer id (digits)", customer))?;
    Ok(Order {
        id: OrderId::of_line(number),
        customer,
        date: digits(date).filter(|_| is_date(date)).ok_or_else(|| expected("a date (YYYYMMDD)", date))?,
        sku: Sku::of_customer(customer),
        quantity: digits(quantity)
            .filter(|quantity| *quantity > 0)
            .ok_or_else(|| expected("a number of CDs (a whole number from 1)", quantity))?,
        cents: cents(dollars).ok_or_else(|| expected("a dollar value with two decimals (`11.77`)", dollars))?,
    })
}

/// Digits only: no sign, no blanks.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_date(text: &str) -> bool {
    text.len() == 8
        && digits(&text[4..6]).is_some_and(|month| (1..=12).contains(&month))
        && digits(&text[6..]).is_some_and(|day| (1..=31).contains(&day))
}

/// Cents as whole numbers from the start: money and floating point do not mix.
fn cents(text: &str) -> Option<u64> {
    let (dollars, cents) = text.split_once('.')?;
    if cents.len() != 2 {
        return None;
    }
    u64::from(digits(dollars).filter(|_| !dollars.is_empty())?).checked_mul(100)?.checked_add(u64::from(digits(cents)?))
}

/// The head of a text, as a terminal can show it.
fn shown(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(60)];
    let dots = if head.len() < bytes.len() { "…" } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(head).trim_end().escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        parse("orders.txt", text.as_bytes(), None).malformed.iter().map(ToString::to_string).collect()
    }

    fn with_header(lines: &str) -> String {
        format!(" customer_id  date number_of_cds  dollar_value\r\n{lines}")
    }

    #[test]
    fn the_bundled_orders_are_all_read() {
        let file = read(None, None).unwrap();
        assert_eq!(file.malformed, []);
        assert_eq!(file.orders.len(), 7000);
        let first = Order {
            id: OrderId("ORD-1".into()),
            customer: 1,
            date: 19_970_101,
            sku: Sku("CD-1".into()),
            quantity: 1,
            cents: 1177,
        };
        assert_eq!(file.orders[0], first);
    }

    #[test]
    fn a_limit_counts_lines_after_the_header() {
        let file = read(None, Some(3)).unwrap();
        assert_eq!(file.orders.iter().map(|order| order.id.as_str()).collect::<Vec<_>>(), ["ORD-1", "ORD-2", "ORD-3"]);
        assert_eq!(read(None, Some(0)).unwrap().orders, []);
    }

    #[test]
    fn an_article_is_the_customer_id_modulo_1000() {
        assert_eq!(Sku::of_customer(23_570).0, "CD-570");
        assert_eq!(Sku::of_customer(1000).0, "CD-0");
    }

    #[test]
    fn a_malformed_line_is_told_with_file_and_number_and_the_others_are_kept() {
        let text = with_header(
            " 00001 19970101  1   11.77\r\n\
             00002 19970112  x   12.00\r\n\
             \r\n\
             00003 19970102  2   20.76\r\n",
        );
        let file = parse("orders.txt", text.as_bytes(), None);
        assert_eq!(file.orders.iter().map(|order| order.id.as_str()).collect::<Vec<_>>(), ["ORD-1", "ORD-4"]);
        assert_eq!(
            messages(&text),
            [
                "orders.txt:3: expected a number of CDs (a whole number from 1), found `x`",
                "orders.txt:4: expected `customer_id YYYYMMDD number_of_cds dollars.cents`, four fields, found 0: ``",
            ]
        );
    }

    #[test]
    fn each_field_that_is_not_what_it_should_be_is_named() {
        for (line, expected) in [
            ("-1 19970101 1 11.77", "expected a customer id (digits), found `-1`"),
            ("1 19971301 1 11.77", "expected a date (YYYYMMDD), found `19971301`"),
            ("1 1997010 1 11.77", "expected a date (YYYYMMDD), found `1997010`"),
            ("1 19970101 0 11.77", "expected a number of CDs (a whole number from 1), found `0`"),
            ("1 19970101 99999999999 1.00", "expected a number of CDs (a whole number from 1), found `99999999999`"),
            ("1 19970101 1 11.7", "expected a dollar value with two decimals (`11.77`), found `11.7`"),
            ("1 19970101 1 -1.00", "expected a dollar value with two decimals (`11.77`), found `-1.00`"),
            ("1 19970101 1 .50", "expected a dollar value with two decimals (`11.77`), found `.50`"),
            ("1 19970101 1 1e3", "expected a dollar value with two decimals (`11.77`), found `1e3`"),
        ] {
            assert_eq!(messages(&with_header(line)), [format!("orders.txt:2: {expected}")], "{line}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_spoil_their_line_only() {
        let mut bytes = with_header("1 19970101 1 11.77\n").into_bytes();
        bytes.extend_from_slice(b"\xff\xfe\n2 19970101 1 0.00\n");
        let file = parse("orders.txt", &bytes, None);
        assert_eq!(file.orders.len(), 2);
        assert_eq!(file.malformed.len(), 1);
        assert!(file.malformed[0].to_string().contains("orders.txt:3: expected"));
    }

    #[test]
    fn a_missing_header_is_an_error_of_line_1_and_costs_no_other_line() {
        let file = parse("orders.txt", b"1 19970101 1 11.77\n2 19970101 1 11.77\n", None);
        assert_eq!(file.orders.len(), 1);
        assert!(file.malformed[0].to_string().starts_with("orders.txt:1: expected the header `customer_id date"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_what_was_expected() {
        let error = read(Some(Path::new("/nowhere/orders.txt")), None).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the orders in /nowhere/orders.txt: "), "{error}");
        assert!(error.contains("customer_id YYYYMMDD"), "{error}");
    }

    #[test]
    fn a_person_may_name_an_order_by_its_number() {
        assert_eq!(OrderId::from_user("17"), OrderId::from_user("ord-17"));
        assert_eq!(OrderId::from_user("ORD-17").as_str(), "ORD-17");
        assert_eq!(OrderId::from_user("other").as_str(), "other");
    }
}
