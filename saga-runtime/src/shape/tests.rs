//! What the probe finds out, and what may be read as what.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Shape;

fn said<Old: DeserializeOwned, New: DeserializeOwned>() -> String {
    let mut found = Vec::new();
    let (old, new) = (Shape::of::<Old>().expect("it is probed"), Shape::of::<New>().expect("it is probed"));
    old.unreadable_as(&new, "it", &mut found);
    found.join("; ")
}

#[derive(Serialize, Deserialize)]
struct Line {
    sku: String,
    count: u32,
}

#[derive(Serialize, Deserialize)]
enum Payment {
    Card { number: String },
    Invoice(Line),
    Free,
}

#[test]
fn what_is_wider_reads_what_was_narrower_and_not_the_reverse() {
    assert_eq!(said::<u32, u64>(), "");
    assert_eq!(said::<u32, i64>(), "");
    assert_eq!(said::<u64, u32>(), "it: was u64, is u32");
    assert_eq!(said::<i32, u64>(), "it: was i32, is u64");
    assert_eq!(said::<String, Option<String>>(), "");
    assert_eq!(said::<Option<String>, String>(), "it: was optional text, is text");
    assert_eq!(said::<Vec<u32>, Vec<String>>(), "it: was u32, is text");
    assert_eq!(said::<(u32, bool), (u32, String)>(), "it.1: was a truth value, is text");
    assert_eq!(said::<BTreeMap<String, u32>, BTreeMap<String, bool>>(), "it: was u32, is a truth value");
}

#[test]
fn a_variant_may_come_but_not_go_and_each_is_looked_into() {
    #[derive(Serialize, Deserialize)]
    enum More {
        Card { number: String },
        Invoice(Line),
        Free,
        Voucher,
    }
    #[derive(Serialize, Deserialize)]
    enum Other {
        Card { number: String, holder: String },
        Invoice(Line),
    }
    assert_eq!(said::<Payment, More>(), "");
    let other = said::<Payment, Other>();
    assert!(other.contains("it::Card.holder: is new and required"), "{other}");
    assert!(other.contains("it: the variant `Free` is gone"), "{other}");
}

#[test]
fn a_type_that_holds_itself_ends() {
    #[derive(Serialize, Deserialize)]
    struct Tree {
        name: String,
        children: Vec<Tree>,
    }
    #[derive(Serialize, Deserialize)]
    enum Rule {
        Not(Box<Rule>),
        Both(Box<Rule>, Box<Rule>),
        Is(String),
    }
    assert_eq!(said::<Tree, Tree>(), "");
    assert_eq!(said::<Rule, Rule>(), "");
}

#[test]
fn what_takes_anything_cannot_be_probed() {
    #[derive(Serialize, Deserialize)]
    struct Flat {
        id: String,
        #[serde(flatten)]
        line: Line,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Line(Line),
    }
    for why in [Shape::of::<Flat>().unwrap_err(), Shape::of::<Tagged>().unwrap_err()] {
        assert!(why.to_string().contains("cannot be probed"), "{why}");
    }
}
