use saga_runtime::prelude::*;

#[workflow]
async fn saga(order: u32) -> saga_runtime::Result<u32> {
    let _doubled = order.;
    Ok(order)
}

fn main() {}
