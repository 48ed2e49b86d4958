//! Transactional activities on PostgreSQL, and starts within users' own transactions.

mod bank;
mod losses;
mod proxy;
mod rules;
mod sessions;
mod steps;
mod within;
