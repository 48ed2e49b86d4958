use saga_runtime::prelude::*;

#[activity]
struct Greeting;

fn main() {
    let _ = Greeting;
}
