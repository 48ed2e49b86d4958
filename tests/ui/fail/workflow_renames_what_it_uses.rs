use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::time::{self, Instant as Clock};
    use std::{env::var as setting, fs as disk};
    let _ = Clock::now();
    let _ = time::SystemTime::now();
    let _ = setting("HOME");
    let _ = disk::read("orders");
    Ok(())
}

fn main() {}
