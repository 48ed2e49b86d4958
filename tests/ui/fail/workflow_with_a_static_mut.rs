use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    static mut ORDERS: u32 = 0;
    Ok(())
}

fn main() {}
