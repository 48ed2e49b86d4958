use saga_runtime::prelude::*;

struct Shop;

impl Shop {
    #[activity]
    async fn greet(&self, name: String) -> saga_runtime::Result<String> {
        Ok(name)
    }
}

fn main() {
    let _ = Shop;
}
