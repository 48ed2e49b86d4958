use saga_runtime::prelude::*;

struct Stock(u32);

#[activity]
async fn greet(#[state] Stock(count): &Stock) -> saga_runtime::Result<u32> {
    Ok(*count)
}

fn main() {}
