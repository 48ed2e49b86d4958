use saga_runtime::prelude::*;

mod jiff {
    pub struct Zoned;
    impl Zoned {
        pub fn now() -> u64 {
            7
        }
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use jiff::Zoned as Moment;
    let _ = Moment::now();
    Ok(())
}

fn main() {}
