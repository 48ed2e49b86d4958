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
    use time::OffsetDateTime as Moment;
    let _ = Moment::now_utc();
    Ok(())
}

fn main() {}
