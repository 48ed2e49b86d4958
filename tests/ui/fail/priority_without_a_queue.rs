use saga_runtime::prelude::*;

#[activity(priority = 5)]
async fn render() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
