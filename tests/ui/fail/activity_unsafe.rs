use saga_runtime::prelude::*;

#[activity]
async unsafe fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
