use saga_runtime::prelude::*;

mod time {
    pub struct OffsetDateTime;
    impl OffsetDateTime {
        pub fn now_utc() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = time::OffsetDateTime::now_utc();
    Ok(())
}

fn main() {}
