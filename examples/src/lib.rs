//! What the example programs share: the address of a store, signals, and logging.

mod logging;
mod signals;
mod store_url;

pub use logging::init_logging;
pub use signals::Interrupt;
pub use store_url::{StoreUrl, StoreUrlError};
