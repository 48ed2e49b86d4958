#![deny(warnings)]

use std::collections::HashMap;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> saga_runtime::Result<()> {
    let mut rates = HashMap::from([("EUR", 7)]);
    rates.insert("USD", 8);
    assert_eq!(rates.get(name.as_str()).copied().or(rates.get("EUR").copied()), Some(7));
    let mut sorted: Vec<_> = rates.into_iter().collect();
    sorted.sort_unstable();
    for (currency, rate) in sorted {
        greet(format!("{currency} {rate}")).await?;
    }
    Ok(())
}

pub fn main() {
    let _ = saga(String::new());
}
