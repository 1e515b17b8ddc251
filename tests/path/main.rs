//! What was counted is what is scraped: from real workers, through real deaths, to one exact scrape.

mod admin;
mod full_redis;
mod groups;
mod gunicorn;
mod liveness;
mod memory;
mod multiproc;
mod namespaces;
mod prometheus;
mod redis_acl;
mod redis_commands;
mod rust_workers;
mod truth;
mod worker;
