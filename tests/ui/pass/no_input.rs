//! An activity and a workflow without inputs are recorded as empty objects.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

#[activity(compensate = unstamp())]
async fn stamp() -> saga_runtime::Result<u64> {
    Ok(1)
}

#[activity]
async fn unstamp() -> saga_runtime::Result<()> {
    Ok(())
}

#[workflow]
async fn saga() -> saga_runtime::Result<u64> {
    Ok(stamp().await?)
}

pub fn main() {
    assert_eq!(serde_json::to_string(stamp().input()).unwrap(), "{}");
    assert!(serde_json::from_str::<saga>("{}").is_ok());
    let _ = saga();
}
