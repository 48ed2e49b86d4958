//! An undo sees inputs and output as owned values, also in nested calls, builders and formats.
#![deny(warnings, clippy::pedantic)]

use std::time::Duration;

use saga_runtime::prelude::*;

#[activity(compensate = release(output, sku.clone(), format!("{sku}{quantity}")).timeout(Duration::from_secs(1)))]
async fn reserve(sku: String, quantity: u32, note: String) -> saga_runtime::Result<u64> {
    Ok(u64::from(quantity) + u64::try_from(sku.len() + note.len())?)
}

#[activity]
async fn release(id: u64, sku: String, note: String) -> saga_runtime::Result<()> {
    drop((id, sku, note));
    Ok(())
}

#[activity(compensate = release(0, sku, String::new()))]
async fn hold(sku: String, quantity: u32) -> saga_runtime::Result<u64> {
    Ok(u64::from(quantity) + u64::try_from(sku.len())?)
}

#[activity(compensate = release(output.0, output.1, LABEL.to_owned()))]
async fn take() -> saga_runtime::Result<(u64, String)> {
    Ok((7, String::new()))
}

const LABEL: &str = "taken";

pub fn main() {
    use saga_runtime::Activity;
    use saga_runtime::activity::UndoKind;
    assert_eq!(<reserve as Activity>::UNDO, UndoKind::FromOutput);
    assert_eq!(<hold as Activity>::UNDO, UndoKind::FromInput);
    assert_eq!(<take as Activity>::UNDO, UndoKind::FromOutput);
    assert_eq!(<release as Activity>::UNDO, UndoKind::Nothing);
}
