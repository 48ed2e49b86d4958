//! Activities and workflows made by `macro_rules!`.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

macro_rules! pair {
    ($forward:ident, $back:ident, $kind:ty) => {
        #[activity(compensate = $back(output, key))]
        async fn $forward(key: $kind) -> saga_runtime::Result<$kind> {
            Ok(key)
        }
        #[activity]
        async fn $back(output_key: $kind, key: $kind) -> saga_runtime::Result<()> {
            drop((output_key, key));
            Ok(())
        }
    };
}

pair!(lock, unlock, String);

#[workflow]
async fn saga() -> saga_runtime::Result<String> {
    Ok(lock(String::new()).await?)
}

pub fn main() {
    let _ = saga();
}
