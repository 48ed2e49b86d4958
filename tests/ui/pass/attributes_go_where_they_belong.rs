//! Docs and deprecation stay on the call, `cfg` is everywhere, the rest is on the plain function.
#![deny(warnings, missing_docs, clippy::pedantic)]

use saga_runtime::prelude::*;

/// Greets.
///
/// - once
#[activity]
#[deprecated = "rude"]
#[inline(never)]
#[allow(clippy::too_many_lines)]
pub async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[activity]
#[cfg(any())]
async fn never(nothing: Missing) -> Missing {}

#[cfg(any())]
#[workflow]
async fn nowhere(nothing: Missing) -> Missing {}

#[workflow]
#[cfg(any())]
async fn nor_here(nothing: Missing) -> Missing {}

#[activity]
#[expect(clippy::cast_possible_truncation)]
async fn narrow(wide: u64, #[allow(unused_variables)] spare: bool) -> saga_runtime::Result<u32> {
    Ok(wide as u32)
}

/// Not deprecated.
#[workflow]
pub async fn saga() -> saga_runtime::Result<u32> {
    #[allow(deprecated)]
    greet(String::new()).await?;
    Ok(narrow(7, true).await?)
}

pub fn main() {
    let _ = saga();
}
