//! What befalls a database under an engine is waited for: runs go on as if nothing had been, and
//! no step is made twice.

mod disk;
mod neighbours;
mod patience;
mod shop;
