//! The inputs are one object, keyed by parameter name; a missing `Option` is `None`.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

#[activity]
async fn one(sku: String) -> saga_runtime::Result<String> {
    Ok(sku)
}

#[activity]
async fn many(mut sku: String, r#type: u8, note: Option<String>) -> saga_runtime::Result<String> {
    sku.push(char::from(r#type));
    Ok(sku + &note.unwrap_or_default())
}

pub fn main() {
    assert_eq!(serde_json::to_string(one("A".into()).input()).unwrap(), r#"{"sku":"A"}"#);
    let call = many("A".into(), 7, None);
    assert_eq!(serde_json::to_string(call.input()).unwrap(), r#"{"sku":"A","type":7,"note":null}"#);
    let many { sku, r#type, note } = serde_json::from_str(r#"{"type":7,"sku":"A"}"#).unwrap();
    assert_eq!((sku.as_str(), r#type, note), ("A", 7, None));
    assert!(serde_json::from_str::<many>("{}").is_err());
}
