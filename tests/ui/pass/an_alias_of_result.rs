//! The return type may be an alias of `Result`.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

type Fallible<T> = Result<T, saga_runtime::Error>;

#[activity]
async fn greet(name: String) -> Fallible<String> {
    Ok(name)
}

#[workflow]
async fn saga(name: String) -> Fallible<String> {
    let n: u32 = "7".parse()?;
    Ok(format!("{n}{}", greet(name).await?))
}

pub fn main() {
    let _ = saga(String::new());
}
