use saga_runtime::prelude::*;

struct Shop;

impl Shop {
    #[durable(strict)]
    async fn pay(&self) -> saga_runtime::Result<()> {
        Ok(())
    }
}

fn main() {}
