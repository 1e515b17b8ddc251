//! What was counted is what is scraped, through every kind of failure: each file is a row of faults.
//!
//! Every test has at least twenty workers with ledgers of their own, two collectors and two exporters that are scraped
//! in turn. It ends with the workers in order, and demands exact totals at the end, no decrease by one bit at any
//! sample in between, and after each fault no time without a view that is longer than the bound it states.

mod absence;
mod clock;
mod cluster;
mod containers;
mod full;
mod killed;
mod links;
mod paused;
mod redis_lost;
mod schedule;
mod sentinel;
mod stack;
