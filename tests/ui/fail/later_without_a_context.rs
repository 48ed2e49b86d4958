use saga_runtime::Later;
use saga_runtime::prelude::*;

#[activity(later)]
async fn ask(whom: String) -> saga_runtime::Result<Later<bool>> {
    drop(whom);
    Ok(Later::new())
}

fn main() {}
