use saga_runtime::prelude::*;

#[workflow]
async fn saga() {

}

fn main() {}
