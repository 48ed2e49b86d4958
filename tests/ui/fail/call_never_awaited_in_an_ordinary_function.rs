//! Elsewhere it is the compiler's ordinary warning, which this case denies to show it.
#![deny(unused_must_use)]

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {
    greet(String::new());
}
