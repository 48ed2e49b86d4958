//! What the example programs share: stores and their addresses, signals, logging, and how many runs
//! are driven to their ends at once.

mod drive;
mod logging;
mod open_store;
mod patience;
mod place;
mod seconds;
mod signals;
mod store_url;

pub use drive::drive;
pub use logging::init_logging;
pub use open_store::OpenStore;
pub use patience::patiently;
pub use place::Place;
pub use seconds::seconds;
pub use signals::Interrupt;
pub use store_url::{PostgresUrl, StoreUrl, StoreUrlError};
