use saga_runtime::prelude::*;

mod rayon {
    pub fn join(_: impl FnOnce() -> u32, _: impl FnOnce() -> u32) {}
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    rayon::join(|| 1, || 2);
    Ok(())
}

fn main() {}
