use saga_runtime::prelude::*;

mod rayon {
    pub fn spawn(_: impl FnOnce()) {}
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    rayon::spawn(|| {});
    Ok(())
}

fn main() {}
