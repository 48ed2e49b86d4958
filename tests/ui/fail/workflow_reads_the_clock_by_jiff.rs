use saga_runtime::prelude::*;

mod jiff {
    pub struct Timestamp;
    impl Timestamp {
        pub fn now() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = jiff::Timestamp::now();
    Ok(())
}

fn main() {}
