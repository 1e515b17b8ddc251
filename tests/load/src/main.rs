//! What the store costs at 1,024 workers of 1,000 series, printed as ratios against plain Redis commands of the same
//! bytes, measured in turns on the same server and over the same kind of connection: `make load`.

mod memory;
mod push;
mod redis;
mod scrape;
mod source;

use anyhow::Result;

use redis::LoadRedis;

#[tokio::main]
async fn main() -> Result<()> {
    let redis = LoadRedis::start().await?;
    push::measure(&redis).await?;
    let redis = LoadRedis::start().await?;
    memory::measure(&redis).await?;
    scrape::measure(&redis).await
}

/// The middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
