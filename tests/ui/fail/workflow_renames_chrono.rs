use saga_runtime::prelude::*;

mod chrono {
    pub struct Utc;
    impl Utc {
        pub fn now() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use chrono::Utc as Zone;
    let _ = Zone::now();
    Ok(())
}

fn main() {}
