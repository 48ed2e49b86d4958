use chrono::{Local, Utc};
use saga_runtime::prelude::*;

mod chrono {
    pub struct Utc;
    pub struct Local;
    impl Utc {
        pub fn now() -> u64 {
            7
        }
    }
    impl Local {
        pub fn now() -> u64 {
            7
        }
    }
}

mod time {
    pub struct OffsetDateTime;
    impl OffsetDateTime {
        pub fn now_utc() -> u64 {
            7
        }
    }
}

mod jiff {
    pub struct Timestamp;
    pub struct Zoned;
    impl Timestamp {
        pub fn now() -> u64 {
            7
        }
    }
    impl Zoned {
        pub fn now() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = chrono::Utc::now();
    let _ = Utc::now();
    let _ = Local::now();
    let _ = time::OffsetDateTime::now_utc();
    let _ = jiff::Timestamp::now();
    let _ = jiff::Zoned::now();
    Ok(())
}

fn main() {}
