//! What was counted is what is scraped: from real workers, through real deaths, to one exact scrape.

mod admin;
mod gunicorn;
mod prometheus;
mod redis_acl;
mod redis_commands;
mod rust_workers;
mod truth;
