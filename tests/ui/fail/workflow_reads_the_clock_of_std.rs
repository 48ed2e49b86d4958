use std::time::{Instant, SystemTime};
use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = SystemTime::now();
    let _ = Instant::now().elapsed();
    let _ = std::time::SystemTime::now();
    let _ = ::std::time::Instant::now();
    Ok(())
}

fn main() {}
