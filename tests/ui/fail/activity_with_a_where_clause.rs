use saga_runtime::prelude::*;

#[activity]
async fn greet() -> saga_runtime::Result<()>
where
    String: Clone,
{
    Ok(())
}

fn main() {}
