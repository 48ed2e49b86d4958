use saga_runtime::prelude::*;

struct Shop;

impl Shop {
    #[workflow]
    async fn saga(&self) -> saga_runtime::Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = Shop;
}
