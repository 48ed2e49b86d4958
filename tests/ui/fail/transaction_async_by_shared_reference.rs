use saga_runtime::prelude::*;

struct Family;

impl saga_store::TxFamily for Family {
    type Tx<'a> = ToyTx<'a>;
    const STORE_KIND: &'static str = "toy";
}

struct ToyTx<'a>(&'a str);

impl saga_store::Transaction for ToyTx<'_> {
    type Family = Family;
}

#[activity(transaction)]
async fn greet(#[transaction] tx: &ToyTx<'_>) -> saga_runtime::Result<String> {
    Ok(tx.0.to_owned())
}

fn main() {
    let _ = ToyTx("").0;
}
