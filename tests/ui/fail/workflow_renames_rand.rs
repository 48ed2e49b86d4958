use saga_runtime::prelude::*;

mod rand {
    pub fn random() -> u64 {
        7
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use rand::random as dice;
    let _ = dice();
    Ok(())
}

fn main() {}
