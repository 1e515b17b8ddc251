//! How often somebody may be wrong.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Bucket;

/// Wrong passwords, or tokens, that one address may show at once: a person who mistypes, and servers that were just
/// given another password,
const WRONG_BURST: u32 = 10;
/// and how often after that. 86,400 guesses a day are no danger for a password that is not in every list.
const WRONG_INTERVAL: Duration = Duration::from_secs(1);
/// Most addresses to keep apart; the others share one bucket until some of these are forgiven.
const ORIGINS_MAX: usize = 4_096;

/// Where a request comes from, as far as wrong passwords are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// An address; of IPv6 the network, since whoever has one address there has 2^64.
    Address(IpAddr),
    /// The unix socket.
    #[default]
    Socket,
    /// One of too many addresses.
    Crowd,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Address(address @ IpAddr::V4(_)) => write!(f, "{address}"),
            Origin::Address(network) => write!(f, "{network}/64"),
            Origin::Socket => f.write_str("the unix socket"),
            Origin::Crowd => f.write_str("one of many addresses"),
        }
    }
}

impl Origin {
    /// Whether it is a process of this host.
    pub(crate) fn is_this_host(self) -> bool {
        match self {
            Origin::Address(IpAddr::V4(address)) => address.is_loopback(),
            // The network of ::1, which nobody else has.
            Origin::Address(IpAddr::V6(network)) => network.is_unspecified(),
            Origin::Socket => true,
            Origin::Crowd => false,
        }
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        let network = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits & (u128::MAX << 64)));
        Origin::Address(match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| network(v6.to_bits()), IpAddr::V4),
            v4 => v4,
        })
    }
}

/// Wrong attempts by origin.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Origin, Bucket>>);

impl Attempts {
    /// Counts an attempt before it is looked at, so that many at once are not free; or says how long to wait.
    pub(crate) fn take(&self, origin: Origin, now: Instant) -> Result<(), Duration> {
        let mut origins = self.0.lock();
        if origins.len() >= ORIGINS_MAX && !origins.contains_key(&origin) {
            origins.retain(|_, bucket| !bucket.is_full(now));
        }
        let origin = match origins.len() < ORIGINS_MAX || origins.contains_key(&origin) {
            true => origin,
            false => Origin::Crowd,
        };
        let bucket = origins.entry(origin).or_insert_with(|| Bucket::full(now));
        bucket.take(now, WRONG_INTERVAL, WRONG_BURST)
    }

    /// The attempt was right, and does not count.
    pub(crate) fn forgive(&self, origin: Origin) {
        if let Some(bucket) = self.0.lock().get_mut(&origin) {
            bucket.give_back(WRONG_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(number: u32) -> Origin {
        IpAddr::from(number.to_be_bytes()).into()
    }

    #[test]
    fn wrong_attempts_run_out_by_address_and_right_ones_never_do() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..1000 {
            attempts.take(origin(1), now).expect("right attempts do not count");
            attempts.forgive(origin(1));
        }
        for _ in 0..WRONG_BURST {
            attempts.take(origin(1), now).expect("within the burst");
        }
        assert_eq!(attempts.take(origin(1), now), Err(WRONG_INTERVAL));
        attempts.take(origin(2), now).expect("another address");
        attempts.take(origin(1), now + WRONG_INTERVAL).expect("after a while");
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let of = |text: &str| Origin::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_gets_no_more_attempts() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let allowed = (0..6_000).filter(|number| attempts.take(origin(*number), now).is_ok()).count();
        assert!(attempts.0.lock().len() <= ORIGINS_MAX + 1);
        assert!(allowed <= ORIGINS_MAX + WRONG_BURST as usize, "{allowed}");
    }
}
