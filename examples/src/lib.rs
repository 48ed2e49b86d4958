//! What the example programs share: the address of a store, signals, logging, and how many runs
//! are driven to their ends at once.

mod drive;
mod logging;
mod patience;
mod signals;
mod store_url;

pub use drive::drive;
pub use logging::init_logging;
pub use patience::patiently;
pub use signals::Interrupt;
pub use store_url::{StoreUrl, StoreUrlError};
