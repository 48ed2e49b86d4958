use saga_runtime::prelude::*;

#[workflow(on_undo_failure = ignore)]
async fn saga() -> saga_runtime::Result<()> {
    let _ = 7;
    Ok(())
}

fn main() {}
