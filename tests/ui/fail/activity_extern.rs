use saga_runtime::prelude::*;

#[activity]
async extern "C" fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
