use saga_runtime::prelude::*;

mod fastrand {
    pub fn u64(_: std::ops::RangeFull) -> u64 {
        7
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = fastrand::u64(..);
    Ok(())
}

fn main() {}
