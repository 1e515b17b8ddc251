//! What all keys of one shard share.

use metrifold_model::{Incarnation, Namespace};

/// Makes the keys of one shard: `<namespace>:{<namespace>/<shard>}:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardKeys {
    prefix: String,
}

impl ShardKeys {
    /// The keys of `shard` of `namespace`.
    pub fn new(namespace: &Namespace, shard: u16) -> Self {
        ShardKeys { prefix: format!("{namespace}:{{{namespace}/{shard}}}:") }
    }

    pub(super) fn key(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.prefix)
    }
}

/// Which of `shards` shards a source belongs to.
pub fn shard_of(incarnation: Incarnation, shards: u16) -> u16 {
    // Fibonacci hashing: incarnations are random, but those of tests and of careless clients need not be.
    let mixed = incarnation.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    u16::try_from(mixed % u64::from(shards.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_where_earlier_versions_put_them() {
        let keys = ShardKeys::new(&Namespace::new("shop").expect("a good name"), 3);
        assert_eq!(keys.record(Incarnation(0xab)), "shop:{shop/3}:w:00000000000000ab");
        assert_eq!(keys.values(Incarnation(0xab)), "shop:{shop/3}:v:00000000000000ab");
        let stage = keys.stage(Incarnation(0xab), metrifold_model::Seq(7));
        assert_eq!(stage, "shop:{shop/3}:s:00000000000000ab:00000000000000000007");
        assert_eq!(keys.workers(), "shop:{shop/3}:workers");
        assert_eq!(keys.archive(), "shop:{shop/3}:archive");
        assert_eq!(keys.tombs(), "shop:{shop/3}:tombs");
        assert_eq!(keys.folds(), "shop:{shop/3}:folds");
        assert_eq!(crate::keys::meta(&Namespace::new("shop").expect("a good name")), "shop:meta");
    }

    #[test]
    fn sources_stay_in_the_shard_where_earlier_versions_put_them() {
        let shards: Vec<u16> = (0..8).map(|incarnation| shard_of(Incarnation(incarnation), 8)).collect();
        assert_eq!(shards, [0, 1, 2, 4, 5, 7, 0, 2]);
        assert!((0..1000).all(|incarnation| shard_of(Incarnation(incarnation), 1) == 0));
    }
}
