use saga_runtime::prelude::*;

mod rayon {
    pub fn spawn(_: impl FnOnce()) {}
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use rayon::spawn as begin;
    begin(|| {});
    Ok(())
}

fn main() {}
