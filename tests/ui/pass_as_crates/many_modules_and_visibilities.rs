//! Items of every visibility, used from other modules by one `use`.
#![deny(warnings, missing_docs, clippy::pedantic)]

mod shop {
    use saga_runtime::prelude::*;

    #[activity(name = "shop.greet")]
    pub(crate) async fn greet(name: String) -> saga_runtime::Result<String> {
        Ok(name)
    }

    pub(super) mod inner {
        use saga_runtime::prelude::*;

        #[activity(read_only, retry(max_attempts = 1))]
        pub(in crate::shop) async fn look() -> saga_runtime::Result<()> {
            Ok(())
        }

        #[workflow(version = 3)]
        pub(crate) async fn saga() -> saga_runtime::Result<()> {
            look().await?;
            super::greet(String::new()).await?;
            Ok(())
        }
    }
}

use shop::greet;
use shop::inner::saga as renamed;

fn main() {
    assert_eq!(greet::NAME, "shop.greet");
    assert_eq!((renamed::NAME, renamed::VERSION), ("saga", 3));
    assert_eq!(greet("you".to_owned()).input().name, "you");
    let greet { name } = serde_json::from_str(r#"{"name":"you"}"#).unwrap();
    assert_eq!(name, "you");
    let _ = renamed();
}
