use saga_runtime::prelude::*;

#[activity]
async fn greet(name: std::borrow::Cow<'_, str>) -> saga_runtime::Result<String> {
    Ok(name.into_owned())
}

fn main() {}
